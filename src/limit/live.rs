//! Counters that are not full, as people are shown them: whose they are and how they stand. No request takes
//! part, and none waits.

use std::collections::HashMap;
use std::num::NonZeroU32;

use uuid::Uuid;

use super::address::{ACCOUNT, ADDRESS, Budget};
use super::clock::whole_seconds;
use super::meter::Quota;
use super::policy::{Limits, Policy};
use super::scopes::Scope;
use super::slots::{Counted, Owner};
use super::value::Value;
use crate::config::Config;
use crate::config::checked::Rate;

/// A counter that somebody has used something of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    scope: Scope,
    pub value: Value,
    /// Nanoseconds until it is full.
    owed: u64,
}

/// What a counter is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// Of the limit.
    pub name: String,
    pub route: Option<String>,
    /// A template, and the method if only one counts.
    pub path: Option<String>,
    pub method: Option<String>,
    pub is_shadow: bool,
}

/// How a counter stands for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// `None` for a limit that the configuration no longer has.
    pub quota: Option<Rate>,
    /// Requests that would pass now.
    pub remaining: Option<u32>,
    /// Seconds until one would, when none does.
    pub retry_in: u64,
    /// Seconds until nothing is used up.
    pub full_in: u64,
}

/// A request under way that a cap counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    pub route: String,
    pub value: Value,
    pub requests: u32,
    /// `None` for a route that no longer has a cap.
    pub max: Option<u32>,
}

/// The counters with the least left, and how many there are in all.
pub struct Listed {
    pub live: Vec<Live>,
    pub total: usize,
}

impl Limits {
    /// Counters that are not full, those with the least left first: all of one user, or `most` of all.
    pub fn live(&self, config: &Config, of: Option<Uuid>, most: usize) -> Listed {
        let now = self.counters.clock.now();
        let mut wholes: HashMap<Scope, u64> = HashMap::new();
        let mut found: Vec<(u64, Live)> = Vec::new();
        let mut total = 0;
        let mut show = |counted: Counted<'_>| {
            let is_asked = of.is_none_or(|id| counted.value == Value::User(id));
            if !is_asked {
                return;
            }
            total += 1;
            let live = Live {
                scope: counted.scope,
                value: counted.value,
                owed: self.counters.owed(&counted, now),
            };
            // By what a caller of no tier has: this is only for the order.
            let whole = *wholes.entry(live.scope).or_insert_with(|| {
                let quota = self.quota_of(config, live.scope.in_force(), None);
                quota.map_or(u64::MAX, |(_, quota)| quota.whole())
            });
            let used = u128::from(live.owed) * 1_000_000 / u128::from(whole.max(1));
            found.push((u64::try_from(used).unwrap_or(u64::MAX), live));
            if found.len() >= most.saturating_mul(2).max(1024) {
                keep(&mut found, most);
            }
        };
        for owner in Owner::ALL {
            self.counters.slots.each_live(owner, now, &mut show);
        }
        keep(&mut found, most);
        Listed {
            live: found.into_iter().map(|(_, live)| live).collect(),
            total,
        }
    }

    /// What a counter is for; `None` for one of a limit that nobody knows.
    pub fn subject(&self, live: &Live) -> Option<Subject> {
        let made = self.counters.slots.made(live.scope.in_force())?;
        let mut parts = made.limit.splitn(4, ' ');
        let kind = parts.next().unwrap_or_default();
        let mut next = || {
            parts
                .next()
                .map(str::to_owned)
                .filter(|part| !part.is_empty())
        };
        let mut subject = Subject {
            is_shadow: live.scope.is_shadow(),
            ..Subject::default()
        };
        match kind {
            "route" => {
                subject.route = next();
                subject.name = next()?;
            }
            "path" => {
                subject.name = next()?;
                subject.method = next();
                subject.path = next();
            }
            ADDRESS | ACCOUNT => subject.name = next()?,
            name => subject.name = name.to_owned(),
        }
        Some(subject)
    }

    /// How a counter stands for a caller of this tier.
    pub fn told(&self, config: &Config, live: &Live, tier: Option<&str>) -> Told {
        let quota = self.quota_of(config, live.scope.in_force(), tier);
        let standing = quota.as_ref().map(|(_, quota)| quota.after(live.owed));
        Told {
            quota: quota.map(|(rate, _)| rate),
            remaining: standing
                .as_ref()
                .map(|s| s.as_ref().map_or(0, |s| s.remaining)),
            retry_in: match standing {
                Some(Err(denied)) => whole_seconds(denied.wait),
                _ => 0,
            },
            full_in: whole_seconds(live.owed),
        }
    }

    /// Requests under way that caps count.
    pub fn under_way(&self, config: &Config, of: Option<Uuid>) -> Vec<UnderWay> {
        let mut all = Vec::new();
        self.counters.slots.seats.each(|scope, value, requests| {
            let caps = self.routes.iter().zip(&config.routes);
            let mut caps = caps.filter_map(|(route, own)| Some((route.concurrency.as_ref()?, own)));
            let cap = caps.find(|(cap, _)| cap.scope == scope);
            let is_asked = of.is_none_or(|id| value == Value::User(id));
            let made = self.counters.slots.made(scope);
            let route = made.and_then(|made| Some(made.limit.split_once(' ')?.1.to_owned()));
            if let Some(route) = route.filter(|_| is_asked) {
                all.push(UnderWay {
                    route,
                    value,
                    requests,
                    max: cap.map(|(cap, _)| cap.max.get()),
                });
            }
        });
        all.sort_by_key(|under_way| std::cmp::Reverse(under_way.requests));
        all
    }

    /// The quota that a counter goes by, or went by last: that of the tier, if it is of the counter's span.
    fn quota_of(&self, config: &Config, scope: Scope, tier: Option<&str>) -> Option<(Rate, Quota)> {
        let is_it = |policy: &&Policy| policy.scope == scope;
        let of_tier = self.of_tier(tier).find(is_it);
        if let Some(policy) = of_tier.or_else(|| self.policies.iter().find(is_it)) {
            return Some((policy.rate, policy.quota));
        }
        let made = self.counters.slots.made(scope)?;
        let rate = match made.limit.as_str() {
            "failures" => config.auth.failure_rate,
            other => Budget::of(other).and_then(|budget| budget.rate(&config.auth)),
        };
        let rate = rate?;
        let quota = Quota::new(&rate, NonZeroU32::MIN);
        (quota.span() == made.span).then_some((rate, quota))
    }

    /// All policies that callers of this tier meet somewhere.
    fn of_tier<'l>(&'l self, tier: Option<&'l str>) -> impl Iterator<Item = &'l Policy> {
        let rules = tier.zip(self.rules.as_ref());
        let by_rule = rules
            .into_iter()
            .flat_map(|(tier, rules)| rules.of_tier(tier));
        let own = self.routes.iter().flat_map(|route| {
            let late = route.late.iter().flatten();
            route.early.iter().chain(late)
        });
        let limits = by_rule.chain(own).chain([&self.by_tier, &self.anonymous]);
        limits.filter_map(move |limit| self.policies.get(limit.policy(tier)?))
    }
}

/// The fullest first, and no more than that.
fn keep(found: &mut Vec<(u64, Live)>, most: usize) {
    found.sort_by_key(|(used, live)| std::cmp::Reverse((*used, live.owed)));
    found.truncate(most);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::super::address::{AccountLimit, AddressLimit, Budget};
    use super::super::at_once::at_once;
    use super::super::tests::{Gateway, at, limit, only, rate, route, tiers, user};
    use crate::config::checked::LimitKey;
    use crate::config::{LimitRule, Plans, RuleScope, text};
    use crate::route::sample;

    fn rule(name: &str, scope: RuleScope) -> LimitRule {
        LimitRule {
            tier: "free".into(),
            name: name.into(),
            scope,
            rate: only(9),
        }
    }

    #[test]
    fn a_counter_tells_its_limit_its_caller_and_what_a_rule_of_the_tier_gives() {
        let mut config = sample::config(vec![route(
            "a",
            Some(vec![limit("x", LimitKey::User, rate(10, 60, 10))]),
        )]);
        config.tiers = tiers(&[("free", None), ("pro", None)]);
        let mut gateway = Gateway::new(&config);
        let by_path = RuleScope::Path {
            template: "/a/{id}".into(),
            pattern: text::path("/a/{id}").unwrap(),
            method: Some(http::Method::GET),
        };
        let rules = vec![rule("x", RuleScope::Route("a".into())), rule("p", by_path)];
        let plans = Plans {
            rules,
            ..Plans::default()
        };
        gateway.reload_with(&config, &plans);
        let caller = user(7, "free");
        gateway.ask(&at("/a/1"), &caller).unwrap();
        gateway.ask(&at("/a/1"), &caller).unwrap();
        gateway.ask(&at("/a"), &user(8, "pro")).unwrap();

        let limits = &gateway.limits;
        let id = caller.user().unwrap().id;
        let listed = limits.live(&config, Some(id), 10);
        assert_eq!(listed.total, 2);
        let subjects: Vec<_> = listed
            .live
            .iter()
            .map(|l| limits.subject(l).unwrap())
            .collect();
        let named = |name| subjects.iter().position(|s| s.name == name).unwrap();
        let (x, p) = (named("x"), named("p"));
        assert_eq!(subjects[x].route.as_deref(), Some("a"));
        assert_eq!(subjects[p].path.as_deref(), Some("/a/{id}"));
        assert_eq!(subjects[p].method.as_deref(), Some("GET"));
        for (at, tier, remaining) in [(x, Some("free"), 7), (p, Some("free"), 7)] {
            let told = limits.told(&config, &listed.live[at], tier);
            assert_eq!(told.remaining, Some(remaining));
            assert_eq!(told.quota, Some(only(9)));
        }
        // Of all, the one with the least left.
        let listed = limits.live(&config, None, 1);
        assert_eq!((listed.total, listed.live.len()), (3, 1));

        // A limit that is gone still has its counters.
        gateway.reload_with(&sample::config(Vec::new()), &Plans::default());
        let limits = &gateway.limits;
        let config = sample::config(Vec::new());
        let told = limits.told(&config, &limits.live(&config, Some(id), 1).live[0], None);
        assert_eq!((told.quota, told.remaining), (None, None));
        gateway.hands.advance(Duration::from_secs(86_400 * 3));
        assert_eq!(gateway.limits.live(&config, None, 10).total, 0);
    }

    #[test]
    fn the_budgets_of_the_auth_api_are_told_with_their_quotas() {
        let mut config = sample::config(Vec::new());
        config.auth.rate = Some(rate(1, 60, 3));
        config.auth.user_rate = Some(rate(1, 60, 4));
        config.auth.introspect_rate = Some(rate(1, 60, 5));
        let gateway = Gateway::new(&config);
        let limits = &gateway.limits;
        let id = Uuid::from_u128(7);
        let of_account = [
            Budget::AuthUser,
            Budget::Introspect,
            Budget::Changes,
            Budget::Renames,
        ];
        let (name, rate) = (Budget::Auth.name(), Budget::Auth.rate(&config.auth));
        let by_address = AddressLimit::new(limits.counters.clone(), name, rate);
        at_once(by_address.take("192.0.2.1".parse().unwrap())).unwrap();
        for budget in of_account {
            let (name, rate) = (budget.name(), budget.rate(&config.auth));
            let limit = AccountLimit::new(limits.counters.clone(), name, rate);
            at_once(limit.take(id)).unwrap();
        }
        let listed = limits.live(&config, None, 10).live;
        for budget in of_account.into_iter().chain([Budget::Auth]) {
            let named = |live: &&super::Live| limits.subject(live).unwrap().name == budget.name();
            let live = listed.iter().find(named).unwrap();
            let told = limits.told(&config, live, None);
            assert_eq!(told.quota, budget.rate(&config.auth), "{budget:?}");
            assert!(told.quota.is_some(), "{budget:?}");
        }
    }
}
