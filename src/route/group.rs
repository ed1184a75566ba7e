//! The routes of one host pattern, and which of them a reading of a path is for.

use crate::config::checked::{Case, Route};

use super::forms::{Form, Forms};
use super::trie::{Params, Trie};

pub(super) struct Group {
    /// Routes by the case that the file has.
    by_case: Trie,
    /// `None` when no route of the file asks for another.
    folded: Option<Folded>,
}

/// Routes without regard to case.
struct Folded {
    /// Those that ask for it.
    asked: Trie,
    all: Trie,
}

/// How a route stands to others.
pub(super) struct Standing {
    /// Which comes first of those that match, the smallest.
    pub(super) place: usize,
    pub(super) merges_slashes: bool,
}

impl Group {
    pub(super) fn new(folds: bool) -> Group {
        let trie = || Trie::new(Case::Any);
        Group {
            by_case: Trie::new(Case::AsAsked),
            folded: folds.then(|| Folded {
                asked: trie(),
                all: trie(),
            }),
        }
    }

    /// Adds a route; those that come first are inserted first.
    pub(super) fn insert(&mut self, route: &Route, index: usize) {
        let (pattern, options) = (&route.pattern, route.path_options);
        match &mut self.folded {
            Some(folded) => {
                folded.all.insert(pattern, options, index);
                if options.case_insensitive {
                    folded.asked.insert(pattern, options, index);
                } else {
                    self.by_case.insert(pattern, options, index);
                }
            }
            None => self.by_case.insert(pattern, options, index),
        }
    }

    /// The first route that `admit` takes, with its parameters. For [`Case::Any`] that of a server which
    /// ignores case whether a route asks for it or not.
    pub(super) fn search(
        &self,
        forms: &Forms<'_>,
        case: Case,
        routes: &[Standing],
        admit: &mut impl FnMut(usize) -> bool,
    ) -> Option<(usize, Params)> {
        let plain = self.search_form(&forms.plain, case, routes, admit);
        let Some(merged) = &forms.merged else {
            return plain;
        };
        let found = self.search_form(merged, case, routes, &mut |route| {
            let merges = |standing: &Standing| standing.merges_slashes;
            routes.get(route).is_some_and(merges) && admit(route)
        });
        let found = found.map(|(route, params)| (route, merged.in_reading(params)));
        first_of(plain, found, routes)
    }

    fn search_form(
        &self,
        form: &Form<'_>,
        case: Case,
        routes: &[Standing],
        admit: &mut impl FnMut(usize) -> bool,
    ) -> Option<(usize, Params)> {
        match (&self.folded, case) {
            (None, _) => self.by_case.search(form.bytes(), admit),
            (Some(folded), Case::Any) => folded.all.search(form.lower(), admit),
            (Some(folded), Case::AsAsked) => {
                let by_case = self.by_case.search(form.bytes(), admit);
                let asked = folded.asked.search(form.lower(), admit);
                first_of(by_case, asked, routes)
            }
        }
    }
}

/// Of a route that was found in both forms, the later counts.
fn first_of(
    a: Option<(usize, Params)>,
    b: Option<(usize, Params)>,
    routes: &[Standing],
) -> Option<(usize, Params)> {
    let place = |found: &(usize, Params)| routes.get(found.0).map(|standing| standing.place);
    match (a, b) {
        (Some(a), Some(b)) if place(&b) <= place(&a) => Some(b),
        (a, b) => a.or(b),
    }
}
