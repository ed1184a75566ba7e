//! What is doubtful about the routes of a file that holds: what nothing reaches, and where a guarded path
//! is not guarded under all its methods and spellings. Told by `check`, at a start and at a reload.
//!
//! A route is judged by requests that stand for all of its own, so the work goes by the number of routes
//! and not by their pairs; but for rewrites, which are held against what their upstream guards. What would
//! take long is left, and that is told.

mod apart;
mod backends;
mod examples;
mod guard;
mod rewrites;
mod spellings;
#[cfg(test)]
mod tests;
mod tries;

use std::cell::OnceCell;
use std::collections::HashMap;

use http::Method;

use super::find;
use super::matched::Destination;
use super::table::{Located, Table};
use crate::config::checked::{Pattern, Route, Segment};
use crate::config::{Config, Doubt};
use examples::Example;
use guard::{Guard, is_looser};
use rewrites::GuardedOfAll;
pub use tries::Tries;
use tries::tries_of;

/// Methods that change something: it matters where one of them gets past a guard.
const UNSAFE: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const SAFE: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// Stands for the methods that no file names and servers have all the same.
const OTHER: &str = "PROPFIND";

/// So many names are told of.
const MOST_NAMES: usize = 3;
/// So many hosts of other routes are tried for each that names its own.
const MOST_HOSTS: usize = 8;

/// What is doubtful about the routes, each doubt at its route. Where others have spent all tries, that is told.
pub fn doubts(config: &Config, tries: &Tries) -> Vec<Doubt> {
    let judge = Judge::new(config, tries);
    let mut doubts = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        let doubt = |(message, hint)| Doubt {
            route: index,
            message,
            hint,
        };
        doubts.extend(judge.judge(index, route).into_iter().map(doubt));
        if tries.are_spent() {
            let message =
                "the routes from here on are not looked through for doubts: it would take long";
            let hint = "begin regexes with different segments and keep them small, have fewer routes for one path, and give routes that rewrite upstreams of their own";
            doubts.push(doubt((message.to_owned(), hint.to_owned())));
            break;
        }
    }
    doubts
}

/// A message and a hint.
type Said = (String, String);

struct Judge<'c> {
    table: Table,
    routes: &'c [Route],
    /// Of each upstream the first that is the same backend.
    backends: Vec<usize>,
    guarded: OnceCell<GuardedOfAll>,
    /// Some that routes name.
    hosts: Vec<String>,
    /// What it costs to try all regexes that stand behind the same segments.
    regexes: HashMap<String, usize>,
    tries: &'c Tries,
}

impl<'c> Judge<'c> {
    fn new(config: &'c Config, tries: &'c Tries) -> Judge<'c> {
        let mut regexes = HashMap::new();
        for route in &config.routes {
            if let Pattern::Regex(regex) = &route.pattern {
                let segments = regex.leading_segments().iter();
                let place: String = segments.flat_map(|segment| ["/", segment]).collect();
                let all: &mut usize = regexes.entry(place).or_default();
                *all = all.saturating_add(tries_of(regex));
            }
        }
        let backends = backends::backends(&config.upstreams);
        let mut hosts: Vec<String> = Vec::new();
        for pattern in config.routes.iter().flat_map(|route| &route.hosts) {
            let host = examples::host(pattern);
            if hosts.len() < MOST_HOSTS && !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        Judge {
            table: Table::build(config, &[]),
            routes: &config.routes,
            guarded: OnceCell::new(),
            backends,
            hosts,
            regexes,
            tries,
        }
    }
}

impl Judge<'_> {
    fn judge(&self, index: usize, route: &Route) -> Vec<Said> {
        self.tries.spend_on_examples(&route.pattern);
        let example = match self.reached(index, route) {
            Ok(example) => example,
            Err(said) => return vec![said],
        };
        let Some(example) = example else {
            return Vec::new();
        };
        let others = self.others(index, &example);
        let said = [
            self.public_below_guard(route, &others),
            self.method_past_guard(route, &others),
            self.choice_past_guard(index, route, &example),
            self.slash_past_guard(index, route, example.clone()),
            self.beginning_past_guard(route, example),
            self.regex_past_guard(index, route),
            self.rewrite_past_guard(index, route),
        ];
        said.into_iter().flatten().collect()
    }

    /// A request that reaches the route; `None` when none comes to mind.
    ///
    /// # Errors
    ///
    /// What is to be said when others take all of them.
    fn reached(&self, index: usize, route: &Route) -> Result<Option<Example>, Said> {
        let mut takers: Vec<usize> = Vec::new();
        let mut is_tried = false;
        for example in examples::of(route) {
            for method in methods(route) {
                is_tried = true;
                match self.find(&example, method) {
                    Some(taker) if taker == index => return Ok(Some(example)),
                    Some(taker) if !takers.contains(&taker) => takers.push(taker),
                    _ => {}
                }
            }
        }
        if !is_tried {
            return Ok(None);
        }
        takers.sort_unstable();
        let name = &route.name;
        Err(match takers.is_empty() {
            true => (
                format!("the route `{name}` is never reached: its paths are ambiguous"),
                "servers may take each of them for a path of another route".to_owned(),
            ),
            false => (
                format!(
                    "the route `{name}` is never reached: {} its requests",
                    self.take(&takers)
                ),
                "remove it, or make the other one narrower".to_owned(),
            ),
        })
    }

    /// `` `a` takes `` or `` `a` and `b` take ``.
    fn take(&self, routes: &[usize]) -> String {
        let names = routes.iter().take(MOST_NAMES);
        let names: Vec<String> = names
            .map(|at| format!("`{}`", self.routes[*at].name))
            .collect();
        match names.as_slice() {
            [one] => format!("{one} takes"),
            names => format!("{} take", names.join(" and ")),
        }
    }

    fn find(&self, example: &Example, method: &Method) -> Option<usize> {
        self.tries.spend(self.regexes_on(&example.path));
        let target = example.target(method)?;
        match find::locate(&self.table, &target, example.path.as_bytes()) {
            Ok(Located::At(Destination::Route(route), _)) => Some(route),
            _ => None,
        }
    }

    /// Whether two routes go to one backend, by whatever names of upstreams.
    fn have_one_backend(&self, a: &Route, b: &Route) -> bool {
        self.backends.get(a.upstream) == self.backends.get(b.upstream)
    }

    /// What it costs to try all regexes that stand where the path leads.
    fn regexes_on(&self, path: &str) -> usize {
        if self.regexes.is_empty() {
            return 0;
        }
        let slashes = path.match_indices('/').map(|(at, _)| at);
        let places = slashes.chain([path.len()]).map(|end| &path[..end]);
        places.filter_map(|place| self.regexes.get(place)).sum()
    }

    /// The routes that the example falls to when this one does not take it, in their order.
    fn others(&self, index: usize, example: &Example) -> Vec<&Route> {
        let Some(target) = example.target(&Method::GET) else {
            return Vec::new();
        };
        let all = self.table.candidates(&target, example.path.as_bytes());
        // Each request that is tried passes all of them by.
        self.tries.spend(all.len());
        let others = all.into_iter().filter(|other| *other != index);
        let others = others.filter_map(|other| self.routes.get(other));
        others
            .filter(|r| r.admits_headers(&example.headers))
            .collect()
    }

    /// A public route where a prefix guards all that is below it.
    fn public_below_guard(&self, route: &Route, others: &[&Route]) -> Option<Said> {
        if Guard::of(route) != Guard::None {
            return None;
        }
        let is_above = |other: &&&Route| {
            Guard::of(other) > Guard::None
                && covers_what_is_below(&other.pattern)
                && methods(route).iter().any(|method| other.admits(method))
        };
        let above = others.iter().find(is_above)?;
        let hint = match Guard::of(above) {
            Guard::Network => "if that is not meant, give it the same `ip`",
            _ => "if that is not meant, write `auth: required`",
        };
        Some((
            format!(
                "the route `{}` is public, below what `{}` guards",
                route.name, above.name
            ),
            hint.to_owned(),
        ))
    }

    /// Methods of a guarded path that a looser route takes.
    fn method_past_guard(&self, route: &Route, others: &[&Route]) -> Option<Said> {
        if route.methods.is_empty() || !route.headers.is_empty() {
            return None;
        }
        let mut looser: Option<&Route> = None;
        let mut past: Vec<&str> = Vec::new();
        for method in UNSAFE.iter().filter(|method| !route.admits(method)) {
            let taker = others.iter().find(|other| other.admits(method)).copied();
            // One that names its methods means them.
            let taker = taker.filter(|taker| taker.methods.is_empty() && is_looser(taker, route));
            if let Some(taker) = taker
                && looser.is_none_or(|known| std::ptr::eq(known, taker))
            {
                looser = Some(taker);
                past.push(method.as_str());
            }
        }
        let Some(looser) = looser else {
            return self.other_past_guard(route, others);
        };
        Some((
            format!(
                "{} on the paths of `{}` {} to `{}`, {}",
                past.join(", "),
                route.name,
                if past.len() == 1 { "goes" } else { "go" },
                looser.name,
                Guard::of(looser).words()
            ),
            "leave `methods` out, or give these paths a route for the others".to_owned(),
        ))
    }

    /// Methods that nobody thought of, where those that are usual do not get past the guard.
    fn other_past_guard(&self, route: &Route, others: &[&Route]) -> Option<Said> {
        let other = Method::from_bytes(OTHER.as_bytes()).ok()?;
        if route.admits(&other) {
            return None;
        }
        let taker = others.iter().find(|taker| taker.admits(&other))?;
        let is_told = taker.methods.is_empty() && is_looser(taker, route);
        is_told.then(|| {
            (
                format!(
                    "methods that nobody names, such as {OTHER}, on the paths of `{}` go to `{}`, {}",
                    route.name,
                    taker.name,
                    Guard::of(taker).words()
                ),
                format!("give `{}` the `methods` that it is for", taker.name),
            )
        })
    }
}

/// A prefix or `{*rest}` behind something, so that the file means a part of all paths by it.
fn covers_what_is_below(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Prefix(segments) => !segments.is_empty(),
        Pattern::Path(segments) => matches!(
            segments.as_slice(),
            [Segment::Literal(_), .., Segment::Rest(_)]
        ),
        Pattern::Regex(_) => false,
    }
}

/// Those of a route; where it names none, two that stand for all.
fn methods(route: &Route) -> &[Method] {
    match route.methods.as_slice() {
        [] => &[Method::GET, Method::POST],
        methods => methods,
    }
}
