//! What is known here of a counter, and what there is to tell of it.
//!
//! A counter here owes what Redis last said of it, and of what was let through since, which is untold, as many times what
//! that took as gateways are at it; all of that comes back with time, here sooner than over all where others charge it
//! too. While Redis does not know yet what the others let through, a counter goes on owing what it owed before, and what
//! Redis says is kept beside it.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lease::Lease;
use super::link::Told;
use super::queue::Dirty;
use super::{Shared, debt, signed};
use crate::limit::meter::overdraft;

/// What Redis has said of counters before it knew what all gateways let through, by the number of their slot.
#[derive(Default)]
pub(super) struct Early(Mutex<HashMap<usize, Heard>>);

struct Heard {
    dirty: Dirty,
    /// When the counter is full, in nanoseconds since the start.
    full_at: u64,
}

impl Early {
    fn hear(&self, dirty: Dirty, full_at: u64) {
        self.lock().insert(dirty.number, Heard { dirty, full_at });
    }

    /// Nanoseconds that the counter owed, as far as Redis knew.
    fn owed(&self, dirty: &Dirty, now: u64) -> Option<u64> {
        let heard = self.lock();
        let heard = heard.get(&dirty.number)?;
        (heard.dirty.key == dirty.key).then(|| heard.full_at.saturating_sub(now))
    }

    /// All of them, of which nothing is kept any more.
    pub(super) fn take(&self) -> Vec<Dirty> {
        let heard = std::mem::take(&mut *self.lock());
        heard.into_values().map(|heard| heard.dirty).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is untold of a counter and has not come back by itself, in nanoseconds.
struct Untold {
    /// What was let through, less than nothing when more was given back.
    used: i64,
    /// What was charged for that, for all who share the counter.
    charged: u64,
}

impl Shared {
    /// What all gateways have let through of a counter that owes so many nanoseconds here, in nanoseconds that it owes for
    /// that, as far as this gateway knows.
    pub(in crate::limit) fn owed(
        &self,
        dirty: &Dirty,
        lease: &AtomicU64,
        owed: u64,
        now: u64,
    ) -> u64 {
        let lease = Lease::of(lease);
        let untold = self.untold(dirty, lease, lease.untold(), owed, now);
        let before = self.before(dirty, owed, &untold, now);
        before.saturating_add(debt(untold.used))
    }

    /// What a Redis is told that has lost the counter, if no more is told of it: as what all gateways let through.
    pub(super) fn owed_by_all(&self, dirty: &Dirty, lease: Lease, now: u64) -> u64 {
        let owed = self.slots.owed(dirty.key, now);
        let untold = self.untold(dirty, lease, lease.untold(), owed, now);
        let before = self.before(dirty, owed, &untold, now);
        before.saturating_add(untold.charged)
    }

    /// What there is to tell of a counter: that much, in its units, and what was used up before, as far as is known
    /// here.
    pub(super) fn told(&self, dirty: &Dirty, units: i32, now: u64) -> Option<Told> {
        let Dirty { key, whole, .. } = *dirty;
        let lease = Lease::of(self.slots.lease_at(key, dirty.number)?);
        let owed = self.slots.owed(key, now);
        let untold = self.untold(dirty, lease, units, owed, now);
        Some(Told {
            name: self.slots.name_of(key)?,
            used: untold.used,
            believed: self.before(dirty, owed, &untold, now),
            whole,
            most: whole.saturating_add(overdraft(whole)),
            // Once it has told how the counter stands, that was taken over.
            kin: match lease.is_heard() {
                false => self.slots.kin(key),
                true => Vec::new(),
            },
        })
    }

    /// Of so many units, what has not come back by itself. Without a Redis each gateway held its share, so all together owe
    /// no more than their counters do. With one a counter may be full here that is not full over all, and little waits long.
    fn untold(&self, dirty: &Dirty, lease: Lease, units: i32, owed: u64, now: u64) -> Untold {
        let charged_by = u64::from(self.charged_by(dirty, lease, units, now));
        let mut used = dirty.unit().nanos(units);
        if !self.is_trusted() {
            used = used.min(signed(owed.div_ceil(charged_by)));
        }
        Untold {
            used,
            charged: debt(used).saturating_mul(charged_by),
        }
    }

    /// What was used up before that, in nanoseconds.
    fn before(&self, dirty: &Dirty, owed: u64, untold: &Untold, now: u64) -> u64 {
        let heard = self.early.owed(dirty, now);
        heard.unwrap_or_else(|| owed.saturating_sub(untold.charged))
    }

    /// For how many gateways what is untold of a counter was charged. A little may be from before Redis was out of reach.
    fn charged_by(&self, dirty: &Dirty, lease: Lease, untold: i32, now: u64) -> u32 {
        let share = self.share(dirty.key, now);
        match lease.last_share() {
            Some(last) if !self.is_worth_telling(dirty, untold) => share.min(last),
            _ => share,
        }
    }

    /// Whether the gateways may together have let through a hundredth of the quota, a little less for what rounding takes,
    /// if each has as much untold.
    pub(super) fn is_worth_telling(&self, dirty: &Dirty, untold: i32) -> bool {
        let all = u64::from(untold.unsigned_abs()) * u64::from(self.replicas());
        let whole = dirty.unit().of_nanos(dirty.whole).unsigned_abs();
        all * 101 >= whole.into()
    }

    /// Takes over what Redis says a counter owes, and adds what was let through meanwhile.
    pub(super) fn take_over(&self, dirty: &Dirty, owed: u64, now: u64) {
        let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
            return;
        };
        let is_trusted = self.is_trusted();
        if !is_trusted {
            self.early.hear(*dirty, now.saturating_add(owed));
        }
        let mut untold = Lease::of(lease).untold();
        loop {
            let charged = debt(dirty.unit().nanos(untold));
            let charged = charged.saturating_mul(self.share(dirty.key, now).into());
            let mut owed = owed.saturating_add(charged);
            if !is_trusted {
                // The others may not have told yet what they let through.
                owed = owed.max(self.slots.owed(dirty.key, now));
            }
            self.slots.rebase(dirty.key, now, now.saturating_add(owed));
            // A request may have been charged before that, and noted after.
            let seen = Lease::of(lease).untold();
            if seen == untold {
                return;
            }
            untold = seen;
        }
    }
}
