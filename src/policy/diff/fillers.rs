//! What stands for whatever no file is about: words that neither has, since a route of that very name would be taken for
//! all that its author did not name.

use std::collections::HashSet;

use super::hosts;
use crate::config::checked::{Pattern, Route, Segment};
use crate::policy::stages::Stages;

pub struct Fillers {
    /// Segments of a path. Regexes may take one and not the next.
    pub segments: [String; 3],
    /// The first label of a host.
    pub label: String,
    pub host: String,
    /// All segments that the files name.
    named: HashSet<String>,
}

impl Fillers {
    pub fn of(old: &Stages, new: &Stages) -> Fillers {
        let routes = || old.config.routes.iter().chain(&new.config.routes);
        let endpoints = old.endpoints.iter().chain(&new.endpoints);
        let of_endpoints = endpoints.flat_map(|path| path.split('/'));
        let named = routes().flat_map(segments).chain(of_endpoints);
        let named: HashSet<String> = named.map(str::to_owned).collect();
        let segments: HashSet<String> = named.iter().map(|segment| lower(segment)).collect();
        let hosts = routes().flat_map(|route| &route.hosts).map(hosts::name);
        let labels: HashSet<String> = hosts.flat_map(|name| name.split('.')).map(lower).collect();
        Fillers {
            segments: ["zz-any", "7", "Zq_9"].map(|word| unused(word, &segments)),
            label: unused("zz-any", &labels),
            host: format!("other.{}", unused("invalid", &labels)),
            named,
        }
    }

    /// The path in large and small letters as no file has them, as far as there are enough of them.
    pub fn in_other_letters(&self, path: &str) -> String {
        let segments = path.split('/').map(|segment| {
            let mut others = (1..=MOST_LETTERS).map(|bits| with_large_letters(segment, bits));
            let other = others.find(|other| !self.named.contains(other));
            other.unwrap_or_else(|| segment.to_owned())
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

/// So many ways to write a segment are tried.
const MOST_LETTERS: u32 = 4096;

/// The segment in small letters, but for those whose bit is set.
fn with_large_letters(segment: &str, bits: u32) -> String {
    let letters = segment.chars().enumerate().map(|(at, c)| {
        let is_large = u32::try_from(at).is_ok_and(|at| bits & (1 << (at % 32)) != 0);
        match is_large {
            true => c.to_ascii_uppercase(),
            false => c.to_ascii_lowercase(),
        }
    });
    letters.collect()
}

fn segments(route: &Route) -> Vec<&str> {
    match &route.pattern {
        Pattern::Prefix(literals) => literals.iter().map(String::as_str).collect(),
        Pattern::Regex(regex) => {
            let leading = regex.leading_segments().iter();
            leading.map(String::as_str).collect()
        }
        Pattern::Path(segments) => {
            let literals = segments.iter().filter_map(|segment| match segment {
                Segment::Literal(text) => Some(text.as_str()),
                Segment::Param(_) | Segment::Rest(_) => None,
            });
            literals.collect()
        }
    }
}

fn lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// The word, or with a number behind it, whichever is none of these.
fn unused(word: &str, taken: &HashSet<String>) -> String {
    let numbered = (1..).map(|number| format!("{word}-{number}"));
    let mut words = std::iter::once(word.to_owned()).chain(numbered);
    let unused = words.find(|word| !taken.contains(&lower(word)));
    unused.unwrap_or_default()
}
