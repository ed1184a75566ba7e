//! All routes, and the search for the one that a request takes.

use std::ops::ControlFlow;

use http::{HeaderMap, Method};

use crate::config::checked::{Pattern, RouteHeader, Segment};
use crate::config::{Config, admits_headers, admits_method};
use crate::request::{Code, Facts, Refusal};

use super::escape;
use super::hosts::{Authority, Hosts};
use super::matched::{Destination, Matched};
use super::order;
use super::readings::{self, Unreadable};
use super::trie::{Params, Trie};

/// The routes of one configuration and the endpoints of the auth API.
pub struct Table {
    routes: Vec<Entry>,
    endpoints: Trie,
    hosts: Hosts,
    /// The first holds the routes that name no host.
    groups: Vec<Trie>,
}

struct Entry {
    /// Empty admits every method.
    methods: Vec<Method>,
    headers: Vec<RouteHeader>,
    /// The parameters that an owner rule compares.
    deciding: Vec<usize>,
}

impl Table {
    /// `endpoints` are the paths of the auth API, a segment in braces being a parameter: `/users/{name}`.
    /// They win over every route, on every host and for every method.
    pub fn build(config: &Config, endpoints: &[String]) -> Table {
        let mut table = Table {
            routes: Vec::with_capacity(config.routes.len()),
            endpoints: Trie::new(),
            hosts: Hosts::default(),
            groups: vec![Trie::new()],
        };
        for (index, path) in endpoints.iter().enumerate() {
            let segments = path.split('/').skip(1).map(|text| {
                let name = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
                match name {
                    Some(name) => Segment::Param(name.into()),
                    None => Segment::Literal(text.into()),
                }
            });
            let pattern = Pattern::Path(segments.collect());
            table.endpoints.insert(&pattern, index);
        }
        for route in &config.routes {
            let owners = route.allow.iter().filter_map(|rule| rule.owner.as_ref());
            let deciding = owners.filter_map(|o| parameter_index(&route.pattern, &o.parameter));
            table.routes.push(Entry {
                methods: route.methods.clone(),
                headers: route.headers.clone(),
                deciding: deciding.collect(),
            });
        }
        for index in order::of(&config.routes) {
            let route = &config.routes[index];
            if route.hosts.is_empty() {
                table.groups[0].insert(&route.pattern, index);
            }
            for host in &route.hosts {
                let count = table.groups.len();
                let group = table.hosts.group(host, || count);
                if group == count {
                    table.groups.push(Trie::new());
                }
                table.groups[group].insert(&route.pattern, index);
            }
        }
        table
    }

    fn locate(&self, request: &Target<'_>, path: &[u8]) -> Located {
        if let Some((_, params)) = self.endpoints.search(path, &mut |_| true) {
            return Located::At(Destination::AuthApi, params);
        }
        let mut is_path_known = false;
        let found = self.search(&request.host, path, &mut |route| {
            let entry = &self.routes[route];
            if !entry.admits_headers(request) {
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
        admit: &mut impl FnMut(usize) -> bool,
    ) -> Option<(usize, Params)> {
        let in_group = self
            .hosts
            .search(host, |group| self.groups[group].search(path, admit));
        in_group.or_else(|| self.groups[0].search(path, admit))
    }

    /// Two readings lead to the same route, and say the same of what decides who may pass.
    fn agree(&self, one: (&Located, &[u8]), other: (&Located, &[u8])) -> bool {
        match (one, other) {
            ((Located::At(a, params_a), path_a), (Located::At(b, params_b), path_b)) => {
                let value = |params: &Params, path: &[u8], index: usize| {
                    let (start, end) = *params.get(index)?;
                    path.get(usize::from(start)..usize::from(end))
                        .map(<[u8]>::to_vec)
                };
                let same = |index: &usize| {
                    value(params_a, path_a, *index) == value(params_b, path_b, *index)
                };
                a == b
                    && match a {
                        Destination::Route(route) => self.routes[*route].deciding.iter().all(same),
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
    fn allowed(&self, request: &Target<'_>, path: &[u8]) -> Vec<Method> {
        let mut allowed = Vec::new();
        let path = escape::with_upper_case_escapes(path);
        self.search(&request.host, &path, &mut |route| {
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
        admits_headers(&self.headers, request.headers)
    }
}

/// What a search goes by, beside the path.
struct Target<'a> {
    host: Authority<'a>,
    method: &'a Method,
    headers: &'a HeaderMap,
}

enum Located {
    At(Destination, Params),
    WrongMethod,
    Nowhere,
}

/// The place of a `{parameter}` among a pattern's parameters, as [`Matched::param`] counts them.
pub fn parameter_index(pattern: &Pattern, name: &str) -> Option<usize> {
    pattern.parameters().iter().position(|known| *known == name)
}

/// Finds where a request goes.
///
/// # Errors
///
/// 400 `bad-request` for a target that is no path, a broken escape or a malformed host,
/// 400 `ambiguous-path` when readings of the path disagree or one holds a control byte,
/// 404 when no route has the path and the headers, 405 with `Allow` when none of those that have them
/// admits the method.
pub fn find(table: &Table, facts: &Facts<'_>) -> Result<Matched, Refusal> {
    let path = facts.head.uri.path().as_bytes();
    if path.first() != Some(&b'/') {
        return Err(Refusal::new(
            Code::BadRequest,
            "The request's target has to be a path that begins with a slash.",
        ));
    }
    let host = if table.hosts.is_empty() {
        Authority::UNASKED
    } else {
        Authority::read(facts.host).ok_or_else(|| {
            Refusal::new(
                Code::BadRequest,
                "The request's host has to be a name or an address, with or without a port.",
            )
        })?
    };
    let target = Target {
        host,
        method: &facts.head.method,
        headers: &facts.head.headers,
    };
    let located = if readings::is_plain(path) {
        table.locate(&target, path)
    } else {
        locate_under_all_readings(table, &target, path)?
    };
    match located {
        Located::At(destination, params) => Ok(Matched {
            destination,
            params,
        }),
        Located::WrongMethod => Err(Refusal::method_not_allowed(&table.allowed(&target, path))),
        Located::Nowhere => Err(Refusal::new(
            Code::NotFound,
            "There is nothing at this path.",
        )),
    }
}

fn locate_under_all_readings(
    table: &Table,
    target: &Target<'_>,
    path: &[u8],
) -> Result<Located, Refusal> {
    let ambiguous = |cause: &str| {
        Refusal::new(
            Code::AmbiguousPath,
            "Servers read this path in different ways; send it in its plain form.",
        )
        .because(cause)
    };
    let mut first: Option<Located> = None;
    let visited = readings::visit(path, |reading| {
        let located = table.locate(target, reading);
        match &first {
            None => first = Some(located),
            Some(known) if table.agree((known, path), (&located, reading)) => {}
            Some(_) => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    });
    match (visited, first) {
        (Ok(ControlFlow::Continue(())), Some(located)) => Ok(located),
        (Ok(_), _) => Err(ambiguous("readings lead to different routes or parameters")),
        (Err(Unreadable::ControlByte), _) => Err(ambiguous("a control byte when decoded")),
        (Err(Unreadable::TooManyReadings), _) => Err(ambiguous("too many readings")),
        (Err(Unreadable::BrokenEscape), _) => Err(Refusal::new(
            Code::BadRequest,
            "A percent sign in the path has to be followed by two hexadecimal digits.",
        )),
    }
}
