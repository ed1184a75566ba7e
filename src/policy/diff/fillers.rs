//! What stands for whatever no file is about: words that neither has, since a route of that very name would be taken for
//! all that its author did not name.

use std::collections::HashSet;

use super::hosts;
use crate::config::Config;
use crate::config::checked::{Pattern, Route, Segment};

pub struct Fillers {
    /// Segments of a path. Regexes may take one and not the next.
    pub segments: [String; 3],
    /// The first label of a host.
    pub label: String,
    pub host: String,
}

impl Fillers {
    pub fn of(old: &Config, new: &Config) -> Fillers {
        let routes = || old.routes.iter().chain(&new.routes);
        let segments: HashSet<String> = routes().flat_map(segments).map(lower).collect();
        let hosts = routes().flat_map(|route| &route.hosts).map(hosts::name);
        let labels: HashSet<String> = hosts.flat_map(|name| name.split('.')).map(lower).collect();
        Fillers {
            segments: ["zz-any", "7", "Zq_9"].map(|word| unused(word, &segments)),
            label: unused("zz-any", &labels),
            host: format!("other.{}", unused("invalid", &labels)),
        }
    }
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
