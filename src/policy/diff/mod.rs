//! What a change of the configuration does to policy. What can't be shown to be as tight as before counts
//! as loosened.

mod addresses;
mod covers;
mod default_tier;
mod fillers;
mod hosts;
mod keys;
mod limits;
mod listeners;
mod moved;
mod pairs;
mod paths;
#[cfg(test)]
mod proven;
mod regexes;
mod routes;
mod rules;
mod settings;
mod sides;
#[cfg(test)]
mod tests;
mod touched;
mod upstreams;
mod witness;

use serde_json::{Value, json};

use super::stages::Stages;
use pairs::Pairs;
use touched::Touched;

/// How much a change matters, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Callers without identity reach what they did not.
    NewlyPublic,
    Loosened,
    Added,
    Removed,
    Renamed,
    Tightened,
    /// Something else that is neither looser nor tighter.
    Changed,
}

impl Kind {
    pub const ALL: [Kind; 7] = [
        Kind::NewlyPublic,
        Kind::Loosened,
        Kind::Added,
        Kind::Removed,
        Kind::Renamed,
        Kind::Tightened,
        Kind::Changed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::NewlyPublic => "newly public",
            Kind::Loosened => "loosened",
            Kind::Added => "added",
            Kind::Removed => "removed",
            Kind::Renamed => "renamed",
            Kind::Tightened => "tightened",
            Kind::Changed => "changed",
        }
    }

    pub fn is_looser(self) -> bool {
        matches!(self, Kind::NewlyPublic | Kind::Loosened)
    }
}

/// What of the policy a change is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Which requests a route takes.
    Match,
    Auth,
    Allow,
    Limits,
    /// Another key of a route, or of the file.
    Key,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Part::Match => "match",
            Part::Auth => "auth",
            Part::Allow => "allow",
            Part::Limits => "limits",
            Part::Key => "key",
        }
    }
}

/// One change, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub kind: Kind,
    /// `route NAME`, `tier NAME`, or a key of the file.
    pub about: String,
    pub part: Part,
    pub what: String,
}

impl Change {
    fn new(kind: Kind, about: &str, part: Part, what: impl Into<String>) -> Change {
        Change {
            kind,
            about: about.to_owned(),
            part,
            what: what.into(),
        }
    }

    pub fn to_json(&self) -> Value {
        let route = self.about.strip_prefix(ROUTE);
        json!({
            "kind": self.kind.as_str().replace(' ', "_"),
            "about": self.about,
            "route": route,
            "part": self.part.as_str(),
            "what": self.what,
        })
    }
}

/// What changes of routes are about, before the name.
const ROUTE: &str = "route ";

/// Everything that changes, the worst first, each once.
pub fn diff(old: &Stages, new: &Stages) -> Vec<Change> {
    let pairs = Pairs::of(&old.config, &new.config);
    let mut changes = settings::changes(&old.config, &new.config);
    changes.extend(routes::changes(&old.config, &new.config, &pairs));
    let touched = Touched::of(old, new, &pairs);
    let moved = moved::find(old, new, &pairs, &touched);
    changes.extend(moved.changes(&old.config, &new.config, &pairs));
    changes.extend(moved.unasked());
    changes.extend(regexes::changes(old, new, &pairs, &touched, &moved));
    changes.sort();
    changes.dedup();
    changes
}
