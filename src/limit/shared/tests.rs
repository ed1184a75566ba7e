//! What is noted, told and taken over, without a Redis.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::clock::Clock;
use super::super::tests::rate;
use super::super::value::Value;
use super::lease::Unit;
use super::link::Beat;
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

/// Requests that these units of the quota are.
fn requests(quota: &Quota, units: i32) -> i64 {
    let nanos = Unit::of(quota.span() * 1_000_000).nanos(units);
    let requests = nanos as f64 / quota.amount() as f64;
    requests.round() as i64
}

/// The other way round.
fn units(quota: &Quota, requests: i32) -> i32 {
    requests * Unit::of(quota.span() * 1_000_000).of_nanos(quota.amount())
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
    let (number, lease) = shared.slots.lease(key).unwrap();
    let dirty = Dirty::of(quota.span(), key, number);
    let untold = Lease::of(lease).untold();
    assert_eq!(requests(&quota, untold), 24);
    // None of it was used up before, as far as others are concerned, and a third of what is full again by now was told.
    let told = shared.told(&dirty, untold, SECOND / 2).unwrap();
    assert!(told.believed < quota.amount() / 100, "{}", told.believed);
    assert!(
        told.used.unsigned_abs().abs_diff(16 * quota.amount()) < quota.amount(),
        "{}",
        told.used
    );
    let owed = shared.slots.owed(key, SECOND / 2);
    let let_through = shared.owed(&dirty, lease, owed, SECOND / 2);
    assert!(
        let_through.abs_diff(16 * quota.amount()) < quota.amount(),
        "{let_through}"
    );
}

#[test]
fn what_was_let_through_long_ago_is_not_told_as_if_it_was_just_now() {
    let (shared, quota, key) = one_of_three(50);
    let mut now = 0;
    // Six tenths of the share, for minutes.
    for _ in 0..1000 {
        shared.charge(&quota, key, now).unwrap();
        now += SECOND / 10;
    }
    let (number, lease) = shared.slots.lease(key).unwrap();
    let dirty = Dirty::of(quota.span(), key, number);
    let untold = lease::take(lease);
    let told = |now| {
        shared
            .told(&dirty, untold, now)
            .unwrap()
            .used
            .unsigned_abs()
    };
    assert!(told(now - SECOND / 10) <= quota.amount() + 1000);
    assert_eq!(told(now), 0);
    // What was given back is told whenever that is.
    shared.give_back(&quota, key, now);
    assert_eq!(requests(&quota, lease::take(lease)), -1);
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
    let dirty = Dirty::of(quota.span(), key, number);
    for (noted, again) in [(0, 1), (2, 3), (-5, 0)] {
        shared.note(&quota, key, noted * signed(quota.amount()), 0, false);
        assert_eq!(shared.queue.take().len(), 1);
        shared.put_back([(dirty, lease::take(lease))]);
        assert_eq!(requests(&quota, Lease::of(lease).untold()), again);
    }
    assert_eq!(shared.queue.take().len(), 0);
}

#[tokio::test]
async fn what_is_asked_is_counted_once_whenever_the_answer_comes() {
    use self::link::Answer::{self, Counted, Not};
    use self::link::Hindrance::{IsLate, IsNew};
    let (shared, quota, key) = one_of_three(50);
    shared.slots.raise(key, 0, 1);
    let (number, lease) = shared.slots.lease(key).unwrap();
    // One was told along, and one given back; the request itself is charged here meanwhile.
    let late = |answer: Option<Answer>, told| {
        lease::take(lease);
        lease::note(lease, units(&quota, 1), |_| false);
        let answer = async {
            match answer {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            }
        };
        let along = ask::Along {
            dirty: Dirty::of(quota.span(), key, number),
            untold: units(&quota, told),
            once: units(&quota, 1),
        };
        Arc::clone(&shared).hear_late(answer, [along].into_iter().collect())
    };
    for (answer, told, untold) in [
        (Some(Counted(true, Vec::new())), 2, 0),
        (Some(Counted(false, Vec::new())), 2, 1),
        (Some(Not(IsNew)), 2, 3),
        (Some(Not(IsLate)), 2, 3),
        (Some(Not(IsLate)), -1, 0),
        (None, 2, 3),
        // It may be known there.
        (None, -1, 1),
    ] {
        late(answer.clone(), told).await;
        let left = requests(&quota, Lease::of(lease).untold());
        assert_eq!(left, untold, "{answer:?} of {told}");
    }
}

#[test]
fn a_little_that_was_charged_once_is_not_told_as_charged_for_all() {
    let (shared, quota, key) = one_of_three(3000);
    shared.charge(&quota, key, 0).unwrap();
    let (number, lease) = shared.slots.lease(key).unwrap();
    let dirty = Dirty::of(quota.span(), key, number);
    // It was alone at the counter, which owes a hundred beside what is untold.
    lease::learn(lease, Some(1), 0);
    shared.slots.rebase(key, 0, 101 * quota.amount());
    let believed = |untold| {
        let told = shared.told(&dirty, units(&quota, untold), 0).unwrap();
        (told.believed as f64 / quota.amount() as f64).round()
    };
    assert_eq!(believed(1), 100.0);
    // More than that was let through without a Redis.
    assert_eq!(believed(20), 41.0);
}

#[test]
fn what_waits_when_redis_is_lost_counts_as_charged_for_all() {
    let (shared, quota, key) = one_of_three(3000);
    let clock = Clock::start();
    for _ in 0..20 {
        shared.charge(&quota, key, 0).unwrap();
    }
    let (number, lease) = shared.slots.lease(key).unwrap();
    let dirty = Dirty::of(quota.span(), key, number);
    // It was alone at the counter, which owes a hundred beside what is untold; nothing of it in the next minutes.
    lease::learn(lease, Some(1), 0);
    let later = 3600 * SECOND;
    shared.slots.rebase(key, 0, later + 120 * quota.amount());
    shared.is_for_all.store(false, Ordering::Relaxed);
    shared.rate_for_all(&clock);
    shared.rate_for_all(&clock);
    let told = shared
        .told(&dirty, Lease::of(lease).untold(), later)
        .unwrap();
    let believed = told.believed as f64 / quota.amount() as f64;
    assert_eq!(believed.round(), 100.0);
}

#[tokio::test]
async fn what_goes_along_with_a_request_whose_client_leaves_is_told_again() {
    use self::link::{Answer, Hindrance};
    let (shared, quota, key) = one_of_three(50);
    shared.slots.raise(key, 0, 1);
    let (number, lease) = shared.slots.lease(key).unwrap();
    let answer = || async { Ok(Answer::Not(Hindrance::IsLate)) };
    for asking in [None, Some(Box::pin(answer()) as ask::Asking)] {
        lease::take(lease);
        let along = ask::Along {
            dirty: Dirty::of(quota.span(), key, number),
            untold: units(&quota, 2),
            once: units(&quota, 1),
        };
        drop(ask::Pending {
            shared: &shared,
            along: [along].into_iter().collect(),
            asking,
        });
        tokio::task::yield_now().await;
        assert_eq!(requests(&quota, Lease::of(lease).untold()), 2);
    }
}

#[test]
fn a_telling_that_ends_in_the_middle_leaves_the_rest_to_the_next() {
    let slots = Arc::new(Slots::with_capacity(1024).with_leases());
    let scope = slots.scope("a", 1000);
    let shared = Shared::new(slots, Arc::default());
    let quota = Quota::new(&rate(50, 1, 50), NonZeroU32::MIN).shared();
    for n in 0..300 {
        let value = Value::User(uuid::Uuid::from_u128(n));
        let key = shared.slots.key(scope, value);
        shared.charge(&quota, key, 0).unwrap();
    }
    let mut rest = telling::Rest {
        shared: &shared,
        waiting: shared.queue.take(),
    };
    let page = rest.next_page().unwrap().len();
    drop(rest);
    assert_eq!(page + shared.queue.take().len(), 300);
    assert!(page < 300);
}

#[test]
fn requests_of_different_price_are_told_at_what_they_took() {
    let (shared, cheap, key) = one_of_three(3000);
    let dear = Quota::new(&rate(100, 1, 100), NonZeroU32::MIN).shared();
    for quota in [&dear, &cheap, &cheap, &dear] {
        shared.charge(quota, key, 0).unwrap();
    }
    let (number, lease) = shared.slots.lease(key).unwrap();
    let dirty = Dirty::of(cheap.span(), key, number);
    let told = shared.told(&dirty, lease::take(lease), 0).unwrap();
    let taken = 2 * (cheap.amount() + dear.amount());
    assert!(told.used.unsigned_abs().abs_diff(taken) < taken / 1000);
}

#[test]
fn what_is_heard_before_all_have_told_holds_the_share_and_is_asked_for_again() {
    let (shared, quota, key) = one_of_three(50);
    assert_eq!(passes(&shared, &quota, key, 0), 16);
    let (number, lease) = shared.slots.lease(key).unwrap();
    let dirty = Dirty::of(quota.span(), key, number);
    shared.queue.take();
    let used = shared.told(&dirty, lease::take(lease), 0).unwrap().used;
    let owed = used.unsigned_abs();
    shared.set_phase(Phase::Told);
    shared.take_over(&dirty, owed, 0);
    assert_eq!(passes(&shared, &quota, key, 0), 0);
    shared.queue.take();
    lease::take(lease);
    shared.set_phase(Phase::Trusted);
    assert_eq!(shared.queue.take().len(), 1);
}

#[test]
fn what_was_heard_early_is_told_to_the_next_redis_as_it_was() {
    let (shared, quota, key) = one_of_three(50);
    assert_eq!(passes(&shared, &quota, key, 0), 16);
    let (number, lease) = shared.slots.lease(key).unwrap();
    let dirty = Dirty::of(quota.span(), key, number);
    let used = 16 * quota.amount();
    lease::take(lease);
    shared.set_phase(Phase::Told);
    shared.take_over(&dirty, used, 0);
    // Here it goes on owing as much as if all had let through their share.
    assert!(shared.slots.owed(key, 0) >= 3 * used);
    let owed = || {
        let lease = Lease::of(lease);
        let told = shared.told(&dirty, lease.untold(), 0).unwrap();
        let owed = shared.slots.owed(key, 0);
        let known = shared.owed(&dirty, shared.slots.lease(key).unwrap().1, owed, 0);
        (told.believed, shared.owed_by_all(&dirty, lease, 0), known)
    };
    assert_eq!(owed(), (used, used, used));
    // What others would be told of beside that was let through since.
    lease::note(lease, units(&quota, 1), |_| false);
    let (believed, by_all, known) = owed();
    assert_eq!(believed, used);
    assert!(known.abs_diff(17 * quota.amount()) < 1000, "{known}");
    assert!(by_all.abs_diff(19 * quota.amount()) < 1000, "{by_all}");
}

#[test]
fn what_was_let_through_before_others_were_known_is_told_whole() {
    let slots = Arc::new(Slots::with_capacity(8).with_leases());
    let key = slots.key(slots.scope("a", 3_600_000), Value::Everyone);
    let shared = Shared::new(slots, Arc::default());
    let quota = Quota::new(&rate(50, 3600, 50), NonZeroU32::MIN).shared();
    let clock = Clock::start();
    shared.set_phase(Phase::New);
    assert_eq!(passes(&shared, &quota, key, clock.now()), 50);
    shared.count_in(Phase::New, 3, &clock);
    let (number, lease) = shared.slots.lease(key).unwrap();
    let dirty = Dirty::of(quota.span(), key, number);
    let told = shared.told(&dirty, Lease::of(lease).untold(), clock.now());
    let told = told.unwrap();
    let amount = quota.amount() as f64;
    assert_eq!((told.used as f64 / amount).round(), 50.0);
    assert_eq!((told.believed as f64 / amount).round(), 0.0);
}

#[test]
fn what_was_charged_for_all_is_not_rated_for_all_again() {
    let (shared, quota, key) = one_of_three(3000);
    let clock = Clock::start();
    let later = 3600 * SECOND;
    shared.is_for_all.store(false, Ordering::Relaxed);
    shared.slots.raise(key, 0, 1);
    let (number, lease) = shared.slots.lease(key).unwrap();
    // It was alone at the counter, and nothing waits.
    lease::learn(lease, Some(1), 0);
    shared.rate_for_all(&clock);
    for _ in 0..100 {
        shared.charge(&quota, key, later).unwrap();
    }
    shared.rate_for_all(&clock);
    let dirty = Dirty::of(quota.span(), key, number);
    let told = shared
        .told(&dirty, Lease::of(lease).untold(), later)
        .unwrap();
    assert_eq!((told.used as f64 / quota.amount() as f64).round(), 100.0);
    assert!(told.believed < quota.amount(), "{}", told.believed);
}

#[test]
fn others_are_waited_for_after_redis_was_out_of_reach_and_not_for_long() {
    let (shared, ..) = one_of_three(1);
    let awaits = |back| shared.waits_for_others(back);
    assert!(!awaits(1), "it was never out of reach");
    shared.awaited.store(3, Ordering::Relaxed);
    assert!(awaits(1) && awaits(2));
    assert!(!awaits(3), "all are back");
    assert!(!awaits(1), "and one that goes then is gone");
    shared.awaited.store(3, Ordering::Relaxed);
    assert!(awaits(2) && awaits(2) && awaits(2));
    assert!(!awaits(2), "it has had its time");
}

#[test]
fn what_came_back_by_itself_is_not_told_as_given_back() {
    let (shared, quota, key) = one_of_three(50);
    let (_, charge) = shared.charge(&quota, key, 0).unwrap();
    // Others have made it full and charged it again meanwhile.
    let later = quota.amount() * 3 / 2;
    shared.charge(&quota, key, later).unwrap();
    shared.refund(&quota, key, &charge, later);
    let (_, lease) = shared.slots.lease(key).unwrap();
    let untold = Unit::of(quota.span() * 1_000_000).nanos(Lease::of(lease).untold());
    assert!(
        untold.unsigned_abs().abs_diff(quota.amount() * 3 / 2) < 1000,
        "{untold}"
    );
}

#[test]
fn what_is_large_goes_by_requests() {
    let (shared, ..) = one_of_three(1);
    let asks = |burst, cost| {
        let cost = NonZeroU32::new(cost).unwrap();
        shared.asks(&Quota::new(&rate(burst, 1, burst), cost).shared())
    };
    assert!(asks(64, 1) && !asks(65, 1));
    assert!(asks(1000, 250) && asks(640, 10) && !asks(650, 10));
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
    assert_eq!(requests(&quota, lease::take(lease)), 10);
    // Half of its share.
    assert!(charge(490));
    shared.queue.take();
    lease::take(lease);
    assert!(charge(1));
    assert_eq!(shared.queue.take().len(), 1);
}

#[test]
fn redis_is_told_by_its_own_clock_until_when_it_may_do_something() {
    let (shared, ..) = one_of_three(1);
    let clock = Clock::start();
    let heard = |is_first, ahead: i64, took| {
        let here = i64::try_from(clock.now() / 1_000_000).unwrap();
        let beat = Beat {
            living: 1,
            back: 1,
            before: 1,
            since: 0,
            now: (here + ahead) * 1000,
            took: Duration::from_millis(took),
        };
        shared.set_clock(beat, is_first, &clock);
    };
    // What there is of it beyond what it may take, in milliseconds.
    let offset = || (shared.call(0).until - IN_TIME) / 1000;
    const HOUR: i64 = 3_600_000;
    // Of a new connection the first that is heard counts, however long it took.
    for (is_first, ahead, took, known) in [
        (true, HOUR, 100, HOUR + 50),
        (false, HOUR, 0, HOUR),
        (false, -HOUR, 100, HOUR),
        (false, -HOUR, 2, -HOUR + 1),
        (true, 0, 100, 50),
        (false, 0, 4, 2),
    ] {
        heard(is_first, ahead, took);
        let off = (offset() - known).abs();
        assert!(off <= 2, "{ahead} in {took}: {off}");
    }
    heard(false, i64::MAX / 1000 - HOUR, 0);
    assert_eq!(shared.call(u64::MAX).until, i64::MAX);
}

#[test]
fn a_refund_is_told_like_a_request() {
    let (shared, quota, key) = one_of_three(50);
    let (_, charge) = shared.charge(&quota, key, 0).unwrap();
    shared.refund(&quota, key, &charge, 0);
    let (_, lease) = shared.slots.lease(key).unwrap();
    assert_eq!(Lease::of(lease).untold(), 0);
    shared.give_back(&quota, key, 0);
    assert_eq!(requests(&quota, Lease::of(lease).untold()), -1);
    assert_eq!(shared.queue.take().len(), 1, "it is queued once");
    assert_eq!(passes(&shared, &quota, key, 0), 16);
}
