//! Limits that several gateways hold together, by way of Redis.
//!
//! A *large* limit never waits. Between two exchanges a gateway lets through its share of what is left, as
//! if the other gateways at the counter did the same: a request takes as many times more of the counter. What
//! it let through is told in batches, and the counter here is then set to what it is over all. A *small* limit
//! is exact: each request asks, for a few milliseconds at most. When Redis does not answer, each gateway holds
//! the limit divided by the gateways that there were.

mod ask;
mod lease;
mod link;
mod queue;
mod run;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use self::lease::Lease;
use self::link::{Link, LinkError, Told};
use self::queue::{Dirty, Queue};
use super::meter::{Denied, Quota, Standing};
use super::pool::Charge;
use super::slots::{Key, Slots};
use crate::config::checked::Rate;
use crate::telemetry::Metrics;

/// Limits with a larger burst are large.
const LARGE: u32 = 64;
/// By how much what gateways believe of a counter may differ, in nanoseconds: whoever waits as told by one
/// may ask another then.
const SLACK: u64 = 20_000_000;
/// How long Redis may take to do what it is told: half as long as an answer is waited for.
const IN_TIME: Duration = Duration::from_millis(125);

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
    /// Redis may have lost what was used up, and the gateways are telling it.
    is_new: AtomicBool,
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
            is_new: AtomicBool::new(false),
            recovered: AtomicI64::new(0),
            clock_ahead: AtomicI64::new(0),
            broken: Notify::new(),
            fault: Mutex::default(),
        })
    }

    /// Whether requests ask before they are charged.
    pub(super) fn asks(&self, rate: &Rate) -> bool {
        rate.burst.get() <= LARGE
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.load().is_some()
    }

    /// Whether Redis knows what all gateways let through, as far as this one can tell.
    fn is_trusted(&self) -> bool {
        self.is_up() && !self.is_new.load(Ordering::Relaxed)
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
                self.note(quota, key, 0, share, true);
            }
            denied.later(SLACK)
        })?;
        let is_short = share > 1 && mine.is_half_empty(&standing);
        let untold = self.note(quota, key, 1, share, is_short);
        if share == 1 || !self.is_trusted() {
            return Ok((standing, charge));
        }
        // What is left wherever the caller goes, and not only what this gateway may give of it.
        let ahead = taken(untold, quota.amount(), share - 1);
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

    /// Gives back what was charged here.
    pub(super) fn refund(&self, quota: &Quota, key: Key, charge: &Charge, now: u64) {
        self.slots.refund(key, charge, now);
        self.note(quota, key, -1, self.share(key, now), false);
    }

    /// Gives back what was charged there.
    pub(super) fn give_back(&self, quota: &Quota, key: Key, now: u64) {
        self.slots.lower(key, now, quota.amount());
        self.note(quota, key, -1, self.share(key, now), false);
    }

    /// Until when Redis may do what it is told now, by its own clock: later nobody would hear of it.
    fn until(&self, now: u64) -> i64 {
        let micros = i64::try_from(now / 1000).unwrap_or(i64::MAX);
        micros
            .saturating_add(self.clock_ahead.load(Ordering::Relaxed))
            .saturating_add(IN_TIME.as_micros() as i64)
    }

    /// By how many the quota is divided here.
    fn share(&self, key: Key, now: u64) -> u32 {
        let replicas = self.replicas.load(Ordering::Relaxed);
        if replicas == 1 || !self.is_trusted() {
            return replicas;
        }
        let lease = self.slots.lease(key).map(|(_, lease)| Lease::of(lease));
        lease.and_then(|lease| lease.share(now)).unwrap_or(replicas)
    }

    /// What there is to tell of a counter: these requests, and what was used up before them as far as is known
    /// here, where each was charged for all who share.
    fn told(&self, key: Key, amount: u64, requests: i32, now: u64) -> Option<Told> {
        let charged = taken(requests, amount, self.share(key, now));
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        let lease = self.slots.lease(key);
        let is_heard = lease.is_some_and(|(_, lease)| Lease::of(lease).is_heard());
        Some(Told {
            name: self.slots.name_of(key)?,
            used: i64::from(requests).saturating_mul(amount),
            believed: self.slots.owed(key, now).saturating_sub(charged),
            // Once it has told how the counter stands, that was taken over.
            kin: match is_heard {
                false => self.slots.kin(key),
                true => Vec::new(),
            },
        })
    }

    /// How many requests are noted now. They are told when it is urgent, or when the gateways that share the
    /// counter may together have let through a hundredth of the burst that they have not told of.
    fn note(&self, quota: &Quota, key: Key, requests: i32, share: u32, is_urgent: bool) -> i32 {
        let Some((number, lease)) = self.slots.lease(key) else {
            return 0;
        };
        let burst = quota.whole() / quota.amount();
        let is_worth = |untold: i32| {
            let all = u64::from(untold.unsigned_abs()) * u64::from(share);
            is_urgent || all.saturating_mul(100) >= burst
        };
        let (untold, has_to_queue) = lease::note(lease, requests, is_worth);
        if has_to_queue {
            self.queue(Dirty::of(quota, key, number), lease);
        }
        if is_urgent {
            self.queue.hurry();
        }
        untold
    }

    fn queue(&self, dirty: Dirty, lease: &AtomicU64) {
        if !self.queue.push(dirty) {
            lease::leave_queue(lease);
        }
    }

    /// What may not have been told. It is told again; what was given back is not, because the answer alone may be
    /// what was lost.
    fn put_back(&self, untold: impl IntoIterator<Item = (Dirty, i32)>) {
        self.note_again(untold.into_iter().filter(|(_, requests)| *requests > 0));
    }

    /// Notes so many requests more of each, which are told soon.
    fn note_again(&self, noted: impl IntoIterator<Item = (Dirty, i32)>) {
        let noted = noted.into_iter().filter(|(_, requests)| *requests != 0);
        for (dirty, requests) in noted {
            let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
                continue;
            };
            let (_, has_to_queue) = lease::note(lease, requests, |_| true);
            if has_to_queue {
                self.queue(dirty, lease);
            }
        }
    }

    fn fault(&self) -> MutexGuard<'_, Option<LinkError>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nanoseconds that so many requests take of a counter, each for so many gateways.
fn taken(requests: i32, amount: u64, shares: u32) -> u64 {
    let requests = u64::try_from(requests).unwrap_or(0);
    requests
        .saturating_mul(amount)
        .saturating_mul(shares.into())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::tests::rate;
    use super::super::value::Value;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// One of three gateways, with a counter and a quota of so many a second and at once.
    fn one_of_three(count: u32) -> (Arc<Shared>, Quota, Key) {
        let slots = Arc::new(Slots::with_capacity(8).with_leases());
        let key = slots.key(slots.scope("a", 1000), Value::Everyone);
        let shared = Shared::new(slots, Arc::default());
        shared.count(3);
        let quota = Quota::new(&rate(count, 1, count), NonZeroU32::MIN).shared();
        (shared, quota, key)
    }

    fn passes(shared: &Shared, quota: &Quota, key: Key, now: u64) -> usize {
        (0..)
            .take_while(|_| shared.charge(quota, key, now).is_ok())
            .count()
    }

    #[test]
    fn alone_a_gateway_holds_its_share() {
        let (shared, quota, key) = one_of_three(50);
        assert_eq!(passes(&shared, &quota, key, 0), 16);
        assert_eq!(passes(&shared, &quota, key, SECOND / 2), 8);
        let (_, lease) = shared.slots.lease(key).unwrap();
        assert_eq!(Lease::of(lease).untold(), 24);
        // None of it was used up before, as far as others are concerned.
        let told = shared.told(key, quota.amount(), 24, SECOND / 2);
        assert_eq!(told.map(|told| told.believed), Some(0));
    }

    #[test]
    fn gateways_come_at_once_and_go_when_they_are_missing_for_long() {
        let (shared, ..) = one_of_three(1);
        let replicas = || shared.replicas.load(Ordering::Relaxed);
        for (living, counted) in [(1, 3), (1, 3), (1, 1), (5, 5), (0, 5), (0, 5), (0, 1)] {
            shared.count(living);
            assert_eq!(replicas(), counted, "{living}");
        }
    }

    #[test]
    fn what_gateways_let_through_in_a_hurry_is_owed_until_it_is_paid() {
        let (shared, quota, key) = one_of_three(50);
        shared.slots.rebase(key, 0, SECOND * 3 / 2);
        let (_, lease) = shared.slots.lease(key).unwrap();
        lease::learn(lease, Some(1), 0);
        shared.count(1);
        shared.count(1);
        shared.count(1);
        let denied = shared.charge(&quota, key, 0).unwrap_err();
        assert_eq!(denied.wait, SECOND / 2 + quota.amount() + SLACK);
        assert!(shared.charge(&quota, key, SECOND / 2).is_err());
        assert!(shared.charge(&quota, key, denied.wait).is_ok());
        // What was owed under a slower quota is none of that.
        shared.slots.rebase(key, SECOND, SECOND * 1000);
        let denied = shared.charge(&quota, key, SECOND).unwrap_err();
        assert_eq!(denied.wait, quota.amount() + SLACK);
    }

    #[test]
    fn what_was_not_told_is_queued_again_and_what_was_given_back_is_not_told_twice() {
        let (shared, quota, key) = one_of_three(50);
        shared.charge(&quota, key, 0).unwrap();
        let (number, lease) = shared.slots.lease(key).unwrap();
        let dirty = Dirty::of(&quota, key, number);
        for (noted, again) in [(0, 1), (2, 3), (-5, 0)] {
            shared.note(&quota, key, noted, 3, false);
            assert_eq!(shared.queue.take().len(), 1);
            shared.put_back([(dirty, lease::take(lease))]);
            assert_eq!(Lease::of(lease).untold(), again);
        }
        assert_eq!(shared.queue.take().len(), 0);
    }

    #[tokio::test]
    async fn what_is_asked_is_counted_once_whenever_the_answer_comes() {
        use self::link::Answer::{self, Counted, IsLate, IsNew};
        let (shared, quota, key) = one_of_three(50);
        shared.slots.raise(key, 0, 1);
        let (number, lease) = shared.slots.lease(key).unwrap();
        let dirty = Dirty::of(&quota, key, number);
        // One was told along, and one given back; the request itself is charged here meanwhile.
        let late = |answer: Option<Answer>, told| {
            lease::take(lease);
            lease::note(lease, 1, |_| false);
            let answer = async {
                match answer {
                    Some(answer) => Ok(answer),
                    None => std::future::pending().await,
                }
            };
            Arc::clone(&shared).hear_late(answer, [(dirty, told)].into_iter().collect())
        };
        for (answer, told, untold) in [
            (Some(Counted(true, Vec::new())), 2, 0),
            (Some(Counted(false, Vec::new())), 2, 1),
            (Some(IsNew), 2, 3),
            (Some(IsLate), 2, 3),
            (Some(IsLate), -1, 0),
            (None, 2, 3),
            // It may be known there.
            (None, -1, 1),
        ] {
            late(answer.clone(), told).await;
            assert_eq!(Lease::of(lease).untold(), untold, "{answer:?} of {told}");
        }
    }

    #[test]
    fn of_a_large_quota_a_hundredth_is_told_at_a_time_and_the_last_half_at_once() {
        let (shared, quota, key) = one_of_three(3000);
        let charge = |times| (0..times).all(|_| shared.charge(&quota, key, 0).is_ok());
        assert!(charge(9));
        assert_eq!(shared.queue.take().len(), 0);
        assert!(charge(1));
        assert_eq!(shared.queue.take().len(), 1);
        let (_, lease) = shared.slots.lease(key).unwrap();
        assert_eq!(lease::take(lease), 10);
        // Half of its share.
        assert!(charge(490));
        shared.queue.take();
        lease::take(lease);
        assert!(charge(1));
        assert_eq!(shared.queue.take().len(), 1);
    }

    #[test]
    fn a_refund_is_told_like_a_request() {
        let (shared, quota, key) = one_of_three(50);
        let (_, charge) = shared.charge(&quota, key, 0).unwrap();
        shared.refund(&quota, key, &charge, 0);
        let (_, lease) = shared.slots.lease(key).unwrap();
        assert_eq!(Lease::of(lease).untold(), 0);
        shared.give_back(&quota, key, 0);
        assert_eq!(Lease::of(lease).untold(), -1);
        assert_eq!(shared.queue.take().len(), 1, "it is queued once");
        assert_eq!(passes(&shared, &quota, key, 0), 16);
    }
}
