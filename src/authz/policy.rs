//! The `allow` rules of each route, compiled from the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authn::{Claim, Principal, User, missing};
use crate::config::checked::{OwnerField, Route, Rule, Tier};
use crate::config::{Config, Plans};
use crate::request::{Code, Refusal};
use crate::route::{Matched, parameter_index};

/// The rules of every route, by the route's index.
pub struct Policies {
    routes: Vec<Vec<Compiled>>,
    ranks: BTreeMap<String, u32>,
}

struct Compiled {
    rule: Rule,
    /// The number of the owner's parameter in the route's path, counted from 0.
    parameter: Option<usize>,
}

/// Proof that a request passed its route's rules. Only [`decide`] makes one.
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

    #[cfg(test)]
    pub(crate) fn for_tests(matched: Matched, principal: Principal) -> Permit {
        Permit { matched, principal }
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

    fn holds(&self, compiled: &Compiled, user: &Arc<User>, matched: &Matched, path: &str) -> bool {
        let rule = &compiled.rule;
        rule.superuser
            .is_none_or(|asked| asked == user.is_superuser)
            && (rule.tiers.is_empty() || rule.tiers.contains(&user.tier))
            && rule.min_rank.is_none_or(|asked| {
                self.ranks
                    .get(&user.tier)
                    .is_some_and(|rank| *rank >= asked)
            })
            && (rule.roles.is_empty() || rule.roles.iter().any(|role| user.roles.contains(role)))
            && rule.scopes.iter().all(|scope| user.scopes.contains(scope))
            && rule.claims.iter().all(|asked| {
                let claim = user.claim(&asked.name);
                claim.is_some_and(|claim| claim.is_or_has(&asked.value))
            })
            && rule.owner.as_ref().is_none_or(|owner| {
                let value = compiled
                    .parameter
                    .and_then(|number| matched.param(path, number));
                value.is_some_and(|value| owns(user, &owner.equals, value))
            })
    }
}

fn compile(route: &Route) -> Vec<Compiled> {
    route
        .allow
        .iter()
        .map(|rule| Compiled {
            parameter: rule
                .owner
                .as_ref()
                .and_then(|owner| parameter_index(&route.pattern, &owner.parameter)),
            rule: rule.clone(),
        })
        .collect()
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

/// Lets a request through when its route has no rules or one of them holds.
///
/// `path` is the request's path as it was matched.
///
/// # Errors
/// `token-missing` for a caller without identity, `forbidden` for any other.
pub fn decide(
    policies: &Policies,
    matched: Matched,
    principal: Principal,
    path: &str,
) -> Result<Permit, Refusal> {
    // A route without an entry would be a bug; it must not open the route.
    let rules = matched.route().and_then(|route| policies.routes.get(route));
    let Some(rules) = rules else {
        return Err(Refusal::new(Code::Internal, "The gateway failed.").because("no policy"));
    };
    if !rules.is_empty() {
        let Some(user) = principal.user() else {
            return Err(missing());
        };
        let allowed = rules
            .iter()
            .any(|rule| policies.holds(rule, user, &matched, path));
        if !allowed {
            return Err(Refusal::new(
                Code::Forbidden,
                "Your account may not do this.",
            ));
        }
    }
    Ok(Permit { matched, principal })
}
