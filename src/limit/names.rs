//! What is known of each counter beside its state, which no request reads: whose it is, and what of it
//! was written down.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const WORDS: usize = 4;
/// Counters of which is known together whether one was ever taken.
const REGION: usize = 4096;

/// Which limit's counter, and whose: in the words of [`Slots`](super::slots::Slots).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Name(pub(super) [u64; 3]);

/// One for each counter of a pool, by the counter's number.
pub(super) struct Names {
    /// Three of the name, then the time that was written down.
    words: Box<[AtomicU64]>,
    taken: Box<[AtomicBool]>,
}

impl Names {
    pub(super) fn new(counters: usize) -> Self {
        Names {
            words: bytemuck::zeroed_slice_box(counters * WORDS),
            taken: bytemuck::zeroed_slice_box(counters.div_ceil(REGION)),
        }
    }

    /// Gives a counter to a key. The caller sees to it that nobody else does.
    pub(super) fn set(&self, counter: usize, name: Name) {
        let words = &self.words[counter * WORDS..][..WORDS];
        for (word, of_name) in words.iter().zip(name.0) {
            word.store(of_name, Ordering::Release);
        }
        words[WORDS - 1].store(0, Ordering::Release);
        let taken = &self.taken[counter / REGION];
        if !taken.load(Ordering::Relaxed) {
            taken.store(true, Ordering::Release);
        }
    }

    pub(super) fn get(&self, counter: usize) -> Name {
        let words = &self.words[counter * WORDS..][..WORDS];
        Name([0, 1, 2].map(|word| words[word].load(Ordering::Acquire)))
    }

    /// The time that was written down for the counter; zero for none.
    pub(super) fn noted(&self, counter: usize) -> &AtomicU64 {
        &self.words[counter * WORDS + WORDS - 1]
    }

    /// Whether this counter's region has one that was ever taken, and where the next region begins.
    pub(super) fn region(&self, counter: usize) -> (bool, usize) {
        let region = counter / REGION;
        let is_taken = self.taken[region].load(Ordering::Acquire);
        (is_taken, (region + 1) * REGION)
    }

    /// Bytes that they take at most.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.words) + self.taken.len()
    }
}
