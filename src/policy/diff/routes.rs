//! Each route as it was and as it is; those that are new, and those that are gone.

use super::pairs::Pairs;
use super::sides::{self, Side};
use super::{Change, Kind, Part, ROUTE};
use crate::config::Config;
use crate::config::checked::Route;
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
    let removed = old.routes.iter().enumerate();
    let removed = removed.filter(|(was, _)| pairs.became(*was).is_none());
    changes.extend(removed.map(|(_, route)| whole(Kind::Removed, route)));
    changes
}
