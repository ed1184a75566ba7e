//! Regular expressions, of which examples prove nothing: where a route by regex and another may take the same
//! requests, and one of the two has changed what it takes, the looser one counts as loosened.

use super::moved::{self, End};
use super::pairs::Pairs;
use super::rules::Side;
use super::{Change, Kind, Part, ROUTE, hosts, paths};
use crate::config::checked::{Pattern, Route};
use crate::config::text::pattern_text;
use crate::policy::stages::Stages;

/// `known` are ends that have been told of.
pub fn changes(old: &Stages, new: &Stages, pairs: &Pairs, known: &[(End, End)]) -> Vec<Change> {
    let mut changes = Vec::new();
    let is_regex = |route: &Route| matches!(route.pattern, Pattern::Regex(_));
    for (was, before) in old.config.routes.iter().enumerate() {
        for (is, after) in new.config.routes.iter().enumerate() {
            if !is_regex(before) && !is_regex(after) {
                continue;
            }
            let about = format!("{ROUTE}{}", after.name);
            if pairs.became(was) == Some(is) {
                if before.pattern != after.pattern {
                    let (before, after) =
                        (pattern_text(&before.pattern), pattern_text(&after.pattern));
                    let what = format!("{before} → {after} may take more than it took");
                    changes.push(Change::new(Kind::Loosened, &about, Part::Match, what));
                }
                continue;
            }
            let is_still = pairs.unmoved(was).is_some() && pairs.unmoved_of(is).is_some();
            let is_told = known.contains(&(End::Route(was), End::Route(is)));
            if is_still
                || is_told
                || !may_meet(before, after)
                || is_ahead(old, new, pairs, (was, is))
            {
                continue;
            }
            let (Some(side_was), Some(side_is)) =
                (Side::of(&old.config, was), Side::of(&new.config, is))
            else {
                continue;
            };
            let (kind, why) = moved::between(side_was, side_is);
            if kind.is_looser() {
                let what = format!("may take requests that `{}` took{why}", before.name);
                changes.push(Change::new(Kind::Loosened, &about, Part::Match, what));
            }
        }
    }
    changes
}

fn may_meet(a: &Route, b: &Route) -> bool {
    let mut methods = a.methods.iter().chain(&b.methods);
    let have_method = (a.methods.is_empty() && b.methods.is_empty())
        || methods.any(|m| a.admits(m) && b.admits(m));
    have_method
        && paths::may_meet(&a.pattern, &b.pattern)
        && !hosts::common(&a.hosts, &b.hosts).is_empty()
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
