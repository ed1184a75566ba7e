//! Routes that take some requests from what another guards more tightly: below its prefix, or of its path for one
//! of its hosts. Public ones below a guarded prefix are told of where routes are tried with requests.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::checked::{AuthMode, HostPattern, Pattern, Route, Rule};
use super::super::diagnose::{Findings, shown};
use super::super::raw::RawConfig;
use super::super::source::Source;
use super::route::route_span;
use super::ties::{Shape, is_open, shape};

/// So many routes of one pattern and host are held against another.
const MOST_ALIKE: usize = 16;
/// So many hosts of a route are looked at, and so many prefixes around it.
const MOST_HOSTS: usize = 1000;
const MOST_AROUND: usize = 64;

/// Warns of a file that holds: its routes are all there, in order.
pub fn warn(raw: &RawConfig, routes: &[Route], source: &Source, findings: &mut Findings) {
    let folds = routes.iter().any(|r| r.path_options.case_insensitive);
    let index = Index::of(routes, folds);
    for (at, route) in routes.iter().enumerate() {
        let said = match Asks::of(route) {
            Asks::Nothing => index.host_past_guard(route, folds),
            Asks::Identity => index
                .identity_below_guard(at, route, folds)
                .or_else(|| index.host_past_guard(route, folds)),
            Asks::Rules => None,
        };
        if let Some(Said { guard, what, hint }) = said {
            let line = source.position(route_span(raw, guard)).line;
            let (name, guard) = (shown(&route.name), shown(&routes[guard].name));
            let guard = format!("{guard} (line {line}) guards");
            let what = match what {
                What::Below => format!(", below what {guard}"),
                What::Host(host) => {
                    format!(" for `{host}`, one of the hosts for which {guard} the same paths")
                }
            };
            let words = Asks::of(route).words();
            let message = format!("the route {name} is {words}{what}");
            findings.warn(route_span(raw, at), message).hint(hint);
        }
    }
}

struct Said<'r> {
    guard: usize,
    what: What<'r>,
    hint: &'static str,
}

/// What a route takes from the guard.
enum What<'r> {
    Below,
    Host(&'r HostPattern),
}

/// What a route asks of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    /// To be somebody.
    Identity,
    /// More, or what is not told apart here, such as to be in some network.
    Rules,
}

impl Asks {
    fn of(route: &Route) -> Asks {
        let has_rules = !route.allow.is_empty() && !route.shadow.allow;
        let asks_who = route.auth == AuthMode::Required && !route.shadow.auth;
        match (route.auth, has_rules) {
            _ if !route.ip.allow.is_empty() => Asks::Rules,
            (AuthMode::Optional | AuthMode::Required, true) => Asks::Rules,
            _ if asks_who => Asks::Identity,
            _ => Asks::Nothing,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Asks::Nothing => "public",
            Asks::Identity | Asks::Rules => "for anybody who is signed in",
        }
    }
}

/// Whether nobody passes but superusers and those with roles.
fn is_for_few(route: &Route) -> bool {
    let is_given = |rule: &Rule| rule.superuser == Some(true) || !rule.roles.is_empty();
    let is_asked = route.auth != AuthMode::None && !route.shadow.allow;
    is_asked && !route.allow.is_empty() && route.allow.iter().all(is_given)
}

/// A host or all below one, and the port if one is named; `None` is every host.
type Site<'r> = Option<(&'r str, bool, Option<u16>)>;

fn site(pattern: &HostPattern) -> Site<'_> {
    Some(match pattern {
        HostPattern::Exact(name) => (name, false, None),
        HostPattern::Wildcard(name) => (name, true, None),
        HostPattern::ExactPort(name, port) => (name, false, Some(*port)),
        HostPattern::WildcardPort(name, port) => (name, true, Some(*port)),
    })
}

/// Those that hold all of a host, without itself, the tightest first.
fn sites_around(pattern: &HostPattern) -> Vec<Site<'_>> {
    let Some((name, _, port)) = site(pattern) else {
        return Vec::new();
    };
    let dots = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
    let ports = match port {
        Some(_) => vec![port, None],
        None => vec![None],
    };
    dots.flat_map(|name| ports.iter().map(move |port| Some((name, true, *port))))
        .collect()
}

struct Index<'r> {
    routes: &'r [Route],
    by_shape: HashMap<Shape<'r>, Places<'r>>,
}

/// The routes of one shape by their hosts.
type Places<'r> = HashMap<Site<'r>, Vec<usize>>;

impl<'r> Index<'r> {
    fn of(routes: &'r [Route], folds: bool) -> Index<'r> {
        let mut by_shape: HashMap<_, Places<'r>> = HashMap::new();
        for (at, route) in routes.iter().enumerate() {
            let sites = match route.hosts.as_slice() {
                [] => vec![None],
                hosts => hosts.iter().map(site).collect(),
            };
            let places = by_shape.entry(shape(&route.pattern, folds)).or_default();
            for site in sites {
                places.entry(site).or_default().push(at);
            }
        }
        Index { routes, by_shape }
    }

    /// The first of a place that would take requests of a route, were it not there.
    fn taker(&self, places: &Places<'r>, site: Site<'r>, route: &Route) -> Option<usize> {
        let all = places.get(&site)?.iter().copied();
        all.take(MOST_ALIKE).find(|at| {
            let other = &self.routes[*at];
            let is_shared = match route.methods.as_slice() {
                [] => true,
                methods => methods.iter().any(|method| other.admits(method)),
            };
            is_shared && other.headers.is_empty()
        })
    }

    /// A route for whoever is signed in where superusers and roles are asked for by the nearest prefix around it.
    fn identity_below_guard(&self, at: usize, route: &'r Route, folds: bool) -> Option<Said<'r>> {
        let (segments, own) = match shape(&route.pattern, folds) {
            Shape::Segments { segments, is_open } => {
                let own = is_open.then_some(segments.len());
                (segments, own)
            }
            Shape::Regex(_) => (leading_segments(&route.pattern), None),
        };
        let around = (1..=segments.len()).rev().take(MOST_AROUND);
        let around: Vec<_> = around
            .filter_map(|length| {
                let shape = Shape::Segments {
                    segments: segments[..length].to_vec(),
                    is_open: true,
                };
                Some((own == Some(length), self.by_shape.get(&shape)?))
            })
            .collect();
        let hosts = match route.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().take(MOST_HOSTS).map(Some).collect(),
        };
        let guard = hosts.into_iter().find_map(|host| {
            let guard = self.nearest(route, &around, host)?;
            let is_told = guard != at
                && is_for_few(&self.routes[guard])
                && names_no_writing(&self.routes[guard]);
            is_told.then_some(guard)
        })?;
        Some(Said {
            what: What::Below,
            guard,
            hint: "if that is not meant, give it the same `allow`",
        })
    }

    /// The nearest of the prefixes around a route, for one of its hosts. Those of its own shape are marked.
    fn nearest(
        &self,
        route: &Route,
        around: &[(bool, &Places<'r>)],
        host: Option<&'r HostPattern>,
    ) -> Option<usize> {
        let own_site = host.and_then(site);
        let sites = host.map_or_else(Vec::new, sites_around);
        let mut sites = std::iter::once(own_site).chain(sites).chain([None]);
        sites.find_map(|site| {
            let mut around = around.iter();
            around.find_map(|(is_own, places)| {
                // Of one pattern and host they differ by methods or headers, on purpose.
                let is_beside = *is_own && site == own_site;
                self.taker(places, site, route).filter(|_| !is_beside)
            })
        })
    }

    /// A route of one path that is looser for a host than for all around that, at the same backend.
    fn host_past_guard(&self, route: &'r Route, folds: bool) -> Option<Said<'r>> {
        if is_open(&route.pattern) {
            return None;
        }
        let own = Asks::of(route);
        let places = self.by_shape.get(&shape(&route.pattern, folds))?;
        route.hosts.iter().take(MOST_HOSTS).find_map(|host| {
            let around = sites_around(host).into_iter();
            let guard = around
                .filter_map(|site| self.taker(places, site, route))
                .next()?;
            let other = &self.routes[guard];
            let is_looser = match own {
                Asks::Nothing => Asks::of(other) != Asks::Nothing,
                Asks::Identity => is_for_few(other) && names_no_writing(other),
                Asks::Rules => false,
            };
            (is_looser && other.upstream == route.upstream).then_some(Said {
                what: What::Host(host),
                guard,
                hint: "the client chooses the host that it sends: guard both alike, or give them upstreams of their own",
            })
        })
    }
}

/// A rule for methods that write stands before what all may read on purpose.
fn names_no_writing(route: &Route) -> bool {
    route.methods.iter().all(|method| method.is_safe())
}

fn leading_segments(pattern: &Pattern) -> Vec<Option<Cow<'_, str>>> {
    match pattern {
        Pattern::Regex(regex) => {
            let segments = regex.leading_segments().iter();
            segments
                .map(|segment| Some(segment.as_str().into()))
                .collect()
        }
        Pattern::Path(_) | Pattern::Prefix(_) => Vec::new(),
    }
}
