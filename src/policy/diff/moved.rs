//! Requests that go to another route than before, found by asking both tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::ControlFlow;

use super::pairs::Pairs;
use super::rules::is_public;
use super::sides::{self, Side};
use super::touched::Touched;
use super::witness::{Framed, Seen, Witness, Witnesses, framed};
use super::{Change, Kind, Part, ROUTE, regexes};
use crate::config::Config;
use crate::config::policy_test::STRANGER;
use crate::policy::stages::Stages;
use crate::request::{Facts, Peer};
use crate::route::{self, Destination, Table};

/// Where a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Nothing takes it.
    Nowhere,
    AuthApi,
    /// An index into the routes of its file.
    Route(usize),
}

/// Between which ends requests were found to move.
#[derive(Default)]
pub struct Moved {
    /// Each with the first of them.
    found: BTreeMap<(End, End), Witness>,
    /// What is found when no route by regex takes anything.
    pub beside_regexes: BTreeSet<(End, End)>,
    /// Of how many pairs requests were made.
    pub pairs: usize,
    /// How many requests were put to both, and what all that cost.
    pub asked: usize,
    cost: usize,
    /// There were more, which would have cost too much.
    is_cut: bool,
}

/// What looking may cost: some ten seconds. A pair costs one, each request so much, and one more for each regex that
/// may have to look at it.
const MOST_COST: usize = 100_000_000;
const COST: usize = 16;

/// Puts every request that the files tell apart to both, as far as that does not take too long.
pub fn find(old: &Stages, new: &Stages, pairs: &Pairs, touched: &Touched) -> Moved {
    find_within(MOST_COST, old, new, pairs, touched)
}

pub(super) fn find_within(
    most_cost: usize,
    old: &Stages,
    new: &Stages,
    pairs: &Pairs,
    touched: &Touched,
) -> Moved {
    if pairs.are_all_unmoved() && old.endpoints == new.endpoints {
        return Moved::default();
    }
    let witnesses = Witnesses::of(old, new);
    let beside_regexes = witnesses
        .has_regexes
        .then(|| [old, new].map(regexes::table_without));
    // Of a regex no request stands for all: its examples are put to all that may take them.
    let touched = touched.and(&old.config, &new.config, regexes::is_regex);
    let mut search = Search {
        old,
        new,
        witnesses,
        beside_regexes,
        most_cost,
        moved: Moved::default(),
    };
    // Broken off or not: what was found counts.
    let _ = search.all(&touched);
    search.moved
}

/// Requests being put to both files.
struct Search<'s> {
    old: &'s Stages,
    new: &'s Stages,
    witnesses: Witnesses<'s>,
    /// The tables of both without regexes, where there are any.
    beside_regexes: Option<[Table; 2]>,
    most_cost: usize,
    moved: Moved,
}

impl<'s> Search<'s> {
    /// Breaks off when it has cost too much.
    fn all(&mut self, touched: &Touched) -> ControlFlow<()> {
        // What each route takes alone comes first: where it has to end early, that is told in any case.
        let (old, new) = (self.old, self.new);
        let [before, after] = framed(&old.config, &new.config);
        let alone = before.iter().chain(&after).map(|route| (*route, *route));
        let pairs = touched.pairs().map(|(a, b)| (before[a], after[b]));
        let mut seen = Seen::default();
        for (a, b) in alone.chain(pairs) {
            if seen.is_new(a, b) {
                self.try_pair(|witnesses| witnesses.between(a.route, b.route))?;
            }
        }
        // What both serve moves nowhere.
        let given_up = old.endpoints.iter().filter(|e| !new.endpoints.contains(e));
        let taken_on = new.endpoints.iter().filter(|e| !old.endpoints.contains(e));
        for endpoint in given_up.chain(taken_on) {
            // Its parameters are segments like any other.
            let path = endpoint.replace(['{', '}'], "");
            self.try_pair(|witnesses| witnesses.at(&path).collect())?;
            // Some routes take it by a host or by headers alone.
            let endpoint = route::endpoint(endpoint);
            for Framed { route, .. } in before.iter().chain(&after) {
                self.try_pair(|witnesses| witnesses.at_endpoint(&endpoint, route))?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Makes the requests of two routes, or of an endpoint and a route, and puts them to both files.
    fn try_pair(&mut self, make: impl FnOnce(&Witnesses<'s>) -> Vec<Witness>) -> ControlFlow<()> {
        self.has_room()?;
        self.moved.pairs += 1;
        for witness in make(&self.witnesses) {
            self.has_room()?;
            self.put(witness);
        }
        self.moved.cost += 1;
        ControlFlow::Continue(())
    }

    fn has_room(&mut self) -> ControlFlow<()> {
        if self.moved.cost < self.most_cost {
            return ControlFlow::Continue(());
        }
        self.moved.is_cut = true;
        ControlFlow::Break(())
    }

    fn put(&mut self, witness: Witness) {
        let moved = &mut self.moved;
        moved.asked += 1;
        moved.cost += COST + self.witnesses.regexes_at(&witness.path);
        let ends = |old, new| Some((end(old, &witness)?, end(new, &witness)?));
        if let Some([old, new]) = &self.beside_regexes
            && let Some(ends) = ends(old, new)
        {
            moved.beside_regexes.insert(ends);
        }
        if let Some(ends) = ends(&self.old.table, &self.new.table) {
            moved.found.entry(ends).or_insert(witness);
        }
    }
}

impl Moved {
    /// What is to be told where there were too many requests to ask about them all.
    pub fn unasked(&self) -> Option<Change> {
        self.is_cut.then(|| {
            let asked = self.asked;
            let what = format!(
                "only the first {asked} of the requests that the files tell apart were put to them: \
                 too many routes take others than before, or stand elsewhere, for each to be held against all others"
            );
            Change::new(Kind::Loosened, "routes", Part::Match, what)
        })
    }

    #[cfg(test)]
    pub fn ends(&self) -> impl Iterator<Item = (End, End)> {
        self.found.keys().copied()
    }

    pub fn has(&self, was: End, is: End) -> bool {
        self.found.contains_key(&(was, is))
    }

    /// What is to be told of what was found.
    pub fn changes(&self, old: &Config, new: &Config, pairs: &Pairs) -> Vec<Change> {
        let mut configs = [old, new].into_iter();
        let is_host_asked = configs.any(|config| config.routes.iter().any(|r| !r.hosts.is_empty()));
        let told = self.found.iter().filter_map(|(ends, witness)| {
            let request = witness.text(is_host_asked);
            if let Some(taken) = Taken::of(old, new, pairs, *ends) {
                let Taken {
                    kind,
                    by,
                    from,
                    why,
                } = taken;
                let what = format!("takes {request}, which {from}{why}");
                return Some((kind, by, what));
            }
            let (End::Route(was), is) = *ends else {
                return None;
            };
            let (kind, what) = match is {
                End::Nowhere => (Kind::Tightened, "is taken by nothing any more"),
                End::AuthApi => (Kind::Changed, "is served by the auth API now"),
                End::Route(_) => return None,
            };
            let name = &old.routes.get(was)?.name;
            Some((kind, name.as_str(), format!("{request} {what}")))
        });
        let change = |(kind, route, what): (Kind, &str, String)| {
            Change::new(kind, &format!("{ROUTE}{route}"), Part::Match, what)
        };
        told.map(change).collect()
    }
}

fn end(table: &Table, witness: &Witness) -> Option<End> {
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
    Some(match route::find(table, &facts) {
        Err(_) => End::Nowhere,
        Ok(matched) => match matched.destination {
            Destination::AuthApi => End::AuthApi,
            Destination::Route(index) => End::Route(index),
        },
    })
}

/// What it means that a route of the new file takes requests that ended elsewhere.
pub struct Taken<'a> {
    pub kind: Kind,
    /// The route's name.
    pub by: &'a str,
    /// What became of them: "`admin` took".
    pub from: String,
    /// What is asked of them less, or more.
    pub why: String,
}

impl<'a> Taken<'a> {
    /// `None` when that is nothing to be told of.
    pub fn of(
        old: &Config,
        new: &'a Config,
        pairs: &Pairs,
        (was, is): (End, End),
    ) -> Option<Taken<'a>> {
        let End::Route(is) = is else {
            return None;
        };
        let new = Side::of(new, is)?;
        let by = &new.route.name;
        let (kind, from, why) = match was {
            End::Route(was) if pairs.became(was) == Some(is) => return None,
            End::Route(was) => {
                let old = Side::of(old, was)?;
                let (kind, why) = between(old, new);
                (kind, format!("`{}` took", old.route.name), why)
            }
            End::Nowhere | End::AuthApi => {
                let kind = match (is_public(new.route), pairs.was(is)) {
                    (true, _) => Kind::NewlyPublic,
                    (false, Some(_)) => Kind::Loosened,
                    // A new one says itself whom it admits.
                    (false, None) if was == End::AuthApi => Kind::Changed,
                    (false, None) => return None,
                };
                let from = match was {
                    End::AuthApi => "the auth API served",
                    _ => "nothing took",
                };
                (kind, from.to_owned(), String::new())
            }
        };
        Some(Taken {
            kind,
            by,
            from,
            why,
        })
    }
}

/// How the second route is to the first for a request that goes there now, and why.
fn between(old: Side<'_>, new: Side<'_>) -> (Kind, String) {
    let changes = sides::compare("", old, new);
    let worst = |kinds: &[Kind]| {
        let of_kind = changes.iter().filter(|change| kinds.contains(&change.kind));
        let whats: Vec<&str> = of_kind.map(|change| change.what.as_str()).collect();
        (!whats.is_empty()).then(|| format!(": {}", whats.join("; ")))
    };
    if let Some(why) = worst(&[Kind::NewlyPublic, Kind::Loosened]) {
        let is_public = changes
            .iter()
            .any(|change| change.kind == Kind::NewlyPublic);
        let kind = match is_public {
            true => Kind::NewlyPublic,
            false => Kind::Loosened,
        };
        return (kind, why);
    }
    match worst(&[Kind::Tightened]) {
        Some(why) => (Kind::Tightened, why),
        None => (Kind::Changed, ", and asks the same".to_owned()),
    }
}
