//! What the store's rules make of the limits by user, prepared by route and tier.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;

use http::Method;
use smallvec::SmallVec;

use crate::config::checked::{LimitKey, PathOptions, TrailingSlash};
use crate::config::{Config, LimitRule, Plans, RuleScope};
use crate::request::Facts;
use crate::route::Templates;

use super::policy::{Limit, Policies, RouteLimits, of_route};

/// The rules of all tiers.
pub(super) struct Rules {
    /// By route and tier: all that a caller is charged by user there, with the rules worked in.
    by_route: Vec<HashMap<String, Vec<Limit>>>,
    by_path: HashMap<String, ByPath>,
}

/// Rules of a tier that go by path.
struct ByPath {
    templates: Templates,
    rules: Vec<PathRule>,
}

struct PathRule {
    method: Option<Method>,
    limit: Limit,
}

impl Rules {
    /// `routes` are the compiled ones of `config`, and `by_tier` what holds on those without limits.
    pub(super) fn build(
        config: &Config,
        plans: &Plans,
        routes: &[RouteLimits],
        by_tier: &Limit,
        policies: &mut Policies<'_>,
    ) -> Option<Rules> {
        if plans.rules.is_empty() {
            return None;
        }
        let names = config.routes.iter().enumerate();
        let index: HashMap<&str, usize> = names.map(|(at, r)| (r.name.as_str(), at)).collect();
        let mut rules = Rules {
            by_route: routes.iter().map(|_| HashMap::new()).collect(),
            by_path: HashMap::new(),
        };
        for rule in &plans.rules {
            match &rule.scope {
                RuleScope::Route(name) => {
                    // A route that the file no longer has: the rule waits for its return.
                    let Some(at) = index.get(name.as_str()) else {
                        continue;
                    };
                    let base = match &routes[*at].late {
                        Some(own) => own.as_slice(),
                        None => std::slice::from_ref(by_tier),
                    };
                    let limits = rules.by_route[*at]
                        .entry(rule.tier.clone())
                        .or_insert_with(|| base.iter().map(|l| l.of_tier(&rule.tier)).collect());
                    work_in(limits, rule, name, &routes[*at], policies);
                }
                RuleScope::Path {
                    template,
                    pattern,
                    method,
                } => {
                    let by_path = rules.by_path.entry(rule.tier.clone());
                    let by_path = by_path.or_insert_with(|| ByPath {
                        templates: Templates::new(),
                        rules: Vec::new(),
                    });
                    by_path.templates.insert(pattern, by_path.rules.len());
                    let of_method = method.as_ref().map_or("", Method::as_str);
                    let text = format!("path {} {of_method} {template}", rule.name);
                    by_path.rules.push(PathRule {
                        method: method.clone(),
                        limit: limit(rule, &text, NonZeroU32::MIN, false, policies),
                    });
                }
            }
        }
        Some(rules)
    }

    /// What callers of this tier are charged by user on the route; `None` when no rule says otherwise
    /// than the file.
    pub(super) fn on_route(&self, route: usize, tier: &str) -> Option<&[Limit]> {
        self.by_route.get(route)?.get(tier).map(Vec::as_slice)
    }

    /// All limits that callers of this tier meet somewhere because of a rule.
    pub(super) fn of_tier(&self, tier: &str) -> impl Iterator<Item = &Limit> {
        let by_route = self
            .by_route
            .iter()
            .filter_map(move |tiers| tiers.get(tier));
        let by_path = self.by_path.get(tier).into_iter();
        let by_path = by_path.flat_map(|by_path| &by_path.rules);
        by_route.flatten().chain(by_path.map(|rule| &rule.limit))
    }

    /// What callers of this tier are charged for the path besides. Of rules of one name the one with
    /// the tightest template counts. `options` are those of the path's route, but that a slash at the end
    /// makes no other path here: many a backend takes it for the same, and a budget has to hold there too.
    pub(super) fn on_path(
        &self,
        tier: &str,
        options: PathOptions,
        facts: &Facts<'_>,
    ) -> SmallVec<[&Limit; 2]> {
        let mut found: SmallVec<[usize; 4]> = SmallVec::new();
        let Some(by_path) = self.by_path.get(tier) else {
            return SmallVec::new();
        };
        let rule = |number: usize| &by_path.rules[number];
        let path = facts.head.uri.path().as_bytes();
        let options = PathOptions {
            trailing_slash: TrailingSlash::Ignore,
            ..options
        };
        by_path.templates.visit(path, options, |numbers| {
            let mut names: SmallVec<[&str; 4]> = SmallVec::new();
            for &number in numbers
                .iter()
                .filter(|n| rule(**n).takes(&facts.head.method))
            {
                let name = rule(number).limit.name.as_str();
                if !names.contains(&name) {
                    names.push(name);
                    // Readings of a path that differ in the rule are charged by each.
                    if !found.contains(&number) {
                        found.push(number);
                    }
                }
            }
        });
        found.iter().map(|number| &rule(*number).limit).collect()
    }
}

impl PathRule {
    fn takes(&self, method: &Method) -> bool {
        self.method
            .as_ref()
            .is_none_or(|own| own == method || (*own == Method::GET && *method == Method::HEAD))
    }
}

impl Limit {
    /// The same for callers of one tier.
    fn of_tier(&self, tier: &str) -> Limit {
        Limit {
            policy: self.policy(Some(tier)),
            by_tier: BTreeMap::new(),
            ..self.clone()
        }
    }
}

/// Puts a rule in the place of the limit of its name, which keeps its key, its counters, its cost and its
/// mode, or beside the others.
fn work_in(
    limits: &mut Vec<Limit>,
    rule: &LimitRule,
    name: &str,
    route: &RouteLimits,
    policies: &mut Policies<'_>,
) {
    let text = of_route(name, &rule.name);
    let old = limits.iter_mut().find(|limit| limit.name == rule.name);
    let cost = old.as_ref().map_or(NonZeroU32::MIN, |old| old.cost);
    let is_shadow = route.is_shadow || old.as_ref().is_some_and(|old| old.is_shadow);
    let new = limit(rule, &text, cost, is_shadow, policies);
    match old {
        Some(old) => {
            *old = Limit {
                key: old.key.clone(),
                ..new
            }
        }
        None => limits.push(new),
    }
}

fn limit(
    rule: &LimitRule,
    text: &str,
    cost: NonZeroU32,
    is_shadow: bool,
    policies: &mut Policies<'_>,
) -> Limit {
    Limit {
        name: rule.name.clone(),
        key: LimitKey::User,
        policy: policies.add(text, &rule.name, Some(rule.rate), cost),
        by_tier: BTreeMap::new(),
        cost,
        is_shadow,
    }
}
