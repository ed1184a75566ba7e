//! Keys of the file by the way to them, each with what it means for policy when its value changes. One that
//! is not known here counts as loosened.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Change, Kind, Part};
use crate::config::parse_duration;
use crate::config::text;

/// What it means for policy that a value is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing that is told here, or told elsewhere.
    Nothing,
    /// Neither looser nor tighter.
    Other,
    /// Looser, whichever way it goes: nothing shows that it is not.
    Unknown,
    /// A number, a duration or a rate of which more is looser.
    More,
    /// A number or a duration of which less is looser.
    Less,
    /// A list of which each member admits something, and `*` everything.
    Members,
    /// The same, where no list at all admits everything too.
    Narrowing,
    /// Words from the tightest to the loosest.
    Words(&'static [&'static str]),
}

/// Of what pages of other origins may do, on a route and on all.
pub const CORS: [(&str, Meaning); 6] = [
    ("cors.origins", Meaning::Members),
    ("cors.methods", Meaning::Narrowing),
    ("cors.headers", Meaning::Members),
    ("cors.expose", Meaning::Members),
    (
        "cors.credentials",
        Meaning::Words(&["nothing", "false", "true"]),
    ),
    ("cors.max_age", Meaning::Other),
];

/// What changes between two mappings. `meanings` are looked up by the way to a key, or to one above it.
pub fn compare(
    about: impl Fn(&str) -> String,
    old: &Value,
    new: &Value,
    meanings: &[(&str, Meaning)],
) -> Vec<Change> {
    let (before, after) = (leaves(old), leaves(new));
    let ways: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = ways.into_iter().filter_map(|way| {
        let (was, is) = (before.get(way), after.get(way));
        if was == is {
            return None;
        }
        let kind = match kind(meaning(way, meanings), was.copied(), is.copied())? {
            Ordering::Greater => Kind::Loosened,
            Ordering::Less => Kind::Tightened,
            Ordering::Equal => Kind::Changed,
        };
        let what = format!("{} → {}", shown(was.copied()), shown(is.copied()));
        Some((way.clone(), kind, what))
    });
    changed
        .map(|(way, kind, what)| match about(&way) {
            about if about == way => Change::new(kind, &about, Part::Key, what),
            about => Change::new(kind, &about, Part::Key, format!("{way} {what}")),
        })
        .collect()
}

/// Of a key whose value is another one in nothing that is shown of it: secrets are not.
pub fn unshown(
    about: &str,
    way: &str,
    is_other: bool,
    (old, new): (&Value, &Value),
) -> Option<Change> {
    let at = |value| -> Option<&Value> {
        let mut keys = way.split('.');
        keys.try_fold(value, |value: &Value, key| value.get(key))
    };
    let what = match about == way {
        true => "a value that is not shown is another one".to_owned(),
        false => format!("{way} has another value that is not shown"),
    };
    let change = || Change::new(Kind::Loosened, about, Part::Key, what);
    (is_other && at(old) == at(new)).then(change)
}

/// The most exact that is known.
pub fn meaning(way: &str, meanings: &[(&str, Meaning)]) -> Option<Meaning> {
    let is_above = |known: &str| {
        let rest = way.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let known = meanings.iter().filter(|(known, _)| is_above(known));
    let longest = known.max_by_key(|(known, _)| known.len());
    longest.map(|(_, meaning)| *meaning)
}

/// How the new value is to the old one: more is looser. `None` when nothing is to be told.
fn kind(meaning: Option<Meaning>, was: Option<&Value>, is: Option<&Value>) -> Option<Ordering> {
    // How the one is to the other where more of anything counts first, whatever there is less of.
    let by_amount = |was: Option<&Value>, is: Option<&Value>| {
        let (was, is) = (amounts(was?)?, amounts(is?)?);
        let has_more = |a: [f64; 2], b: [f64; 2]| a.iter().zip(b).any(|(a, b)| *a > b);
        Some(match (has_more(is, was), has_more(was, is)) {
            (true, _) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => Ordering::Equal,
        })
    };
    let unknown = Some(Ordering::Greater);
    match meaning {
        None | Some(Meaning::Unknown) => unknown,
        Some(Meaning::Nothing) => None,
        Some(Meaning::Other) => Some(Ordering::Equal),
        Some(Meaning::More) => by_amount(was, is).or(unknown),
        // More than the new one is what the old one was.
        Some(Meaning::Less) => by_amount(is, was).or(unknown),
        Some(list @ (Meaning::Members | Meaning::Narrowing)) => {
            let (was, is) = (members(list, was), members(list, is));
            let is_within = |few: &BTreeSet<String>, many: &BTreeSet<String>| {
                many.contains("*") || few.is_subset(many)
            };
            Some(match (is_within(&is, &was), is_within(&was, &is)) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Less,
                _ => Ordering::Greater,
            })
        }
        Some(Meaning::Words(words)) => {
            let place = |value: Option<&Value>| {
                let text = shown(value);
                words.iter().position(|word| *word == text)
            };
            match (place(was), place(is)) {
                (Some(was), Some(is)) => Some(is.cmp(&was)),
                _ => unknown,
            }
        }
    }
}

fn members(meaning: Meaning, list: Option<&Value>) -> BTreeSet<String> {
    if matches!(meaning, Meaning::Narrowing) && list.is_none_or(Value::is_null) {
        return BTreeSet::from(["*".to_owned()]);
    }
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.map(|item| shown(Some(item))).collect()
}

/// What there is in a second, and at once, which only rates tell apart. `never` and `unlimited` are more than
/// anything.
fn amounts(value: &Value) -> Option<[f64; 2]> {
    let amount = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(word) if matches!(word.as_str(), "never" | "unlimited") => f64::INFINITY,
        Value::String(value) => match text::pace(value) {
            Ok(Some((count, seconds))) => {
                let pace = f64::from(count) / u32::try_from(seconds).map_or(f64::MAX, f64::from);
                return Some([pace, f64::from(count)]);
            }
            _ => parse_duration(value).ok()?.as_secs_f64(),
        },
        _ => return None,
    };
    Some([amount, amount])
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            let items: Vec<_> = items.iter().map(|item| shown(Some(item))).collect();
            format!("[{}]", items.join(", "))
        }
        Some(other) => other.to_string(),
    }
}

/// Whatever is no mapping, by the way to it: `auth.cookie.secure`.
fn leaves(value: &Value) -> BTreeMap<String, &Value> {
    let mut leaves = BTreeMap::new();
    let mut waiting = vec![(String::new(), value)];
    while let Some((way, value)) = waiting.pop() {
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                waiting.extend(entries.iter().map(|(key, value)| match way.is_empty() {
                    true => (key.clone(), value),
                    false => (format!("{way}.{key}"), value),
                }));
            }
            Value::Object(_) => {}
            value => {
                leaves.insert(way, value);
            }
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MEANINGS: &[(&str, Meaning)] = &[
        ("a", Meaning::Other),
        ("a.ttl", Meaning::More),
        ("a.reuse", Meaning::Less),
        ("a.rate", Meaning::More),
        ("a.list", Meaning::Members),
        ("a.only", Meaning::Narrowing),
        ("a.secure", Meaning::Words(&["true", "false"])),
        ("a.log", Meaning::Nothing),
    ];

    #[track_caller]
    fn assert_kind(old: Value, new: Value, expected: Option<Kind>) {
        let changes = compare(
            str::to_owned,
            &json!({ "a": old }),
            &json!({ "a": new }),
            MEANINGS,
        );
        assert_eq!(
            changes.first().map(|change| change.kind),
            expected,
            "{changes:?}"
        );
    }

    #[test]
    fn values_are_compared_by_what_they_mean() {
        let (looser, tighter, other) = (Kind::Loosened, Kind::Tightened, Kind::Changed);
        for (key, old, new, expected) in [
            ("ttl", json!("30m"), json!("1h"), looser),
            ("ttl", json!("1h"), json!("90s"), tighter),
            ("reuse", json!("never"), json!("90d"), looser),
            ("reuse", json!("90d"), json!("never"), tighter),
            ("rate", json!("30/min"), json!("1/s"), looser),
            ("rate", json!("unlimited"), json!("1/s"), tighter),
            // As many in a minute, and more of them at once.
            ("rate", json!("1/s"), json!("60/min"), looser),
            ("rate", json!("60/min"), json!("1/s"), tighter),
            // Fewer in a minute, and more of them at once.
            ("rate", json!("2/s"), json!("60/min"), looser),
            ("list", json!(["x"]), json!(["x", "y"]), looser),
            ("list", json!(["x", "y"]), json!(["y"]), tighter),
            ("list", json!(["x", "y"]), json!(["y", "x"]), other),
            ("list", json!(["x", "y"]), json!(["*"]), looser),
            ("list", json!(["*"]), json!(["x", "y"]), tighter),
            ("secure", json!(true), json!(false), looser),
            ("secure", json!(false), json!(true), tighter),
            ("name", json!("x"), json!("y"), other),
        ] {
            assert_kind(json!({ key: old }), json!({ key: new }), Some(expected));
        }
        let (none, one, two) = (
            json!({}),
            json!({ "only": ["x"] }),
            json!({ "only": ["x", "y"] }),
        );
        assert_kind(one.clone(), none.clone(), Some(looser));
        assert_kind(none, one.clone(), Some(tighter));
        assert_kind(one, two, Some(looser));
        assert_kind(json!({ "log": 1 }), json!({ "log": 2 }), None);
        assert_kind(json!({ "ttl": 1 }), json!({ "ttl": 1 }), None);
        assert_kind(json!({}), json!({ "ttl": 1 }), Some(looser));
    }

    #[test]
    fn a_key_that_is_not_known_counts_as_loosened() {
        let changes = compare(
            str::to_owned,
            &json!({}),
            &json!({ "b": { "c": 1 } }),
            MEANINGS,
        );
        assert_eq!(
            changes[0],
            Change::new(Kind::Loosened, "b.c", Part::Key, "nothing → 1")
        );
    }
}
