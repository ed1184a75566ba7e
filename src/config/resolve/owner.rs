//! Owners that rules name: by a parameter of the path, or by what the upstream says.

use super::super::checked::{
    JsonPointer, LookUp, LookUpTarget, Owner, OwnerField, Pattern, Segment,
};
use super::super::decode::At;
use super::super::diagnose::{Findings, nearest, one_of, shown};
use super::super::raw::{RawOwned, RawOwner, RawOwnerField};
use super::claim::is_told;
use super::route::report;

/// One of the two, if it could be read. `pattern` is the route's.
pub fn owner(
    raw: &RawOwner,
    pattern: Option<&Pattern>,
    findings: &mut Findings,
) -> (Option<Owner>, Option<LookUp>) {
    let equals = raw.equals.as_ref();
    match &raw.of {
        RawOwned::Parameter(text) => (by_parameter(text, equals, pattern, findings), None),
        RawOwned::LookUp { target, field } => {
            (None, look_up(target, field, equals, pattern, findings))
        }
    }
}

fn by_parameter(
    text: &At<String>,
    equals: Option<&At<RawOwnerField>>,
    pattern: Option<&Pattern>,
    findings: &mut Findings,
) -> Option<Owner> {
    let At { value: text, span } = text;
    let Some(name) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
        findings
            .error(
                *span,
                format!(
                    "expected a parameter such as `{{username}}`, found {}",
                    shown(text)
                ),
            )
            .hint("it names a parameter of the route's path, with braces and in quotes");
        return None;
    };
    let pattern = pattern?;
    let (what, rest) = match pattern {
        Pattern::Path(segments) => ("path", segments.contains(&Segment::Rest(name.to_owned()))),
        Pattern::Regex(_) => ("regex", false),
        Pattern::Prefix(_) => {
            findings
                .error(*span, "a prefix has no parameters that could name an owner")
                .hint(
                    "write `path:` with the parameter in it, and `{*rest}` at its end if need be",
                );
            return None;
        }
    };
    let params = of_one_segment(pattern);
    if !params.contains(&name) {
        let message = format!("the {what} has no parameter {}", shown(text));
        let finding = findings.error(*span, message);
        if let Some(near) = nearest(name, params.iter().copied()) {
            finding.hint(format!("did you mean `{{{near}}}`?"));
        } else if rest {
            finding.hint("`{*…}` covers several segments and cannot name an owner");
        } else if params.is_empty() && what == "regex" {
            finding.hint(format!(
                "a group that has a name is one: `(?P<{name}>[^/]+)`"
            ));
        } else if params.is_empty() {
            finding.hint("the path has no parameters at all");
        } else {
            finding.hint(format!("it has {}", one_of(params)));
        }
        return None;
    }
    Some(Owner {
        parameter: name.to_owned(),
        equals: self::equals(equals, findings)?,
    })
}

/// The parameters of a pattern without the one that is the rest.
fn of_one_segment(pattern: &Pattern) -> Vec<&str> {
    let mut parameters = pattern.parameters();
    if let Pattern::Path(segments) = pattern
        && let Some(Segment::Rest(_)) = segments.last()
    {
        parameters.pop();
    }
    parameters
}

/// What a look-up asks, where the owner stands in the answer, and who that has to be.
fn look_up(
    target: &At<String>,
    field: &At<String>,
    equals: Option<&At<RawOwnerField>>,
    pattern: Option<&Pattern>,
    findings: &mut Findings,
) -> Option<LookUp> {
    let parameters = pattern.map(of_one_segment);
    let parsed = LookUpTarget::parse(&target.value, parameters.as_deref());
    let parsed = parsed.map_err(|fault| report(target, fault, findings)).ok();
    let pointer = JsonPointer::parse(&field.value);
    let pointer = pointer.map_err(|fault| report(field, fault, findings)).ok();
    let equals = self::equals(equals, findings);
    Some(LookUp {
        target: parsed?,
        field: pointer?,
        equals: equals?,
    })
}

fn equals(raw: Option<&At<RawOwnerField>>, findings: &mut Findings) -> Option<OwnerField> {
    let Some(At { value, span }) = raw else {
        return Some(OwnerField::Username);
    };
    Some(match value {
        RawOwnerField::Id => OwnerField::Id,
        RawOwnerField::Username => OwnerField::Username,
        RawOwnerField::ExternalId => OwnerField::ExternalId,
        RawOwnerField::Claim(name) => {
            if !is_told(name, *span, findings) {
                return None;
            }
            OwnerField::Claim(name.clone())
        }
    })
}
