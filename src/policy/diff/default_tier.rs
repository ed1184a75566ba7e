//! What accounts are given that nobody gave a tier, compared.

use std::num::NonZeroU32;

use super::limits::{Order, order};
use super::{Change, Kind, Part};
use crate::config::Config;
use crate::config::checked::{Limit, Rate, Rule, UserField};

const KEY: &str = "auth.default_tier";

pub fn changes(old: &Config, new: &Config) -> Option<Change> {
    let (was, is) = (&old.auth.default_tier, &new.auth.default_tier);
    if was == is {
        return None;
    }
    let kind = match gives_no_more((old, was), (new, is)) {
        true => Kind::Tightened,
        false => Kind::Loosened,
    };
    Some(Change::new(kind, KEY, Part::Key, format!("{was} → {is}")))
}

/// The second tier gives nothing that the first does not: by rank, by rate, or by name on a route.
fn gives_no_more((old, was): (&Config, &str), (new, is): (&Config, &str)) -> bool {
    let (Some(before), Some(after)) = (old.tiers.get(was), new.tiers.get(is)) else {
        return false;
    };
    let is_looser = |was: Option<Rate>, is: Option<Rate>| {
        let one = NonZeroU32::MIN;
        order((was, one), (is, one)) == Order::Looser
    };
    let admits_more = |rule: &Rule| {
        let has = |tier: &str| rule.tiers.iter().any(|known| known == tier);
        has(is) && !has(was) || rule.names_claim(UserField::Tier.claim())
    };
    let grants_more = |limit: &Limit| {
        let of = |tier: &str| *limit.tiers.get(tier).unwrap_or(&limit.rate);
        is_looser(of(was), of(is))
    };
    let mut routes = new.routes.iter();
    after.rank <= before.rank
        && !is_looser(before.rate, after.rate)
        && routes.all(|route| {
            let mut limits = route.limits.iter().flatten();
            !route.allow.iter().any(admits_more) && !limits.any(grants_more)
        })
}
