//! Claims that rules go by.

use serde_json::Value;

use super::super::checked::ClaimRule;
use super::super::decode::{Field, Named};
use super::super::diagnose::{Findings, shown};
use super::super::raw::RawClaimValue;
use super::super::source::Span;
use super::super::template::TOKEN_CLAIMS;

pub fn claims(raw: &Field<Named<RawClaimValue>>, findings: &mut Findings) -> Vec<ClaimRule> {
    let Some(at) = raw.given() else {
        return Vec::new();
    };
    if at.value.0.is_empty() {
        findings
            .error(at.span, "no claim is named here")
            .hint("name at least one, as in `{ org: acme }`, or remove the key");
    }
    let mut all = Vec::new();
    for (name, value) in &at.value.0 {
        let Some(value) = value.given() else { continue };
        if !is_told(&name.value, name.span, findings) {
            continue;
        }
        if let Some(kind) = other_kind(&name.value, &value.value.0) {
            let message = format!("the claim `{}` is always {kind}", name.value);
            findings
                .error(value.span, message)
                .hint("this rule would never hold");
        }
        all.push(ClaimRule {
            name: name.value.clone(),
            value: value.value.0.clone(),
        });
    }
    all
}

/// Whether a rule can go by a claim; says why not.
pub fn is_told(name: &str, span: Span, findings: &mut Findings) -> bool {
    if name.is_empty() || name.chars().any(char::is_control) {
        let message = format!("{} is no name of a claim", shown(name));
        findings.error(span, message);
        return false;
    }
    if TOKEN_CLAIMS.contains(&name) {
        let message = format!("the claim `{name}` is about the token, not about the caller");
        findings
            .error(span, message)
            .hint("the gateway has checked it before it asks the rules");
        return false;
    }
    true
}

/// What a claim of every token is, when that is something else than `value`.
fn other_kind(name: &str, value: &Value) -> Option<&'static str> {
    let (kind, is_so) = match name {
        "is_superuser" => ("true or false", value.is_boolean()),
        "exp" => ("a number", value.is_number()),
        "sub" | "sid" | "username" | "tier" | "scope" | "email" | "name" | "external_id" => {
            ("text", value.is_string())
        }
        "roles" => ("a list of texts", value.is_string()),
        _ => return None,
    };
    (!is_so).then_some(kind)
}
