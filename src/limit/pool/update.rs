//! One decision on one counter, tried until nobody else changed the counter meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Charge, Id, Place, swap};
use crate::limit::word::Word;

pub(super) struct Update<F> {
    pub(super) id: Id,
    pub(super) now: u64,
    pub(super) amount: u64,
    pub(super) decide: F,
}

impl<F> Update<F> {
    /// Applies the decision to a counter; `None` when the counter is or becomes another key's.
    pub(super) fn apply<T, E>(
        &self,
        state: &AtomicU64,
        place: Place,
        is_still: impl Fn() -> bool,
    ) -> Option<Result<(T, Charge), E>>
    where
        F: Fn(Option<u64>) -> Result<(T, u64), E>,
    {
        let mut word = Word(state.load(Ordering::Acquire));
        loop {
            // The state was read first: if the counter has changed hands since, the swap fails.
            if word == Word::BUSY || !is_still() {
                return None;
            }
            let (value, full_at) = match (self.decide)(Some(word.time())) {
                Ok(decided) => decided,
                Err(refused) => return Some(Err(refused)),
            };
            let is_nearly_full = word.time() < self.now.saturating_add(self.amount);
            let next = if is_nearly_full {
                word.next(full_at)
            } else {
                word.at(full_at)
            };
            match swap(state, word, next) {
                Ok(()) => return Some(Ok((value, self.charged(place, next)))),
                Err(seen) => word = seen,
            }
        }
    }

    pub(super) fn charged(&self, place: Place, word: Word) -> Charge {
        Charge {
            place,
            key: self.id.key,
            generation: word.generation(),
            amount: self.amount,
            at: self.now,
            full_at: word.time(),
        }
    }
}
