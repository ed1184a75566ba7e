//! Templates of paths, prefixes, regular expressions and hosts.

mod host;

use std::collections::HashSet;

use super::super::checked::{PathOptions, PathRegex, Pattern, Segment};
use super::super::diagnose::{counted, shown};

pub use host::host;

/// Characters of a path: what is built of it is as deep as the path has segments.
pub const LONGEST: usize = 1024;
/// An alternation may have many names.
const LONGEST_REGEX: usize = 8 * 1024;

/// What is wrong, which bytes of the text, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub message: String,
    pub range: std::ops::Range<usize>,
    pub hint: String,
}

fn fault<T>(
    message: impl Into<String>,
    range: std::ops::Range<usize>,
    hint: impl Into<String>,
) -> Result<T, Fault> {
    Err(Fault {
        message: message.into(),
        range,
        hint: hint.into(),
    })
}

/// `/users/{name}/posts/{*rest}`. A slash at the end is a last segment that is empty; `/` alone has
/// no segments.
pub fn path(text: &str) -> Result<Pattern, Fault> {
    let mut segments = Vec::new();
    let mut names = HashSet::new();
    for (range, is_last) in split(text)? {
        let part = &text[range.clone()];
        let segment = match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            Some(inside) => parameter(inside, &range, is_last)?,
            None if part.contains(['{', '}']) => {
                let message = "a parameter fills a whole segment of the path";
                return fault(message, range, "write `/{name}/`, with nothing beside it");
            }
            None => {
                literal(part, &range)?;
                Segment::Literal(part.to_owned())
            }
        };
        if let Some(name) = name_of(&segment)
            && !names.insert(name.to_owned())
        {
            let message = format!("the parameter `{name}` stands here twice");
            return fault(message, range, "give each parameter a name of its own");
        }
        segments.push(segment);
    }
    Ok(Pattern::Path(segments))
}

/// `/x/y`, which covers `/x/y` and all below it; `/` covers everything.
pub fn prefix(text: &str) -> Result<Pattern, Fault> {
    let mut segments = Vec::new();
    for (range, _) in split(text)? {
        let part = &text[range.clone()];
        if part.is_empty() {
            let at = range.start.saturating_sub(1);
            let hint = format!("write `{}`: it covers all below it as well", &text[..at]);
            return fault("a prefix does not end with `/`", at..range.end, hint);
        }
        if part.contains(['{', '}']) {
            let hint = "write `path:` with `{*rest}` at its end";
            return fault("a prefix has no parameters", range, hint);
        }
        literal(part, &range)?;
        segments.push(part.to_owned());
    }
    Ok(Pattern::Prefix(segments))
}

/// `/v[0-9]+/(?P<name>[a-z]+)`, which covers whole paths.
///
/// `folds` says that some route asks for paths to be read without regard to case.
pub fn regex(text: &str, options: PathOptions, folds: bool) -> Result<Pattern, Fault> {
    refuse_longer(text, "regex", LONGEST_REGEX)?;
    let regex = match PathRegex::new(text, options, folds) {
        Ok(regex) => regex,
        Err(bad) => {
            let range = bad.range.unwrap_or(0..text.len());
            return fault(bad.message, range, bad.hint);
        }
    };
    if let Some(name) = regex.groups().find(|name| !is_parameter(name)) {
        let at = text.find(name).unwrap_or_default();
        return no_parameter(name, at..at + name.len());
    }
    Ok(Pattern::Regex(regex))
}

fn name_of(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(_) => None,
        Segment::Param(name) | Segment::Rest(name) => Some(name),
    }
}

/// The segments of a path as ranges, each with whether it is the last.
fn split(text: &str) -> Result<Vec<(std::ops::Range<usize>, bool)>, Fault> {
    if !text.starts_with('/') {
        let hint = format!("write {}", shown(&format!("/{}", text.trim_start())));
        return fault("a path begins with `/`", 0..text.len(), hint);
    }
    refuse_longer(text, "path", LONGEST)?;
    if text == "/" {
        return Ok(Vec::new());
    }
    let mut parts = Vec::new();
    let mut start = 1;
    for piece in text[1..].split('/') {
        let end = start + piece.len();
        let is_last = end == text.len();
        if piece.is_empty() && !is_last {
            let message = "two slashes stand side by side";
            return fault(message, start - 1..end + 1, "write one `/`");
        }
        parts.push((start..end, is_last));
        start = end + 1;
    }
    Ok(parts)
}

fn refuse_longer(text: &str, what: &str, longest: usize) -> Result<(), Fault> {
    if text.len() <= longest {
        return Ok(());
    }
    let message = format!("this {what} has {}", counted(text.len(), "byte"));
    fault(message, 0..text.len(), format!("at most {longest}"))
}

fn parameter(
    inside: &str,
    range: &std::ops::Range<usize>,
    is_last: bool,
) -> Result<Segment, Fault> {
    let rest = inside.strip_prefix('*');
    let name = rest.unwrap_or(inside);
    if !is_parameter(name) {
        return no_parameter(name, range.clone());
    }
    match rest {
        None => Ok(Segment::Param(name.to_owned())),
        Some(_) if is_last => Ok(Segment::Rest(name.to_owned())),
        Some(_) => {
            let message = "`{*…}` takes all that is left of the path";
            fault(message, range.clone(), "it can only stand at the end")
        }
    }
}

fn is_parameter(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_word)
}

fn no_parameter<T>(name: &str, range: std::ops::Range<usize>) -> Result<T, Fault> {
    let message = format!("{} is no name of a parameter", shown(name));
    fault(message, range, "letters, digits and `_`, as in `{user_id}`")
}

/// A segment that is compared as it is: RFC 3986's `pchar` without escapes, and without what some
/// servers read as something else than itself.
fn literal(part: &str, range: &std::ops::Range<usize>) -> Result<(), Fault> {
    if matches!(part, "." | "..") {
        let message = format!("`{part}` is a step to another path, not a segment");
        return fault(message, range.clone(), "write the path that is meant");
    }
    for (i, c) in part.char_indices() {
        let at = range.start + i..range.start + i + c.len_utf8();
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => {}
            '-' | '.' | '_' | '~' | '!' | '$' | '&' | '\'' | '(' | ')' | '+' | ',' | '=' | ':'
            | '@' => {}
            '?' => {
                let hint = "a query takes no part in matching: remove it";
                return fault("a path has no query", at, hint);
            }
            '#' => {
                return fault(
                    "a path has no fragment",
                    at,
                    "clients never send it: remove it",
                );
            }
            '%' => {
                let hint = "a parameter such as `{name}` matches what needs escapes";
                return fault("a path is written without percent-encoding", at, hint);
            }
            '*' => {
                let hint =
                    "write `{name}` for one segment, `{*rest}` for all that is left, or `prefix:`";
                return fault("`*` is no wildcard here", at, hint);
            }
            c => {
                let message = format!("{} cannot stand in a path", shown(&c.to_string()));
                return fault(
                    message,
                    at,
                    "letters, digits and `- . _ ~ ! $ & ' ( ) + , = : @`",
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.to_owned())
    }

    #[test]
    fn paths() {
        let segments = |text| match path(text).unwrap() {
            Pattern::Path(segments) => segments,
            Pattern::Prefix(_) | Pattern::Regex(_) => unreachable!(),
        };
        assert_eq!(segments("/"), []);
        assert_eq!(segments("/users"), [literal("users")]);
        assert_eq!(segments("/users/"), [literal("users"), literal("")]);
        assert_eq!(
            segments("/u/{name}/{*rest}"),
            [
                literal("u"),
                Segment::Param("name".into()),
                Segment::Rest("rest".into())
            ]
        );
        assert_eq!(
            segments("/.well-known/a:b@c"),
            [literal(".well-known"), literal("a:b@c")]
        );
    }

    #[test]
    fn what_is_no_path() {
        for bad in [
            "",
            "users",
            "//",
            "/a//b",
            "//a",
            "/a/./b",
            "/a/..",
            "/..",
            "/a?b",
            "/a#b",
            "/a%20b",
            "/a b",
            "/a;b",
            "/a\\b",
            "/é",
            "/a*",
            "/*",
            "/{",
            "/{}",
            "/{a",
            "/a}",
            "/{a}b",
            "/{a}{b}",
            "/{1a}",
            "/{a-b}",
            "/{*rest}/x",
            "/{*}",
            "/{a}/{a}",
            "/{a}/{*a}",
            "/{{a}}",
            "/a\n",
            "/\u{200b}",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
        assert!(path(&"/a".repeat(LONGEST / 2)).is_ok());
        assert!(path(&"/a".repeat(LONGEST / 2 + 1)).is_err());
        assert!(prefix(&"/a".repeat(50_000)).is_err());
        let regex = |count| regex(&"/a".repeat(count), PathOptions::default(), false);
        assert!(regex(200).is_ok());
        let long = regex(LONGEST_REGEX / 2 + 1).unwrap_err();
        assert_eq!(long.message, "this regex has 8194 bytes");
        assert_eq!(path("/a//b").unwrap_err().range, 2..4);
        assert_eq!(path("/ab/{x}y").unwrap_err().range, 4..8);
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix("/"), Ok(Pattern::Prefix(vec![])));
        assert_eq!(
            prefix("/a/b"),
            Ok(Pattern::Prefix(vec!["a".into(), "b".into()]))
        );
        for bad in ["", "a", "/a/", "/{a}", "/a//b", "/a/../b", "/a*"] {
            assert!(prefix(bad).is_err(), "{bad}");
        }
        assert_eq!(prefix("/ab/").unwrap_err().range, 3..4);
    }
}
