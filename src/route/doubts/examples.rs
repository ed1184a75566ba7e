//! Requests that stand for all that a route is for.

use http::{HeaderMap, Method};

use super::super::hosts::Authority;
use super::super::table::Target;
use crate::config::checked::{HostPattern, Pattern, Route, Segment};

/// So many paths stand for those of a pattern.
pub(super) const CHOICES: usize = 16;

/// What stands for a parameter: unlikely to be a literal of another route, and of several kinds, since a
/// regex may take one and not the next.
const FILLERS: [&str; 4] = ["sample-1", "7", "Zq_9", "~x.y"];

#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) host: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
}

impl Example {
    /// What the table is asked; `None` for a host that is none.
    pub(super) fn target<'e>(&'e self, method: &'e Method) -> Option<Target<'e>> {
        Some(Target {
            host: Authority::read(&self.host)?,
            method,
            headers: &self.headers,
            announced: &[],
            passed_over: &[],
        })
    }
}

/// Examples of a route, the most ordinary first.
pub(super) fn of(route: &Route) -> impl Iterator<Item = Example> {
    let headers: HeaderMap = route
        .headers
        .iter()
        .map(|header| (header.name.clone(), header.value.clone()))
        .collect();
    let hosts = match hosts(route) {
        // No pattern is for the host of a request that names none.
        none if none.is_empty() => vec![String::new()],
        hosts => hosts,
    };
    let choices = (0..CHOICES).filter_map(|choice| path(&route.pattern, choice));
    choices.flat_map(move |path| {
        let headers = headers.clone();
        let examples = hosts.clone().into_iter().map(move |host| Example {
            host,
            path: path.clone(),
            headers: headers.clone(),
        });
        examples.collect::<Vec<_>>()
    })
}

/// One for each host that it names.
pub(super) fn hosts(route: &Route) -> Vec<String> {
    route.hosts.iter().map(host).collect()
}

pub(super) fn host(pattern: &HostPattern) -> String {
    pattern.to_string().replacen('*', FILLERS[0], 1)
}

fn path(pattern: &Pattern, choice: usize) -> Option<String> {
    let filler = FILLERS[choice % FILLERS.len()];
    let is_long = choice % (2 * FILLERS.len()) >= FILLERS.len();
    let mut path = String::new();
    match pattern {
        Pattern::Regex(regex) => return regex.examples().get(choice).cloned(),
        Pattern::Path(segments) => {
            for segment in segments {
                path.push('/');
                match segment {
                    Segment::Literal(text) => path.push_str(text),
                    Segment::Param(_) => path.push_str(filler),
                    Segment::Rest(_) if is_long => path = format!("{path}{filler}/{filler}/"),
                    Segment::Rest(_) => path.push_str(filler),
                }
            }
        }
        Pattern::Prefix(segments) => {
            for segment in segments {
                path = format!("{path}/{segment}");
            }
            match choice {
                1 if !segments.is_empty() => {}
                2 => path.push('/'),
                _ if is_long => path = format!("{path}/{filler}/{filler}/"),
                _ => path = format!("{path}/{filler}"),
            }
        }
    }
    match path.is_empty() {
        true => Some("/".to_owned()),
        false => Some(path),
    }
}
