//! Routes that match the same requests equally well.

use std::borrow::Cow;
use std::collections::HashMap;

use http::{HeaderName, Method};

use super::super::checked::{
    HostPattern, PathOptions, Pattern, Route, RouteHeader, Segment, TrailingSlash,
};
use super::super::diagnose::{Findings, shown};
use super::super::source::Span;

/// What stands for a parameter in an example.
const FILLER: &str = "1";

/// A pattern without the names of its parameters and without a slash at its end; in lower case where some
/// route ignores case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Shape<'a> {
    Segments {
        /// `None` stands for a parameter.
        segments: Vec<Option<Cow<'a, str>>>,
        /// Whether more may follow: a prefix, or `{*rest}`.
        is_open: bool,
    },
    Regex(&'a str),
}

pub(super) fn shape(pattern: &Pattern, folds: bool) -> Shape<'_> {
    if let Pattern::Regex(regex) = pattern {
        return Shape::Regex(regex.text());
    }
    let mut segments = segments(pattern);
    let is_open = is_open(pattern);
    if !is_open && segments.last() == Some(&Some("")) {
        segments.pop();
    }
    let text = |text| match folds {
        true => Cow::Owned(str::to_ascii_lowercase(text)),
        false => Cow::Borrowed(text),
    };
    Shape::Segments {
        segments: segments.into_iter().map(|s| s.map(text)).collect(),
        is_open,
    }
}

/// The segments of a path or prefix, `None` for a parameter.
fn segments(pattern: &Pattern) -> Vec<Option<&str>> {
    match pattern {
        Pattern::Prefix(literals) => literals.iter().map(|l| Some(l.as_str())).collect(),
        Pattern::Path(segments) => {
            let segments = segments.iter().filter_map(|segment| match segment {
                Segment::Literal(text) => Some(Some(text.as_str())),
                Segment::Param(_) => Some(None),
                Segment::Rest(_) => None,
            });
            segments.collect()
        }
        Pattern::Regex(_) => Vec::new(),
    }
}

pub(super) fn is_open(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Prefix(_) => true,
        Pattern::Path(segments) => matches!(segments.last(), Some(Segment::Rest(_))),
        Pattern::Regex(_) => false,
    }
}

/// Routes of one host and shape by the names of their headers and then by the values, each in the order of
/// the file.
type Alike<'a> = HashMap<Vec<&'a HeaderName>, HashMap<&'a [RouteHeader], Vec<usize>>>;

/// Reports each route that ties with an earlier one. `spans` are the places of the patterns.
pub fn refuse(routes: &[Route], spans: &[Span], findings: &mut Findings) {
    let folds = routes
        .iter()
        .any(|route| route.path_options.case_insensitive);
    let mut groups: HashMap<(Option<&HostPattern>, Shape<'_>), Alike<'_>> = HashMap::new();
    for (index, (route, span)) in routes.iter().zip(spans).enumerate() {
        let hosts: Vec<Option<&HostPattern>> = match route.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(Some).collect(),
        };
        let mut tie = None;
        for host in hosts {
            let shape = shape(&route.pattern, folds);
            let group = groups.entry((host, shape)).or_default();
            let names: Vec<&HeaderName> = route.headers.iter().map(|h| &h.name).collect();
            let other = earlier(route, &names, group, routes).and_then(|at| routes.get(at));
            tie = tie.or(other.map(|other| (host, other)));
            let alike = group.entry(names).or_default();
            alike.entry(&route.headers).or_default().push(index);
        }
        if let Some((host, other)) = tie {
            let message = format!(
                "the routes {} and {} match the same requests, such as {}",
                shown(&other.name),
                shown(&route.name),
                example(other, route, host)
            );
            findings
                .error(*span, message)
                .hint("tell them apart by path, `methods`, `hosts` or `headers`, or remove one");
        }
    }
}

/// The first route of the group that ties with this one.
fn earlier(
    route: &Route,
    names: &[&HeaderName],
    group: &Alike<'_>,
    routes: &[Route],
) -> Option<usize> {
    let ties = |at: &&usize| {
        let tie = |other| {
            have_common_headers(route, other)
                && common_method(route, other).is_some()
                && common_path(route, other).is_some()
        };
        routes.get(**at).is_some_and(tie)
    };
    // Of routes with more headers and fewer, those with more come first. One header with two values, in
    // two lines, is nobody's ordinary request: there the order of the file will do.
    let by_names = group
        .iter()
        .filter(|(others, _)| others.len() == names.len());
    let first = by_names.filter_map(|(others, by_value)| match others == names {
        true => by_value.get(route.headers.as_slice())?.iter().find(ties),
        false => by_value
            .values()
            .filter_map(|all| all.iter().find(ties))
            .min(),
    });
    first.min().copied()
}

fn have_common_headers(a: &Route, b: &Route) -> bool {
    a.headers.iter().all(|own| {
        let other = b.headers.iter().find(|other| other.name == own.name);
        other.is_none_or(|other| other.value == own.value)
    })
}

/// A request that both routes match.
fn example(a: &Route, b: &Route, host: Option<&HostPattern>) -> String {
    let method = common_method(a, b).unwrap_or_default();
    let path = common_path(a, b).unwrap_or_default();
    let host = match host {
        None => "any host".to_owned(),
        Some(pattern) => shown(&pattern.to_string().replacen('*', "www", 1)),
    };
    // Not cut short: it is there to be sent.
    let mut text = format!("`{method} {path}` to {host}");
    let others = b
        .headers
        .iter()
        .filter(|header| !a.headers.contains(header));
    for (index, header) in a.headers.iter().chain(others).enumerate() {
        let value = String::from_utf8_lossy(header.value.as_bytes());
        text += if index == 0 { " with " } else { " and " };
        text += &shown(&format!("{}: {value}", header.name));
    }
    text
}

fn common_method(a: &Route, b: &Route) -> Option<Method> {
    match (a.methods.is_empty(), b.methods.is_empty()) {
        (true, true) => Some(Method::GET),
        _ => {
            let mut methods = a.methods.iter().chain(&b.methods);
            methods.find(|m| a.admits(m) && b.admits(m)).cloned()
        }
    }
}

fn common_path(a: &Route, b: &Route) -> Option<String> {
    if let Pattern::Regex(regex) = &a.pattern {
        // The same one for other options takes these as well.
        let example = regex.examples().first().cloned();
        return Some(example.unwrap_or_else(|| regex.text().to_owned()));
    }
    let mut path = String::new();
    let (own, others) = (segments(&a.pattern), segments(&b.pattern));
    let common = own.len().min(others.len());
    for (own, other) in own.iter().zip(&others) {
        let segment = match (own, other) {
            (None, _) => FILLER,
            (Some(own), Some(other)) if own == other => own,
            (Some(own), Some(_)) if b.path_options.case_insensitive => own,
            (Some(_), Some(other)) if a.path_options.case_insensitive => other,
            _ => return None,
        };
        path = format!("{path}/{segment}");
    }
    if is_open(&a.pattern) {
        return Some(format!("{path}/{FILLER}"));
    }
    // They differ in the slash at the end if in anything.
    if own.len() != others.len() {
        let (shorter, longer) = match own.len() == common {
            true => (a.path_options, b.path_options),
            false => (b.path_options, a.path_options),
        };
        let ignores = |options: PathOptions| options.trailing_slash == TrailingSlash::Ignore;
        match (ignores(shorter), ignores(longer)) {
            (true, _) => path.push('/'),
            (false, true) => {}
            (false, false) => return None,
        }
    }
    Some(if path.is_empty() {
        "/".to_owned()
    } else {
        path
    })
}
