//! Rules that go by what nobody vouches for, and by what no token of a login says.

use super::super::checked::{Group, Rule};
use super::super::diagnose::Findings;
use super::super::raw::RawConfig;
use super::super::source::Span;

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

/// `at` is the rule's place.
pub fn warn(rule: &Rule, at: Span, changes_itself: bool, findings: &mut Findings) {
    let own = OF_ONESELF.iter().find(|own| rule.names_claim(own));
    if let Some(own) = own.filter(|_| changes_itself) {
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
