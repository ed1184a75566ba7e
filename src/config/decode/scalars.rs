//! Texts, numbers and the like.

use std::num::NonZeroU32;

use serde_json::{Value as Json, json};

use super::super::diagnose::{Findings, shown};
use super::super::schema;
use super::super::secret::Secret;
use super::super::yaml::{Node, Value};
use super::{Decode, scalar};

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
