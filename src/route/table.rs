//! All routes, and the search for the one that a request takes.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName, Method};

use crate::config::checked::{Case, PathOptions, Pattern, Route, RouteHeader, Segment};
use crate::config::{Config, admits_headers, admits_method};

use super::deciding::Deciding;
use super::escape;
use super::forms::Forms;
use super::group::{Group, Standing};
use super::hosts::{Authority, Hosts};
use super::matched::Destination;
use super::order;
use super::trie::{Params, Trie};

/// Fields of a request: hyper takes no more.
const MAX_FIELDS: usize = 100;

/// The routes of one configuration and the endpoints of the auth API.
pub struct Table {
    routes: Vec<Entry>,
    /// Of the same routes.
    standings: Vec<Standing>,
    endpoints: Trie,
    pub(super) hosts: Hosts,
    /// The first holds the routes that name no host.
    groups: Vec<Group>,
    /// Some route asks for `case_insensitive`, so every path is read in that way as well.
    pub(super) folds: bool,
    /// Some route asks for `merge_slashes`.
    merges: bool,
    /// The names of headers that some route is for.
    choosing: HashSet<HeaderName>,
}

struct Entry {
    /// Empty admits every method.
    methods: Vec<Method>,
    headers: Vec<RouteHeader>,
    deciding: Deciding,
}

/// The paths that an endpoint of the auth API takes.
pub fn endpoint(path: &str) -> Pattern {
    let segments = path.split('/').skip(1).map(|text| {
        let name = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        match name {
            Some(name) => Segment::Param(name.into()),
            None => Segment::Literal(text.into()),
        }
    });
    Pattern::Path(segments.collect())
}

impl Table {
    /// `endpoints` are the paths of the auth API, a segment in braces being a parameter: `/users/{name}`.
    /// They win over every route, on every host and for every method.
    pub fn build(config: &Config, endpoints: &[String]) -> Table {
        let mut options = config.routes.iter().map(|route| route.path_options);
        let folds = config.folds_paths();
        let mut table = Table {
            routes: Vec::with_capacity(config.routes.len()),
            standings: Vec::with_capacity(config.routes.len()),
            endpoints: Trie::new(Case::AsAsked),
            hosts: Hosts::default(),
            groups: vec![Group::new(folds)],
            folds,
            merges: options.any(|options| options.merge_slashes),
            choosing: config.routes.iter().flat_map(names).cloned().collect(),
        };
        for (index, path) in endpoints.iter().enumerate() {
            let options = PathOptions::default();
            table.endpoints.insert(&endpoint(path), options, index);
        }
        for route in &config.routes {
            table.standings.push(Standing {
                place: 0,
                merges_slashes: route.path_options.merge_slashes,
            });
            table.routes.push(Entry {
                methods: route.methods.clone(),
                headers: route.headers.clone(),
                deciding: Deciding::of(route, &config.identity),
            });
        }
        for (place, index) in order::of(&config.routes).into_iter().enumerate() {
            let route = &config.routes[index];
            table.standings[index].place = place;
            if route.hosts.is_empty() {
                table.groups[0].insert(route, index);
            }
            for host in &route.hosts {
                let count = table.groups.len();
                let group = table.hosts.group(host, || count);
                if group == count {
                    table.groups.push(Group::new(folds));
                }
                table.groups[group].insert(route, index);
            }
        }
        table
    }

    /// Whether the first route is tried before the second, where both have the same hosts.
    pub fn is_before(&self, first: usize, second: usize) -> bool {
        self.place(first).is_some() && self.place(first) < self.place(second)
    }

    /// Which of the routes that have the same hosts is tried first: the one with the smallest.
    pub fn place(&self, route: usize) -> Option<usize> {
        self.standings.get(route).map(|standing| standing.place)
    }

    /// Of the names of headers those that some route goes by, once each and in their order. No more than
    /// a request may have fields are looked at.
    pub fn choosing<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> Vec<HeaderName> {
        if self.choosing.is_empty() {
            return Vec::new();
        }
        let names = names.take(MAX_FIELDS).map(HeaderName::from_bytes);
        let known = names.flatten().filter(|name| self.choosing.contains(name));
        let mut known: Vec<HeaderName> = known.collect();
        known.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        known.dedup();
        known
    }

    /// Where one reading of a path leads.
    pub(super) fn locate(&self, request: &Target<'_>, path: &[u8], case: Case) -> Located {
        if let Some((_, params)) = self.endpoints.search(path, &mut |_| true) {
            return Located::At(Destination::AuthApi, params);
        }
        let mut is_path_known = false;
        let found = self.search(&request.host, path, case, &mut |route| {
            let entry = &self.routes[route];
            if request.passed_over.contains(&route) || !entry.admits_headers(request) {
                return false;
            }
            is_path_known = true;
            entry.admits(request)
        });
        match found {
            Some((route, params)) => Located::At(Destination::Route(route), params),
            None if is_path_known => Located::WrongMethod,
            None => Located::Nowhere,
        }
    }

    fn search(
        &self,
        host: &Authority<'_>,
        path: &[u8],
        case: Case,
        admit: &mut impl FnMut(usize) -> bool,
    ) -> Option<(usize, Params)> {
        let forms = Forms::new(path, self.folds, self.merges);
        let mut search =
            |group: usize| self.groups[group].search(&forms, case, &self.standings, admit);
        self.hosts.search(host, &mut search).or_else(|| search(0))
    }

    /// Every route that has the path and the host, in the order in which they are tried.
    pub(super) fn candidates(&self, request: &Target<'_>, path: &[u8]) -> Vec<usize> {
        let forms = Forms::new(path, self.folds, self.merges);
        let mut all = Vec::new();
        let mut collect = |group: usize| -> Option<()> {
            let start = all.len();
            self.groups[group].search(&forms, Case::AsAsked, &self.standings, &mut |route| {
                if !all.contains(&route) {
                    all.push(route);
                }
                false
            });
            // The forms of a path are searched one after the other.
            all[start..].sort_by_key(|route| self.standings[*route].place);
            None
        };
        self.hosts.search(&request.host, &mut collect);
        collect(0);
        all
    }

    /// Two readings lead to the same route, and say the same of what decides who may pass.
    pub(super) fn agree(&self, one: (&Located, &[u8]), other: (&Located, &[u8])) -> bool {
        match (one, other) {
            ((Located::At(a, params_a), path_a), (Located::At(b, params_b), path_b)) => {
                let same = |index: &usize| {
                    value(params_a, path_a, *index) == value(params_b, path_b, *index)
                };
                a == b
                    && match a {
                        Destination::Route(route) => {
                            let deciding = &self.routes[*route].deciding;
                            deciding.parameters.iter().all(same)
                                && (!deciding.path || path_a == path_b)
                        }
                        Destination::AuthApi => true,
                    }
            }
            ((Located::WrongMethod, _), (Located::WrongMethod, _)) => true,
            ((Located::Nowhere, _), (Located::Nowhere, _)) => true,
            _ => false,
        }
    }

    /// Every method that some route admits for this path and these headers, once it is known that none
    /// admits the request's.
    pub(super) fn allowed(&self, request: &Target<'_>, path: &[u8]) -> Vec<Method> {
        let mut allowed = Vec::new();
        let path = escape::with_upper_case_escapes(path);
        self.search(&request.host, &path, Case::AsAsked, &mut |route| {
            let entry = &self.routes[route];
            if !entry.admits_headers(request) {
                return false;
            }
            for method in &entry.methods {
                let head = (*method == Method::GET).then_some(&Method::HEAD);
                for method in [method].into_iter().chain(head) {
                    if !allowed.contains(method) {
                        allowed.push(method.clone());
                    }
                }
            }
            false
        });
        allowed
    }
}

impl Entry {
    fn admits(&self, request: &Target<'_>) -> bool {
        admits_method(&self.methods, request.method)
    }

    fn admits_headers(&self, request: &Target<'_>) -> bool {
        admits_headers(&self.headers, request.headers, request.announced)
    }
}

/// Of the headers that a route is for.
fn names(route: &Route) -> impl Iterator<Item = &HeaderName> {
    route.headers.iter().map(|header| &header.name)
}

fn value<'p>(params: &Params, path: &'p [u8], index: usize) -> Option<&'p [u8]> {
    let (start, end) = *params.get(index)?;
    path.get(usize::from(start)..usize::from(end))
}

/// What a search goes by, beside the path.
pub(super) struct Target<'a> {
    pub(super) host: Authority<'a>,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    /// Headers that it will have, with whatever values.
    pub(super) announced: &'a [HeaderName],
    /// Routes that are taken not to admit it.
    pub(super) passed_over: &'a [usize],
}

#[derive(Clone)]
pub(super) enum Located {
    At(Destination, Params),
    WrongMethod,
    Nowhere,
}

/// The place of a `{parameter}` among a pattern's parameters, as [`super::Matched::param`] counts them.
pub fn parameter_index(pattern: &Pattern, name: &str) -> Option<usize> {
    pattern.parameters().iter().position(|known| *known == name)
}
