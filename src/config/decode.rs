//! From the tree to raw types: each decoder reports what it cannot read, and the rest goes on.

use std::num::NonZeroU32;

use serde_json::{Value as Json, json};

use super::diagnose::{Finding, Findings, nearest, one_of, shown};
use super::schema;
use super::secret::Secret;
use super::source::Span;
use super::yaml::{Entry, Node, Scalar, Value};

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

impl Decode for String {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Some(scalar(node, "text", findings)?.text.clone())
    }

    fn schema() -> Json {
        // `id: 7` is as good as `id: "7"`.
        json!({ "type": ["string", "number", "boolean"] })
    }
}

impl Decode for Secret {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        findings.hide(node.span);
        match &node.value {
            Value::Scalar(s) if !node.is_null() => Some(Secret::new(s.text.clone())),
            Value::Unset => None,
            _ => {
                let message = format!("expected text, found {}", node.kind());
                findings.error(node.span, message);
                None
            }
        }
    }

    fn schema() -> Json {
        String::schema()
    }
}

impl Decode for bool {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let scalar = scalar(node, "true or false", findings)?;
        match (scalar.is_plain, scalar.text.as_str()) {
            (true, "true" | "True" | "TRUE") => Some(true),
            (true, "false" | "False" | "FALSE") => Some(false),
            (_, text) => {
                let message = format!("expected true or false, found {}", shown(text));
                let finding = findings.error(node.span, message);
                match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" => finding.hint("YAML 1.2 knows `true` and `false` only: `true`"),
                    "no" | "off" => finding.hint("YAML 1.2 knows `true` and `false` only: `false`"),
                    "true" | "false" => finding.hint("remove the quotes"),
                    _ => {}
                }
                None
            }
        }
    }

    fn schema() -> Json {
        schema::or_variable(json!({ "type": "boolean" }))
    }
}

/// A whole number, as YAML 1.2 writes it.
pub fn number(node: &Node, what: &str, findings: &mut Findings) -> Option<u64> {
    let scalar = scalar(node, what, findings)?;
    let digits = !scalar.text.is_empty() && scalar.text.bytes().all(|b| b.is_ascii_digit());
    match scalar.text.parse() {
        Ok(number) if digits && scalar.is_plain => Some(number),
        _ => {
            let message = format!("expected {what}, found {}", shown(&scalar.text));
            let finding = findings.error(node.span, message);
            if digits && !scalar.is_plain {
                finding.hint("remove the quotes");
            }
            None
        }
    }
}

impl Decode for u64 {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        number(node, "a whole number", findings)
    }

    fn schema() -> Json {
        schema::whole_number(0, u64::MAX)
    }
}

impl Decode for u32 {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let number = number(node, "a whole number", findings)?;
        let fits = u32::try_from(number).ok();
        if fits.is_none() {
            let message = format!("{number} is too large: at most {}", u32::MAX);
            findings.error(node.span, message);
        }
        fits
    }

    fn schema() -> Json {
        schema::whole_number(0, u32::MAX.into())
    }
}

impl Decode for NonZeroU32 {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let number = NonZeroU32::new(u32::decode(node, findings)?);
        if number.is_none() {
            findings.error(node.span, "expected at least 1, found 0");
        }
        number
    }

    fn schema() -> Json {
        schema::whole_number(1, u32::MAX.into())
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

impl<T: Decode> Decode for Vec<At<T>> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Value::Sequence(items) = &node.value else {
            if let Some(finding) = expected(node, "a list", findings) {
                finding.hint("put `[ ]` around it, or `- ` before each item");
            }
            return None;
        };
        let mut all = Some(Vec::with_capacity(items.len()));
        for item in items {
            match (At::decode(item, findings), &mut all) {
                (Some(item), Some(list)) => list.push(item),
                // A list with a hole would say something else: less is decided on, or more.
                _ => all = None,
            }
        }
        all
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// A list in which an empty one could be taken for "all" as well as for "none", and is refused.
#[derive(Debug)]
pub struct AtLeastOne<T>(pub Vec<At<T>>);

impl<T: Decode> Decode for AtLeastOne<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let items = Vec::decode(node, findings)?;
        if items.is_empty() {
            findings
                .error(node.span, "this list is empty")
                .hint("name at least one, or remove the key");
            return None;
        }
        Some(AtLeastOne(items))
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema(), "minItems": 1 })
    }
}

/// A single value, or a list of them that is not empty.
#[derive(Debug)]
pub struct OneOrMore<T>(pub Vec<At<T>>);

impl<T: Decode> Decode for OneOrMore<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.value {
            Value::Scalar(_) => Some(OneOrMore(vec![At::decode(node, findings)?])),
            _ => Some(OneOrMore(AtLeastOne::decode(node, findings)?.0)),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [T::schema(), AtLeastOne::<T>::schema()] })
    }
}

/// A mapping from names that the user chooses, in the order of the file.
#[derive(Debug)]
pub struct Named<T>(pub Vec<(At<String>, Field<T>)>);

impl<T: Decode> Decode for Named<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let entries = entries(node, &["name: …"], findings)?;
        let named = entries.iter().map(|entry| {
            let name = At {
                value: entry.key.text.clone(),
                span: entry.key.span,
            };
            (name, Field::decode(entry, findings))
        });
        Some(Named(named.collect()))
    }

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

impl<T> Named<T> {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.value.as_str())
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
