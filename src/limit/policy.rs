//! The limits of every route, compiled from a configuration.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::config::checked::{
    self, AddressRules, LimitKey, LimitsHeaders, Mode, PathOptions, Rate,
};
use crate::config::{Config, Plans};

use super::counters::Counters;
use super::failures::Failures;
use super::headers::Announcement;
use super::meter::Quota;
use super::rules::Rules;
use super::scopes::Scope;
use super::slots::Slots;

/// What the budget of a tier is called, which holds on routes that say nothing of limits.
const TIER: &str = "tier";

/// What the cap on requests under way is called.
pub const CONCURRENCY: &str = "concurrency";

/// The limits of one configuration, over counters that outlive it.
pub struct Limits {
    pub(super) counters: Counters,
    pub(super) headers: LimitsHeaders,
    /// As [`Config::routes`].
    pub(super) routes: Vec<RouteLimits>,
    /// Signed-in callers of routes that say nothing of limits: one budget over all of these.
    pub(super) by_tier: Limit,
    /// Other callers of such routes.
    pub(super) anonymous: Limit,
    /// Of credentials that do not verify.
    pub(super) failures: Failures,
    /// `None` when the store has no rule that could act.
    pub(super) rules: Option<Rules>,
    /// Referred to by index.
    pub(super) policies: Vec<Policy>,
}

pub(super) struct RouteLimits {
    pub(super) addresses: AddressRules,
    /// Which spellings of a path are one to rules that go by path.
    pub(super) path_options: PathOptions,
    /// By address, header and route: charged before authentication.
    pub(super) early: Vec<Limit>,
    /// By user: charged when the caller is known. `None` when the route says nothing of limits.
    pub(super) late: Option<Vec<Limit>>,
    pub(super) concurrency: Option<Concurrency>,
    /// Whatever limits a caller meets here, they only record what they would refuse.
    pub(super) is_shadow: bool,
}

/// How many requests of a caller may be under way.
pub(super) struct Concurrency {
    pub(super) scope: Scope,
    pub(super) key: LimitKey,
    pub(super) max: NonZeroU32,
}

#[derive(Clone)]
pub(super) struct Limit {
    pub(super) name: String,
    pub(super) scope: Scope,
    pub(super) key: LimitKey,
    /// An index into [`Limits::policies`]; `None` is unlimited.
    pub(super) policy: Option<usize>,
    pub(super) by_tier: BTreeMap<String, Option<usize>>,
    /// What one request takes.
    pub(super) cost: NonZeroU32,
    /// It only records what it would refuse, on every route that it is for.
    pub(super) is_shadow: bool,
}

/// A quota, and how clients are told of it.
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) rate: Rate,
    pub(super) quota: Quota,
    pub(super) announcement: Announcement,
}

impl Limits {
    /// Compiles the limits of `config`, with the tiers and the rules of `plans`. The counters are the same ones for every configuration
    /// that a process has in its life.
    pub fn build(config: &Config, plans: &Plans, counters: Counters) -> Limits {
        let slots = &*counters.slots;
        let mut policies = Policies::of(&counters);
        let rate_of = |tier: &checked::Tier| tier.rate;
        let by_tier = Limit {
            name: TIER.to_owned(),
            scope: slots.scope(&[TIER]),
            key: LimitKey::User,
            // A tier that nobody knows must not be a way out of every limit.
            policy: policies.add(
                TIER,
                plans.tiers.get(&config.auth.default_tier).and_then(rate_of),
                NonZeroU32::MIN,
            ),
            by_tier: plans
                .tiers
                .iter()
                .map(|(name, tier)| {
                    let policy = policies.add(TIER, tier.rate, NonZeroU32::MIN);
                    (name.clone(), policy)
                })
                .collect(),
            cost: NonZeroU32::MIN,
            is_shadow: false,
        };
        let anonymous = Limit {
            name: "anonymous".to_owned(),
            scope: slots.scope(&["anonymous"]),
            key: LimitKey::Ip,
            policy: policies.add("anonymous", config.anonymous, NonZeroU32::MIN),
            by_tier: BTreeMap::new(),
            cost: NonZeroU32::MIN,
            is_shadow: false,
        };
        // A server that ignores case is behind other routes as well.
        let folds = config.folds_paths();
        let routes = config.routes.iter().map(|route| {
            let mut compile = |limit: &checked::Limit| Limit {
                name: limit.name.clone(),
                scope: route_scope(slots, &route.name, &limit.name),
                key: limit.key.clone(),
                policy: policies.add(&limit.name, limit.rate, limit.cost),
                by_tier: limit
                    .tiers
                    .iter()
                    .map(|(tier, rate)| {
                        (tier.clone(), policies.add(&limit.name, *rate, limit.cost))
                    })
                    .collect(),
                cost: limit.cost,
                is_shadow: route.shadow.limits || limit.mode == Mode::Shadow,
            };
            let is_late = |limit: &&checked::Limit| !limit.key.is_early();
            let own = route.limits.as_deref();
            let early = own.unwrap_or_default().iter().filter(|l| !is_late(l));
            RouteLimits {
                addresses: route.ip.clone(),
                path_options: PathOptions {
                    case_insensitive: folds,
                    ..route.path_options
                },
                early: early.map(&mut compile).collect(),
                concurrency: route.concurrency.as_ref().map(|cap| Concurrency {
                    scope: slots.scope(&[CONCURRENCY, &route.name]),
                    key: cap.key.clone(),
                    max: cap.max,
                }),
                late: own.map(|own| own.iter().filter(is_late).map(&mut compile).collect()),
                is_shadow: route.shadow.limits,
            }
        });
        let routes: Vec<RouteLimits> = routes.collect();
        let rules = Rules::build(config, plans, &routes, &by_tier, slots, &mut policies);
        Limits {
            routes,
            rules,
            by_tier,
            anonymous,
            failures: Failures::new(config.auth.failure_rate, &counters),
            headers: config.limits_headers,
            policies: policies.all,
            counters,
        }
    }
}

impl Limit {
    /// The policy for a caller of this tier; `None` does not limit.
    pub(super) fn policy(&self, tier: Option<&str>) -> Option<usize> {
        let of_tier = tier.and_then(|tier| self.by_tier.get(tier));
        of_tier.copied().unwrap_or(self.policy)
    }

    /// The counters that it charges. What other routes share is not used up by one in shadow: that
    /// would have them refuse.
    pub(super) fn scope(&self, is_shadow: bool) -> Scope {
        match is_shadow && !self.is_shadow {
            true => self.scope.in_shadow(),
            false => self.scope,
        }
    }
}

impl Policy {
    pub(super) fn new(name: &str, rate: Rate, cost: NonZeroU32) -> Self {
        Policy {
            name: name.to_owned(),
            rate,
            quota: Quota::new(&rate, cost),
            announcement: Announcement::new(name, &rate),
        }
    }

    /// The same where other gateways charge its counters too.
    pub(super) fn shared(self) -> Self {
        Policy {
            quota: self.quota.shared(),
            ..self
        }
    }
}

/// The counters of a route's limit, whatever its quota is.
pub(super) fn route_scope(slots: &Slots, route: &str, limit: &str) -> Scope {
    slots.scope(&["route", route, limit])
}

pub(super) struct Policies {
    all: Vec<Policy>,
    is_shared: bool,
}

impl Policies {
    fn of(counters: &Counters) -> Self {
        Policies {
            all: Vec::new(),
            is_shared: counters.shared.is_some(),
        }
    }

    pub(super) fn add(
        &mut self,
        name: &str,
        rate: Option<Rate>,
        cost: NonZeroU32,
    ) -> Option<usize> {
        let rate = rate?;
        let policy = Policy::new(name, rate, cost);
        self.all.push(match self.is_shared {
            true => policy.shared(),
            false => policy,
        });
        Some(self.all.len() - 1)
    }
}
