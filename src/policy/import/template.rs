//! Paths of OpenAPI as patterns of routes.

use std::collections::HashMap;

use crate::config::text;

/// A route's pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// `path` or `regex`.
    pub key: &'static str,
    pub value: String,
    /// The same for all patterns that take the same paths.
    pub shape: String,
    /// What a route could be called, without regard to others.
    pub name: String,
}

/// One segment, taken apart: texts and the names of parameters between them.
type Segment<'p> = Vec<Part<'p>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part<'p> {
    Text(&'p str),
    Parameter(&'p str),
}

impl Template {
    /// # Errors
    ///
    /// Why no route can have the path.
    pub fn of(path: &str) -> Result<Template, String> {
        if !path.starts_with('/') {
            return Err("a path begins with `/`".to_owned());
        }
        let segments: Vec<Segment<'_>> = match path {
            "/" => Vec::new(),
            path => path[1..]
                .split('/')
                .map(segment)
                .collect::<Result<_, _>>()?,
        };
        // What stands between the parameters is literal, and held to what a path may have.
        let skeleton = join(&segments, |part| match part {
            Part::Text(text) => text.to_owned(),
            Part::Parameter(_) => "p".to_owned(),
        });
        text::path(&skeleton)?;
        let mut known = Names::new();
        let names: Vec<String> = segments
            .iter()
            .flatten()
            .filter_map(|part| match part {
                Part::Text(_) => None,
                Part::Parameter(name) => Some(unique(parameter(name), &mut known)),
            })
            .collect();
        let is_whole = |segment: &Segment<'_>| match segment.as_slice() {
            [_] | [] => true,
            parts => parts.iter().all(|part| matches!(part, Part::Text(_))),
        };
        let is_path = segments.iter().all(is_whole);
        let mut rest = names.iter();
        let mut name = || rest.next().cloned().unwrap_or_default();
        let value = join(&segments, |part| match (part, is_path) {
            (Part::Text(text), true) => text.to_owned(),
            (Part::Text(text), false) => escaped(text),
            (Part::Parameter(_), true) => format!("{{{}}}", name()),
            (Part::Parameter(_), false) => format!("(?P<{}>[^/]+)", name()),
        });
        // Names may be long where the document's are.
        if is_path {
            text::path(&value)?;
        }
        let shape = join(&segments, |part| match part {
            Part::Text(text) => text.to_owned(),
            Part::Parameter(_) => "{}".to_owned(),
        });
        Ok(Template {
            key: if is_path { "path" } else { "regex" },
            value,
            shape,
            name: name_of(&segments),
        })
    }
}

fn segment(text: &str) -> Result<Segment<'_>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}') else {
            return Err("a brace is not closed".to_owned());
        };
        if open > 0 {
            parts.push(Part::Text(&rest[..open]));
        }
        let name = &rest[open + 1..open + close];
        if name.is_empty() {
            return Err("a parameter has no name".to_owned());
        }
        if let Some(Part::Parameter(_)) = parts.last() {
            return Err("nothing stands between two parameters".to_owned());
        }
        parts.push(Part::Parameter(name));
        rest = &rest[open + close + 1..];
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

fn join(segments: &[Segment<'_>], mut each: impl FnMut(Part<'_>) -> String) -> String {
    if segments.is_empty() {
        return "/".to_owned();
    }
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        path.extend(segment.iter().map(|part| each(*part)));
    }
    path
}

/// A name that a parameter of ours can have.
fn parameter(name: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut text: String = name.chars().map(word).collect();
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        text.insert(0, '_');
    }
    text
}

/// Names that are taken, each with the last number that stands behind another of it.
pub type Names = HashMap<String, u32>;

/// The name with a number behind it where it is known already.
pub fn unique(name: String, known: &mut Names) -> String {
    let Some(last) = known.get(&name) else {
        known.insert(name.clone(), 1);
        return name;
    };
    let mut number = *last + 1;
    while known.contains_key(&format!("{name}_{number}")) {
        number += 1;
    }
    let found = format!("{name}_{number}");
    known.insert(name, number);
    known.insert(found.clone(), 1);
    found
}

/// A literal text within a regex.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if !c.is_ascii_alphanumeric()
            && !matches!(c, '-' | '_' | '~' | ':' | '@' | ',' | '=' | '!' | '\'')
        {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Characters of a name; there is room for a number behind it.
const LONGEST_NAME: usize = 56;

fn name_of(segments: &[Segment<'_>]) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            c
        } else {
            '-'
        }
    };
    let words = segments.iter().map(|segment| {
        let texts = segment.iter().map(|part| match part {
            Part::Text(text) | Part::Parameter(text) => *text,
        });
        texts
            .collect::<String>()
            .chars()
            .map(fit)
            .collect::<String>()
    });
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    let name: String = words.join("-").chars().take(LONGEST_NAME).collect();
    match name.as_str() {
        "" => "root".to_owned(),
        // In a path these are steps, and no names.
        "." | ".." => name.replace('.', "-"),
        _ => name,
    }
}
