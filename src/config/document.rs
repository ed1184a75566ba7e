//! Documents that are not ours, in YAML or JSON.

use std::io::{self, Read};
use std::path::Path;

use serde_json::Value as Json;

use super::diagnose::Findings;
use super::yaml::{self, Node, Value};
use super::{Diagnostic, Report, report, source};

/// Bytes; the largest OpenAPI documents that are published have a dozen million.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Reads a document. `path` is what it is called when something is wrong with it.
///
/// # Errors
///
/// Why it is neither YAML nor JSON, at its place.
pub fn document(input: impl Read, path: &Path) -> Result<Json, Report> {
    let mut bytes = Vec::new();
    let read = input.take(LARGEST + 1).read_to_end(&mut bytes);
    let refuse = |message: String| Report::of_file(path, message, "");
    read.map_err(|error: io::Error| refuse(format!("cannot read the file: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(refuse("the file is larger than 64 MiB".to_owned()));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| refuse("the file is not in UTF-8".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match text.trim_start().starts_with(['{', '[']) {
        true => json(text, path),
        false => yaml(text, path),
    }
}

/// JSON has escapes and tabs that YAML has not.
fn json(text: &str, path: &Path) -> Result<Json, Report> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        let mut diagnostic = Diagnostic::of_file(
            &path.to_string_lossy(),
            format!("not valid JSON: {message}"),
        );
        diagnostic.line = error.line();
        diagnostic.column = error.column();
        diagnostic.end_column = error.column();
        Report {
            diagnostics: vec![diagnostic],
        }
    })
}

fn yaml(text: &str, path: &Path) -> Result<Json, Report> {
    let source = source(text, path);
    let mut findings = Findings::default();
    let root = yaml::read_as_it_is(&source, &mut findings);
    match root.as_deref().and_then(json_of) {
        Some(root) if !findings.has_errors() => Ok(root),
        _ => Err(report(findings, &source)),
    }
}

/// `None` for a variable that could not be expanded, which has been reported.
pub fn json_of(node: &Node) -> Option<Json> {
    Some(match &node.value {
        _ if node.is_null() => Json::Null,
        Value::Unset => return None,
        Value::Scalar(scalar) => {
            let plain = scalar
                .is_plain
                .then(|| serde_json::from_str(&scalar.text).ok());
            plain
                .flatten()
                .unwrap_or_else(|| scalar.text.as_str().into())
        }
        Value::Sequence(items) => items
            .iter()
            .map(|item| json_of(item))
            .collect::<Option<_>>()?,
        Value::Mapping(entries) => {
            let pairs = entries.iter();
            let pairs = pairs.map(|entry| Some((entry.key.text.clone(), json_of(&entry.value)?)));
            Json::Object(pairs.collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Json, String> {
        let report = document(text.as_bytes(), Path::new("a.yaml"));
        report.map_err(|report| report.render(false))
    }

    #[test]
    fn both_forms_are_read_and_nothing_is_expanded() {
        let expected = json!({ "a": ["${HOME}", 1, null], "b": "😀" });
        assert_eq!(read("a: ['${HOME}', 1, ~]\nb: 😀\n"), Ok(expected.clone()));
        assert_eq!(
            read("{\n\t\"a\": [\"${HOME}\", 1, null], \"b\": \"\\ud83d\\ude00\"\n}"),
            Ok(expected)
        );
    }

    #[test]
    fn what_is_neither_is_told_at_its_place() {
        let yaml = read("a: 1\na: 2\n").unwrap_err();
        assert!(
            yaml.contains("a.yaml:2:1: error: the key `a` stands here twice"),
            "{yaml}"
        );
        let json = read("{\n \"a\": }").unwrap_err();
        assert!(
            json.contains("a.yaml:2:7: error: not valid JSON: expected value"),
            "{json}"
        );
        assert!(document(&b"\xff"[..], Path::new("a")).is_err());
        let deep = "[".repeat(100_000);
        assert!(read(&deep).unwrap_err().contains("recursion limit"));
        assert!(read(&"- ".repeat(10_000)).is_err());
        let aliases = format!("- &a {}\n{}", "x".repeat(100_000), "- *a\n".repeat(100));
        assert!(read(&aliases).unwrap_err().contains("stand for more than"));
    }
}
