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

/// What the budget of callers without identity is called, which holds there too.
const ANONYMOUS: &str = "anonymous";

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
    pub(super) key: LimitKey,
    /// An index into [`Limits::policies`]; `None` is unlimited.
    pub(super) policy: Option<usize>,
    pub(super) by_tier: BTreeMap<String, Option<usize>>,
    /// What one request takes.
    pub(super) cost: NonZeroU32,
    /// It only records what it would refuse, on every route that it is for.
    pub(super) is_shadow: bool,
}

/// A quota, the counters that it is for, and how clients are told of it.
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) scope: Scope,
    pub(super) rate: Rate,
    pub(super) quota: Quota,
    pub(super) announcement: Announcement,
}

impl Limits {
    /// Compiles the limits of `config`, with the tiers and the rules of `plans`. The counters are the same ones for every configuration
    /// that a process has in its life.
    pub fn build(config: &Config, plans: &Plans, counters: Counters) -> Limits {
        let mut policies = Policies::of(&counters);
        let rate_of = |tier: &checked::Tier| tier.rate;
        let by_tier = Limit {
            name: TIER.to_owned(),
            key: LimitKey::User,
            // A tier that nobody knows must not be a way out of every limit.
            policy: policies.add(
                TIER,
                TIER,
                plans.tiers.get(&config.auth.default_tier).and_then(rate_of),
                NonZeroU32::MIN,
            ),
            by_tier: plans
                .tiers
                .iter()
                .map(|(name, tier)| {
                    let policy = policies.add(TIER, TIER, tier.rate, NonZeroU32::MIN);
                    (name.clone(), policy)
                })
                .collect(),
            cost: NonZeroU32::MIN,
            is_shadow: false,
        };
        let anonymous = Limit {
            name: ANONYMOUS.to_owned(),
            key: LimitKey::Ip,
            policy: policies.add(ANONYMOUS, ANONYMOUS, config.anonymous, NonZeroU32::MIN),
            by_tier: BTreeMap::new(),
            cost: NonZeroU32::MIN,
            is_shadow: false,
        };
        // A server that ignores case is behind other routes as well.
        let folds = config.folds_paths();
        let routes = config.routes.iter().map(|route| {
            let mut compile = |limit: &checked::Limit| {
                let text = of_route(&route.name, &limit.name);
                let mut policy = |rate| policies.add(&text, &limit.name, rate, limit.cost);
                let by_tier = limit.tiers.iter();
                Limit {
                    name: limit.name.clone(),
                    key: limit.key.clone(),
                    policy: policy(limit.rate),
                    by_tier: by_tier
                        .map(|(tier, rate)| (tier.clone(), policy(*rate)))
                        .collect(),
                    cost: limit.cost,
                    is_shadow: route.shadow.limits || limit.mode == Mode::Shadow,
                }
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
                    scope: counters
                        .slots
                        .scope(&format!("{CONCURRENCY} {}", route.name), 0),
                    key: cap.key.clone(),
                    max: cap.max,
                }),
                late: own.map(|own| own.iter().filter(is_late).map(&mut compile).collect()),
                is_shadow: route.shadow.limits,
            }
        });
        let routes: Vec<RouteLimits> = routes.collect();
        let rules = Rules::build(config, plans, &routes, &by_tier, &mut policies);
        let policies = policies.all;
        Limits {
            routes,
            rules,
            by_tier,
            anonymous,
            failures: Failures::new(config.auth.failure_rate, &counters),
            headers: config.limits_headers,
            policies,
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
}

impl Policy {
    /// A quota of the limit that is called `limit` among all, and `name` to clients.
    pub(super) fn new(
        slots: &Slots,
        limit: &str,
        name: &str,
        rate: Rate,
        cost: NonZeroU32,
    ) -> Self {
        let quota = Quota::new(&rate, cost);
        Policy {
            name: name.to_owned(),
            scope: slots.scope(limit, quota.span()),
            rate,
            quota,
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

/// What a route's limit is called among all.
pub(super) fn of_route(route: &str, limit: &str) -> String {
    format!("route {route} {limit}")
}

pub(super) struct Policies<'c> {
    counters: &'c Counters,
    all: Vec<Policy>,
}

impl<'c> Policies<'c> {
    fn of(counters: &'c Counters) -> Self {
        Policies {
            counters,
            all: Vec::new(),
        }
    }

    /// The index of a policy for this rate, if there is one.
    pub(super) fn add(
        &mut self,
        limit: &str,
        name: &str,
        rate: Option<Rate>,
        cost: NonZeroU32,
    ) -> Option<usize> {
        self.all
            .push(self.counters.policy(limit, name, rate?, cost));
        Some(self.all.len() - 1)
    }
}
