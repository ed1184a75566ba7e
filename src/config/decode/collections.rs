//! Lists, and mappings from names that the user chooses.

use serde_json::{Value as Json, json};

use super::super::diagnose::Findings;
use super::super::yaml::{Node, Value};
use super::{At, Decode, Field, entries, expected};

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
