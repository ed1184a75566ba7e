//! Which keys of which rule hold for a caller. Asked by people, not by requests.

use std::sync::Arc;

use super::policy::{Compiled, Policies};
use crate::authn::User;
use crate::config::checked::Rule;
use crate::route::Matched;

/// One alternative of `allow`, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOutcome {
    /// In the order of the configuration.
    pub index: usize,
    pub holds: bool,
    /// Each key that the rule has, and whether that one holds by itself.
    pub keys: Vec<(&'static str, bool)>,
}

/// Judges every rule of the matched route, also after one that holds. Nobody in particular meets none.
pub fn explain(
    policies: &Policies,
    matched: &Matched,
    user: Option<&Arc<User>>,
    path: &str,
) -> Vec<RuleOutcome> {
    let rules = matched.route().and_then(|route| policies.rules(route));
    let rules = rules.unwrap_or_default().iter().enumerate();
    let holds = |compiled: &Compiled| {
        user.is_some_and(|user| policies.holds(compiled, user, matched, path))
    };
    let judged = rules.map(|(index, compiled)| RuleOutcome {
        index,
        holds: holds(compiled),
        keys: single_keys(&compiled.rule)
            .into_iter()
            .map(|(key, rule)| {
                let parameter = compiled.parameter;
                (key, holds(&Compiled { rule, parameter }))
            })
            .collect(),
    });
    judged.collect()
}

/// The rule's keys, each as a rule of its own: so that what is explained is what is decided.
fn single_keys(rule: &Rule) -> Vec<(&'static str, Rule)> {
    let mut keys = Vec::new();
    let mut add = |key, is_there: bool, only: Rule| {
        if is_there {
            keys.push((key, only));
        }
    };
    let none = Rule::default;
    add(
        "superuser",
        rule.superuser.is_some(),
        Rule {
            superuser: rule.superuser,
            ..none()
        },
    );
    add(
        "owner",
        rule.owner.is_some(),
        Rule {
            owner: rule.owner.clone(),
            ..none()
        },
    );
    add(
        "tiers",
        !rule.tiers.is_empty(),
        Rule {
            tiers: rule.tiers.clone(),
            ..none()
        },
    );
    add(
        "min_tier",
        rule.min_rank.is_some(),
        Rule {
            min_rank: rule.min_rank,
            ..none()
        },
    );
    add(
        "roles",
        !rule.roles.is_empty(),
        Rule {
            roles: rule.roles.clone(),
            ..none()
        },
    );
    add(
        "scopes",
        !rule.scopes.is_empty(),
        Rule {
            scopes: rule.scopes.clone(),
            ..none()
        },
    );
    keys
}
