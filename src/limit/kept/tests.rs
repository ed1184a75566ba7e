//! What is written down of counters, and what a restart finds.

use std::time::Duration;

use uuid::Uuid;

use super::super::clock::{Clock, Hands};
use super::super::pool::settled;
use super::super::slots::Slots;
use super::super::value::{Network, Value};
use super::*;

const TODAY: i64 = 1_800_000_000_000;
const SECOND: u64 = 1_000_000_000;
const SPAN: u64 = 86_400_000;

fn keeper() -> (Keeper, Hands) {
    let (clock, hands) = Clock::manual();
    let counters = Counters::new(Slots::with_capacity(64), clock);
    (counters.keeper(), hands)
}

/// Has the counter owe so many seconds more.
fn owe(keeper: &Keeper, value: Value, seconds: u64) {
    let (slots, now) = (&keeper.counters.slots, keeper.counters.clock.now());
    let key = slots.key(slots.scope("route a b", SPAN), value);
    let amount = seconds * SECOND;
    settled(slots.charge(key, now, amount, |full_at| {
        Ok(((), full_at.unwrap_or(0).max(now) + amount))
    }));
}

/// What of it a request would find, in seconds.
fn owed(keeper: &Keeper, value: Value) -> u64 {
    let (slots, now) = (&keeper.counters.slots, keeper.counters.clock.now());
    let key = slots.key(slots.scope("route a b", SPAN), value);
    let ((), charge) = slots
        .charge(key, now, 0, |full_at| {
            Ok::<_, ()>(((), full_at.unwrap_or(0)))
        })
        .unwrap();
    charge.full_at.saturating_sub(now) / SECOND
}

#[test]
fn what_is_owed_for_long_is_there_after_a_restart() {
    let (before, hands) = keeper();
    hands.advance(Duration::from_secs(5000));
    let user = Value::User(Uuid::from_u128(7));
    let header = Value::of_header(b"acme");
    owe(&before, user, 3600);
    owe(&before, header, 86_400);
    owe(&before, Value::Everyone, 60);
    let kept = before.changed(TODAY, 100);
    let names: Vec<_> = kept.iter().map(|kept| kept.value.as_str()).collect();
    assert_eq!(names, [header.to_string(), user.to_string()]);
    assert_eq!(kept[1].scope, "86400000 route a b");
    assert_eq!(kept[1].full_at, TODAY + 3_600_000);

    // Ten minutes later, in a process whose clock begins anew.
    let (after, _hands) = keeper();
    after.restore(kept, TODAY + 600_000);
    assert_eq!(owed(&after, user), 3000);
    assert_eq!(owed(&after, header), 85_800);
    assert_eq!(owed(&after, Value::Everyone), 0);
}

#[test]
fn only_what_changed_is_written_again() {
    let (keeper, hands) = keeper();
    let user = |n| Value::User(Uuid::from_u128(n));
    for n in 0..10 {
        owe(&keeper, user(n), 1000);
    }
    let pages: Vec<_> = (0..4).map(|_| keeper.changed(TODAY, 4).len()).collect();
    assert_eq!(pages, [4, 4, 2, 0]);
    owe(&keeper, user(3), 1);
    assert_eq!(keeper.changed(TODAY, 4).len(), 1);
    keeper.forget();
    assert_eq!(keeper.changed(TODAY, 100).len(), 10);
    hands.advance(Duration::from_secs(950));
    keeper.forget();
    assert_eq!(keeper.changed(TODAY, 100).len(), 0);
}

fn network(n: u32) -> Value {
    Value::Address(Network::from(std::net::IpAddr::from(n.to_be_bytes())))
}

/// Who is written of.
fn names(kept: &[Kept]) -> Vec<&str> {
    kept.iter().map(|kept| kept.value.as_str()).collect()
}

#[test]
fn of_strangers_those_that_owe_longest_are_written_and_never_more_than_there_is_room_for() {
    let (mut keeper, hands) = keeper();
    keeper.most_of_strangers = 5;
    for n in 1..=20 {
        owe(&keeper, network(n), 1000 + u64::from(n));
        owe(&keeper, Value::User(Uuid::from_u128(n.into())), 1000);
    }
    let kept = keeper.changed(TODAY, 100);
    let of_strangers: Vec<_> = kept.iter().filter(|k| k.value.starts_with("ip")).collect();
    assert_eq!(kept.len(), 25, "accounts have no bound");
    let expected = [
        "ip 0.0.0.16",
        "ip 0.0.0.17",
        "ip 0.0.0.18",
        "ip 0.0.0.19",
        "ip 0.0.0.20",
    ];
    let written: Vec<_> = of_strangers.iter().map(|k| k.value.as_str()).collect();
    assert_eq!(written, expected);
    // Who is in the store stays there and is written anew; nobody else comes, whatever is owed.
    owe(&keeper, network(18), 10);
    owe(&keeper, network(3), 5000);
    let kept = keeper.changed(TODAY, 100);
    assert_eq!(names(&kept), ["ip 0.0.0.18"]);
    // When places are free again, they are taken.
    hands.advance(Duration::from_secs(1018));
    let kept = keeper.changed(TODAY, 100);
    assert_eq!(names(&kept), ["ip 0.0.0.3"]);
    for n in 30..=40 {
        owe(&keeper, network(n), 500 + u64::from(n));
    }
    let kept = keeper.changed(TODAY, 100);
    // 3, 18, 19 and 20 have theirs.
    assert_eq!(names(&kept), ["ip 0.0.0.40"]);
}

#[test]
fn a_page_at_a_time_the_bound_is_the_same() {
    let (mut keeper, _hands) = keeper();
    keeper.most_of_strangers = 5;
    for n in 1..=20 {
        owe(&keeper, network(n), 1000 + u64::from(n));
    }
    let pages: Vec<_> = (0..4).map(|_| keeper.changed(TODAY, 2)).collect();
    let names: Vec<_> = pages.iter().map(|page| names(page)).collect();
    assert_eq!(names[0], ["ip 0.0.0.19", "ip 0.0.0.20"]);
    assert_eq!(names[1], ["ip 0.0.0.17", "ip 0.0.0.18"]);
    assert_eq!(names[2], ["ip 0.0.0.16"]);
    assert!(names[3].is_empty());
    // What could not be written is so the next time, and takes nobody else's place.
    keeper.forget();
    let again = keeper.changed(TODAY, 100);
    assert_eq!(again.len(), 5);
    assert_eq!(again[0].value, "ip 0.0.0.16");
}

#[test]
fn what_was_put_back_keeps_its_place_and_takes_none_from_what_comes() {
    // As many as one process may write, of two others that share the store.
    let kept = [1..=5, 6..=10].into_iter().flat_map(|numbers| {
        let (mut before, _hands) = keeper();
        before.most_of_strangers = 5;
        for n in numbers {
            owe(&before, network(n), 1000);
        }
        before.changed(TODAY, 100)
    });
    let kept: Vec<_> = kept.collect();
    assert_eq!(kept.len(), 10);
    let (mut after, _hands) = keeper();
    after.most_of_strangers = 5;
    after.restore(kept, TODAY);
    after.remember();
    assert_eq!(after.changed(TODAY, 100), []);
    for n in 11..=20 {
        owe(&after, network(n), 5000 + u64::from(n));
    }
    let own = [
        "ip 0.0.0.16",
        "ip 0.0.0.17",
        "ip 0.0.0.18",
        "ip 0.0.0.19",
        "ip 0.0.0.20",
    ];
    assert_eq!(names(&after.changed(TODAY, 100)), own);
    // Whoever wrote it first, it is written anew, and that makes it no more than it was.
    owe(&after, network(5), 10_000);
    owe(&after, network(20), 10);
    let changed = after.changed(TODAY, 100);
    assert_eq!(names(&changed), ["ip 0.0.0.20", "ip 0.0.0.5"]);
    after.forget();
    assert_eq!(after.changed(TODAY, 100).len(), 15);
    owe(&after, network(11), 20_000);
    assert_eq!(after.changed(TODAY, 100), []);
}

#[test]
fn what_is_past_or_makes_no_sense_is_left_out() {
    let (keeper, _hands) = keeper();
    let user = Value::User(Uuid::from_u128(1));
    let kept = |value: &str, full_at| Kept {
        scope: "86400000 route a b".into(),
        value: value.into(),
        full_at,
    };
    keeper.restore(
        [
            kept(&user.to_string(), TODAY),
            kept("nobody", TODAY + 1000),
            kept(&Value::Everyone.to_string(), i64::MAX),
        ],
        TODAY,
    );
    assert_eq!(owed(&keeper, user), 0);
    // As much as a counter can hold, and no overflow.
    assert!(owed(&keeper, Value::Everyone) > 86_400 * 365);
}

#[test]
fn a_counter_that_owes_more_already_keeps_that() {
    let (keeper, _hands) = keeper();
    let user = Value::User(Uuid::from_u128(1));
    owe(&keeper, user, 500);
    keeper.restore(
        [Kept {
            scope: "86400000 route a b".into(),
            value: user.to_string(),
            full_at: TODAY + 100_000,
        }],
        TODAY,
    );
    assert_eq!(owed(&keeper, user), 500);
}
