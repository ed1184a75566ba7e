//! How many requests of each caller are under way: a request takes a seat and gives it back by being
//! dropped, however it ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::scopes::Scope;
use super::value::Value;

/// So many that workers seldom meet at one; each is held for a look-up.
const SHARDS: usize = 64;
/// A shard that is empty keeps room for so many.
const ROOM: usize = 16;

/// Who sits where. There is an entry for each caller with requests under way, and no other.
pub(super) struct Seats {
    hasher: RandomState,
    shards: [Shard; SHARDS],
}

#[derive(Default)]
struct Shard(Mutex<HashMap<(Scope, Value), u32>>);

/// One request of a caller, until it is dropped.
#[must_use = "the seat is free again as soon as this is dropped"]
pub struct Seat {
    seats: Arc<Seats>,
    scope: Scope,
    value: Value,
}

impl Default for Seats {
    fn default() -> Self {
        Seats {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Shard::default()),
        }
    }
}

impl Seats {
    /// A seat, unless all are taken. `most` is how many there are for this caller now.
    pub(super) fn take(
        self: &Arc<Self>,
        scope: Scope,
        value: Value,
        most: NonZeroU32,
    ) -> Option<Seat> {
        let mut shard = self.shard(scope, value);
        let taken = shard.entry((scope, value)).or_default();
        if *taken >= most.get() {
            return None;
        }
        *taken += 1;
        Some(Seat {
            seats: Arc::clone(self),
            scope,
            value,
        })
    }

    /// Shows who has requests under way, and how many.
    pub(super) fn each(&self, mut show: impl FnMut(Scope, Value, u32)) {
        for Shard(shard) in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for ((scope, value), taken) in shard {
                show(scope, value, taken);
            }
        }
    }

    fn shard(&self, scope: Scope, value: Value) -> MutexGuard<'_, HashMap<(Scope, Value), u32>> {
        let hash = self.hasher.hash_one((scope, value));
        let Shard(shard) = &self.shards[hash as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut shard = self.seats.shard(self.scope, self.value);
        if let Entry::Occupied(mut taken) = shard.entry((self.scope, self.value)) {
            match taken.get().checked_sub(1) {
                None | Some(0) => drop(taken.remove()),
                Some(left) => *taken.get_mut() = left,
            }
        }
        if shard.is_empty() {
            shard.shrink_to(ROOM);
        }
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seat").field(&self.value).finish()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HERE: Scope = Scope(1);

    fn user(n: u128) -> Value {
        Value::User(Uuid::from_u128(n))
    }

    fn most(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn entries(seats: &Seats) -> usize {
        let sizes = seats.shards.iter().map(|s| s.0.lock().unwrap().len());
        sizes.sum()
    }

    #[test]
    fn a_seat_is_free_again_when_it_is_dropped() {
        let seats = Arc::new(Seats::default());
        let one = seats.take(HERE, user(1), most(2)).unwrap();
        let two = seats.take(HERE, user(1), most(2)).unwrap();
        assert!(seats.take(HERE, user(1), most(2)).is_none());
        let other = seats.take(HERE, user(2), most(1)).unwrap();
        let elsewhere = seats.take(Scope(2), user(1), most(1)).unwrap();
        drop(one);
        let three = seats.take(HERE, user(1), most(2)).unwrap();
        assert!(seats.take(HERE, user(1), most(2)).is_none());
        drop((two, three, other, elsewhere));
        assert_eq!(entries(&seats), 0);
    }

    #[test]
    fn fewer_seats_than_are_taken_turn_newcomers_away_until_enough_have_left() {
        let seats = Arc::new(Seats::default());
        let mut taken: Vec<_> = (0..5)
            .map(|_| seats.take(HERE, user(1), most(5)).unwrap())
            .collect();
        for _ in 0..4 {
            assert!(seats.take(HERE, user(1), most(2)).is_none());
            taken.pop();
        }
        assert!(seats.take(HERE, user(1), most(2)).is_some());
    }

    #[test]
    fn threads_together_never_sit_on_more_seats_than_there_are() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let seats = Arc::new(Seats::default());
        let (sitting, highest) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if let Some(seat) = seats.take(HERE, user(1), most(3)) {
                            let now = sitting.fetch_add(1, Ordering::AcqRel) + 1;
                            highest.fetch_max(now, Ordering::AcqRel);
                            sitting.fetch_sub(1, Ordering::AcqRel);
                            drop(seat);
                        }
                    }
                });
            }
        });
        assert!(highest.into_inner() <= 3);
        assert_eq!(entries(&seats), 0);
    }
}
