//! Each route as it was and as it is; those that are new, and those that are gone.

use std::collections::BTreeSet;

use super::pairs::Pairs;
use super::sides::{self, Side};
use super::{Change, Kind, Part, ROUTE};
use crate::config::Config;
use crate::config::checked::Route;
use crate::config::field_names::{folded, is_of_message};
use crate::policy::wording;

pub fn changes(old: &Config, new: &Config, pairs: &Pairs) -> Vec<Change> {
    let mut changes = Vec::new();
    for (was, is) in pairs.all() {
        let (Some(before), Some(after)) = (Side::of(old, was), Side::of(new, is)) else {
            continue;
        };
        let name = &after.route.name;
        let about = format!("{ROUTE}{name}");
        if before.route.name != *name {
            let what = format!("was `{}`", before.route.name);
            changes.push(Change::new(Kind::Renamed, &about, Part::Key, what));
        }
        changes.extend(sides::compare(&about, before, after));
    }
    let whole = |kind, route: &Route| {
        let about = format!("{ROUTE}{}", route.name);
        Change::new(kind, &about, Part::Match, wording::route(route))
    };
    let added = new.routes.iter().enumerate();
    let added = added.filter(|(is, _)| pairs.was(*is).is_none());
    changes.extend(added.map(|(_, route)| whole(Kind::Added, route)));
    for (was, route) in old.routes.iter().enumerate() {
        if pairs.became(was).is_none() {
            changes.push(whole(Kind::Removed, route));
            changes.extend(freed(route, new));
        }
    }
    changes
}

/// Headers that a route set are the gateway's alone on every route; without it clients may send them.
fn freed(route: &Route, new: &Config) -> Option<Change> {
    let assertion = new.identity.assertion.iter().map(|told| &told.header);
    let told: Vec<_> = new
        .headers_told()
        .map(|line| &line.name)
        .chain(assertion)
        .collect();
    let lines = route.request_headers.lines().map(|line| &line.name);
    let freed = lines.filter(|name| !told.contains(name) && !is_of_message(&folded(name.as_str())));
    let names: BTreeSet<&str> = freed.map(|name| name.as_str()).collect();
    let what = format!(
        "clients may send {}, which it set",
        names.iter().copied().collect::<Vec<_>>().join(", ")
    );
    let about = format!("{ROUTE}{}", route.name);
    (!names.is_empty()).then(|| Change::new(Kind::Loosened, &about, Part::Key, what))
}
