//! What looking through routes for doubts may cost.

use std::cell::Cell;

use super::examples::CHOICES;
use crate::config::checked::{PathRegex, Pattern};

/// Regexes that are tried, routes that share a path, and guarded routes that rewrites are held against, in about a second.
const MOST: usize = 1_000_000;

/// How much was tried of what may be, by all who look through one configuration.
pub struct Tries {
    spent: Cell<usize>,
    most: usize,
}

impl Default for Tries {
    fn default() -> Self {
        Tries::within(MOST)
    }
}

impl Tries {
    pub(crate) fn within(most: usize) -> Self {
        let spent = Cell::new(0);
        Tries { spent, most }
    }

    pub fn are_spent(&self) -> bool {
        self.spent.get() > self.most
    }

    pub(super) fn spend(&self, tries: usize) {
        self.spent.set(self.spent.get().saturating_add(tries));
    }

    /// Examples of a regex are made by trying them, once.
    pub fn spend_on_examples(&self, pattern: &Pattern) {
        if let Pattern::Regex(regex) = pattern
            && !regex.has_made_examples()
        {
            self.spend(tries_of(regex).saturating_mul(CHOICES));
        }
    }

    #[cfg(test)]
    pub(super) fn spent(&self) -> usize {
        self.spent.get()
    }
}

/// Tries of an ordinary regex that one of this costs: a large one has many states, and a long path.
pub(super) fn tries_of(regex: &PathRegex) -> usize {
    let states = regex.size() / 8;
    states.saturating_mul(states).saturating_add(1)
}
