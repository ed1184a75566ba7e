//! The rules of a route's `allow`.

use super::super::cel::{Expression, Variable};
use super::super::checked::{PathOptions, Pattern, Rule};
use super::super::decode::{At, AtLeastOne, Field};
use super::super::diagnose::{Findings, shown};
use super::super::raw::RawRule;
use super::claim::claims;
use super::names::Names;
use super::owner;
use super::pattern::Fault;
use super::route::report;
use super::{always, anybody, anywhere, spelling, vouched};

/// `pattern` is the route's, when it could be read: owners name its parameters.
pub fn rule(
    at: &At<RawRule>,
    pattern: Option<&Pattern>,
    options: PathOptions,
    names: &Names<'_>,
    findings: &mut Findings,
) -> Rule {
    let raw = &at.value;
    let says_nothing = raw.superuser.is_absent()
        && raw.owner.is_absent()
        && raw.tiers.is_absent()
        && raw.min_tier.is_absent()
        && raw.roles.is_absent()
        && raw.scopes.is_absent()
        && raw.claims.is_absent()
        && raw.cel.is_absent();
    if says_nothing {
        findings
            .error(at.span, "a rule without conditions would admit everyone")
            .hint("name a condition, or remove `allow` to admit every caller that `auth` admits");
    }
    let tiers = texts(&raw.tiers);
    for tier in &tiers {
        names.tier(tier, findings);
    }
    let min_tier = raw
        .min_tier
        .given()
        .and_then(|name| Some((names.tier(name, findings)?, name)));
    if let Some((tier, name)) = min_tier
        && tier.rank == 0
    {
        let message = format!(
            "no tier ranks below {}: this asks for nothing but to be signed in",
            shown(&name.value)
        );
        findings
            .warn(name.span, message)
            .hint("give the tiers a `rank`: without one it is 0");
    }
    let roles = texts(&raw.roles);
    for role in &roles {
        check_word(role, "role", findings);
    }
    let scopes = texts(&raw.scopes);
    for scope in &scopes {
        check_word(scope, "scope", findings);
    }
    let (owner, look_up) = match raw.owner.get() {
        Some(raw) => owner::owner(raw, pattern, findings),
        None => (None, None),
    };
    let cel = raw
        .cel
        .given()
        .and_then(|text| cel(text, pattern, names, findings).map(|cel| (text, cel)));
    if let Some((text, expression)) = &cel {
        spelling::warn(text, expression, options, findings);
        always::warn(text, expression, findings);
        anywhere::warn(text, expression, findings);
    }
    let values = |list: Vec<&At<String>>| list.into_iter().map(|at| at.value.clone()).collect();
    let rule = Rule {
        superuser: raw.superuser.copied(),
        owner,
        look_up,
        tiers: values(tiers),
        min_rank: min_tier.map(|(tier, _)| tier.rank),
        roles: values(roles),
        scopes: values(scopes),
        claims: claims(&raw.claims, findings),
        cel: cel.map(|(_, expression)| expression),
    };
    vouched::warn(&rule, at.span, names, findings);
    anybody::warn(&rule, at.span, names, findings);
    rule
}

fn cel(
    text: &At<String>,
    pattern: Option<&Pattern>,
    names: &Names<'_>,
    findings: &mut Findings,
) -> Option<Expression> {
    let parameters = pattern.map(Pattern::parameters);
    let expression = match names.expression(&text.value, parameters.as_deref()) {
        Ok(expression) => expression,
        Err(faults) => {
            for fault in faults {
                report(text, fault, findings);
            }
            return None;
        }
    };
    for variable in expression.variables() {
        if let Variable::Header(name) = variable
            && !names.headers.is_of_callers(name)
        {
            let start = text.value.find(name.as_str()).unwrap_or_default();
            let fault = Fault {
                message: format!("a rule cannot go by the header `{name}`"),
                range: start..start + name.as_str().len(),
                hint: "callers may send whatever they like there, or the gateway takes it for itself: \
                       choose a header of your own"
                    .to_owned(),
            };
            report(text, fault, findings);
        }
    }
    Some(expression)
}

fn texts(field: &Field<AtLeastOne<String>>) -> Vec<&At<String>> {
    field
        .get()
        .map_or_else(Vec::new, |list| list.0.iter().collect())
}

/// Roles and scopes travel in headers, with commas and spaces between them.
fn check_word(word: &At<String>, what: &str, findings: &mut Findings) {
    let is_fit = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '"' | '\\');
    if word.value.is_empty() || !word.value.chars().all(is_fit) {
        let message = format!("{} cannot be a {what}", shown(&word.value));
        findings
            .error(word.span, message)
            .hint("expected visible ASCII without spaces, commas, quotes or backslashes");
    }
}
