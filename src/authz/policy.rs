//! The `allow` rules of each route, compiled from the configuration, and the decision that they make.

use std::collections::{BTreeMap, BTreeSet};

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
    routes: Vec<Rules>,
    ranks: BTreeMap<String, u32>,
}

struct Rules {
    rules: Vec<Compiled>,
    /// A request that none of them lets through passes all the same.
    is_shadow: bool,
}

/// Proof that a request passed its route's rules, or that they only record. Only [`decide`] and
/// [`Asking::ask`] make one.
#[derive(Debug)]
pub struct Permit {
    matched: Matched,
    principal: Principal,
    would_refuse: Option<Refusal>,
}

impl Permit {
    pub fn matched(&self) -> &Matched {
        &self.matched
    }

    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Why rules in shadow would have refused.
    pub fn would_refuse(&self) -> Option<&Refusal> {
        self.would_refuse.as_ref()
    }

    pub(super) fn new(matched: Matched, principal: Principal) -> Permit {
        Permit {
            matched,
            principal,
            would_refuse: None,
        }
    }

    /// For a request that is refused, if that is only to be recorded.
    pub(super) fn in_spite_of(
        refusal: Refusal,
        is_shadow: bool,
        matched: Matched,
        principal: Principal,
    ) -> Result<Permit, Refusal> {
        match is_shadow {
            true => Ok(Permit {
                would_refuse: Some(refusal),
                ..Permit::new(matched, principal)
            }),
            false => Err(refusal),
        }
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
            routes: config
                .routes
                .iter()
                .map(|route| Rules {
                    rules: compile(route),
                    is_shadow: route.shadow.allow,
                })
                .collect(),
            ranks: plans
                .tiers
                .iter()
                .map(|(name, Tier { rank, .. })| (name.clone(), *rank))
                .collect(),
        }
    }

    /// Whether these let in all whom others of the same configuration do: no tier that those know has fallen below a rank
    /// that some rule asks for, or is gone where one asks for tiers by name.
    pub fn admit_all_of(&self, others: &Policies) -> bool {
        let in_force = self.routes.iter().filter(|route| !route.is_shadow);
        let rules: Vec<_> = in_force.flat_map(|route| &route.rules).collect();
        let asked: BTreeSet<u32> = rules.iter().filter_map(|rule| rule.min_rank()).collect();
        let goes_by_names = rules.iter().any(|rule| rule.names_tiers());
        others.ranks.iter().all(|(name, before)| {
            let now = self.ranks.get(name).copied();
            let lost = asked.range(..=before).next_back().copied();
            lost.is_none_or(|least| now.is_some_and(|now| now >= least))
                && (now.is_some() || !goes_by_names)
        })
    }

    /// `None` for what is no route of this configuration.
    fn rules(&self, matched: &Matched) -> Option<&Rules> {
        self.routes.get(matched.route()?)
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

/// What rules say.
enum Judged<'p> {
    Pass,
    Refuse(Refusal),
    /// Those that are left, and why one of the others had no answer.
    Ask(SmallVec<[&'p Compiled; 2]>, Option<String>),
}

impl Policies {
    fn judge<'p>(
        &'p self,
        rules: &'p [Compiled],
        matched: &Matched,
        principal: &Principal,
        facts: &Facts<'_>,
    ) -> Judged<'p> {
        if rules.is_empty() {
            return Judged::Pass;
        }
        let Some(case) = self.case(matched, principal, facts) else {
            return Judged::Refuse(missing());
        };
        let (mut left, mut untold) = (SmallVec::new(), None);
        for rule in rules {
            match rule.judge(&case) {
                Outcome::Holds if rule.asks() => left.push(rule),
                Outcome::Holds => return Judged::Pass,
                Outcome::Fails(_) => {}
                Outcome::Untold(key, unknown) => {
                    untold.get_or_insert_with(|| format!("{}: {}", key.as_str(), unknown.why));
                }
            }
        }
        match left.is_empty() {
            true => Judged::Refuse(forbidden(untold)),
            false => Judged::Ask(left, untold),
        }
    }
}

/// Lets a request through when its route has no rules, one of them holds, or they are in shadow.
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
    let Some(Rules { rules, is_shadow }) = policies.rules(&matched) else {
        return Err(Refusal::new(Code::Internal, "The gateway failed.").because("no policy"));
    };
    let permit = match policies.judge(rules, &matched, &principal, facts) {
        Judged::Pass => Permit::new(matched, principal),
        Judged::Refuse(refusal) => Permit::in_spite_of(refusal, *is_shadow, matched, principal)?,
        Judged::Ask(left, untold) => {
            return Ok(Decision::Asks(Asking {
                policies,
                matched,
                principal,
                untold,
                left,
                is_shadow: *is_shadow,
            }));
        }
    };
    Ok(Decision::Permit(permit))
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
    let rules = policies.rules(matched).map_or(&[][..], |all| &all.rules);
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
