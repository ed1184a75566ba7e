//! Routes whose `rewrite` leads to paths of the upstream that a tighter route guards.

use std::collections::HashMap;

use super::examples::{self, Example};
use super::guard::{Guard, is_looser};
use super::{Judge, Said, covers_what_is_below, methods};
use crate::config::checked::{HostRewrite, Route};

const FOR_THESE: &str = "let `set_prefix` name a part of the upstream that is for these callers";

/// So many examples stand for what a route guards.
const MOST_EXAMPLES: usize = 3;
/// What looking a path up under two hosts counts for.
const TRIES_OF_A_SEARCH: usize = 8;

/// Paths as an upstream gets them from routes that ask something of callers, in their order, each with its
/// route's index.
pub(super) type Guarded = Vec<(String, usize)>;

/// By the first of the upstreams that a backend is.
pub(super) type GuardedOfAll = HashMap<usize, Guarded>;

impl Judge<'_> {
    /// What is guarded of each backend, as far as that does not take long; made when a route rewrites, as few do.
    pub(super) fn guarded(&self) -> &GuardedOfAll {
        self.guarded.get_or_init(|| {
            let mut all = GuardedOfAll::new();
            for (index, route) in self.routes.iter().enumerate() {
                if Guard::of(route) == Guard::None {
                    continue;
                }
                self.tries.spend_on_examples(&route.pattern);
                if self.tries.are_spent() {
                    break;
                }
                let (old, new) = (&route.rewrite.strip_prefix, &route.rewrite.set_prefix);
                let examples = examples::of(route).take(MOST_EXAMPLES);
                let paths = examples.filter_map(|example| exchange(&example.path, old, new));
                let Some(backend) = self.backends.get(route.upstream) else {
                    continue;
                };
                let of_backend = all.entry(*backend).or_default();
                of_backend.extend(paths.map(|path| (path, index)));
            }
            all.values_mut().for_each(|guarded| guarded.sort());
            all
        })
    }

    pub(super) fn rewrite_past_guard(&self, index: usize, route: &Route) -> Option<Said> {
        let rewrite = &route.rewrite;
        let is_same_path = rewrite.strip_prefix.is_empty() && rewrite.set_prefix.is_empty();
        let host = match &rewrite.host {
            HostRewrite::Name(name) => name.to_str().ok(),
            HostRewrite::Preserve | HostRewrite::Upstream => None,
        };
        if is_same_path {
            return self.host_past_guard(route, host?);
        }
        let own = examples::of(route).next()?;
        let guarded = self.guarded().get(self.backends.get(route.upstream)?)?;
        let first = guarded.partition_point(|(path, _)| *path < rewrite.set_prefix);
        let reached = guarded[first..].iter().take_while(|(path, _)| {
            self.tries.spend(1);
            !self.tries.are_spent() && path.starts_with(&rewrite.set_prefix)
        });
        let mut reached: Vec<_> = reached.collect();
        // As the file has them.
        reached.sort_by_key(|(_, other)| *other);
        for (to, other) in reached {
            let other = &self.routes[*other];
            let from = exchange(to, &rewrite.set_prefix, &rewrite.strip_prefix);
            let Some(from) = from.filter(|_| is_looser(route, other)) else {
                continue;
            };
            let example = Example {
                path: from,
                ..own.clone()
            };
            let mut methods = methods(other).iter();
            if methods.any(|method| self.find(&example, method) == Some(index)) {
                return Some((
                    format!(
                        "`{}`, {}, leads to what `{}` guards: `{}` becomes `{to}`",
                        route.name,
                        Guard::of(route).words(),
                        other.name,
                        example.path
                    ),
                    FOR_THESE.to_owned(),
                ));
            }
        }
        self.prefix_below_guard(index, route, &own)
    }

    /// A prefix that is rewritten as a whole to below what another guards, deeper than its examples are.
    fn prefix_below_guard(&self, index: usize, route: &Route, own: &Example) -> Option<Said> {
        if !covers_what_is_below(&route.pattern) {
            return None;
        }
        let rewrite = &route.rewrite;
        let to = exchange(&own.path, &rewrite.strip_prefix, &rewrite.set_prefix)?;
        let example = Example {
            path: to,
            ..own.clone()
        };
        let guard = methods(route).iter().find_map(|method| {
            let taker = self.find(&example, method).filter(|at| *at != index)?;
            let guard = self.routes.get(taker)?;
            let is_kept =
                guard.rewrite.strip_prefix.is_empty() && guard.rewrite.set_prefix.is_empty();
            let guards_it = is_kept
                && covers_what_is_below(&guard.pattern)
                && self.have_one_backend(route, guard)
                && is_looser(route, guard);
            guards_it.then_some(guard)
        })?;
        Some((
            format!(
                "`{}`, {}, leads to what `{}` guards: `{}` becomes `{}`",
                route.name,
                Guard::of(route).words(),
                guard.name,
                own.path,
                example.path
            ),
            FOR_THESE.to_owned(),
        ))
    }

    /// What a route reaches by another host alone, of what is guarded for that host.
    fn host_past_guard(&self, route: &Route, host: &str) -> Option<Said> {
        let backend = self.backends.get(route.upstream)?;
        let of_others = self.guarded().get(backend)?.iter().filter(|(_, other)| {
            self.tries.spend(1);
            !self.tries.are_spent() && !self.routes[*other].hosts.is_empty()
        });
        let own: Vec<Example> = examples::of(route).take(MOST_EXAMPLES).collect();
        let first = own.first()?;
        let paths = own.iter().map(|example| &example.path);
        let paths = paths.chain(of_others.map(|(path, _)| path));
        paths
            .take_while(|_| !self.tries.are_spent())
            .find_map(|path| {
                let at = |host: &str| Example {
                    host: host.to_owned(),
                    path: path.clone(),
                    ..first.clone()
                };
                let (from, to) = (at(&first.host), at(host));
                self.tries.spend(TRIES_OF_A_SEARCH);
                let mut others = methods(route).iter().filter_map(|method| {
                    let taker = self.routes.get(self.find(&from, method)?)?;
                    let other = self.routes.get(self.find(&to, method)?)?;
                    std::ptr::eq(taker, route).then_some(other)
                });
                let other = others.find(|other| {
                    !other.hosts.is_empty()
                        && is_looser(route, other)
                        && self.have_one_backend(route, other)
                })?;
                Some((
                    format!(
                        "`{}`, {}, leads to what `{}` guards: `{path}` becomes that of `{host}`",
                        route.name,
                        Guard::of(route).words(),
                        other.name
                    ),
                    "let `host` name one that is for these callers".to_owned(),
                ))
            })
    }
}

/// The path with another beginning, both of whole segments.
fn exchange(path: &str, old: &str, new: &str) -> Option<String> {
    let rest = path.strip_prefix(old)?;
    let is_whole = rest.is_empty() || rest.starts_with('/');
    match format!("{new}{rest}") {
        path if !is_whole || path.is_empty() => None,
        path => Some(path),
    }
}
