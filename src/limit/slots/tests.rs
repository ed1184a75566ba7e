//! Keys and what they are called; the counters that are shown and told.

use std::sync::atomic::Ordering;

use super::*;

#[test]
fn a_key_goes_by_scope_and_value() {
    let slots = Slots::with_capacity(8);
    let scope = slots.scope("a b", 1000);
    let written = slots.write_scope(scope).unwrap();
    assert_eq!(written, "1000 a b");
    assert_eq!(slots.read_scope(&written), Some(scope));
    assert_eq!(slots.read_scope("a b"), None);
    let key = |text: &[u8]| slots.key(scope, Value::of_header(text));
    assert_eq!(key(b"x"), key(b"x"));
    assert_ne!(key(b"x"), key(b"y"));
    let other = slots.key(slots.scope("c", 1000), Value::of_header(b"x"));
    assert_ne!(key(b"x"), other);
}

#[test]
fn counters_that_are_not_full_are_shown_with_their_names() {
    let slots = Slots::with_capacity(8);
    let scope = slots.scope("a", 1000);
    let id = uuid::Uuid::from_u128(u128::MAX - 7);
    let charge = |value, until| {
        let next = |_: Option<u64>| Ok::<_, ()>(((), until));
        slots.charge(slots.key(scope, value), 5, 1, next).unwrap()
    };
    charge(Value::User(id), 100);
    charge(Value::Everyone, 200);
    charge(Value::of_header(b"x"), 300);
    let shown = |owner, later| {
        let mut shown = Vec::new();
        slots.each_live(owner, later, |counted| {
            assert_eq!(counted.scope, scope);
            shown.push((counted.value, counted.full_at));
        });
        shown.sort_by_key(|(_, full_at)| *full_at);
        shown
    };
    let accounts = [(Value::User(id), 100), (Value::Everyone, 200)];
    assert_eq!(shown(Owner::Account, 99), accounts);
    assert_eq!(shown(Owner::Account, 100), accounts[1..]);
    let headers = [(Value::of_header(b"x"), 300)];
    assert_eq!(shown(Owner::Header, 5), headers);
    assert_eq!(shown(Owner::Address, 5), []);
}

#[test]
fn what_is_given_back_is_owed_no_more() {
    let slots = Slots::with_capacity(8);
    let key = slots.key(slots.scope("a", 1000), Value::Everyone);
    slots.raise(key, 5, 105);
    slots.lower(key, 5, 30);
    assert_eq!(slots.owed(key, 5), 70);
    slots.lower(key, 5, 1000);
    assert_eq!(slots.owed(key, 5), 0);
    // It is full, and not more than that.
    slots.raise(key, 5, 6);
    assert_eq!(slots.owed(key, 5), 1);
}

#[test]
fn of_what_is_known_the_counters_that_owe_most_are_named() {
    let slots = Slots::with_capacity(64);
    let scope = slots.scope("route a b", 1000);
    let owe = |scope, n: u128, owed| {
        let key = slots.key(scope, Value::User(uuid::Uuid::from_u128(n)));
        slots.raise(key, 5, 5 + owed);
    };
    for n in 1..=20 {
        owe(scope, n, n as u64 * 10);
        owe(scope.in_shadow(), n, 1000);
    }
    let owed = |least, most| {
        let known = slots.known(5, least, most).into_iter();
        known
            .map(|known| slots.owed(known.key, 5))
            .collect::<Vec<_>>()
    };
    assert_eq!(owed(170, 100), [200, 190, 180]);
    assert_eq!(owed(0, 4), [200, 190, 180, 170]);
    let Known { name, .. } = slots.known(5, 0, 1).remove(0);
    let id = uuid::Uuid::from_u128(20);
    assert_eq!(name, format!("portcullis:1000:route:a:b:user:{id}"));
}

#[test]
fn a_key_gets_a_counter_of_its_own_while_there_is_room() {
    let slots = Slots::with_capacity(8);
    let scope = slots.scope("a", 1000);
    let key = |n| slots.key(scope, Value::User(uuid::Uuid::from_u128(n)));
    for n in 0..8 {
        assert!(slots.has_own(key(n), 5));
        slots.rebase(key(n), 5, 10);
    }
    assert!(!slots.has_own(key(8), 9));
    assert!(slots.has_own(key(7), 9));
    assert!(slots.has_own(key(8), 10));
}

#[test]
fn a_counter_s_next_key_has_its_own_name_and_nothing_noted() {
    let slots = Slots::with_capacity(8);
    let scope = slots.scope("a", 1000);
    let charge = |n, now: u64| {
        let value = Value::User(uuid::Uuid::from_u128(n));
        let next = |_: Option<u64>| Ok::<_, ()>(((), now + 10));
        slots.charge(slots.key(scope, value), now, 1, next).unwrap();
    };
    for n in 0..8 {
        charge(n, 0);
    }
    slots.each_live(Owner::Account, 0, |c| c.noted.store(10, Ordering::Relaxed));
    for n in 8..16 {
        charge(n, 10);
    }
    let mut seen = Vec::new();
    slots.each_live(Owner::Account, 10, |counted| {
        assert_eq!(counted.noted.load(Ordering::Relaxed), 0);
        let Value::User(id) = counted.value else {
            panic!("{:?}", counted.value);
        };
        seen.push(id.as_u128());
    });
    seen.sort_unstable();
    assert_eq!(seen, (8..16).collect::<Vec<_>>());
}
