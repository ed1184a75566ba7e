//! Regular expressions, of which examples prove nothing: where a route by regex and another may take the same
//! requests, and one of the two has changed what it takes, the looser one counts as loosened.

use std::collections::BTreeSet;

use http::Method;

use super::moved::{End, Moved, Taken};
use super::pairs::Pairs;
use super::touched::Touched;
use super::{Change, Kind, Part, ROUTE, hosts, paths};
use crate::config::checked::{Pattern, Route};
use crate::config::text::{self, pattern_text};
use crate::policy::stages::Stages;
use crate::route::Table;

/// Pairs of routes that are compared because one may take requests of the other: some seconds' worth.
const MOST_COMPARED: usize = 50_000;

/// What has not been found to move, and may.
pub fn changes(
    old: &Stages,
    new: &Stages,
    pairs: &Pairs,
    touched: &Touched,
    moved: &Moved,
) -> Vec<Change> {
    changes_within(MOST_COMPARED, old, new, pairs, touched, moved)
}

pub(super) fn changes_within(
    most_compared: usize,
    old: &Stages,
    new: &Stages,
    pairs: &Pairs,
    touched: &Touched,
    moved: &Moved,
) -> Vec<Change> {
    // Whichever requests regexes take, all others go where they would go without regexes.
    let mut ends = moved.beside_regexes.clone();
    ends.extend(between_routes(old, new, pairs, touched));
    ends.extend(from_elsewhere(old, new, pairs));
    ends.retain(|(was, is)| !moved.has(*was, *is));
    let uncompared = ends.len().saturating_sub(most_compared);
    let taken = ends.into_iter().take(most_compared);
    let taken = taken.filter_map(|ends| {
        let taken = Taken::of(&old.config, &new.config, pairs, ends);
        let Taken { by, from, why, .. } = taken.filter(|taken| taken.kind.is_looser())?;
        Some((by, format!("may take requests that {from}{why}")))
    });
    let uncompared = (uncompared > 0).then(|| {
        let what = format!(
            "{uncompared} more pairs of routes, of which one may take requests of the other, were not compared"
        );
        Change::new(Kind::Loosened, "routes", Part::Match, what)
    });
    let changed = pairs.all().filter_map(|(was, is)| {
        let (before, after) = (old.config.routes.get(was)?, new.config.routes.get(is)?);
        if before.pattern == after.pattern || !(is_regex(before) || is_regex(after)) {
            return None;
        }
        let (before, text) = (pattern_text(&before.pattern), pattern_text(&after.pattern));
        let what = format!("{before} → {text} may take more than it took");
        Some((after.name.as_str(), what))
    });
    let change = |(route, what): (&str, String)| {
        let about = format!("{ROUTE}{route}");
        Change::new(Kind::Loosened, &about, Part::Match, what)
    };
    taken.chain(changed).map(change).chain(uncompared).collect()
}

/// The routes of which none is by regex, as if there were no others.
pub fn table_without(stages: &Stages) -> Table {
    let mut config = stages.config.clone();
    for route in config.routes.iter_mut().filter(|route| is_regex(route)) {
        // No request comes as far as a route with this.
        route.methods = vec![Method::TRACE];
    }
    Table::build(&config, &stages.endpoints)
}

pub fn is_regex(route: &Route) -> bool {
    matches!(route.pattern, Pattern::Regex(_))
}

/// What one route took and another may take now, where one of the two is by regex.
fn between_routes(
    old: &Stages,
    new: &Stages,
    pairs: &Pairs,
    touched: &Touched,
) -> BTreeSet<(End, End)> {
    let mut ends = BTreeSet::new();
    for (was, is) in touched.pairs() {
        let (before, after) = (&old.config.routes[was], &new.config.routes[is]);
        let is_one = pairs.became(was) == Some(is);
        if !is_one
            && (is_regex(before) || is_regex(after))
            && may_meet(before, after)
            && !are_in_order(old, new, pairs, (was, is))
            && !is_ahead(old, new, pairs, (was, is))
        {
            ends.insert((End::Route(was), End::Route(is)));
        }
    }
    ends
}

/// What no route took and one by regex may take now.
fn from_elsewhere(old: &Stages, new: &Stages, pairs: &Pairs) -> BTreeSet<(End, End)> {
    let is_everything_taken = old.config.routes.iter().any(|route| {
        let is_for_all = matches!(&route.pattern, Pattern::Prefix(literals) if literals.is_empty());
        is_for_all && route.methods.is_empty() && route.hosts.is_empty() && route.headers.is_empty()
    });
    let gone = old.endpoints.iter().filter(|e| !new.endpoints.contains(e));
    let gone: Vec<Pattern> = gone.filter_map(|path| text::path(path).ok()).collect();
    let mut ends = BTreeSet::new();
    let regexes = new.config.routes.iter().enumerate();
    for (is, after) in regexes.filter(|(_, route)| is_regex(route)) {
        let before = pairs.was(is).and_then(|was| old.config.routes.get(was));
        let takes_more = before.is_none_or(|before| !takes_no_more(before, after));
        if takes_more && !is_everything_taken {
            ends.insert((End::Nowhere, End::Route(is)));
        }
        if gone
            .iter()
            .any(|path| paths::may_meet(path, &after.pattern))
        {
            ends.insert((End::AuthApi, End::Route(is)));
        }
    }
    ends
}

/// Of the same paths the second takes no request that the first does not.
fn takes_no_more(old: &Route, new: &Route) -> bool {
    let within = |is_any_old: bool, is_any_new: bool| is_any_old || !is_any_new;
    within(old.methods.is_empty(), new.methods.is_empty())
        && new.methods.iter().all(|method| old.admits(method))
        && within(old.hosts.is_empty(), new.hosts.is_empty())
        && (old.hosts.is_empty() || new.hosts.iter().all(|host| old.hosts.contains(host)))
        && old
            .headers
            .iter()
            .all(|header| new.headers.contains(header))
}

fn may_meet(a: &Route, b: &Route) -> bool {
    let mut methods = a.methods.iter().chain(&b.methods);
    let have_method = (a.methods.is_empty() && b.methods.is_empty())
        || methods.any(|m| a.admits(m) && b.admits(m));
    have_method && paths::may_meet(&a.pattern, &b.pattern) && hosts::may_meet(&a.hosts, &b.hosts)
}

/// Both are there before and after, and one comes before the other as it did.
fn are_in_order(old: &Stages, new: &Stages, pairs: &Pairs, (was, is): (usize, usize)) -> bool {
    match (pairs.unmoved_of(is), pairs.unmoved(was)) {
        (Some(second), Some(first)) => {
            old.table.is_before(was, second) == new.table.is_before(first, is)
        }
        _ => false,
    }
}

/// One of the two is there before and after, and comes before the other where that is.
fn is_ahead(old: &Stages, new: &Stages, pairs: &Pairs, (was, is): (usize, usize)) -> bool {
    let is_first = |stages: &Stages, first: usize, second: usize| {
        let hosts = |route: usize| stages.config.routes.get(route).map(|route| &route.hosts);
        hosts(first) == hosts(second) && stages.table.is_before(first, second)
    };
    pairs
        .unmoved(was)
        .is_some_and(|first| is_first(new, first, is))
        || pairs
            .unmoved_of(is)
            .is_some_and(|first| is_first(old, first, was))
}
