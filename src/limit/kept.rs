//! Counters that outlive the process: those that somebody owes much to are written down from time to time,
//! and read again at start. Requests take no part in it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::Ordering;

use super::counters::Counters;
use super::slots::{Counted, Owner};

/// A counter that is full again sooner is not worth a write: a minute's quota never is, a day's soon is.
const WORTH: u64 = 60 * 1_000_000_000;
/// Strangers can make up addresses and headers, so a process writes down not more of theirs than that.
const MOST_OF_STRANGERS: usize = 100_000;
const MILLISECOND: u64 = 1_000_000;

/// A counter as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// Which limit's.
    pub scope: String,
    /// Whose.
    pub value: String,
    /// When it is full again, in milliseconds since 1970.
    pub full_at: i64,
}

/// The last bit of a counter's note, which otherwise is the time that was written down: it was this process that
/// gave it a place. A nanosecond makes no difference.
const OWN: u64 = 1;

/// Whose counters are bounded.
const STRANGERS: &[Owner] = &[Owner::Address, Owner::Header];

/// Takes counters out of the slots and puts them back.
pub struct Keeper {
    counters: Counters,
    most_of_strangers: usize,
}

/// Which counters that are not written down may be.
struct Places {
    /// So many.
    free: usize,
    /// Those that are full again no sooner than that, in nanoseconds since the start.
    since: u64,
}

impl Keeper {
    pub(super) fn of(counters: Counters) -> Self {
        Keeper {
            counters,
            most_of_strangers: MOST_OF_STRANGERS,
        }
    }

    /// What has changed since the last time, in the order of their names: at most so many of accounts, and
    /// as many of strangers. `today` is now, in milliseconds since 1970.
    ///
    /// What is given out counts as written down; see [`Keeper::forget`] for when it could not be.
    pub fn changed(&self, today: i64, most: usize) -> Vec<Kept> {
        let (slots, now) = (&self.counters.slots, self.counters.clock.now());
        let mut all = Vec::new();
        let for_all = Places {
            free: usize::MAX,
            since: 0,
        };
        for (owners, places) in [
            (&[Owner::Account][..], for_all),
            (STRANGERS, self.places(now, most)),
        ] {
            let (mut taken, mut new) = (0, 0);
            let mut take = |counted: Counted<'_>| {
                let owed = self.counters.owed(&counted, now);
                let full_at = now + owed;
                let noted = counted.noted.load(Ordering::Relaxed);
                let is_new = noted <= now;
                let has_place = !is_new || (new < places.free && full_at >= places.since);
                let is_written = noted & !OWN == full_at & !OWN;
                if owed <= WORTH || is_written || taken == most || !has_place {
                    return;
                }
                let Some(scope) = slots.write_scope(counted.scope) else {
                    return;
                };
                let own = if is_new { OWN } else { noted & OWN };
                let note = (full_at & !OWN) | own;
                counted.noted.store(note, Ordering::Relaxed);
                taken += 1;
                new += usize::from(is_new);
                let owed = owed.div_ceil(MILLISECOND);
                all.push(Kept {
                    scope,
                    value: counted.value.to_string(),
                    full_at: today.saturating_add(i64::try_from(owed).unwrap_or(i64::MAX)),
                });
            };
            for owner in owners {
                slots.each_live(*owner, now + WORTH, &mut take);
            }
        }
        // Gateways that write at the same time then never wait for each other in a circle.
        all.sort_unstable();
        all
    }

    /// Which of strangers' counters come to those that are written down, `most` at a time: the ones that are
    /// owed for longest, and no more than there is room for until others are full again. What other processes wrote
    /// takes up no room: as many gateways may share the store as like.
    fn places(&self, now: u64, most: usize) -> Places {
        let mut written = 0;
        // The first one to give way is on top.
        let mut new = BinaryHeap::new();
        for owner in STRANGERS {
            self.counters.slots.each_live(*owner, now, |counted| {
                let full_at = now + self.counters.owed(&counted, now);
                let noted = counted.noted.load(Ordering::Relaxed);
                if noted > now {
                    written += usize::from(noted & OWN == OWN);
                } else if full_at > now + WORTH && !counted.scope.is_shadow() {
                    new.push(Reverse(full_at));
                    if new.len() > most {
                        new.pop();
                    }
                }
            });
        }
        let free = self.most_of_strangers.saturating_sub(written).min(most);
        while new.len() > free {
            new.pop();
        }
        Places {
            free,
            since: new.pop().map_or(0, |Reverse(full_at)| full_at),
        }
    }

    /// Takes nothing as written down any more.
    pub fn forget(&self) {
        let now = self.counters.clock.now();
        // What has a place in the store keeps it, and is written again there.
        self.note(|counted, noted| match noted > now {
            true => (counted.full_at & !OWN).saturating_sub(2) | (noted & OWN),
            false => 0,
        });
    }

    /// Takes all that there is as written down by others, or by a process of before, which is not told apart: after
    /// what was written has been put back, and before the first request.
    pub fn remember(&self) {
        self.note(|counted, _| counted.full_at & !OWN);
    }

    fn note(&self, until: impl Fn(&Counted<'_>, u64) -> u64) {
        for owner in Owner::ALL {
            let Counters { slots, clock, .. } = &self.counters;
            slots.each_live(owner, clock.now(), |counted| {
                let noted = counted.noted.load(Ordering::Relaxed);
                counted
                    .noted
                    .store(until(&counted, noted), Ordering::Relaxed);
            });
        }
    }

    /// Puts back what was written down. What is not understood, or is full by now, is left out.
    pub fn restore(&self, kept: impl IntoIterator<Item = Kept>, today: i64) {
        let (slots, now) = (&self.counters.slots, self.counters.clock.now());
        for Kept {
            scope,
            value,
            full_at,
        } in kept
        {
            let owed = u64::try_from(full_at.saturating_sub(today)).unwrap_or(0);
            let scope = slots.read_scope(&scope);
            if let (Some(scope), Ok(value), 1..) = (scope, value.parse(), owed) {
                let key = slots.key(scope, value);
                let until = now.saturating_add(owed.saturating_mul(MILLISECOND));
                slots.raise(key, now, until);
            }
        }
    }
}

#[cfg(test)]
mod tests;
