//! Rules that whoever is signed in meets, or gets to meet, without that anybody gave them anything.

use super::super::cel::{Expression, RequestField, Variable};
use super::super::checked::Rule;
use super::super::diagnose::{Findings, shown};
use super::super::source::Span;
use super::names::Names;

/// What a rule asks for that is to be had for the asking.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Free<'a> {
    /// Those of an API key that its holder made.
    Scopes,
    /// The tier of new accounts, where anybody may make one.
    Tier(&'a str),
    /// What clients write into their requests.
    Request,
}

/// Warns where nothing that a rule asks for has to be given to the caller. `at` is the rule's place.
pub fn warn(rule: &Rule, at: Span, names: &Names<'_>, findings: &mut Findings) {
    let Some(free) = asks_for_alone(rule, names) else {
        return;
    };
    let (message, hint) = match free {
        Free::Scopes => (
            "anybody who is signed in meets this rule: people give their own API keys scopes as they like".to_owned(),
            "put roles, tiers or an owner beside the scopes",
        ),
        Free::Tier(tier) => (
            format!(
                "anybody who registers meets this rule: `auth.registration` is open, and new accounts have the tier {}",
                shown(tier)
            ),
            "give new accounts a tier below by `auth.default_tier`, or ask for a role, or for another tier",
        ),
        Free::Request => (
            "anybody who is signed in meets this rule: it goes by nothing but what clients send as they like".to_owned(),
            "ask for something of `user` as well, or go by `request.ip`",
        ),
    };
    findings.warn(at, message).hint(hint);
}

/// What a rule asks for that is to be had for the asking, a tier before all; `None` when it asks for anything else.
fn asks_for_alone<'n>(rule: &Rule, names: &'n Names<'_>) -> Option<Free<'n>> {
    // Nearly everybody is no superuser, and every tier has the lowest rank at least.
    let asks_more = rule.superuser == Some(true)
        || rule.owner.is_some()
        || rule.look_up.is_some()
        || !rule.roles.is_empty()
        || !rule.claims.is_empty();
    if asks_more {
        return None;
    }
    let mut free = Vec::new();
    if !rule.scopes.is_empty() {
        free.push(of_scopes(names)?);
    }
    if !rule.tiers.is_empty() {
        let of_strangers = names.auth.tier_of_strangers()?;
        let is_named = rule.tiers.iter().any(|tier| tier == of_strangers);
        free.push(is_named.then_some(Free::Tier(of_strangers))?);
    }
    if let Some(least) = rule.min_rank.filter(|least| *least > 0) {
        let of_strangers = names.auth.tier_of_strangers()?;
        let is_reached = names.rank(of_strangers)? >= least;
        free.push(is_reached.then_some(Free::Tier(of_strangers))?);
    }
    for variable in rule.cel.iter().flat_map(Expression::variables) {
        match variable {
            Variable::Header(_) | Variable::Request(RequestField::Host | RequestField::Query) => {
                free.push(Free::Request);
            }
            // These say what is asked for, and rules on purpose who may.
            Variable::Path(_) | Variable::Request(RequestField::Method | RequestField::Path) => {}
            Variable::Request(RequestField::Ip) => return None,
            Variable::User(_) | Variable::Claim(_) => match variable.claim() {
                Some("scope") => free.push(of_scopes(names)?),
                _ => return None,
            },
        }
    }
    let is_tier = |free: &&Free<'_>| matches!(free, Free::Tier(_));
    free.iter().find(is_tier).or(free.first()).copied()
}

fn of_scopes<'n>(names: &Names<'_>) -> Option<Free<'n>> {
    names.auth.lets_keys_be_made().then_some(Free::Scopes)
}
