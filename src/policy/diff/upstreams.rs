//! What stands behind the gateway, compared by name. Which route goes where is told of the route.

use std::collections::BTreeSet;

use serde_json::Value;

use super::keys::{self, Meaning};
use super::{Change, Kind, Part};

pub const MEANINGS: &[(&str, Meaning)] = &[
    ("targets", Meaning::Unknown),
    ("connect_timeout", Meaning::Other),
    ("response_timeout", Meaning::Other),
    ("idle_timeout", Meaning::Other),
];

/// Of two files as they are shown.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let named = |file: &Value, name: &String| file.get("upstreams")?.get(name).cloned();
    let names = |file: &Value| -> BTreeSet<String> {
        let named = file.get("upstreams").and_then(Value::as_object);
        named
            .into_iter()
            .flat_map(|all| all.keys().cloned())
            .collect()
    };
    let mut changes = Vec::new();
    for name in &names(old) | &names(new) {
        let about = format!("upstream {name}");
        match (named(old, &name), named(new, &name)) {
            (Some(was), Some(is)) => {
                let of_one = keys::compare(|_| about.clone(), &was, &is, MEANINGS);
                changes.extend(of_one);
            }
            // No route that was there goes there, or it says so.
            (was, _) => {
                let what = match was {
                    Some(_) => "is gone",
                    None => "is new",
                };
                changes.push(Change::new(Kind::Changed, &about, Part::Key, what));
            }
        }
    }
    changes
}
