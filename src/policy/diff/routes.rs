//! Each route as it was and as it is; those that are new, and those that are gone.

use serde_json::Value;

use super::keys::{self, Meaning};
use super::pairs::Pairs;
use super::rules::{self, Side};
use super::{Change, Kind, Part, ROUTE, addresses, limits};
use crate::config::shown_routes;
use crate::policy::stages::Stages;
use crate::policy::wording;

/// Of keys whose change is not told by comparing what they do.
const MEANINGS: &[(&str, Meaning)] = &[
    ("name", Meaning::Nothing),
    // Where requests go is told by asking both tables.
    ("path", Meaning::Other),
    ("prefix", Meaning::Other),
    ("regex", Meaning::Other),
    ("methods", Meaning::Other),
    ("hosts", Meaning::Other),
    ("headers", Meaning::Other),
    ("path_options", Meaning::Other),
    ("auth", Meaning::Nothing),
    ("allow", Meaning::Nothing),
    ("limits", Meaning::Nothing),
    ("shadow", Meaning::Nothing),
    ("concurrency", Meaning::Nothing),
    ("ip", Meaning::Nothing),
    ("upstream", Meaning::Other),
    ("timeout", Meaning::Other),
    ("max_body", Meaning::More),
    ("request_headers", Meaning::Other),
    ("response_headers", Meaning::Other),
    ("rewrite", Meaning::Other),
    ("security_headers", Meaning::Words(&["standard", "off"])),
];

pub fn changes(old: &Stages, new: &Stages, pairs: &Pairs) -> Vec<Change> {
    let mut changes = Vec::new();
    let meanings = [MEANINGS, &keys::CORS].concat();
    let (shown_old, shown_new) = (shown_routes(&old.config), shown_routes(&new.config));
    for (was, is) in pairs.all() {
        let (Some(before), Some(after)) = (Side::of(&old.config, was), Side::of(&new.config, is))
        else {
            continue;
        };
        let name = &after.route.name;
        let about = format!("{ROUTE}{name}");
        if before.route.name != *name {
            let what = format!("was `{}`", before.route.name);
            changes.push(Change::new(Kind::Renamed, &about, Part::Key, what));
        }
        changes.extend(rules::compare(&about, before, after));
        changes.extend(limits::compare(&about, before, after));
        changes.extend(limits::compare_caps(&about, before.route, after.route));
        let rules = (&before.route.ip, &after.route.ip);
        changes.extend(addresses::compare(&about, rules.0, rules.1));
        let (value_old, value_new) = (value_of(&shown_old, was), value_of(&shown_new, is));
        changes.extend(keys::compare(
            |_| about.clone(),
            value_old,
            value_new,
            &meanings,
        ));
    }
    for (is, route) in new.config.routes.iter().enumerate() {
        if pairs.was(is).is_none() {
            let about = format!("{ROUTE}{}", route.name);
            changes.push(Change::new(
                Kind::Added,
                &about,
                Part::Match,
                wording::route(route),
            ));
        }
    }
    for (was, route) in old.config.routes.iter().enumerate() {
        if pairs.became(was).is_none() {
            let about = format!("{ROUTE}{}", route.name);
            changes.push(Change::new(
                Kind::Removed,
                &about,
                Part::Match,
                wording::route(route),
            ));
        }
    }
    changes
}

fn value_of(shown: &Value, index: usize) -> &Value {
    shown.get(index).unwrap_or(&Value::Null)
}
