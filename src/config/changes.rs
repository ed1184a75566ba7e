//! What one configuration does otherwise than another, by the names that the file has for it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checked::Config;
use super::shown::shown;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub what: Subject,
    /// Of a setting its key, with dots.
    pub name: String,
    pub change: Kind,
    /// What of it has changed; empty for what is new, gone, or a setting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    Route,
    Upstream,
    Tier,
    Setting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Added,
    Removed,
    Changed,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Subject::Route => "route",
            Subject::Upstream => "upstream",
            Subject::Tier => "tier",
            Subject::Setting => "setting",
        };
        let change = match self.change {
            Kind::Added => "added",
            Kind::Removed => "removed",
            Kind::Changed => "changed",
        };
        write!(f, "{what} `{}` {change}", self.name)?;
        match self.keys.as_slice() {
            [] => Ok(()),
            keys => write!(f, ": {}", keys.join(", ")),
        }
    }
}

/// Everything that differs: routes first, in the order of the newer file. The text of a secret counts
/// as the same as any other.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let (mut old, mut new) = (shown(old), shown(new));
    let (old_routes, new_routes) = (routes(&mut old), routes(&mut new));
    let mut found = of_names(Subject::Route, &old_routes, &new_routes);
    if order(&old_routes, &new_routes) != order(&new_routes, &old_routes) {
        found.push(setting("routes", &["order"]));
    }
    for (what, key) in [(Subject::Upstream, "upstreams"), (Subject::Tier, "tiers")] {
        let (old, new) = (taken(&mut old, key), taken(&mut new, key));
        found.extend(of_names(what, &listed(old), &listed(new)));
    }
    let mut keys = Vec::new();
    differing("", &old, &new, &mut keys);
    found.extend(keys.iter().map(|key| setting(key, &[])));
    found
}

type Listed = Vec<(String, Value)>;

fn taken(config: &mut Value, key: &str) -> Value {
    config.get_mut(key).map_or(Value::Null, Value::take)
}

fn routes(config: &mut Value) -> Listed {
    let Value::Array(routes) = taken(config, "routes") else {
        return Vec::new();
    };
    let routes = routes.into_iter();
    let named = routes.map(|mut route| (taken(&mut route, "name"), route));
    named
        .map(|(name, route)| (name.as_str().unwrap_or_default().to_owned(), route))
        .collect()
}

fn listed(named: Value) -> Listed {
    match named {
        Value::Object(entries) => entries.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The names of `of` that are in `other`, too, in their order.
fn order<'a>(of: &'a Listed, other: &Listed) -> Vec<&'a str> {
    let known: BTreeSet<&str> = other.iter().map(|(name, _)| name.as_str()).collect();
    let names = of.iter().map(|(name, _)| name.as_str());
    names.filter(|name| known.contains(name)).collect()
}

fn setting(key: &str, keys: &[&str]) -> Change {
    Change {
        what: Subject::Setting,
        name: key.to_owned(),
        change: Kind::Changed,
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    }
}

fn of_names(what: Subject, old: &Listed, new: &Listed) -> Vec<Change> {
    let before: std::collections::HashMap<&str, &Value> = old
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let after: BTreeSet<&str> = new.iter().map(|(name, _)| name.as_str()).collect();
    let change = |name: &str, change, keys| Change {
        what,
        name: name.to_owned(),
        change,
        keys,
    };
    let here = new.iter().filter_map(|(name, value)| {
        let Some(before) = before.get(name.as_str()) else {
            return Some(change(name, Kind::Added, Vec::new()));
        };
        let keys = differing_keys(before, value);
        (!keys.is_empty()).then(|| change(name, Kind::Changed, keys))
    });
    let gone = old
        .iter()
        .filter(|(name, _)| !after.contains(name.as_str()));
    here.chain(gone.map(|(name, _)| change(name, Kind::Removed, Vec::new())))
        .collect()
}

/// The keys of two mappings under which they differ.
fn differing_keys(old: &Value, new: &Value) -> Vec<String> {
    let empty = Map::new();
    let (old, new) = (
        old.as_object().unwrap_or(&empty),
        new.as_object().unwrap_or(&empty),
    );
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = keys
        .into_iter()
        .filter(|key| old.get(*key) != new.get(*key));
    differ.cloned().collect()
}

/// The same through mappings inside mappings, with dots between.
fn differing(under: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    for key in differing_keys(old, new) {
        let name = match under {
            "" => key.clone(),
            under => format!("{under}.{key}"),
        };
        match (old.get(&key), new.get(&key)) {
            (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) => {
                differing(&name, old, new, found);
            }
            _ => found.push(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        let env = |_: &str| None;
        let loaded = super::super::parse(text, Path::new("gateway.yaml"), &env);
        loaded.unwrap_or_else(|report| panic!("{report}")).config
    }

    fn told(old: &str, new: &str) -> Vec<String> {
        let changes = changes(&config(old), &config(new));
        changes.iter().map(ToString::to_string).collect()
    }

    const OLD: &str = "\
version: 1
tiers: { free: { rank: 0, rate: 10/min }, pro: { rank: 1 } }
upstreams: { app: { targets: http://127.0.0.1:8000 }, old: { targets: http://127.0.0.1:8001 } }
routes:
  - { name: one, path: /one, auth: required, allow: [{ superuser: true }], upstream: app }
  - { name: two, path: /two, auth: required, upstream: old }
  - { name: three, path: /three, auth: required, upstream: app }
";

    #[test]
    fn the_same_file_differs_in_nothing() {
        assert!(told(OLD, OLD).is_empty());
        assert!(told(OLD, &format!("# said\n{OLD}")).is_empty());
    }

    #[test]
    fn what_differs_is_told_by_name_and_key() {
        let new = "\
version: 1
trusted_proxies: [10.0.0.0/8]
shutdown: { grace: 5s }
tiers: { free: { rank: 0, rate: 20/min }, pro: { rank: 1 }, gold: { rank: 2 } }
upstreams: { app: { targets: http://127.0.0.1:8000, connect_timeout: 1s } }
routes:
  - { name: three, path: /three, auth: required, upstream: app }
  - { name: one, path: /one, auth: none, limits: [], upstream: app }
  - { name: four, path: /four, auth: required, upstream: app }
";
        assert_eq!(
            told(OLD, new),
            [
                "route `one` changed: allow, auth, limits",
                "route `four` added",
                "route `two` removed",
                "setting `routes` changed: order",
                "upstream `app` changed: connect_timeout",
                "upstream `old` removed",
                "tier `free` changed: burst, rate",
                "tier `gold` added",
                "setting `shutdown.grace` changed",
                "setting `trusted_proxies` changed",
            ]
        );
    }

    #[test]
    fn a_route_whose_upstream_has_moved_in_the_file_is_the_same() {
        let new = OLD.replace(
            "{ app: { targets: http://127.0.0.1:8000 }, old: { targets: http://127.0.0.1:8001 } }",
            "{ old: { targets: http://127.0.0.1:8001 }, app: { targets: http://127.0.0.1:8000 } }",
        );
        assert_ne!(new, OLD);
        assert!(told(OLD, &new).is_empty());
    }
}
