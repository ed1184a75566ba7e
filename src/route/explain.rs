//! Why a request takes its route and not another, and what its path is in plain. Asked by people, not by
//! requests.

use std::ops::ControlFlow;

use super::hosts::{Authority, Hosts};
use super::readings;
use super::templates::Templates;
use crate::config::Config;
use crate::config::checked::{Pattern, Route, Segment};
use crate::request::Facts;

/// So many other routes are told of.
const MOST_NEAR: usize = 5;

/// A route that did not get a request, though not by much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// An index into [`Config::routes`].
    pub route: usize,
    pub misses: Vec<Miss>,
}

/// What a route would have needed. None of them: it matches, and a tighter one comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    Host,
    Path,
    Method,
    Headers,
}

/// The routes nearest to the request beside `taken`, the nearest first.
pub fn near(config: &Config, facts: &Facts<'_>, taken: Option<usize>) -> Vec<Near> {
    let path = facts.head.uri.path();
    let others = config.routes.iter().enumerate();
    let others = others.filter(|(index, _)| Some(*index) != taken);
    let mut near: Vec<(usize, Near)> = others
        .filter_map(|(index, route)| {
            let misses = misses(route, facts);
            let common = common_segments(&route.pattern, path);
            // A route of another path is near when it begins like the request's.
            let is_near = !misses.contains(&Miss::Path) || (common > 0 && misses.len() == 1);
            let distance = match misses.as_slice() {
                [] => 0,
                misses if misses.contains(&Miss::Path) => 1000usize.saturating_sub(common),
                misses => misses.len(),
            };
            let route = index;
            is_near.then_some((distance, Near { route, misses }))
        })
        .collect();
    near.sort_by_key(|(distance, near)| (*distance, near.route));
    near.truncate(MOST_NEAR);
    near.into_iter().map(|(_, near)| near).collect()
}

fn misses(route: &Route, facts: &Facts<'_>) -> Vec<Miss> {
    let mut misses = Vec::new();
    if !takes_host(route, facts.host) {
        misses.push(Miss::Host);
    }
    if !takes_path(route, facts.head.uri.path()) {
        misses.push(Miss::Path);
    }
    if !route.admits(&facts.head.method) {
        misses.push(Miss::Method);
    }
    if !route.admits_headers(&facts.head.headers) {
        misses.push(Miss::Headers);
    }
    misses
}

fn takes_host(route: &Route, host: &str) -> bool {
    let mut own = Hosts::default();
    for pattern in &route.hosts {
        own.group(pattern, || 0);
    }
    let is_own = |host: Authority<'_>| own.search(&host, Some).is_some();
    route.hosts.is_empty() || Authority::read(host).is_some_and(is_own)
}

fn takes_path(route: &Route, path: &str) -> bool {
    let mut only = Templates::new();
    only.insert(&route.pattern, 0);
    let mut is_taken = false;
    only.visit(path.as_bytes(), route.path_options, |_| is_taken = true);
    is_taken
}

/// How many segments a pattern and a path begin with in common.
fn common_segments(pattern: &Pattern, path: &str) -> usize {
    let segments = path.split('/').skip(1);
    match pattern {
        Pattern::Path(own) => own
            .iter()
            .zip(segments)
            .take_while(|(own, segment)| match own {
                Segment::Literal(text) => text == segment,
                Segment::Param(_) | Segment::Rest(_) => !segment.is_empty(),
            })
            .count(),
        Pattern::Prefix(own) => own
            .iter()
            .zip(segments)
            .take_while(|(own, segment)| own == segment)
            .count(),
        Pattern::Regex(regex) => regex
            .leading_segments()
            .iter()
            .zip(segments)
            .take_while(|(own, segment)| own == segment)
            .count(),
    }
}

/// The readings of a path, the path itself first; empty when it can't be read.
pub fn readings_of(path: &str) -> Vec<String> {
    let mut all = Vec::new();
    // What made it unreadable is told by `find`.
    let visited = readings::visit(path.as_bytes(), |reading| {
        all.push(String::from_utf8_lossy(reading).into_owned());
        ControlFlow::<()>::Continue(())
    });
    match visited {
        Ok(_) => all,
        Err(_) => Vec::new(),
    }
}

/// The first reading that every server reads alike: the path in plain. The path itself when none is.
pub fn canonical(path: &str) -> String {
    let mut readings = readings_of(path).into_iter();
    let plain = readings.find(|reading| readings::is_plain(reading.as_bytes()));
    plain.unwrap_or_else(|| path.to_owned())
}
