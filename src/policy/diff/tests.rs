//! What is said of changes to a file.

mod admitted;
mod keys;
mod limits;
mod many;
mod moved;
mod regexes;
mod routes;
mod rules;
mod settings;
mod taken;

use super::*;
use crate::config;

pub(super) const HEAD: &str = "version: 1\n\
    tiers: { free: { rank: 0, rate: 10/min }, pro: { rank: 1, rate: 100/min }, max: { rank: 2 } }\n\
    anonymous: { rate: 5/min }\n\
    upstreams: { app: { targets: http://a } }\n";

/// A file of lines of routes, each of which goes to the one upstream.
fn file(head: &str, routes: &[&str]) -> Stages {
    let routes = routes
        .iter()
        .map(|line| format!("  - {{ upstream: app, {line} }}\n"));
    let text = format!("{head}routes:\n{}", routes.collect::<String>());
    let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
    let config = loaded.unwrap_or_else(|report| panic!("{report}")).config;
    let endpoints = vec![
        "/api/v1/login".to_owned(),
        "/api/v1/users/{name}".to_owned(),
    ];
    Stages::build(config, endpoints)
}

fn said(old: &[&str], new: &[&str]) -> Vec<String> {
    lines(&file(HEAD, old), &file(HEAD, new))
}

fn lines(old: &Stages, new: &Stages) -> Vec<String> {
    let line = |change: &Change| {
        format!(
            "{}: {}: {}",
            change.kind.as_str(),
            change.about,
            change.what
        )
    };
    diff(old, new).iter().map(line).collect()
}

#[track_caller]
fn assert_said(old: &[&str], new: &[&str], expected: &[&str]) {
    assert_eq!(said(old, new), expected);
}

const REST: &str = "name: rest, prefix: /, auth: required";
