//! One rule of `allow` and one caller: whether it holds, and if not, by which key.

use std::collections::BTreeMap;

use super::variables::Told;
use crate::authn::{Claim, User};
use crate::config::checked::{ClaimRule, Owner, OwnerField, Route, Rule};
use crate::request::Facts;
use crate::route::{Matched, parameter_index};

/// A rule, compiled for its route.
pub(super) struct Compiled {
    rule: Rule,
    /// The number of the owner's parameter in the route's path, counted from 0.
    parameter: Option<usize>,
    /// The names of all parameters, for an expression.
    parameters: Vec<String>,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Holds,
    /// The first key that does not hold.
    Fails(Key),
    /// The first key that can't be told whether it holds, and why not: the rule lets nobody pass.
    Untold(Key, String),
}

/// A key of a rule, as the file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// None of them: there is nobody whom rules could be asked about.
    Identity,
    Superuser,
    Tiers,
    MinTier,
    Roles,
    Scopes,
    Claims,
    Owner,
    Cel,
}

impl Key {
    pub const fn as_str(self) -> &'static str {
        match self {
            Key::Identity => "identity",
            Key::Superuser => "superuser",
            Key::Tiers => "tiers",
            Key::MinTier => "min_tier",
            Key::Roles => "roles",
            Key::Scopes => "scopes",
            Key::Claims => "claims",
            Key::Owner => "owner",
            Key::Cel => "cel",
        }
    }
}

/// What rules are asked about.
pub(super) struct Case<'a> {
    pub user: &'a User,
    pub matched: &'a Matched,
    pub facts: &'a Facts<'a>,
    pub ranks: &'a BTreeMap<String, u32>,
}

impl Case<'_> {
    /// The path as it was matched.
    pub(super) fn path(&self) -> &str {
        self.facts.head.uri.path()
    }
}

pub(super) fn compile(route: &Route) -> Vec<Compiled> {
    let compiled = |rule: &Rule| Compiled {
        parameter: rule
            .owner
            .as_ref()
            .and_then(|owner| parameter_index(&route.pattern, &owner.parameter)),
        parameters: route
            .pattern
            .parameters()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        rule: rule.clone(),
    };
    route.allow.iter().map(compiled).collect()
}

impl Compiled {
    /// The cheap keys come first.
    pub(super) fn judge(&self, case: &Case<'_>) -> Outcome {
        let (rule, user) = (&self.rule, case.user);
        let is_rank = |asked| {
            case.ranks
                .get(&user.tier)
                .is_some_and(|rank| *rank >= asked)
        };
        let has_role = |role| user.roles.contains(role);
        if rule
            .superuser
            .is_some_and(|asked| asked != user.is_superuser)
        {
            Outcome::Fails(Key::Superuser)
        } else if !rule.tiers.is_empty() && !rule.tiers.contains(&user.tier) {
            Outcome::Fails(Key::Tiers)
        } else if !rule.min_rank.is_none_or(is_rank) {
            Outcome::Fails(Key::MinTier)
        } else if !rule.roles.is_empty() && !rule.roles.iter().any(has_role) {
            Outcome::Fails(Key::Roles)
        } else if !rule.scopes.iter().all(|scope| user.scopes.contains(scope)) {
            Outcome::Fails(Key::Scopes)
        } else if !rule.claims.iter().all(|asked| has_claim(user, asked)) {
            Outcome::Fails(Key::Claims)
        } else if !rule
            .owner
            .as_ref()
            .is_none_or(|owner| self.is_owner(owner, case))
        {
            Outcome::Fails(Key::Owner)
        } else {
            self.evaluate(case)
        }
    }

    fn evaluate(&self, case: &Case<'_>) -> Outcome {
        let Some(expression) = &self.rule.cel else {
            return Outcome::Holds;
        };
        let parameters = &self.parameters;
        match expression.evaluate(&Told { case, parameters }) {
            Ok(true) => Outcome::Holds,
            Ok(false) => Outcome::Fails(Key::Cel),
            Err(why) => Outcome::Untold(Key::Cel, why),
        }
    }

    fn is_owner(&self, owner: &Owner, case: &Case<'_>) -> bool {
        let number = self.parameter;
        let value = number.and_then(|number| case.matched.param(case.path(), number));
        value.is_some_and(|value| owns(case.user, &owner.equals, value))
    }
}

fn has_claim(user: &User, asked: &ClaimRule) -> bool {
    let claim = user.claim(&asked.name);
    claim.is_some_and(|claim| claim.is_or_has(&asked.value))
}

fn owns(user: &User, field: &OwnerField, value: &str) -> bool {
    match field {
        OwnerField::Username => user.username == value,
        OwnerField::ExternalId => user.external_id.as_deref() == Some(value),
        // Only the canonical spelling: an upstream that compares text must not see another one.
        OwnerField::Id => {
            let mut buffer = uuid::Uuid::encode_buffer();
            &*user.id.hyphenated().encode_lower(&mut buffer) == value
        }
        OwnerField::Claim(name) => {
            let text = user.claim(name).and_then(Claim::text);
            text.is_some_and(|text| text == value)
        }
    }
}
