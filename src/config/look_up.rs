//! Look-ups of rules: what the route's upstream is asked, and where in its answer the owner stands.

use std::fmt;

use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::checked::OwnerField;
use super::diagnose::{nearest, one_of, shown};
use super::json_pointer::JsonPointer;
use super::resolve::pattern::Fault;

/// Bytes that a target may have once it is filled in: the answer is remembered by it.
const LONGEST: usize = 2048;
/// What needs no escape in a query (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A value that the upstream has and that must be equal to what is known of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookUp {
    pub target: Target,
    pub field: JsonPointer,
    pub equals: OwnerField,
}

/// A path with or without query, with parameters of the route's path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    InPath(String),
    InQuery(String),
}

impl Target {
    /// Reads `GET /posts/{id}`; `parameters` are those that have one segment, if the path could be read.
    pub(crate) fn parse(text: &str, parameters: Option<&[&str]>) -> Result<Target, Fault> {
        let fault = |range: std::ops::Range<usize>, message: String, hint: &str| {
            let hint = hint.to_owned();
            Err(Fault {
                message,
                range,
                hint,
            })
        };
        const EXAMPLE: &str = "for example `GET /posts/{id}`";
        let (method, target) = match text.split_once(' ') {
            Some((method, target)) if target.starts_with('/') => (method, target),
            _ => {
                let message = format!("expected a method and a path, found {}", shown(text));
                return fault(0..text.len(), message, EXAMPLE);
            }
        };
        if method != "GET" {
            let message = format!("a look-up is a GET, not {}", shown(method));
            return fault(0..method.len(), message, EXAMPLE);
        }
        let start = text.len() - target.len();
        let (mut parts, mut at) = (Vec::new(), start);
        let mut in_query = false;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(inside) = rest.strip_prefix('{') {
                let Some(length) = inside
                    .find(['{', '}'])
                    .filter(|n| inside[*n..].starts_with('}'))
                else {
                    return fault(
                        at..text.len(),
                        "this brace is not closed".to_owned(),
                        EXAMPLE,
                    );
                };
                let range = at..at + length + 2;
                let name = &inside[..length];
                if let Some(known) = parameters.filter(|known| !known.contains(&name)) {
                    let message = format!("the path has no parameter `{{{name}}}` of one segment");
                    let hint = match nearest(name, known.iter().copied()) {
                        Some(near) => format!("did you mean `{{{near}}}`?"),
                        None if known.is_empty() => "the path has none at all".to_owned(),
                        None => format!("it has {}", one_of(known.iter().copied())),
                    };
                    return fault(range, message, &hint);
                }
                parts.push(match in_query {
                    true => Part::InQuery(name.to_owned()),
                    false => Part::InPath(name.to_owned()),
                });
                at = range.end;
                continue;
            }
            let length = rest.find('{').unwrap_or(rest.len());
            let literal = &rest[..length];
            if let Some((place, wrong)) = literal.char_indices().find(|(_, c)| !may_stand(*c)) {
                let message = format!("{} cannot stand here", shown(&wrong.to_string()));
                let range = at + place..at + place + wrong.len_utf8();
                return fault(range, message, "percent-encode it");
            }
            in_query |= literal.contains('?');
            parts.push(Part::Text(literal.to_owned()));
            at += length;
        }
        let target = Target(parts);
        let sample = target.fill(|_| Some("x")).unwrap_or_default();
        let path = sample.split('?').next().unwrap_or_default();
        let is_odd = |segment: &str| matches!(segment, "" | "." | "..");
        // A slash at the end is a matter of taste.
        let mut segments = path.strip_suffix('/').unwrap_or(path).split('/').skip(1);
        if segments.any(is_odd) || sample.parse::<PathAndQuery>().is_err() {
            let message = format!("{} is no plain path", shown(&text[start..]));
            return fault(start..text.len(), message, EXAMPLE);
        }
        Ok(target)
    }

    /// The parameters that it asks for.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::InPath(name) | Part::InQuery(name) => Some(name.as_str()),
        })
    }

    /// With values in it, each of which has to be a segment that nobody takes for anything else: `None` when
    /// one is not.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::InPath(name) => filled.push_str(value(name).filter(|v| is_segment(v))?),
                Part::InQuery(name) => {
                    let value = value(name).filter(|value| is_segment(value))?;
                    filled.extend(utf8_percent_encode(value, UNRESERVED));
                }
            }
        }
        (filled.len() <= LONGEST).then_some(filled)
    }
}

/// As the file has it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GET ")?;
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::InPath(name) | Part::InQuery(name) => write!(f, "{{{name}}}"),
        })
    }
}

/// What the file may write outside of braces: what a path or a query has (RFC 3986, section 3.3).
fn may_stand(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,=:@/?%".contains(c)
}

/// One segment, not empty, without an escape, and neither `.` nor `..`.
fn is_segment(value: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
    value.bytes().all(is_fit) && value.bytes().any(|byte| byte != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Option<&[&str]> = Some(&["id", "org"]);

    fn filled(target: &str, id: &str) -> Option<String> {
        let target = Target::parse(target, KNOWN).unwrap();
        target.fill(|name| (name == "id").then_some(id).or(Some("acme")))
    }

    #[test]
    fn parameters_are_filled_in() {
        for (target, id, expected) in [
            ("GET /posts/{id}", "7", "/posts/7"),
            (
                "GET /{org}/posts/p-{id}.json",
                "a.b",
                "/acme/posts/p-a.b.json",
            ),
            (
                "GET /posts?id=eq.{id}&org={org}",
                "7",
                "/posts?id=eq.7&org=acme",
            ),
            ("GET /posts?id={id}", "7&x=1+2", "/posts?id=7%26x%3D1%2B2"),
            ("GET /a%20b/{id}/", "7", "/a%20b/7/"),
            ("GET /", "7", "/"),
            ("GET /posts/{id}", "...x", "/posts/...x"),
        ] {
            assert_eq!(filled(target, id).as_deref(), Some(expected), "{target}");
            let parsed = Target::parse(target, KNOWN).unwrap();
            assert_eq!(parsed.to_string(), target);
        }
    }

    #[test]
    fn values_that_are_not_one_plain_segment_are_not() {
        for value in [
            "", ".", "..", "...", "a/b", "a%2Fb", "%", "a\\b", "a;b", "a?b", "a#b", "a b", "é",
            "a\nb", "{id}", "a\"", "a|b",
        ] {
            for target in ["GET /posts/{id}", "GET /posts/x{id}", "GET /posts?id={id}"] {
                assert_eq!(filled(target, value), None, "{target} {value:?}");
            }
        }
        assert_eq!(filled("GET /posts/{id}", &"x".repeat(LONGEST)), None);
    }

    #[test]
    fn mistakes_are_told_at_their_place() {
        for (text, place) in [
            ("/posts/{id}", "/posts/{id}"),
            ("GET posts/{id}", "GET posts/{id}"),
            ("get /posts/{id}", "get"),
            ("POST /posts/{id}", "POST"),
            ("GET /posts/{di}", "{di}"),
            ("GET /posts/{}", "{}"),
            ("GET /posts/{id", "{id"),
            ("GET /posts/{i{d}", "{i{d}"),
            ("GET /posts/id}", "}"),
            ("GET /posts/{*id}", "{*id}"),
            ("GET /posts/ {id}", " "),
            ("GET /posts#{id}", "#"),
            ("GET /posts\\{id}", "\\"),
            ("GET /pösts", "ö"),
            ("GET //posts", "//posts"),
            ("GET /posts/../{id}", "/posts/../{id}"),
            ("GET /./{id}", "/./{id}"),
        ] {
            let fault = Target::parse(text, KNOWN).unwrap_err();
            assert_eq!(&text[fault.range], place, "{text}: {}", fault.message);
        }
        assert!(Target::parse("GET /{any}", None).is_ok());
    }
}
