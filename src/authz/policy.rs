//! The `allow` rules of each route, compiled from the configuration, and the decision that they make.

use std::collections::BTreeMap;

use super::judge::{Case, Compiled, Key, Outcome, compile};
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

/// Proof that a request passed its route's rules, or that they only record. Only [`decide`] makes one.
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

    #[cfg(test)]
    pub(crate) fn for_tests(matched: Matched, principal: Principal) -> Permit {
        Permit {
            matched,
            principal,
            would_refuse: None,
        }
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

    /// `None` for what is no route of this configuration.
    fn rules(&self, matched: &Matched) -> Option<&Rules> {
        self.routes.get(matched.route()?)
    }
}

impl Policies {
    fn judge(
        &self,
        rules: &[Compiled],
        matched: &Matched,
        principal: &Principal,
        facts: &Facts<'_>,
    ) -> Result<(), Refusal> {
        if rules.is_empty() {
            return Ok(());
        }
        let user = principal.user().ok_or_else(missing)?;
        let case = Case {
            user,
            matched,
            facts,
            ranks: &self.ranks,
        };
        let mut untold = None;
        let holds = |rule: &Compiled| match rule.judge(&case) {
            Outcome::Holds => true,
            Outcome::Fails(_) => false,
            Outcome::Untold(key, why) => {
                untold.get_or_insert_with(|| format!("{}: {why}", key.as_str()));
                false
            }
        };
        match rules.iter().any(holds) {
            true => Ok(()),
            false => Err(forbidden(untold)),
        }
    }
}

/// Lets a request through when its route has no rules, one of them holds, or they are in shadow.
///
/// # Errors
/// `token-missing` for a caller without identity, `forbidden` for any other.
pub fn decide(
    policies: &Policies,
    matched: Matched,
    principal: Principal,
    facts: &Facts<'_>,
) -> Result<Permit, Refusal> {
    // A route without an entry would be a bug; it must not open the route.
    let Some(rules) = policies.rules(&matched) else {
        return Err(Refusal::new(Code::Internal, "The gateway failed.").because("no policy"));
    };
    let would_refuse = match policies.judge(&rules.rules, &matched, &principal, facts) {
        Err(refusal) if rules.is_shadow => Some(refusal),
        judged => {
            judged?;
            None
        }
    };
    Ok(Permit {
        matched,
        principal,
        would_refuse,
    })
}

fn forbidden(cause: Option<String>) -> Refusal {
    let refusal = Refusal::new(Code::Forbidden, "Your account may not do this.");
    match cause {
        Some(cause) => refusal.because(cause),
        None => refusal,
    }
}

/// What each rule of the request's route says, in the order of the file; empty for a route without
/// rules, which lets everybody through whom `auth` admits.
pub fn explain(
    policies: &Policies,
    matched: &Matched,
    principal: &Principal,
    facts: &Facts<'_>,
) -> Vec<Outcome> {
    let rules = policies.rules(matched).map(|rules| rules.rules.iter());
    let rules = rules.unwrap_or_default();
    let Some(user) = principal.user() else {
        return rules.map(|_| Outcome::Fails(Key::Identity)).collect();
    };
    let case = Case {
        user,
        matched,
        facts,
        ranks: &policies.ranks,
    };
    rules.map(|rule| rule.judge(&case)).collect()
}
