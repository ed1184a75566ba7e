//! Claims that rules name, as typed.

use serde_json::{Value as Json, json};

use super::super::decode::{Decode, expected, scalar};
use super::super::diagnose::{Findings, nearest, shown};
use super::super::schema;
use super::super::yaml::{Node, Value};

/// Text, a number or a boolean. Without quotes, what JSON takes for a number is one.
#[derive(Debug)]
pub struct RawClaimValue(pub Json);

impl Decode for RawClaimValue {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let hint = match &node.value {
            Value::Scalar(scalar) => {
                let text = scalar.text.as_str();
                let plain = scalar.is_plain.then(|| serde_json::from_str(text).ok());
                let plain = plain.flatten().filter(|value: &Json| !value.is_string());
                return Some(RawClaimValue(plain.unwrap_or_else(|| text.into())));
            }
            Value::Unset => return None,
            Value::Sequence(_) => "for one of several values write several rules",
            Value::Mapping(_) => {
                "write the way to the value as its name: `realm_access.roles: admin`"
            }
        };
        if let Some(finding) = expected(node, "text, a number, true or false", findings) {
            finding.hint(hint);
        }
        None
    }

    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

/// What is compared with the owner, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawOwnerField {
    Id,
    Username,
    ExternalId,
    Claim(String),
}

impl Decode for RawOwnerField {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        const KNOWN: [&str; 4] = [
            "{user.id}",
            "{user.username}",
            "{user.external_id}",
            "{claims.NAME}",
        ];
        let what = "`{user.id}`, `{user.username}`, `{user.external_id}` or `{claims.NAME}`";
        let text = scalar(node, what, findings)?.text.as_str();
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        match inner.unwrap_or(text) {
            "user.id" => return Some(RawOwnerField::Id),
            "user.username" => return Some(RawOwnerField::Username),
            "user.external_id" => return Some(RawOwnerField::ExternalId),
            field => {
                if let Some(name) = field.strip_prefix("claims.")
                    && !name.is_empty()
                    && !name.contains(['{', '}'])
                {
                    return Some(RawOwnerField::Claim(name.to_owned()));
                }
            }
        }
        let finding = findings.error(node.span, format!("expected {what}, found {}", shown(text)));
        if let Some(near) = nearest(text, KNOWN) {
            finding.hint(format!("did you mean `{near}`?"));
        }
        None
    }

    fn schema() -> Json {
        schema::text(
            r"^(user\.(id|username|external_id)|claims\..+|\{(user\.(id|username|external_id)|claims\.[^{}]+)\})$",
        )
    }
}
