//! Which route of one file is which of the other: by name, else by the requests that it takes.

use crate::config::Config;
use crate::config::checked::Route;

/// Indexes into the routes of both files.
pub struct Pairs {
    /// Of each old route, the new one that it has become.
    became: Vec<Option<usize>>,
    /// Of each new route, the old one that it was.
    was: Vec<Option<usize>>,
    /// Of each old route, whether what it has become takes the same requests.
    is_same: Vec<bool>,
}

impl Pairs {
    pub fn of(old: &Config, new: &Config) -> Pairs {
        let mut pairs = Pairs {
            became: vec![None; old.routes.len()],
            was: vec![None; new.routes.len()],
            is_same: vec![false; old.routes.len()],
        };
        let by_name = |a: &Route, b: &Route| a.name == b.name;
        pairs.join(old, new, by_name);
        pairs.join(old, new, takes_the_same);
        pairs
    }

    /// Pairs those that are still alone.
    fn join(&mut self, old: &Config, new: &Config, are_one: impl Fn(&Route, &Route) -> bool) {
        for (was, before) in old.routes.iter().enumerate() {
            if self.became[was].is_some() {
                continue;
            }
            let mut others = new.routes.iter().enumerate();
            let found =
                others.find(|(is, after)| self.was[*is].is_none() && are_one(before, after));
            if let Some((is, after)) = found {
                self.became[was] = Some(is);
                self.was[is] = Some(was);
                self.is_same[was] = takes_the_same(before, after);
            }
        }
    }

    pub fn became(&self, old: usize) -> Option<usize> {
        self.became.get(old).copied().flatten()
    }

    pub fn was(&self, new: usize) -> Option<usize> {
        self.was.get(new).copied().flatten()
    }

    /// What the old route has become, if that takes the same requests as far as no other does.
    pub fn unmoved(&self, old: usize) -> Option<usize> {
        self.became(old)
            .filter(|_| self.is_same.get(old) == Some(&true))
    }

    /// The old route that the new one was, if that took the same requests as far as no other did.
    pub fn unmoved_of(&self, new: usize) -> Option<usize> {
        self.was(new).filter(|old| self.unmoved(*old) == Some(new))
    }

    /// Both files have the same routes in the same order, as far as it is about which requests they take.
    pub fn are_all_unmoved(&self) -> bool {
        let mut routes = 0..self.became.len().max(self.was.len());
        routes.all(|route| self.unmoved(route) == Some(route))
    }

    /// Every pair, by the order of the new file.
    pub fn all(&self) -> impl Iterator<Item = (usize, usize)> {
        let all = self.was.iter().enumerate();
        all.filter_map(|(new, old)| Some(((*old)?, new)))
    }
}

fn takes_the_same(a: &Route, b: &Route) -> bool {
    a.pattern == b.pattern
        && has_the_same(&a.methods, &b.methods)
        && has_the_same(&a.hosts, &b.hosts)
        && a.headers == b.headers
        && a.path_options == b.path_options
}

/// In whatever order; nothing is there twice.
fn has_the_same<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    a == b || a.len() == b.len() && a.iter().all(|one| b.contains(one))
}
