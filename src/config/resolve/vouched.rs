//! Rules that go by what nobody vouches for, and by what no token of a login says.

use super::super::checked::Rule;
use super::super::diagnose::Findings;
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

/// `at` is the rule's place.
pub fn warn(rule: &Rule, at: Span, names: &Names<'_>, findings: &mut Findings) {
    let own = OF_ONESELF.iter().find(|own| rule.names_claim(own));
    if let Some(own) = own.filter(|_| names.auth.lets_accounts_change()) {
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
