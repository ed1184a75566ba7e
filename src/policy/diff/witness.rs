//! Requests by which two tables are compared: of each two routes, the most general ones that both take.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use http::{HeaderMap, Method, Request};
use smallvec::{SmallVec, smallvec};

use super::fillers::Fillers;
use super::{hosts, paths};
use crate::config::Config;
use crate::config::checked::{PathOptions, PathRegex, Pattern, Route, RouteHeader, TrailingSlash};
use crate::policy::stages::Stages;

/// What stands for a method that no file is about: no route can name it.
const ANY: &str = "ZZ-ANY";

/// A request that some routes are for.
#[derive(Debug, Clone)]
pub struct Witness {
    pub method: Method,
    pub host: String,
    pub path: String,
    pub headers: HeaderMap,
}

impl Witness {
    /// `GET /a/b on a.example with x-beta: 1`
    pub fn text(&self, is_host_asked: bool) -> String {
        let mut text = format!("`{} {}`", self.method, self.path);
        if is_host_asked {
            text = format!("{text} on {}", self.host);
        }
        for (name, value) in &self.headers {
            let value = crate::config::shown_header(name, value);
            text = format!("{text} with `{name}: {value}`");
        }
        text
    }

    /// Its head; `None` when it can't be one.
    pub fn head(&self) -> Option<http::request::Parts> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse().ok()?;
        *request.headers_mut() = self.headers.clone();
        Some(request.into_parts().0)
    }
}

/// A regex, by what its examples hang on.
type RegexKey<'c> = (&'c str, PathOptions);
/// What a route asks of requests beside their path, as a number.
type Frame = usize;

/// What two files have in common that witnesses depend on.
pub struct Witnesses<'c> {
    fillers: Fillers,
    /// Those that some route names, and one that none does.
    methods: Vec<Method>,
    depth: usize,
    pub has_regexes: bool,
    /// What any route asks for.
    options: PathOptions,
    examples: HashMap<RegexKey<'c>, Vec<String>>,
    /// How many routes by regex there are, by the literals that they begin with.
    regexes_below: HashMap<Vec<&'c str>, usize>,
}

/// A route of one of the files.
#[derive(Clone, Copy)]
pub struct Framed<'c> {
    pub route: &'c Route,
    frame: Frame,
}

/// The pairs with a regex that were looked at: of those that ask for the same beside their paths, all have the
/// same witnesses.
#[derive(Default)]
pub struct Seen<'c>(HashSet<(RegexKey<'c>, Frame, Frame)>);

impl<'c> Seen<'c> {
    pub fn is_new(&mut self, a: Framed<'c>, b: Framed<'c>) -> bool {
        let frames = (a.frame.min(b.frame), a.frame.max(b.frame));
        let regex = regex(a.route).or_else(|| regex(b.route));
        regex.is_none_or(|(key, _)| self.0.insert((key, frames.0, frames.1)))
    }
}

fn regex(route: &Route) -> Option<(RegexKey<'_>, &PathRegex)> {
    match &route.pattern {
        Pattern::Regex(regex) => Some(((regex.text(), route.path_options), regex)),
        Pattern::Path(_) | Pattern::Prefix(_) => None,
    }
}

/// What a route takes, at either end if a slash there is ignored.
fn patterns(route: &Route) -> SmallVec<[Cow<'_, Pattern>; 2]> {
    let mut patterns = smallvec![Cow::Borrowed(&route.pattern)];
    if route.path_options.trailing_slash == TrailingSlash::Ignore {
        patterns.extend(paths::with_other_end(&route.pattern).map(Cow::Owned));
    }
    patterns
}

/// The routes of both files, with a number for what each asks beside its path.
pub fn framed<'c>(old: &'c Config, new: &'c Config) -> [Vec<Framed<'c>>; 2] {
    let mut frames = HashMap::new();
    [old, new].map(|config| {
        let framed = config.routes.iter().map(|route| {
            let next = frames.len();
            let key = (&route.methods, &route.hosts, &route.headers);
            let frame = *frames.entry(key).or_insert(next);
            Framed { route, frame }
        });
        framed.collect()
    })
}

impl<'c> Witnesses<'c> {
    pub fn of(old: &'c Stages, new: &'c Stages) -> Witnesses<'c> {
        let routes = || old.config.routes.iter().chain(&new.config.routes);
        let mut examples = HashMap::new();
        let mut regexes_below: HashMap<_, usize> = HashMap::new();
        for (key, regex) in routes().filter_map(regex) {
            examples
                .entry(key)
                .or_insert_with(|| paths::examples(regex));
            let literals = regex.leading_segments().iter().map(String::as_str);
            *regexes_below.entry(literals.collect()).or_default() += 1;
        }
        let named: BTreeSet<&str> = routes()
            .flat_map(|route| &route.methods)
            .map(Method::as_str)
            .collect();
        let of_file = named
            .into_iter()
            .filter(|name| !matches!(*name, "GET" | "POST"));
        let methods = ["GET", "POST"].into_iter().chain(of_file).chain([ANY]);
        let any = |asks: fn(PathOptions) -> bool| routes().any(|route| asks(route.path_options));
        Witnesses {
            fillers: Fillers::of(old, new),
            methods: methods.filter_map(|name| name.parse().ok()).collect(),
            depth: routes()
                .map(|route| paths::depth(&route.pattern))
                .max()
                .unwrap_or(0),
            has_regexes: routes().any(|route| matches!(route.pattern, Pattern::Regex(_))),
            options: PathOptions {
                case_insensitive: any(|options| options.case_insensitive),
                merge_slashes: any(|options| options.merge_slashes),
                trailing_slash: match any(|options| options.trailing_slash == TrailingSlash::Ignore)
                {
                    true => TrailingSlash::Ignore,
                    false => TrailingSlash::Strict,
                },
            },
            examples,
            regexes_below,
        }
    }

    /// How many regexes may have to look at a path, about.
    pub fn regexes_at(&self, path: &str) -> usize {
        let mut literals: Vec<&str> = Vec::new();
        let mut all = self.regexes_below.get(&literals[..]).copied().unwrap_or(0);
        for segment in path.split('/').skip(1) {
            literals.push(segment);
            all += self.regexes_below.get(&literals[..]).copied().unwrap_or(0);
        }
        all
    }

    /// Requests that both routes take, as far as no other does; of one route alone, when they are the same. Those
    /// of a regex are examples of it, which the other may not take.
    pub fn between(&self, a: &Route, b: &Route) -> Vec<Witness> {
        let examples = |route| self.examples.get(&regex(route)?.0);
        let paths = match examples(a).or_else(|| examples(b)) {
            Some(examples) => Cow::Borrowed(examples),
            None => Cow::Owned(self.common(&patterns(a), &patterns(b))),
        };
        self.requests(&paths, a, b)
    }

    /// Paths that one of each takes, in the letters of either: the other may ignore case.
    fn common(&self, a: &[Cow<'_, Pattern>], b: &[Cow<'_, Pattern>]) -> Vec<String> {
        let fillers = match self.has_regexes {
            true => &self.fillers.segments[..],
            false => &self.fillers.segments[..1],
        };
        let mut all = Vec::new();
        for (a, b) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
            let common = |a, b| paths::common(a, b, self.depth, fillers);
            all.extend(common(a, b));
            if self.options.case_insensitive {
                all.extend(common(b, a));
            }
        }
        let mut seen = HashSet::new();
        all.retain(|path| seen.insert(path.clone()));
        all
    }

    /// Requests that an endpoint of the auth API takes, and that are for the route where nothing else takes them.
    /// Whether a regex does is not known before it is asked.
    pub fn at_endpoint(&self, endpoint: &Pattern, route: &Route) -> Vec<Witness> {
        let endpoint = [Cow::Borrowed(endpoint)];
        let paths = match &route.pattern {
            Pattern::Regex(_) => self.common(&endpoint, &endpoint),
            _ => self.common(&endpoint, &patterns(route)),
        };
        self.requests(&paths, route, route)
    }

    /// Requests for these paths that have all that both routes ask for beside them.
    fn requests(&self, paths: &[String], a: &Route, b: &Route) -> Vec<Witness> {
        if paths.is_empty() {
            return Vec::new();
        }
        let mut headers = HeaderMap::new();
        for RouteHeader { name, value } in a.headers.iter().chain(&b.headers) {
            if !headers.get_all(name).iter().any(|known| known == value) {
                headers.append(name.clone(), value.clone());
            }
        }
        let hosts = hosts::common(&a.hosts, &b.hosts, &self.fillers);
        let methods = self
            .methods
            .iter()
            .filter(|method| a.admits(method) && b.admits(method));
        let mut all = Vec::new();
        for method in methods {
            for host in &hosts {
                let spellings = paths.iter().flat_map(|path| self.spellings(path));
                all.extend(spellings.map(|path| Witness {
                    method: method.clone(),
                    host: host.clone(),
                    path,
                    headers: headers.clone(),
                }));
            }
        }
        all
    }

    /// Requests for a path that is no route's.
    pub fn at(&self, path: &str) -> impl Iterator<Item = Witness> {
        self.methods.iter().map(move |method| Witness {
            method: method.clone(),
            host: self.fillers.host.clone(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
        })
    }

    /// The path, and as some route would take it too.
    fn spellings(&self, path: &str) -> Vec<String> {
        let mut spellings = vec![path.to_owned()];
        let lower = path.to_ascii_lowercase();
        if self.options.case_insensitive {
            let others = self.fillers.in_other_letters(path);
            spellings.extend([path.to_ascii_uppercase(), lower, others]);
        }
        // Two at the beginning are ambiguous everywhere.
        let inner = path.char_indices().skip(1).find(|(_, c)| *c == '/');
        if let Some((at, _)) = inner.filter(|_| self.options.merge_slashes) {
            spellings.push(format!("{}/{}", &path[..at], &path[at..]));
        }
        if self.options.trailing_slash == TrailingSlash::Ignore && path.len() > 1 {
            spellings.push(match path.strip_suffix('/') {
                Some(path) => path.to_owned(),
                None => format!("{path}/"),
            });
        }
        spellings
    }
}
