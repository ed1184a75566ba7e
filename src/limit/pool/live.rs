//! The counters that somebody owes something to, for people and for the store. Read while they are
//! charged: a counter that changes hands meanwhile is left out.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::{CELLS, Pool, WAYS};
use crate::limit::names::Name;
use crate::limit::word::Word;

/// A counter that is not full.
pub(in crate::limit) struct Live<'p> {
    pub(in crate::limit) name: Name,
    /// When it is full again, in nanoseconds since the start.
    pub(in crate::limit) full_at: u64,
    /// What of that was written down; zero for nothing.
    pub(in crate::limit) noted: &'p AtomicU64,
}

impl Pool {
    /// Shows each counter that fills up after `later`, which is not before now.
    pub(in crate::limit) fn each_live<'p>(&'p self, later: u64, mut show: impl FnMut(Live<'p>)) {
        let all = self.buckets * WAYS;
        let mut number = 0;
        while number < all {
            let (is_taken, next) = self.names.region(number);
            if is_taken {
                for number in number..next.min(all) {
                    self.live(number, later).into_iter().for_each(&mut show);
                }
            }
            number = next;
        }
    }

    fn live(&self, number: usize, later: u64) -> Option<Live<'_>> {
        let state = &self.cells[self.first + number * CELLS + 1];
        let word = Word(state.load(Ordering::Acquire));
        if word == Word::BUSY || word.time() <= later {
            return None;
        }
        let name = self.names.get(number);
        fence(Ordering::Acquire);
        let after = Word(state.load(Ordering::Relaxed));
        // Another key that has taken it meanwhile has moved the generation.
        let is_same = after != Word::BUSY && after.generation() == word.generation();
        // It may owe less by now.
        (is_same && after.time() > later).then(|| Live {
            name,
            full_at: after.time(),
            noted: self.names.noted(number),
        })
    }
}
