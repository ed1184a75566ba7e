//! Headers by which a route is chosen, which the log does not hold: what a request may have had of them.

use http::HeaderName;
use http::request::Parts;

use super::record::Record;
use super::then::Then;
use crate::config::Config;
use crate::config::checked::RouteHeader;
use crate::request::{Facts, Peer};
use crate::route::{self, Destination, Table};

/// Those that some route of a file is for.
pub struct Choosing {
    /// Once each, in their order.
    pub names: Vec<HeaderName>,
    /// What routes ask for together.
    sets: Vec<Vec<RouteHeader>>,
}

impl Choosing {
    pub fn of(config: &Config) -> Choosing {
        let mut sets: Vec<Vec<RouteHeader>> = Vec::new();
        for route in &config.routes {
            if !route.headers.is_empty() && !sets.contains(&route.headers) {
                sets.push(route.headers.clone());
            }
        }
        let names = sets.iter().flatten().map(|header| header.name.clone());
        let mut names: Vec<HeaderName> = names.collect();
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Choosing { names, sets }
    }

    /// What the request may have been, one head for each place that it would go to; at least one. The first is
    /// the one with no header but those of `known`, unless the old file tells that it had more.
    ///
    /// No more than one route's headers are added at once: a request that has those of several takes a route
    /// that it takes with that one's alone.
    pub fn heads(
        &self,
        table: &Table,
        then: Option<&Then>,
        record: &Record,
        peer: &Peer,
        known: Parts,
    ) -> Vec<Parts> {
        let host = &record.host;
        let lead = |head: &Parts| place(route::find(table, &Facts { head, host, peer }));
        let of_all = |head: &Parts| {
            let (facts, names) = (Facts { head, host, peer }, &self.names);
            place(route::find_announced(table, &facts, &head.method, names))
        };
        // What comes first with none of them and with all comes first whichever there were.
        if self.sets.is_empty() || lead(&known) == of_all(&known) {
            return vec![known];
        }
        let more = self.sets.iter().filter_map(|set| with(&known, set));
        let mut all: Vec<Parts> = more.collect();
        all.insert(0, known);
        if let Some(then) = then {
            let leads_there = |head: &Parts| then.leads_there(record, &Facts { head, host, peer });
            // Where none does, the log was not written under that file.
            if all.iter().any(leads_there) {
                all.retain(leads_there);
            }
        }
        let mut leads = Vec::new();
        all.retain(|head| {
            let lead = lead(head);
            let is_new = !leads.contains(&lead);
            leads.push(lead);
            is_new
        });
        all
    }
}

/// Where a request goes, or why nowhere.
fn place(
    found: Result<route::Matched, crate::request::Refusal>,
) -> Result<Option<usize>, &'static str> {
    match found {
        Ok(matched) => Ok(match matched.destination {
            Destination::Route(index) => Some(index),
            Destination::AuthApi => None,
        }),
        Err(refusal) => Err(refusal.code().as_str()),
    }
}

/// The head with these headers too; `None` when it is known to have one of them with another value.
fn with(known: &Parts, set: &[RouteHeader]) -> Option<Parts> {
    let mut head = known.clone();
    for header in set {
        match known.headers.get(&header.name) {
            Some(value) if *value == header.value => {}
            Some(_) => return None,
            None => {
                head.headers
                    .insert(header.name.clone(), header.value.clone());
            }
        }
    }
    Some(head)
}
