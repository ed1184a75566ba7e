//! The `allow` rules of each route, compiled from the configuration, and the decision that they make.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::judge::{Case, Compiled, Key, Outcome, compile};
use super::owners::{Asking, Owners};
use crate::authn::{Principal, missing};
use crate::config::checked::Tier;
use crate::config::{Config, Plans};
use crate::request::{Code, Facts, Refusal};
use crate::route::Matched;

/// The rules of every route, by the route's index.
pub struct Policies {
    routes: Vec<Vec<Compiled>>,
    ranks: BTreeMap<String, u32>,
}

/// Proof that a request passed its route's rules. Only [`decide`] and [`Asking::ask`] make one.
#[derive(Debug)]
pub struct Permit {
    matched: Matched,
    principal: Principal,
}

impl Permit {
    pub fn matched(&self) -> &Matched {
        &self.matched
    }

    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(super) fn new(matched: Matched, principal: Principal) -> Permit {
        Permit { matched, principal }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(matched: Matched, principal: Principal) -> Permit {
        Permit::new(matched, principal)
    }
}

impl Policies {
    /// The rules of `config`, with the ranks of the tiers of `plans`.
    pub fn build(config: &Config, plans: &Plans) -> Self {
        Policies {
            routes: config.routes.iter().map(compile).collect(),
            ranks: plans
                .tiers
                .iter()
                .map(|(name, Tier { rank, .. })| (name.clone(), *rank))
                .collect(),
        }
    }

    /// `None` for what is no route of this configuration.
    fn rules(&self, matched: &Matched) -> Option<&[Compiled]> {
        self.routes.get(matched.route()?).map(Vec::as_slice)
    }

    /// What rules are asked about; `None` for a caller without identity, about whom they say nothing.
    pub(super) fn case<'a>(
        &'a self,
        matched: &'a Matched,
        principal: &'a Principal,
        facts: &'a Facts<'_>,
    ) -> Option<Case<'a>> {
        Some(Case {
            user: principal.user()?,
            matched,
            facts,
            ranks: &self.ranks,
        })
    }
}

/// What is decided without asking anybody.
pub enum Decision<'p> {
    Permit(Permit),
    Asks(Asking<'p>),
}

/// Lets a request through when its route has no rules or one of them holds.
///
/// # Errors
/// `token-missing` for a caller without identity, `forbidden` for any other.
pub fn decide<'p>(
    policies: &'p Policies,
    matched: Matched,
    principal: Principal,
    facts: &Facts<'_>,
) -> Result<Decision<'p>, Refusal> {
    // A route without an entry would be a bug; it must not open the route.
    let Some(rules) = policies.rules(&matched) else {
        return Err(Refusal::new(Code::Internal, "The gateway failed.").because("no policy"));
    };
    if rules.is_empty() {
        return Ok(Decision::Permit(Permit::new(matched, principal)));
    }
    let Some(case) = policies.case(&matched, &principal, facts) else {
        return Err(missing());
    };
    let (mut left, mut untold) = (SmallVec::new(), None);
    for rule in rules {
        match rule.judge(&case) {
            Outcome::Holds if rule.asks() => left.push(rule),
            Outcome::Holds => return Ok(Decision::Permit(Permit::new(matched, principal))),
            Outcome::Fails(_) => {}
            Outcome::Untold(key, why) => {
                untold.get_or_insert_with(|| format!("{}: {why}", key.as_str()));
            }
        }
    }
    match left.is_empty() {
        true => Err(forbidden(untold)),
        false => Ok(Decision::Asks(Asking {
            policies,
            matched,
            principal,
            untold,
            left,
        })),
    }
}

pub(super) fn forbidden(cause: Option<String>) -> Refusal {
    let refusal = Refusal::new(Code::Forbidden, "Your account may not do this.");
    match cause {
        Some(cause) => refusal.because(cause),
        None => refusal,
    }
}

/// What each rule of the request's route says, in the order of the file; empty for a route without
/// rules, which lets everybody through whom `auth` admits.
pub async fn explain(
    policies: &Policies,
    matched: &Matched,
    principal: &Principal,
    facts: &Facts<'_>,
    owners: &impl Owners,
) -> Vec<Outcome> {
    let rules = policies.rules(matched).unwrap_or_default();
    let Some(case) = policies.case(matched, principal, facts) else {
        return vec![Outcome::Fails(Key::Identity); rules.len()];
    };
    let mut outcomes = Vec::with_capacity(rules.len());
    for rule in rules {
        outcomes.push(match rule.judge(&case) {
            Outcome::Holds => rule.ask(&case, owners).await,
            other => other,
        });
    }
    outcomes
}
