//! Quotas of one limit that take other times to fill up: between tiers, between callers and over a reload.

use std::sync::Arc;
use std::time::Duration;

use crate::authn::sample::claims;
use crate::authn::{Claims, Principal, User};
use crate::config::checked::{LimitKey, Pattern};
use crate::route::sample;

use super::tests::*;

/// One budget by tier: ten an hour for free, as many a second for pro.
fn slow_and_fast() -> Gateway {
    let mut config = sample::config(vec![sample::route(Pattern::Prefix(Vec::new()))]);
    config.tiers = tiers(&[
        ("free", Some(rate(10, 3600, 10))),
        ("pro", Some(rate(10, 1, 10))),
    ]);
    Gateway::new(&config)
}

#[test]
fn a_faster_tier_helps_at_once_and_forgives_nothing() {
    let gateway = slow_and_fast();
    let asked = at("/");
    assert_eq!(gateway.passes(&asked, &user(1, "free")), 10);
    // An hour of the slow quota is owed; the fast one never asks for more than a second.
    assert_eq!(gateway.passes(&asked, &user(1, "pro")), 0);
    gateway.hands.advance(Duration::from_millis(100));
    assert_eq!(gateway.passes(&asked, &user(1, "pro")), 1);
    // What is owed of the hour stays owed, whatever passed and was refused meanwhile.
    gateway.hands.advance(Duration::from_secs(60));
    assert_eq!(gateway.passes(&asked, &user(1, "pro")), 10);
    assert_eq!(gateway.passes(&asked, &user(1, "free")), 0);
    gateway.hands.advance(Duration::from_secs(300));
    assert_eq!(gateway.passes(&asked, &user(1, "free")), 1);
}

#[test]
fn half_of_a_long_quota_is_half_of_a_short_one_and_time_is_time_the_other_way() {
    let gateway = slow_and_fast();
    let some = |number, tier, times| {
        for _ in 0..times {
            assert!(gateway.ask(&at("/"), &user(number, tier)).is_ok());
        }
    };
    some(1, "free", 5);
    assert_eq!(gateway.passes(&at("/"), &user(1, "pro")), 5);
    // A second of an hour is less than a request.
    some(2, "pro", 10);
    assert_eq!(gateway.passes(&at("/"), &user(2, "free")), 9);
}

#[test]
fn callers_of_several_tiers_who_share_a_limit_neither_lock_nor_free_each_other() {
    let mut shared = limit("x", LimitKey::Claim("org".into()), rate(10, 3600, 10));
    shared.tiers.insert("pro".into(), Some(rate(10, 1, 10)));
    let gateway = Gateway::of_routes(vec![route("a", Some(vec![shared]))]);
    let of_org = |number, tier: &str| {
        let claims = Claims {
            tier: tier.into(),
            further: serde_json::from_value(serde_json::json!({ "org": "acme" })).unwrap(),
            ..claims(number)
        };
        Principal::User(Arc::new(User::new(claims).unwrap()))
    };
    let (free, pro) = (of_org(1, "free"), of_org(2, "pro"));
    assert_eq!(gateway.passes(&at("/a"), &pro), 10);
    // A second that the org owes is a request of ten an hour at most.
    assert_eq!(gateway.passes(&at("/a"), &free), 9);
    gateway.hands.advance(Duration::from_secs(1));
    assert_eq!(gateway.passes(&at("/a"), &free), 1);
    for _ in 0..5 {
        assert_eq!(gateway.passes(&at("/a"), &free), 0);
        assert_eq!(gateway.passes(&at("/a"), &pro), 10);
        gateway.hands.advance(Duration::from_secs(1));
    }
}

#[test]
fn a_reload_to_a_shorter_quota_and_back_forgives_nothing() {
    let of = |rate| {
        let limits = vec![limit("x", LimitKey::User, rate)];
        sample::config(vec![route("a", Some(limits))])
    };
    let (day, second) = (of(rate(9, 86_400, 9)), of(rate(10, 1, 10)));
    let mut gateway = Gateway::new(&day);
    let caller = user(1, "free");
    assert_eq!(gateway.passes(&at("/a"), &caller), 9);
    gateway.reload(&second);
    assert_eq!(gateway.passes(&at("/a"), &caller), 0);
    gateway.hands.advance(Duration::from_secs(1));
    assert_eq!(gateway.passes(&at("/a"), &caller), 10);
    gateway.reload(&day);
    assert_eq!(gateway.passes(&at("/a"), &caller), 0);
}
