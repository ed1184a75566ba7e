//! Reads the sources as the rules need them: without comments, literals and test code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One source file without its comments and its test code.
pub struct Source {
    /// Relative to `src/`, with `/` between.
    pub path: String,
    /// With what stands in string literals blanked.
    pub code: String,
    /// With string literals.
    pub text: String,
}

impl Source {
    pub fn new(path: &str, raw: &str) -> Source {
        let (mut code, mut text) = blank(raw);
        for range in test_ranges(&code) {
            for part in [&mut code, &mut text] {
                let blanks: String = part[range.clone()]
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { ' ' })
                    .collect();
                part.replace_range(range.clone(), &blanks);
            }
        }
        Source {
            path: path.to_owned(),
            code,
            text,
        }
    }

    /// The module of the crate's root that this file belongs to.
    pub fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How deep the file's own module is: 1 for a module of the crate's root.
    fn depth(&self) -> usize {
        let stem = self.path.strip_suffix(".rs").unwrap();
        stem.strip_suffix("/mod").unwrap_or(stem).split('/').count()
    }

    /// The modules of the crate's root that this file names, its own among them.
    pub fn edges(&self) -> BTreeSet<String> {
        let code = squeeze(&self.code);
        let mut edges = BTreeSet::new();
        let climb = format!("{}::", vec!["super"; self.depth()].join("::"));
        // In the program's main file the library goes by its name.
        for root in ["crate::", "portcullis::", climb.as_str()] {
            for at in positions(&code, root) {
                // `a::super::` or `xcrate::` would be something else.
                let before = code[..at].chars().next_back().unwrap_or(' ');
                if !is_word(before) && !code[..at].ends_with("::") {
                    first_segments(&code[at + root.len()..], &mut edges);
                }
            }
        }
        edges
    }

    pub fn words(&self) -> BTreeSet<&str> {
        self.code.split(|c: char| !is_word(c)).collect()
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn positions(text: &str, pattern: &str) -> Vec<usize> {
    text.match_indices(pattern).map(|(at, _)| at).collect()
}

/// The code with its white space gone, save where it parts two words.
pub fn squeeze(code: &str) -> String {
    let mut squeezed = String::with_capacity(code.len());
    let mut rest = code.chars().peekable();
    while let Some(c) = rest.next() {
        if !c.is_whitespace() {
            squeezed.push(c);
            continue;
        }
        let last = squeezed.chars().next_back();
        let next = rest.peek().copied();
        if last.is_some_and(is_word) && next.is_some_and(is_word) {
            squeezed.push(' ');
        }
    }
    squeezed
}

/// The first names of a path, or of each path of a braced list.
fn first_segments(path: &str, into: &mut BTreeSet<String>) {
    let Some(list) = path.strip_prefix('{') else {
        into.insert(path.chars().take_while(|c| is_word(*c)).collect());
        return;
    };
    let mut depth = 0;
    let mut item = String::new();
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                first_segments(&std::mem::take(&mut item), into);
                continue;
            }
            _ => {}
        }
        item.push(c);
    }
    if !item.is_empty() {
        first_segments(&item, into);
    }
}

/// Blanks comments and the insides of literals; the second text keeps the literals. Neither moves a byte.
fn blank(raw: &str) -> (String, String) {
    let bytes = raw.as_bytes();
    let mut code = bytes.to_vec();
    let mut text = bytes.to_vec();
    let wipe = |buffer: &mut [u8], from: usize, to: usize| {
        for byte in &mut buffer[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let in_word = at > 0 && is_word(bytes[at - 1] as char);
        if rest.starts_with(b"//") {
            let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            wipe(&mut code, at, at + end);
            wipe(&mut text, at, at + end);
            at += end;
        } else if rest.starts_with(b"/*") {
            let end = at + comment_length(rest);
            wipe(&mut code, at, end);
            wipe(&mut text, at, end);
            at = end;
        } else if let Some((open, close)) = string_length(rest, in_word) {
            wipe(&mut code, at + open, at + close);
            // Without the quotes, so that what stands in a literal is not read as code either.
            at += close;
            if bytes.get(at) == Some(&b'"') {
                at += 1;
            }
        } else if let Some(length) = char_length(rest) {
            wipe(&mut code, at + 1, at + length - 1);
            at += length;
        } else {
            at += 1;
        }
    }
    let valid = |bytes| String::from_utf8(bytes).expect("whole characters are blanked");
    (valid(code), valid(text))
}

fn comment_length(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Where the inside of a string literal that begins here starts and ends.
fn string_length(rest: &[u8], in_word: bool) -> Option<(usize, usize)> {
    let mut open = 0;
    if !in_word {
        open += usize::from(matches!(rest[0], b'b' | b'c'));
    }
    let is_raw = !in_word && rest.get(open) == Some(&b'r');
    let mut hashes = 0;
    if is_raw {
        open += 1;
        while rest.get(open + hashes) == Some(&b'#') {
            hashes += 1;
        }
    }
    open += hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    open += 1;
    let end = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let mut at = open;
    while at < rest.len() {
        if !is_raw && rest[at] == b'\\' {
            at += 2;
        } else if rest[at..].starts_with(&end) {
            return Some((open, at));
        } else {
            at += 1;
        }
    }
    Some((open, rest.len()))
}

/// The length of a character literal that begins here; `None` for a lifetime.
fn char_length(rest: &[u8]) -> Option<usize> {
    if rest[0] != b'\'' {
        return None;
    }
    if rest.get(1) == Some(&b'\\') {
        let end = rest.iter().skip(3).position(|b| *b == b'\'')?;
        return Some(3 + end + 1);
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(6)]);
    let text = match &text {
        Ok(text) => text,
        Err(e) => std::str::from_utf8(&rest[1..1 + e.valid_up_to()]).ok()?,
    };
    let width = text.chars().next()?.len_utf8();
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

/// The items that only a test build has.
fn test_ranges(code: &str) -> Vec<std::ops::Range<usize>> {
    positions(code, "#[cfg(test)]")
        .into_iter()
        .map(|start| start..start + item_length(&code[start..]))
        .collect()
}

/// To the end of the item that begins here: a `;` or a whole block, whichever ends it first.
fn item_length(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' | ',' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

/// The files and folders that a file declares as `#[cfg(test)] mod name;`.
pub fn test_modules(path: &str, raw: &str) -> Vec<String> {
    let (code, _) = blank(raw);
    let stem = path.strip_suffix(".rs").unwrap();
    let folder = match stem.rsplit_once('/') {
        _ if ["lib", "main"].contains(&stem) => String::new(),
        Some((folder, "mod")) => format!("{folder}/"),
        _ => format!("{stem}/"),
    };
    test_ranges(&code)
        .into_iter()
        .filter_map(|range| {
            let item = squeeze(&code[range]);
            let (_, name) = item.strip_suffix(';')?.rsplit_once("mod ")?;
            name.chars().all(is_word).then(|| format!("{folder}{name}"))
        })
        .collect()
}

fn files(under: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

/// Every file of `src/` with its whole text, by its path.
pub fn raw_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap();
            let path = path.to_str().unwrap().replace('\\', "/");
            (path, std::fs::read_to_string(&file).unwrap())
        })
        .collect()
}

pub fn sources() -> Vec<Source> {
    let raw = raw_sources();
    let for_tests: Vec<String> = raw
        .iter()
        .flat_map(|(path, text)| test_modules(path, text))
        .collect();
    let is_test = |path: &str| {
        for_tests.iter().any(|module| {
            path.strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        })
    };
    raw.iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| Source::new(path, text))
        .collect()
}
