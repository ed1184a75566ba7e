//! Requests that go to another route than before, found by asking both tables.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::pairs::Pairs;
use super::rules::{self, Side, is_public};
use super::witness::{Witness, Witnesses};
use super::{Change, Kind, Part, ROUTE, addresses, limits};
use crate::config::policy_test::STRANGER;
use crate::policy::stages::Stages;
use crate::request::{Facts, Peer};
use crate::route::{self, Destination};

/// Where a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Nothing takes it.
    Nowhere,
    AuthApi,
    /// An index into the routes of its file.
    Route(usize),
}

/// What was found, and the ends between which it was.
pub struct Moved {
    pub changes: Vec<Change>,
    pub ends: Vec<(End, End)>,
}

pub fn changes(old: &Stages, new: &Stages, pairs: &Pairs) -> Moved {
    if pairs.are_all_unmoved() && old.endpoints == new.endpoints {
        return Moved {
            changes: Vec::new(),
            ends: Vec::new(),
        };
    }
    let mut found: BTreeMap<(End, End), Witness> = BTreeMap::new();
    let mut try_out = |witness: Witness| {
        if let (Some(was), Some(is)) = (end(old, &witness), end(new, &witness)) {
            found.entry((was, is)).or_insert(witness);
        }
    };
    let witnesses = Witnesses::of(&old.config, &new.config);
    let (before, after) = (&old.config.routes, &new.config.routes);
    for route in before.iter().chain(after) {
        witnesses
            .between(route, route)
            .into_iter()
            .for_each(&mut try_out);
    }
    for a in before {
        for b in after {
            witnesses.between(a, b).into_iter().for_each(&mut try_out);
        }
    }
    for endpoint in old.endpoints.iter().chain(&new.endpoints) {
        // Its parameters are segments like any other.
        let path = endpoint.replace(['{', '}'], "");
        witnesses.at(&path).for_each(&mut try_out);
    }
    let told = found
        .iter()
        .filter_map(|((was, is), witness)| tell(old, new, pairs, (*was, *is), witness));
    Moved {
        changes: told.collect(),
        ends: found.keys().copied().collect(),
    }
}

fn end(stages: &Stages, witness: &Witness) -> Option<End> {
    let head = witness.head()?;
    let peer = Peer {
        socket: SocketAddr::new(STRANGER, 0),
        client: STRANGER,
        is_trusted: false,
    };
    let facts = Facts {
        head: &head,
        host: &witness.host,
        peer: &peer,
    };
    Some(match route::find(&stages.table, &facts) {
        Err(_) => End::Nowhere,
        Ok(matched) => match matched.destination {
            Destination::AuthApi => End::AuthApi,
            Destination::Route(index) => End::Route(index),
        },
    })
}

fn tell(
    old: &Stages,
    new: &Stages,
    pairs: &Pairs,
    (was, is): (End, End),
    witness: &Witness,
) -> Option<Change> {
    let name = |stages: &Stages, index: usize| {
        stages
            .config
            .routes
            .get(index)
            .map(|route| route.name.clone())
    };
    let is_host_asked = [old, new]
        .iter()
        .any(|stages| stages.config.routes.iter().any(|r| !r.hosts.is_empty()));
    let request = witness.text(is_host_asked);
    let change = |kind, name: &str, what: String| {
        Some(Change::new(
            kind,
            &format!("{ROUTE}{name}"),
            Part::Match,
            what,
        ))
    };
    match (was, is) {
        (End::Route(was), End::Route(is)) if pairs.became(was) == Some(is) => None,
        (End::Route(was), End::Route(is)) => {
            let (side_was, side_is) = (Side::of(&old.config, was)?, Side::of(&new.config, is)?);
            let (kind, why) = between(side_was, side_is);
            let (was, is) = (&side_was.route.name, &side_is.route.name);
            let what = format!("takes {request}, which `{was}` took{why}");
            change(kind, is, what)
        }
        (End::Route(was), End::Nowhere) => change(
            Kind::Tightened,
            &name(old, was)?,
            format!("{request} is taken by nothing any more"),
        ),
        (End::Route(was), End::AuthApi) => change(
            Kind::Changed,
            &name(old, was)?,
            format!("{request} is served by the auth API now"),
        ),
        (End::Nowhere | End::AuthApi, End::Route(is)) => {
            let route = new.config.routes.get(is)?;
            let before = match was {
                End::AuthApi => "which the auth API served",
                _ => "which nothing took",
            };
            let what = format!("takes {request}, {before}");
            match (is_public(route), pairs.was(is)) {
                (true, _) => change(Kind::NewlyPublic, &route.name, what),
                (false, Some(_)) => change(Kind::Loosened, &route.name, what),
                // A new one says itself whom it admits.
                (false, None) if was == End::AuthApi => change(Kind::Changed, &route.name, what),
                (false, None) => None,
            }
        }
        // What the auth API serves is told of `auth`.
        (End::Nowhere | End::AuthApi, End::Nowhere | End::AuthApi) => None,
    }
}

/// How the second route is to the first for a request that goes there now, and why.
pub fn between(old: Side<'_>, new: Side<'_>) -> (Kind, String) {
    let mut changes = rules::compare("", old, new);
    changes.extend(limits::compare("", old, new));
    changes.extend(addresses::compare("", &old.route.ip, &new.route.ip));
    let worst = |kinds: &[Kind]| {
        let of_kind = changes.iter().filter(|change| kinds.contains(&change.kind));
        let whats: Vec<&str> = of_kind.map(|change| change.what.as_str()).collect();
        (!whats.is_empty()).then(|| format!(": {}", whats.join("; ")))
    };
    if let Some(why) = worst(&[Kind::NewlyPublic, Kind::Loosened]) {
        let is_public = changes
            .iter()
            .any(|change| change.kind == Kind::NewlyPublic);
        return (
            if is_public {
                Kind::NewlyPublic
            } else {
                Kind::Loosened
            },
            why,
        );
    }
    match worst(&[Kind::Tightened]) {
        Some(why) => (Kind::Tightened, why),
        None => (Kind::Changed, ", and asks the same".to_owned()),
    }
}
