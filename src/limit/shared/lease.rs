//! What this gateway has let through of a counter that others charge too, and not told yet: one word beside
//! the counter.

use std::sync::atomic::{AtomicU64, Ordering};

const SHARE_AT: u32 = 32;
const TIME_AT: u32 = 48;
const TIME_MASK: u64 = (1 << 15) - 1;
/// Nanoseconds of a tick: about a quarter of a second.
const TICK: u32 = 28;
/// Ticks that a share is good for: Redis forgets in a second who was at a counter.
const LASTS: u64 = 4;
const HEARD: u64 = 1 << 47;
const QUEUED: u64 = 1 << 63;
/// More gateways than that share a counter as if they were so many.
pub(super) const MOST_SHARES: u32 = (1 << 15) - 1;

/// What time owed is counted in where it waits to be told: the smallest that has room for the whole of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit(u32);

impl Unit {
    /// For quotas that fill up in so many nanoseconds.
    pub(super) fn of(span: u64) -> Unit {
        let bits = u64::BITS - span.leading_zeros();
        Unit(bits.saturating_sub(i32::BITS - 1))
    }

    /// So many nanoseconds, to the nearest, and never nothing for something.
    pub(super) fn of_nanos(self, nanos: u64) -> i32 {
        let half = (1 << self.0) / 2;
        let units = nanos.saturating_add(half) >> self.0;
        i32::try_from(units)
            .unwrap_or(i32::MAX)
            .max(i32::from(nanos > 0))
    }

    /// So many nanoseconds of one request among many, or less than nothing when it is given back. Of a request that is few
    /// units the rest counts as one as often as is right, by the time of the request, so that many are told as what they
    /// took; others are rounded up.
    pub(super) fn of_many(self, nanos: i64, now: u64) -> i32 {
        /// Of the golden ratio, by which times that follow each other are spread evenly.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        const FEW: u64 = 1024;
        let whole = (1 << self.0) - 1;
        let amount = nanos.unsigned_abs();
        let more = match amount >> self.0 < FEW {
            true => (now.wrapping_mul(SPREAD) >> 32) & whole,
            false => whole,
        };
        let units = amount.saturating_add(more) >> self.0;
        let units = i32::try_from(units).unwrap_or(i32::MAX);
        if nanos < 0 { -units } else { units }
    }

    pub(super) fn nanos(self, units: i32) -> i64 {
        i64::from(units).saturating_mul(1 << self.0)
    }
}

/// What was let through and not told (less what was given back), in [`Unit`]s, how many gateways are at this counter
/// (zero when that is not known), whether Redis has told how it stands, when the share was learned, in ticks, and
/// whether it waits to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease(u64);

impl Lease {
    pub(super) fn of(word: &AtomicU64) -> Lease {
        Lease(word.load(Ordering::Acquire))
    }

    pub(super) fn untold(self) -> i32 {
        self.0 as u32 as i32
    }

    /// How many gateways are at the counter; `None` when that is not known, or was learned too long ago.
    pub(super) fn share(self, now: u64) -> Option<u32> {
        let age = (now >> TICK).wrapping_sub(self.0 >> TIME_AT) & TIME_MASK;
        self.last_share().filter(|_| age <= LASTS)
    }

    /// How many there were when that was learned, however long ago.
    pub(super) fn last_share(self) -> Option<u32> {
        let share = (self.0 >> SHARE_AT) as u32 & MOST_SHARES;
        (share > 0).then_some(share)
    }

    /// Whether Redis has told how the counter stands.
    pub(super) fn is_heard(self) -> bool {
        self.0 & HEARD != 0
    }

    pub(super) fn is_queued(self) -> bool {
        self.0 & QUEUED != 0
    }

    fn with_untold(self, untold: i32) -> Lease {
        Lease(self.0 & !u64::from(u32::MAX) | u64::from(untold as u32))
    }
}

/// Notes what is to be told: how much that is now, and whether the counter has to be queued for it. It waits until it is
/// `worth` that.
pub(super) fn note(word: &AtomicU64, units: i32, worth: impl Fn(i32) -> bool) -> (i32, bool) {
    let noted = |lease: Lease| {
        let untold = lease.untold().saturating_add(units);
        let next = lease.with_untold(untold);
        match worth(untold) {
            true => Lease(next.0 | QUEUED),
            false => next,
        }
    };
    let before = update(word, noted);
    let after = noted(before);
    (after.untold(), after.is_queued() && !before.is_queued())
}

/// The counter leaves the queue untold, and may be queued again.
pub(super) fn leave_queue(word: &AtomicU64) {
    update(word, |lease| Lease(lease.0 & !QUEUED));
}

/// What is to be told, which counts as told from now on.
pub(super) fn take(word: &AtomicU64) -> i32 {
    update(word, |lease| Lease(lease.with_untold(0).0 & !QUEUED)).untold()
}

/// The same for whoever tells it by the way, ahead of the queue.
pub(super) fn take_ahead(word: &AtomicU64) -> i32 {
    match Lease::of(word).untold() {
        0 => 0,
        _ => update(word, |lease| lease.with_untold(0)).untold(),
    }
}

/// The counter's debt is told, and all that was let through or given back is part of it: there is nothing to tell of it
/// by itself, unless it waits for that.
pub(super) fn tell_whole(word: &AtomicU64) {
    update(word, |lease| match lease.is_queued() {
        true => lease,
        false => lease.with_untold(0),
    });
}

/// Redis has told how the counter stands.
pub(super) fn hear(word: &AtomicU64) {
    update(word, |lease| Lease(lease.0 | HEARD));
}

/// Learns how many gateways are at the counter, from whoever has told how it stands.
pub(super) fn learn(word: &AtomicU64, share: Option<u32>, now: u64) {
    let share = u64::from(share.unwrap_or(0).min(MOST_SHARES)) << SHARE_AT;
    let time = ((now >> TICK) & TIME_MASK) << TIME_AT;
    let others = !(u64::from(MOST_SHARES) << SHARE_AT | TIME_MASK << TIME_AT);
    update(word, |lease| Lease(lease.0 & others | share | time | HEARD));
}

/// What was there before.
fn update(word: &AtomicU64, next: impl Fn(Lease) -> Lease) -> Lease {
    let mut before = Lease::of(word);
    loop {
        let after = next(before);
        match word.compare_exchange(before.0, after.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return before,
            Err(seen) => before = Lease(seen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always(_: i32) -> bool {
        true
    }

    #[test]
    fn a_unit_has_room_for_a_whole_quota_and_makes_little_difference() {
        let (second, year) = (1_000_000_000, 366 * 86_400_000_000_000);
        for span in [1, 999, second, 60 * second, year] {
            let unit = Unit::of(span);
            let whole = unit.of_nanos(span);
            assert!(whole < i32::MAX, "{span}");
            for requests in [1, 7, 64, 1000, 10_000_000] {
                let amount = span / requests;
                let told = unit.nanos(unit.of_nanos(amount));
                let off = told.abs_diff(amount.cast_signed());
                assert!(off <= amount / 200, "{span} of {requests}: {told}");
            }
            assert_eq!(unit.nanos(-3), -unit.nanos(3));
        }
        assert_eq!(Unit::of(year).of_nanos(1), 1);
        assert_eq!(Unit::of(1).of_nanos(u64::MAX), i32::MAX);
        assert_eq!(Unit::of(u64::MAX).nanos(i32::MIN), i64::MIN);
    }

    #[test]
    fn many_requests_are_told_as_what_they_took() {
        let day = 86_400_000_000_000;
        let unit = Unit::of(day);
        for requests in [1_000_000_000, 50_000_000, 10_000_000_000] {
            let amount = (day / requests).cast_signed();
            for every in [1_000, 86_400, 1_000_003, 100_000_000] {
                let told = |sign: i64| {
                    let all =
                        (0..100_000).map(|n| i64::from(unit.of_many(sign * amount, n * every)));
                    unit.nanos(1) as f64 * all.sum::<i64>() as f64 / 100_000.0
                };
                let off = |told: f64| (told / amount as f64 - 1.0).abs();
                assert!(
                    off(told(1)) < 0.01,
                    "{requests}, {every}: {} {amount}",
                    told(1)
                );
                assert_eq!(told(1), -told(-1));
            }
        }
        assert_eq!(Unit::of(1000).of_many(7, 12345), 7);
    }

    #[test]
    fn a_lease_is_queued_once_and_told_whole() {
        let word = AtomicU64::new(0);
        assert_eq!(note(&word, 1, always), (1, true));
        assert_eq!(note(&word, 2, always), (3, false));
        learn(&word, Some(3), 0);
        assert_eq!(Lease::of(&word).share(0), Some(3));
        assert_eq!(take(&word), 3);
        assert_eq!(Lease::of(&word).share(0), Some(3));
        assert_eq!(note(&word, -1, always), (-1, true));
        assert_eq!(Lease::of(&word).untold(), -1);
        assert_eq!(take(&word), -1);
        assert_eq!(note(&word, 5, always), (5, true));
        assert_eq!((take_ahead(&word), take_ahead(&word)), (5, 0));
        assert_eq!(note(&word, 4, always), (4, false), "it is still queued");
        leave_queue(&word);
        assert_eq!(note(&word, 0, always), (4, true));
        assert_eq!(take(&word), 4);
        learn(&word, None, 0);
        assert_eq!(word.into_inner(), HEARD);
    }

    #[test]
    fn a_share_grows_old() {
        let word = AtomicU64::new(0);
        let second = 1_000_000_000;
        for now in [0, 7 * second, 1 << 57] {
            learn(&word, Some(2), now);
            let share = |later| Lease::of(&word).share(now + later);
            assert_eq!(share(0), Some(2));
            assert_eq!(share(second), Some(2));
            assert_eq!(share(2 * second), None);
            assert_eq!(share(3600 * second), None);
        }
    }

    #[test]
    fn what_is_not_worth_telling_waits() {
        let word = AtomicU64::new(0);
        let worth = |untold: i32| untold.unsigned_abs() >= 3;
        assert_eq!(note(&word, 1, worth), (1, false));
        assert_eq!(note(&word, 1, worth), (2, false));
        assert_eq!(note(&word, 1, worth), (3, true));
        assert_eq!(note(&word, -1, worth), (2, false), "it is queued already");
        assert_eq!(take(&word), 2);
        assert_eq!(note(&word, -3, worth), (-3, true));
    }

    #[test]
    fn what_waits_is_not_told_whole() {
        let word = AtomicU64::new(0);
        let never = |_: i32| false;
        for untold in [2, -1] {
            note(&word, untold, never);
            tell_whole(&word);
            assert_eq!(Lease::of(&word).untold(), 0);
        }
        assert_eq!(note(&word, 4, always), (4, true));
        tell_whole(&word);
        assert_eq!(take(&word), 4);
    }

    #[test]
    fn what_was_heard_once_is_known_from_then_on() {
        for hear in [hear, |word: &AtomicU64| learn(word, None, 0)] {
            let word = AtomicU64::new(0);
            note(&word, 1, always);
            assert!(!Lease::of(&word).is_heard());
            hear(&word);
            take(&word);
            assert!(Lease::of(&word).is_heard());
        }
    }

    #[test]
    fn nothing_runs_into_anything_else() {
        let word = AtomicU64::new(0);
        learn(&word, Some(u32::MAX), 0);
        note(&word, i32::MIN, always);
        note(&word, -1, always);
        assert_eq!(Lease::of(&word).share(0), Some(MOST_SHARES));
        assert_eq!(take(&word), i32::MIN);
        note(&word, i32::MAX, always);
        note(&word, 1, always);
        assert_eq!(take(&word), i32::MAX);
        assert_eq!(Lease::of(&word).share(0), Some(MOST_SHARES));
    }

    #[test]
    fn threads_lose_no_request() {
        let word = AtomicU64::new(0);
        let told = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        note(&word, 1, always);
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..1000 {
                    told.fetch_add(take(&word) as u64, Ordering::Relaxed);
                    learn(&word, Some(2), 0);
                }
            });
        });
        assert_eq!(told.into_inner() + take(&word) as u64, 30_000);
    }
}
