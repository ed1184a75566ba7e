//! The state of one counter in one atomic word: a generation and a theoretical arrival time.

/// The generation has 6 bits, the time 58: nanoseconds for nine years since the process started.
const TIME_BITS: u32 = 58;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// A counter's state, zero for one that was never used.
///
/// The *time* is when the counter will be full again (the theoretical arrival time of GCRA). The
/// *generation* moves when another key takes the counter, so a compare-and-swap begun for the old key
/// fails, and when a charge finds the counter so nearly full that an earlier charge may have been made
/// good already, so that a refund of that one knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// Another key is just taking the counter. No state looks like this: see [`Word::next`].
    pub(super) const BUSY: Word = Word(u64::MAX);

    pub(super) fn time(self) -> u64 {
        self.0 & TIME_MASK
    }

    pub(super) fn generation(self) -> u64 {
        self.0 >> TIME_BITS
    }

    /// The same generation at another time.
    pub(super) fn at(self, time: u64) -> Word {
        Word((self.0 & !TIME_MASK) | time.min(TIME_MASK - 1))
    }

    /// The next generation, at `time`.
    pub(super) fn next(self, time: u64) -> Word {
        let generation = self.generation().wrapping_add(1) << TIME_BITS;
        Word(generation).at(time)
    }

    /// Nothing is used up: forgetting this counter gives nobody anything.
    pub(super) fn is_full(self, now: u64) -> bool {
        self != Word::BUSY && self.time() <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_generation_do_not_touch_each_other() {
        let word = Word(0).next(77);
        assert_eq!((word.generation(), word.time()), (1, 77));
        assert_eq!((word.at(5).generation(), word.at(5).time()), (1, 5));
        let mut last = word;
        for _ in 0..63 {
            last = last.next(u64::MAX);
            assert_ne!(last, Word::BUSY);
        }
        assert_eq!(last.generation(), 0);
    }

    #[test]
    fn a_busy_word_is_never_free_to_take() {
        assert!(Word(0).is_full(0));
        assert!(!Word(0).at(1).is_full(0));
        assert!(!Word::BUSY.is_full(u64::MAX));
    }
}
