//! Routes that match the same requests equally well.

use std::collections::HashMap;

use super::super::checked::{HostPattern, Pattern, Route, Segment};
use super::super::diagnose::{Findings, shown};
use super::super::source::Span;

/// A pattern without the names of its parameters.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Shape<'a> {
    Segments {
        /// `None` stands for a parameter.
        segments: Vec<Option<&'a str>>,
        /// Whether more may follow: a prefix, or `{*rest}`.
        is_open: bool,
    },
    Regex(&'a str),
}

fn shape(pattern: &Pattern) -> Shape<'_> {
    match pattern {
        Pattern::Prefix(literals) => Shape::Segments {
            segments: literals.iter().map(|l| Some(l.as_str())).collect(),
            is_open: true,
        },
        Pattern::Path(segments) => Shape::Segments {
            segments: segments
                .iter()
                .filter_map(|segment| match segment {
                    Segment::Literal(text) => Some(Some(text.as_str())),
                    Segment::Param(_) => Some(None),
                    Segment::Rest(_) => None,
                })
                .collect(),
            is_open: matches!(segments.last(), Some(Segment::Rest(_))),
        },
        Pattern::Regex(regex) => Shape::Regex(regex.text()),
    }
}

/// Reports each route that ties with an earlier one. `spans` are the places of the patterns.
pub fn refuse(routes: &[Route], spans: &[Span], findings: &mut Findings) {
    let mut groups: HashMap<(Option<&HostPattern>, Shape<'_>), Vec<&Route>> = HashMap::new();
    for (route, span) in routes.iter().zip(spans) {
        let hosts: Vec<Option<&HostPattern>> = match route.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(Some).collect(),
        };
        let mut tie = None;
        for host in hosts {
            let group = groups.entry((host, shape(&route.pattern))).or_default();
            tie = tie.or_else(|| group.iter().copied().find(|other| overlap(route, other)));
            group.push(route);
        }
        if let Some(other) = tie {
            let message = format!(
                "the routes {} and {} match the same requests",
                shown(&other.name),
                shown(&route.name)
            );
            findings
                .error(*span, message)
                .hint("tell them apart by path, `methods`, `hosts` or `headers`, or remove one");
        }
    }
}

/// Some requests are admitted by both, and neither comes before the other.
fn overlap(a: &Route, b: &Route) -> bool {
    have_common_headers(a, b) && have_common_methods(a, b)
}

/// Of routes with more headers and fewer, those with more come first. One header with two values, in two
/// lines, is nobody's ordinary request: there the order of the file will do.
fn have_common_headers(a: &Route, b: &Route) -> bool {
    a.headers.len() == b.headers.len()
        && a.headers.iter().all(|own| {
            let other = b.headers.iter().find(|other| other.name == own.name);
            other.is_none_or(|other| other.value == own.value)
        })
}

fn have_common_methods(a: &Route, b: &Route) -> bool {
    a.methods.is_empty()
        || b.methods.iter().any(|m| a.admits(m))
        || a.methods.iter().any(|m| b.admits(m))
}
