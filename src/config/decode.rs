//! From the tree to raw types: each decoder reports what it cannot read, and the rest goes on.

mod collections;
mod scalars;

use serde_json::{Value as Json, json};

use super::diagnose::{Finding, Findings, nearest, one_of, shown};
use super::source::Span;
use super::yaml::{Entry, Node, Scalar, Value};

pub use collections::{AtLeastOne, Named, OneOrMore};
pub use scalars::number;

/// A type that can be read from a value of the file.
pub trait Decode: Sized {
    /// `key:` without a value is read as well, and not refused.
    const TAKES_NULL: bool = false;

    /// `None` once what is wrong has been reported.
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self>;

    /// The same as a JSON Schema, as far as that can say it.
    fn schema() -> Json;
}

/// A value and its place.
#[derive(Debug, Clone, Copy)]
pub struct At<T> {
    pub value: T,
    pub span: Span,
}

impl<T: Decode> Decode for At<T> {
    const TAKES_NULL: bool = T::TAKES_NULL;

    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Some(At {
            value: T::decode(node, findings)?,
            span: node.span,
        })
    }

    fn schema() -> Json {
        T::schema()
    }
}

/// What a mapping says under one key.
#[derive(Debug, Default)]
pub enum Field<T> {
    #[default]
    Absent,
    /// There, but of no use; that has been reported.
    Invalid,
    Given(At<T>),
}

impl<T> Field<T> {
    pub fn is_absent(&self) -> bool {
        matches!(self, Field::Absent)
    }

    pub fn given(&self) -> Option<&At<T>> {
        match self {
            Field::Given(at) => Some(at),
            Field::Absent | Field::Invalid => None,
        }
    }

    pub fn get(&self) -> Option<&T> {
        self.given().map(|at| &at.value)
    }

    pub fn span(&self) -> Option<Span> {
        self.given().map(|at| at.span)
    }
}

impl<T: Copy> Field<T> {
    pub fn copied(&self) -> Option<T> {
        self.get().copied()
    }
}

impl<T: Decode> Field<T> {
    pub fn decode(entry: &Entry, findings: &mut Findings) -> Field<T> {
        if entry.value.is_null() && !T::TAKES_NULL {
            let message = format!("{} has no value", shown(&entry.key.text));
            findings
                .error(entry.key.span, message)
                .hint("give it one, or remove the key");
            return Field::Invalid;
        }
        match At::decode(&entry.value, findings) {
            Some(at) => Field::Given(at),
            None => Field::Invalid,
        }
    }
}

/// Says that something else than `expected` stands at `node`.
pub fn expected<'f>(
    node: &Node,
    expected: &str,
    findings: &'f mut Findings,
) -> Option<&'f mut Finding> {
    let found = match &node.value {
        Value::Unset => return None,
        // Of findings that are only counted, nobody reads the text.
        Value::Scalar(s)
            if !node.is_null() && !findings.is_full() && !findings.is_hidden(node.span) =>
        {
            shown(&s.text)
        }
        _ => node.kind().to_owned(),
    };
    Some(findings.error(node.span, format!("expected {expected}, found {found}")))
}

/// The text of a single value; anything else is reported.
pub fn scalar<'n>(node: &'n Node, what: &str, findings: &mut Findings) -> Option<&'n Scalar> {
    match &node.value {
        Value::Scalar(scalar) if !node.is_null() => Some(scalar),
        _ => {
            expected(node, what, findings);
            None
        }
    }
}

/// The entries of a mapping; anything else is reported.
pub fn entries<'n>(node: &'n Node, keys: &[&str], findings: &mut Findings) -> Option<&'n [Entry]> {
    match &node.value {
        Value::Mapping(entries) => Some(entries),
        _ => {
            let what = match findings.is_full() {
                true => String::new(),
                false => format!("a mapping with {}", one_of(keys.iter().copied())),
            };
            expected(node, &what, findings);
            None
        }
    }
}

/// Reports a key that is not known; gives out the one that was most likely meant.
pub fn unknown_key(
    entry: &Entry,
    title: &str,
    known: &[&'static str],
    findings: &mut Findings,
) -> Option<&'static str> {
    if findings.is_full() {
        // Without asking what was meant: it may be a secret, beside something that is shown.
        findings.hide(entry.value.span);
        findings.error(entry.key.span, "");
        return None;
    }
    let near = nearest(&entry.key.text, known.iter().copied());
    // A mistyped `secret` is still a secret, and so is a key that stands where no key is expected.
    let is_key = matches!(&entry.value.value, Value::Scalar(s) if s.text.contains("PRIVATE KEY"));
    if is_key || matches!(near, Some("secret" | "master_key")) {
        findings.hide(entry.value.span);
    }
    let message = format!("{title} has no key {}", shown(&entry.key.text));
    let finding = findings.error(entry.key.span, message);
    match near {
        _ if entry.key.text == "<<" => {
            finding.hint("merge keys are not supported; an alias stands for a whole value");
        }
        Some(key) => finding.hint(format!("did you mean `{key}`?")),
        None => finding.hint(format!("it has {}", known.join(", "))),
    }
    near
}

pub fn missing_key(node: &Node, title: &str, key: &str, hint: &str, findings: &mut Findings) {
    let message = format!("{title} needs the key `{key}`");
    let finding = findings.error(node.span, message);
    if !hint.is_empty() {
        finding.hint(hint);
    }
}

/// `null` says that there is none.
impl<T: Decode> Decode for Option<T> {
    const TAKES_NULL: bool = true;

    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.is_null() {
            true => Some(None),
            false => T::decode(node, findings).map(Some),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [T::schema(), { "type": "null" }] })
    }
}

/// One of a set of words.
pub fn choose<T: Copy>(
    node: &Node,
    words: &[(&'static str, T)],
    findings: &mut Findings,
) -> Option<T> {
    let names = || words.iter().map(|(word, _)| *word);
    let what = one_of(names());
    let text = &scalar(node, &what, findings)?.text;
    if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
        return Some(*value);
    }
    let message = format!("expected {what}, found {}", shown(text));
    let finding = findings.error(node.span, message);
    if let Some(near) = nearest(text, names()) {
        finding.hint(format!("did you mean `{near}`?"));
    }
    None
}
