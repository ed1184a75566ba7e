//! No key of the file goes without a meaning.

use serde_json::{Value, json};

use super::super::keys::{self, Meaning, meaning};
use super::super::{Kind, settings, sides, upstreams};
use crate::config;

/// The ways to what stands below a schema, without names that are the file's own.
fn ways(schema: &Value, way: &str, all: &mut Vec<String>) {
    let readings = schema["anyOf"].as_array();
    let is_leaf = match schema["properties"].as_object() {
        Some(properties) => {
            for (key, schema) in properties {
                let way = match way {
                    "" => key.clone(),
                    way => format!("{way}.{key}"),
                };
                ways(schema, &way, all);
            }
            false
        }
        None => readings.is_none(),
    };
    for reading in readings.into_iter().flatten() {
        ways(reading, way, all);
    }
    if is_leaf && !all.iter().any(|known| known == way) {
        all.push(way.to_owned());
    }
}

#[track_caller]
fn assert_told(schema: &Value, meanings: &[(&str, Meaning)]) {
    let mut all = Vec::new();
    ways(schema, "", &mut all);
    let is_key = |known: &str| {
        let below = format!("{known}.");
        all.iter()
            .any(|way| way == known || way.starts_with(&below))
    };
    for (known, _) in meanings {
        assert!(is_key(known), "{known} is no key of the file");
    }
    // What policy tests ask changes no policy.
    for way in all.iter().filter(|way| !way.starts_with("tests")) {
        // Where a value is read from is no other key.
        let way = way.strip_suffix("_file").unwrap_or(way);
        let is_of = |known: &str| way == known || way.starts_with(&format!("{known}."));
        // A value may be written in one word or in several.
        let is_value = |known: &str| all.iter().any(|way| way == known) && is_of(known);
        let is_itself = meanings.iter().any(|(known, _)| is_value(known));
        let above = meaning(way, meanings);
        assert!(
            is_itself || matches!(above, Some(Meaning::Nothing | Meaning::Unknown)),
            "{way} has no meaning of its own: {above:?}"
        );
    }
}

#[test]
fn every_key_of_the_file_has_a_meaning() {
    let schema = config::schema();
    let cors = &keys::CORS[..];
    assert_told(&schema, &[settings::MEANINGS, cors].concat());
    let of = |key: &str| schema["properties"][key].clone();
    assert_told(&of("routes")["items"], &[sides::MEANINGS, cors].concat());
    let upstream = &of("upstreams")["additionalProperties"];
    assert_told(upstream, upstreams::MEANINGS);
}

#[test]
fn a_key_that_signs_or_verifies_besides_is_looser() {
    let keys = |kids: &[&str]| {
        let keys = kids.iter();
        let keys: Vec<_> = keys
            .map(|kid| json!({ "kid": kid, "file": "x.pem" }))
            .collect();
        json!({ "auth": { "signing": { "keys": keys } } })
    };
    for (old, new, expected) in [
        (keys(&["a"]), keys(&["a", "b"]), Kind::Loosened),
        (keys(&["a"]), keys(&["b"]), Kind::Loosened),
        (keys(&["a", "b"]), keys(&["b"]), Kind::Tightened),
        (keys(&["a", "b"]), keys(&["b", "a"]), Kind::Changed),
    ] {
        let changes = keys::compare(str::to_owned, &old, &new, settings::MEANINGS);
        assert_eq!(
            changes.iter().map(|c| c.kind).collect::<Vec<_>>(),
            [expected],
            "{changes:?}"
        );
    }
}
