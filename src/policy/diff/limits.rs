//! What two routes let callers use up, compared for each kind of caller. Which routes share a budget takes no
//! part, and neither do rules of the store and the rates of its tiers.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use super::rules;
use super::settings::{rate_of, rate_of_others};
use super::sides::Side;
use super::{Change, Kind, Part};
use crate::config::checked::{AuthMode, Concurrency, Limit, LimitKey, Mode, Rate, Route};
use crate::config::text::rate_text;

/// Whom a quota is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class<'a> {
    Tier(&'a str),
    /// A tier that the store alone knows.
    OfStore,
    Stranger,
}

/// A limit as one kind of caller meets it.
#[derive(Debug, Clone)]
struct Held {
    key: LimitKey,
    rate: Rate,
    cost: NonZeroU32,
}

/// What the second lets callers use up otherwise than the first.
pub fn compare(about: &str, old: Side<'_>, new: Side<'_>) -> Vec<Change> {
    let is_the_tiers = |side: Side<'_>| side.route.limits.is_none() && !side.route.shadow.limits;
    let knows_callers = |side: Side<'_>| side.route.auth != AuthMode::None;
    if !knows_callers(old) && knows_callers(new) {
        return known_now(about, old, new);
    }
    if is_the_tiers(old) && is_the_tiers(new) {
        // That is the tier's quota, which is compared once for all routes.
        return Vec::new();
    }
    let mut classes = Vec::new();
    if knows_callers(old) || knows_callers(new) {
        let tiers: BTreeSet<&String> = old
            .config
            .tiers
            .keys()
            .chain(new.config.tiers.keys())
            .collect();
        classes.extend(tiers.into_iter().map(|tier| Class::Tier(tier)));
        classes.push(Class::OfStore);
    }
    let asks = |side: Side<'_>| rules::auth(side.route) == AuthMode::Required;
    if !asks(old) && !asks(new) {
        classes.push(Class::Stranger);
    }
    compare_among(&classes, about, old, new)
}

fn compare_among(classes: &[Class<'_>], about: &str, old: Side<'_>, new: Side<'_>) -> Vec<Change> {
    compare_with(|class| held(old, class), classes, about, old, new)
}

/// Compares what each of these met before with what it meets now.
fn compare_with<'a>(
    before: impl Fn(Class<'_>) -> BTreeMap<&'a str, Held>,
    classes: &[Class<'_>],
    about: &str,
    old: Side<'a>,
    new: Side<'_>,
) -> Vec<Change> {
    let is_named = |class: &&Class<'_>| **class != Class::OfStore;
    let named = classes.iter().filter(is_named).count();
    let mut told: BTreeMap<(Kind, String), Vec<Class<'_>>> = BTreeMap::new();
    for class in classes {
        let none = |side| move |name: &str| none_text(side, name);
        let (was, is) = (before(*class), held(new, *class));
        for change in compare_for((&was, &none(old)), (&is, &none(new))) {
            told.entry(change).or_default().push(*class);
        }
    }
    let changes = told.into_iter().map(|((kind, what), whose)| {
        let names = whose.iter().filter_map(|class| match class {
            Class::Tier(name) => Some(*name),
            Class::Stranger => Some("anonymous callers"),
            Class::OfStore => None,
        });
        let names: Vec<_> = names.collect();
        let what = match names.len() {
            0 => format!("{what} for tiers of the store"),
            all if all == named => what,
            _ => format!("{what} for {}", names.join(", ")),
        };
        Change::new(kind, about, Part::Limits, what)
    });
    changes.collect()
}

/// Where the first knows nobody, whoever the second knows met the limits for anybody until now. What a tier has is meant
/// to be more than that.
fn known_now(about: &str, old: Side<'_>, new: Side<'_>) -> Vec<Change> {
    let mut changes = match rules::auth(new.route) {
        AuthMode::Required => Vec::new(),
        _ => compare_among(&[Class::Stranger], about, old, new),
    };
    let tiers = new.config.tiers.keys().map(|tier| Class::Tier(tier));
    let known: Vec<_> = tiers.chain([Class::OfStore]).collect();
    let before = held(old, Class::Stranger);
    let (by_caller, by_place): (BTreeMap<_, _>, BTreeMap<_, _>) = before
        .into_iter()
        .partition(|(name, _)| counts_callers(old.route, name));
    let all = compare_with(|_| by_place.clone(), &known, about, old, new);
    changes.extend(
        all.into_iter()
            .filter(|change| change.kind == Kind::Loosened),
    );
    let may_do_more = |class: &Class<'_>| {
        let now = held(new, *class);
        !by_caller.values().all(|was| is_held_by(&now, was))
    };
    let mut caps = new.route.concurrency.iter();
    if known.iter().any(may_do_more) || caps.any(|cap| is_of_callers(&cap.key)) {
        let what = "callers are told apart, and have the limits of their tier, which may be more than those for anybody were";
        changes.push(Change::new(Kind::Changed, about, Part::Limits, what));
    }
    changes
}

/// Whether the limit of this name counts by who is calling where that is known: without limits of its own, a route has
/// those of tiers.
fn counts_callers(route: &Route, name: &str) -> bool {
    let mut own = route
        .limits
        .iter()
        .flatten()
        .filter(|limit| limit.name == name);
    route.limits.is_none() || own.any(|limit| is_of_callers(&limit.key))
}

fn is_of_callers(key: &LimitKey) -> bool {
    matches!(key, LimitKey::User | LimitKey::ApiKey | LimitKey::Claim(_))
}

/// What the second lets a caller have under way otherwise than the first.
pub fn compare_caps(about: &str, old: &Route, new: &Route) -> Option<Change> {
    let cap = |route: &Route| {
        let in_force = |_: &Concurrency| !route.shadow.limits;
        route.concurrency.clone().filter(in_force)
    };
    let (was, is) = (cap(old), cap(new));
    let kind = match (&was, &is) {
        _ if was == is => return None,
        (None, _) => Kind::Tightened,
        (Some(was), Some(is)) if was.key == is.key && is.max < was.max => Kind::Tightened,
        (Some(_), _) => Kind::Loosened,
    };
    let text = |route: &Route, cap: Option<Concurrency>| match cap {
        Some(cap) => format!("{} at once by {}", cap.max, cap.key),
        None if route.concurrency.is_some() => "in shadow".to_owned(),
        None => "unlimited".to_owned(),
    };
    let what = format!("concurrency {} → {}", text(old, was), text(new, is));
    Some(Change::new(kind, about, Part::Limits, what))
}

/// What is held, and the words for what is not.
type Sided<'a> = (
    &'a BTreeMap<&'a str, Held>,
    &'a dyn Fn(&str) -> &'static str,
);

/// Whether one of these is at least as tight.
fn is_held_by(limits: &BTreeMap<&str, Held>, limit: &Held) -> bool {
    let holds = |other: &Held| other.key == limit.key && order_of(limit, other) != Order::Looser;
    limits.values().any(holds)
}

fn compare_for((old, none_old): Sided<'_>, (new, none_new): Sided<'_>) -> BTreeSet<(Kind, String)> {
    let mut changes = BTreeSet::new();
    let names: BTreeSet<&&str> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (was, is) = (old.get(*name), new.get(*name));
        let is_looser = was.is_some_and(|was| !is_held_by(new, was));
        let is_tighter = is.is_some_and(|is| !is_held_by(old, is));
        let kind = match (is_looser, is_tighter) {
            (true, _) => Kind::Loosened,
            (false, true) => Kind::Tightened,
            (false, false) => continue,
        };
        let what = match (was, is) {
            (Some(was), Some(is)) if was.key != is.key => {
                format!(
                    "the limit {name} counts by {} and no longer by {}",
                    is.key, was.key
                )
            }
            (was, is) => {
                let told = |limit: Option<&Held>, none: &'static str| {
                    limit.map_or_else(|| none.to_owned(), text)
                };
                let (was, is) = (told(was, none_old(name)), told(is, none_new(name)));
                format!("the limit {name} {was} → {is}")
            }
        };
        changes.insert((kind, what));
    }
    changes
}

/// The limits of a route that hold such a caller back, by name. Those in shadow do not.
fn held<'a>(side: Side<'a>, class: Class<'_>) -> BTreeMap<&'a str, Held> {
    let config = side.config;
    if side.route.shadow.limits {
        return BTreeMap::new();
    }
    let Some(own) = &side.route.limits else {
        let (name, key, rate) = match class {
            Class::Tier(tier) => ("tier", LimitKey::User, rate_of(config, tier)),
            Class::OfStore => ("tier", LimitKey::User, rate_of_others(config)),
            Class::Stranger => ("anonymous", LimitKey::Ip, config.anonymous),
        };
        let cost = NonZeroU32::MIN;
        let held = rate.map(|rate| (name, Held { key, rate, cost }));
        return held.into_iter().collect();
    };
    let held = |limit: &'a Limit| {
        // Taken apart whole, so that nothing is left out.
        let Limit {
            name,
            key,
            rate,
            tiers,
            cost,
            mode,
        } = limit;
        if *mode == Mode::Shadow {
            return None;
        }
        let rate = match class {
            Class::Tier(tier) => *tiers.get(tier).unwrap_or(rate),
            Class::OfStore | Class::Stranger => *rate,
        };
        let key = match (key, class) {
            (key, Class::Stranger) if is_of_callers(key) => LimitKey::Ip,
            (key, _) => key.clone(),
        };
        let (rate, cost) = (rate?, *cost);
        Some((name.as_str(), Held { key, rate, cost }))
    };
    own.iter().filter_map(held).collect()
}

/// What is said where a limit holds nobody back.
fn none_text(side: Side<'_>, name: &str) -> &'static str {
    let is_in_shadow = |limit: &Limit| limit.name == name && limit.mode == Mode::Shadow;
    let own = side.route.limits.as_deref().unwrap_or_default();
    match side.route.shadow.limits || own.iter().any(is_in_shadow) {
        true => "in shadow",
        false => "unlimited",
    }
}

fn text(limit: &Held) -> String {
    match limit.cost.get() {
        1 => rate_text(Some(limit.rate)),
        cost => format!("{} at {cost} a request", rate_text(Some(limit.rate))),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    Same,
    Tighter,
    Looser,
}

fn order_of(was: &Held, is: &Held) -> Order {
    order((Some(was.rate), was.cost), (Some(is.rate), is.cost))
}

/// How the second quota is to the first. More of anything is looser, whatever there is less of.
pub fn order(was: (Option<Rate>, NonZeroU32), is: (Option<Rate>, NonZeroU32)) -> Order {
    let ((Some(was), was_cost), (Some(is), is_cost)) = (was, is) else {
        return match (was.0, is.0) {
            (None, None) => Order::Same,
            (None, Some(_)) => Order::Tighter,
            (Some(_), _) => Order::Looser,
        };
    };
    // Requests in a time as fractions that are multiplied out, and requests at once.
    let pace = |a: &Rate, b: &Rate, b_cost: NonZeroU32| {
        u128::from(a.count.get()) * b.period.as_nanos() * u128::from(b_cost.get())
    };
    let at_once = |rate: &Rate, cost: NonZeroU32| rate.burst.get() / cost.get();
    let (pace_was, pace_is) = (pace(&was, &is, is_cost), pace(&is, &was, was_cost));
    let (burst_was, burst_is) = (at_once(&was, was_cost), at_once(&is, is_cost));
    if pace_is > pace_was || burst_is > burst_was {
        Order::Looser
    } else if pace_is == pace_was && burst_is == burst_was {
        Order::Same
    } else {
        Order::Tighter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn rate(count: u32, seconds: u64, burst: u32) -> Option<Rate> {
        let count_of = |n| NonZeroU32::new(n).unwrap();
        Some(Rate {
            count: count_of(count),
            period: Duration::from_secs(seconds),
            burst: count_of(burst),
        })
    }

    #[test]
    fn quotas_are_compared_by_pace_burst_and_cost() {
        let cost = |n| NonZeroU32::new(n).unwrap();
        for (was, is, expected) in [
            ((rate(60, 60, 5), 1), (rate(1, 1, 5), 1), Order::Same),
            ((rate(60, 60, 5), 1), (rate(61, 60, 5), 1), Order::Looser),
            ((rate(60, 60, 5), 1), (rate(59, 60, 5), 1), Order::Tighter),
            ((rate(60, 60, 5), 1), (rate(30, 60, 6), 1), Order::Looser),
            ((rate(60, 60, 5), 1), (None, 1), Order::Looser),
            ((None, 1), (rate(60, 60, 5), 1), Order::Tighter),
            ((None, 1), (None, 7), Order::Same),
            ((rate(60, 60, 10), 1), (rate(120, 60, 20), 2), Order::Same),
            ((rate(60, 60, 10), 5), (rate(60, 60, 10), 1), Order::Looser),
            ((rate(60, 60, 10), 1), (rate(60, 60, 10), 5), Order::Tighter),
        ] {
            let order = order((was.0, cost(was.1)), (is.0, cost(is.1)));
            assert_eq!(order, expected, "{was:?} {is:?}");
        }
    }
}
