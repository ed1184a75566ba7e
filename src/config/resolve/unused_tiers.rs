//! Tiers that make no difference.

use std::collections::{BTreeMap, HashSet};

use super::super::cel::Expression;
use super::super::checked::{AuthMode, Limit, Route, Rule, Tier};
use super::super::decode::{Field, Named};
use super::super::diagnose::{Findings, shown};
use super::super::raw::RawTier;

/// Warns of tiers whose callers are treated like those of any other: no limit and no rule names them, and
/// no route goes by what tiers are given.
pub fn warn(
    raw: &Field<Named<RawTier>>,
    tiers: &BTreeMap<String, Tier>,
    default: &str,
    routes: &[Route],
    findings: &mut Findings,
) {
    // A route that is wrong may have meant any of them.
    let (Some(raw), false) = (raw.get(), findings.has_errors()) else {
        return;
    };
    let rules = || routes.iter().flat_map(|route| &route.allow);
    let goes_by_rank = rules().any(|rule| rule.min_rank.is_some());
    // To be unlimited is a difference, too, where another tier is not.
    let is_held_to_tier = |route: &Route| route.limits.is_none() && route.auth != AuthMode::None;
    let goes_by_rate =
        routes.iter().any(is_held_to_tier) && tiers.values().any(|tier| tier.rate.is_some());
    // What an expression makes of a tier only a request shows.
    let goes_by_name = rules().any(|rule: &Rule| {
        let mut variables = rule.cel.iter().flat_map(Expression::variables);
        variables.any(|variable| variable.claim() == Some("tier"))
    });
    if goes_by_rank || goes_by_rate || goes_by_name {
        return;
    }
    let of_rules = rules().flat_map(|rule: &Rule| &rule.tiers);
    let limits = routes
        .iter()
        .flat_map(|route| route.limits.iter().flatten());
    let of_limits = limits.flat_map(|limit: &Limit| limit.tiers.keys());
    let named: HashSet<&str> = of_rules.chain(of_limits).map(String::as_str).collect();
    for (name, _) in &raw.0 {
        let text = name.value.as_str();
        if text != default && !named.contains(text) {
            let message = format!("the tier {} makes no difference on any route", shown(text));
            findings
                .warn(name.span, message)
                .hint("name it in `limits` or `allow`, or remove it if no upstream goes by it");
        }
    }
}
