//! The rules that keep the parts apart, held by reading the sources.
//!
//! 1. `config` and `telemetry` use nothing else of the crate.
//! 2. The stages `route`, `authn`, `authz`, `limit`, `forward` use `config`, `telemetry`, `request` and
//!    the stages before them, never a later one.
//! 3. `listener` uses `gateway`, and of the stages nothing.
//! 4. Only `accounts::store` speaks SQL.
//! 5. Only `boot` uses `api` and `admin`.
//! 6. Only `gateway::respond` makes problem documents; only `forward` names the headers that tell an
//!    upstream who is calling.
//!
//! And in all of them: a file opens with its role, and nothing outside tests can panic on purpose.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file without its tests.
struct Source {
    /// Below `src`, with slashes.
    path: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        Source {
            path: path.into(),
            code: without_tests(text),
        }
    }

    /// The top-level module that the file belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.trim_end_matches(".rs")
    }

    /// The top-level modules of the crate that the code names.
    fn uses(&self) -> Vec<String> {
        let mut uses = Vec::new();
        for (start, _) in self.code.match_indices("crate::") {
            if self.code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &self.code[start + "crate::".len()..];
            let names = match rest.strip_prefix('{') {
                Some(list) => top_level_names(list),
                None => vec![name(rest)],
            };
            uses.extend(names);
        }
        uses
    }

    fn lines_with(&self, needle: &str) -> Vec<String> {
        let lines = self.code.lines().enumerate();
        lines
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .filter(|(_, line)| line.contains(needle))
            .map(|(number, line)| format!("src/{}:{}: {}", self.path, number + 1, line.trim()))
            .collect()
    }
}

fn name(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The first names of a `{a::b, c::{d, e}}` list, after its opening brace.
fn top_level_names(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = vec![name(list.trim_start())];
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(list[at + 1..].trim_start())),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Blanks what stands under `#[cfg(test)]`: a block to its closing brace, an item to its semicolon.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        kept.push('\n');
        let indent = line.len() - line.trim_start().len();
        for line in lines.by_ref() {
            kept.push('\n');
            let is_item = line.trim_end().ends_with(';');
            let is_close = line.trim() == "}" && line.len() - line.trim_start().len() == indent;
            if is_item && line.len() - line.trim_start().len() == indent || is_close {
                break;
            }
        }
    }
    kept
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 50, "the sources were not found");
    found
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(&root).unwrap();
            Source::new(below.to_str().unwrap(), &fs::read_to_string(&path).unwrap())
        })
        .filter(|source| !is_test(&source.path))
        .collect()
}

/// Modules that exist under `#[cfg(test)]` alone.
fn is_test(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| {
        matches!(
            part,
            "tests" | "tests.rs" | "properties.rs" | "sample.rs" | "vectors.rs"
        )
    })
}

/// Every use that a module's own list does not name.
fn strangers(sources: &[Source], module: &str, allowed: &[&str]) -> Vec<String> {
    let of_module = sources.iter().filter(|source| source.module() == module);
    of_module
        .flat_map(|source| {
            let uses = source.uses().into_iter();
            uses.filter(|used| used != module && !allowed.contains(&used.as_str()))
                .map(|used| format!("src/{} uses {used}", source.path))
        })
        .collect()
}

#[track_caller]
fn assert_none(found: Vec<String>) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn config_and_telemetry_use_nothing_else() {
    let sources = sources();
    assert_none(strangers(&sources, "config", &[]));
    assert_none(strangers(&sources, "telemetry", &[]));
    assert_none(strangers(&sources, "request", &["config"]));
}

#[test]
fn stages_use_only_earlier_stages() {
    let sources = sources();
    let mut allowed = vec!["config", "telemetry", "request"];
    for stage in ["route", "authn", "authz", "limit", "forward"] {
        assert_none(strangers(&sources, stage, &allowed));
        allowed.push(stage);
    }
}

#[test]
fn the_listener_uses_the_gateway_alone() {
    assert_none(strangers(&sources(), "listener", &["gateway", "telemetry"]));
}

#[test]
fn the_gateway_uses_the_stages_and_no_control_plane() {
    let stages = ["route", "authn", "authz", "limit", "forward"];
    let allowed = [&["config", "telemetry", "request"], &stages[..]].concat();
    assert_none(strangers(&sources(), "gateway", &allowed));
}

#[test]
fn only_boot_uses_the_apis() {
    let found = sources().into_iter().filter(|source| {
        let uses = source.uses();
        let is_one = |name: &str| name == "api" || name == "admin";
        !is_one(source.module()) && source.module() != "boot" && uses.iter().any(|u| is_one(u))
    });
    assert_none(found.map(|source| source.path).collect());
}

#[test]
fn only_the_store_speaks_sql() {
    let elsewhere = sources()
        .into_iter()
        .filter(|source| !source.path.starts_with("accounts/store/"));
    assert_none(elsewhere.flat_map(|s| s.lines_with("sqlx")).collect());
}

#[test]
fn one_place_makes_problems_and_one_tells_upstreams_who_calls() {
    let sources = sources();
    let elsewhere = |needle: &str, home: &str| {
        let others = sources.iter().filter(|s| !s.path.starts_with(home));
        assert_none(others.flat_map(|s| s.lines_with(needle)).collect());
    };
    elsewhere("application/problem+json", "gateway/respond.rs");
    for name in [
        "\"x-user-",
        "\"remote-groups",
        "\"x-auth-request-",
        "\"x-consumer-",
    ] {
        elsewhere(name, "forward/");
    }
}

#[test]
fn nothing_panics_on_purpose_outside_tests() {
    let sources = sources();
    for needle in [
        ".unwrap()",
        ".expect(",
        "panic!(",
        "todo!(",
        "unimplemented!(",
        "unreachable!(",
    ] {
        assert_none(sources.iter().flat_map(|s| s.lines_with(needle)).collect());
    }
}

#[test]
fn every_file_opens_with_its_role() {
    let without = sources()
        .into_iter()
        .filter(|s| !s.code.starts_with("//! "));
    assert_none(without.map(|source| source.path).collect());
}

#[test]
fn the_scanner_sees_what_it_has_to() {
    let source = Source::new(
        "route/a.rs",
        "use crate::limit::Ticket;\nuse crate::{forward::{Hop, send}, config};\nfn f() {\n    \
         let _ = crate::api::router; mycrate::boot();\n}\n\n#[cfg(test)]\nmod sample;\n\n#[cfg(test)]\n\
         mod tests {\n    use crate::admin;\n    fn g() {\n        x.unwrap();\n    }\n}\nfn h() { y.unwrap() }\n",
    );
    assert_eq!(source.module(), "route");
    assert_eq!(source.uses(), ["limit", "forward", "config", "api"]);
    assert_eq!(source.lines_with(".unwrap()").len(), 1);
    let found = strangers(&[source], "route", &["config", "limit"]);
    assert_eq!(
        found,
        ["src/route/a.rs uses forward", "src/route/a.rs uses api"]
    );
}
