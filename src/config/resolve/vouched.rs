//! Rules that go by what nobody vouches for, and by what no token of a login says.

use super::super::cel::{Expression, Variable};
use super::super::checked::{Group, Rule};
use super::super::diagnose::Findings;
use super::super::raw::RawConfig;
use super::super::source::Span;
use super::names::Names;

/// What accounts have, by the names of claims; all others are further ones.
const OF_ACCOUNTS: [&str; 11] = [
    "sub",
    "sid",
    "exp",
    "username",
    "tier",
    "roles",
    "scope",
    "is_superuser",
    "email",
    "name",
    "external_id",
];
/// Those that people write into their own accounts, and that nobody verifies.
const OF_ONESELF: [&str; 2] = ["email", "name"];

/// Whether people change their own accounts here: they are no other application's, and the endpoints are served.
pub fn changes_itself(raw: &RawConfig) -> bool {
    raw.auth.get().is_none_or(|auth| {
        let serves = auth.serve.get();
        let serves = serves.is_none_or(|groups| groups.iter().any(|at| at.value == Group::Users));
        let is_compatible = auth.compat.get().is_some_and(|all| !all.is_empty());
        auth.users.is_absent() && (serves || is_compatible)
    })
}

/// Whether people make API keys here, to which they give scopes as they like.
pub fn makes_keys(raw: &RawConfig) -> bool {
    raw.auth.get().is_none_or(|auth| {
        let keys = auth.api_keys.get();
        let is_enabled = keys.is_none_or(|keys| keys.enabled.get().is_none_or(|on| *on));
        let serves = auth.serve.get();
        is_enabled && serves.is_none_or(|groups| groups.iter().any(|at| at.value == Group::ApiKeys))
    })
}

/// `at` is the rule's place.
pub fn warn(rule: &Rule, at: Span, names: &Names<'_>, findings: &mut Findings) {
    if names.makes_keys && asks_for_scopes_alone(rule) {
        findings
            .warn(
                at,
                "anybody who is signed in meets this rule: people give their own API keys scopes as they like",
            )
            .hint("put roles, tiers or an owner beside the scopes");
    }
    let own = OF_ONESELF.iter().find(|own| rule.names_claim(own));
    if let Some(own) = own.filter(|_| names.changes_itself) {
        let message = format!(
            "this rule goes by `{own}`, which callers say of themselves: anybody who is signed in can change it"
        );
        findings
            .warn(at, message)
            .hint("go by `user.id`, by roles, or by what else others give them");
    }
    let further = rule.claims_asked().find(|name| !OF_ACCOUNTS.contains(name));
    if let Some(name) = further {
        let message = format!("no login puts the claim `{name}` into a token");
        findings
            .warn(at, message)
            .hint("accounts have a tier, roles and an `external_id`; further claims are only in tokens of `portcullis token mint`");
    }
}

fn asks_for_scopes_alone(rule: &Rule) -> bool {
    let is_of_scopes = |variable: &Variable| variable.claim() == Some("scope");
    let variables = || rule.cel.iter().flat_map(Expression::variables);
    let asks = !rule.scopes.is_empty() || variables().any(is_of_scopes);
    let asks_more = rule.superuser.is_some()
        || rule.owner.is_some()
        || rule.look_up.is_some()
        || rule.min_rank.is_some()
        || !rule.tiers.is_empty()
        || !rule.roles.is_empty()
        || !rule.claims.is_empty()
        || !variables().all(is_of_scopes);
    asks && !asks_more
}
