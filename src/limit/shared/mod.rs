//! Limits that several gateways hold together, by way of Redis.
//!
//! A *large* limit never waits. Between two exchanges a gateway lets through its share of what is left, as
//! if the other gateways at the counter did the same: a request takes as many times more of the counter. What
//! it let through is told in batches, and the counter here is then set to what it is over all. A *small* limit
//! is exact: each request asks, for a few milliseconds at most. When Redis does not answer, each gateway holds
//! the limit divided by the gateways that there were.

mod ask;
mod known;
mod lease;
mod link;
mod queue;
mod run;
mod telling;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use self::known::Early;
use self::lease::Lease;
use self::link::{Call, Link, LinkError, Phase};
pub(super) use self::queue::Dirty;
use self::queue::Queue;
use self::run::PATIENCE;
use super::meter::{Denied, Quota, Standing};
use super::pool::Charge;
use super::slots::{Key, Slots};
use crate::telemetry::Metrics;

/// Limits are large that let more requests pass at once.
const LARGE: u64 = 64;
/// By how much what gateways believe of a counter may differ, in nanoseconds: whoever waits as told by one
/// may ask another then.
const SLACK: u64 = 20_000_000;
/// How long Redis may take to do what it is told, in microseconds: half as long as an answer is waited for.
const IN_TIME: i64 = PATIENCE.as_micros() as i64 / 2;

/// The part of the limiter that talks to the other gateways. One for the process.
pub struct Shared {
    slots: Arc<Slots>,
    metrics: Arc<Metrics>,
    /// What the other gateways call this one.
    id: String,
    /// `None` while Redis is out of reach.
    link: ArcSwapOption<Link>,
    misses: AtomicU32,
    /// Gateways that live, this one with them; the last that was known.
    replicas: AtomicU32,
    /// What the last heartbeats found.
    last_counts: Mutex<[u32; 3]>,
    queue: Queue,
    /// A [`Phase`].
    phase: AtomicU8,
    early: Early,
    /// Heartbeats that gateways still have to come back in which were there before Redis was out of reach.
    awaited: AtomicU32,
    /// Whether what is untold was charged for all gateways that there are, as it is while Redis is not believed.
    is_for_all: AtomicBool,
    /// When Redis was in reach again, in milliseconds by its clock.
    back_at: AtomicI64,
    /// Since when the Redis that was told last what it had lost knows of gateways, see [`link::Beat::since`]; zero
    /// before the first.
    recovered: AtomicI64,
    /// What the clock of Redis was ahead of this process's at the last heartbeat, in microseconds.
    clock_ahead: AtomicI64,
    /// A request has found that Redis does not answer, and why.
    broken: Notify,
    fault: Mutex<Option<LinkError>>,
}

impl Shared {
    /// Speaks to nobody before [`Shared::run`]. The slots are ones with leases.
    pub fn new(slots: Arc<Slots>, metrics: Arc<Metrics>) -> Arc<Shared> {
        Arc::new(Shared {
            slots,
            metrics,
            id: uuid::Uuid::new_v4().simple().to_string(),
            link: ArcSwapOption::empty(),
            misses: AtomicU32::new(0),
            replicas: AtomicU32::new(1),
            last_counts: Mutex::new([1; 3]),
            queue: Queue::default(),
            phase: AtomicU8::new(Phase::Trusted as u8),
            early: Early::default(),
            awaited: AtomicU32::new(0),
            is_for_all: AtomicBool::new(true),
            back_at: AtomicI64::new(0),
            recovered: AtomicI64::new(0),
            clock_ahead: AtomicI64::new(0),
            broken: Notify::new(),
            fault: Mutex::default(),
        })
    }

    /// Whether requests ask before they are charged.
    pub(super) fn asks(&self, quota: &Quota) -> bool {
        quota.requests() <= LARGE
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.load().is_some()
    }

    /// Whether Redis knows what all gateways let through, as far as this one can tell.
    fn is_trusted(&self) -> bool {
        self.is_up() && self.phase() == Phase::Trusted
    }

    fn phase(&self) -> Phase {
        let phases = [Phase::New, Phase::Told, Phase::Trusted];
        let now = self.phase.load(Ordering::Relaxed);
        let is_now = |phase: &Phase| *phase as u8 == now;
        phases.into_iter().find(is_now).unwrap_or(Phase::New)
    }

    fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    /// Charges a counter here, by this gateway's share of the quota.
    pub(super) fn charge(
        &self,
        quota: &Quota,
        key: Key,
        now: u64,
    ) -> Result<(Standing, Charge), Denied> {
        let share = self.share(key, now);
        let mine = quota.divided(share);
        let (standing, charge) = mine.charge(&self.slots, key, now).map_err(|denied| {
            // Told only to learn whether others are still there.
            if share > 1 {
                self.note(quota, key, 0, now, true);
            }
            denied.later(SLACK)
        })?;
        let is_short = share > 1 && mine.is_half_empty(&standing);
        let untold = self.note(quota, key, signed(quota.amount()), now, is_short);
        if share == 1 || !self.is_trusted() {
            return Ok((standing, charge));
        }
        // What is left wherever the caller goes, and not only what this gateway may give of it.
        let ahead = untold.saturating_mul(u64::from(share - 1));
        Ok((
            quota.left_of(standing.full_in.saturating_sub(ahead)),
            charge,
        ))
    }

    /// How a request would be charged here.
    pub(super) fn look(&self, quota: &Quota, key: Key, now: u64) -> Result<Standing, Denied> {
        let mine = quota.divided(self.share(key, now));
        let looked = mine.after(self.slots.owed(key, now));
        looked.map_err(|denied| denied.later(SLACK))
    }

    /// Gives back what was charged here, as far as it has not come back since.
    pub(super) fn refund(&self, quota: &Quota, key: Key, charge: &Charge, now: u64) {
        let part = self.slots.refund(key, charge, now);
        let back = (quota.amount() as f64 * part).round() as i64;
        self.note(quota, key, -back, now, false);
    }

    /// Gives back what was charged there.
    pub(super) fn give_back(&self, quota: &Quota, key: Key, now: u64) {
        self.slots.lower(key, now, quota.amount());
        self.note(quota, key, -signed(quota.amount()), now, false);
    }

    /// What time it is by the clock of Redis, in microseconds.
    fn time_there(&self, now: u64) -> i64 {
        let here = i64::try_from(now / 1000).unwrap_or(i64::MAX);
        here.saturating_add(self.clock_ahead.load(Ordering::Relaxed))
    }

    /// What Redis is told now goes by its own clock: later than that nobody would hear of it.
    fn call(&self, now: u64) -> Call<'_> {
        Call {
            id: &self.id,
            since: self.recovered.load(Ordering::Relaxed),
            until: self.time_there(now).saturating_add(IN_TIME),
        }
    }

    /// By how many the quota is divided here.
    fn share(&self, key: Key, now: u64) -> u32 {
        let replicas = self.replicas();
        if replicas == 1 || !self.is_trusted() {
            return replicas;
        }
        let lease = self.slots.lease(key).map(|(_, lease)| Lease::of(lease));
        lease.and_then(|lease| lease.share(now)).unwrap_or(replicas)
    }

    /// Notes that so many nanoseconds more are to be told: how many are untold now. They are told when it is urgent, or
    /// worth it.
    fn note(&self, quota: &Quota, key: Key, nanos: i64, now: u64, is_urgent: bool) -> u64 {
        let Some((number, lease)) = self.slots.lease(key) else {
            return 0;
        };
        let dirty = Dirty::of(quota.span(), key, number);
        let unit = dirty.unit();
        let is_worth = |untold: i32| is_urgent || self.is_worth_telling(&dirty, untold);
        let (untold, has_to_queue) = lease::note(lease, unit.of_many(nanos, now), is_worth);
        if has_to_queue {
            self.queue(dirty, lease);
        }
        if is_urgent {
            self.queue.hurry();
        }
        debt(unit.nanos(untold))
    }

    fn queue(&self, dirty: Dirty, lease: &AtomicU64) {
        if !self.queue.push(dirty) {
            lease::leave_queue(lease);
        }
    }

    /// What may not have been told. It is told again; what was given back is not, because the answer alone may be
    /// what was lost.
    fn put_back(&self, untold: impl IntoIterator<Item = (Dirty, i32)>) {
        self.note_again(untold.into_iter().filter(|(_, units)| *units > 0));
    }

    /// Notes so much more of each, which is told soon.
    fn note_again(&self, noted: impl IntoIterator<Item = (Dirty, i32)>) {
        for (dirty, units) in noted.into_iter().filter(|(_, units)| *units != 0) {
            self.queue_again(dirty, units);
        }
    }

    fn queue_again(&self, dirty: Dirty, units: i32) {
        let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
            return;
        };
        let (_, has_to_queue) = lease::note(lease, units, |_| true);
        if has_to_queue {
            self.queue(dirty, lease);
        }
    }

    fn fault(&self) -> MutexGuard<'_, Option<LinkError>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn signed(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// What was given back is no debt.
fn debt(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap_or(0)
}

#[cfg(test)]
mod tests;
