//! Ways around a limit.

use std::time::Instant;

use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

#[test]
fn xff_limit_bypass() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("anonymous: { rate: 1/h, burst: 5 }")
        .start();

    let mut passed = 0;
    for n in 0..40 {
        let address = format!("198.51.100.{n}");
        let name = [
            "X-Forwarded-For",
            "X-Real-IP",
            "Forwarded",
            "True-Client-IP",
            "CF-Connecting-IP",
        ][n % 5];
        let value = match name {
            "Forwarded" => format!("for={address}"),
            _ => address,
        };
        let response = gateway.send(&get("/").header(name, &value));
        passed += usize::from(response.status == 200);
    }
    assert_eq!(passed, 5, "a forged address gave a new budget");
    assert_eq!(origin.requests().len(), 5);

    // Behind a trusted proxy only what that proxy itself wrote, at the right, counts.
    let gateway = Settings::new(&origin)
        .top("anonymous: { rate: 1/h, burst: 5 }\ntrusted_proxies: [127.0.0.1/32]")
        .start();
    let mut passed = 0;
    for n in 0..40 {
        let chain = format!("198.51.100.{n}, 203.0.113.7");
        let response = gateway.send(&get("/").header("x-forwarded-for", &chain));
        passed += usize::from(response.status == 200);
    }
    assert_eq!(passed, 5, "a forged hop gave a new budget");
    let other = get("/").header("x-forwarded-for", "203.0.113.7, 203.0.113.8");
    gateway.send(&other).expect(200);
    // A chain that cannot be read gives none at all.
    for n in 0..40 {
        let request = get("/").header("x-forwarded-for", &format!("garbage-{n}"));
        gateway.send(&request).expect_problem(400, "bad-request");
    }
    gateway.still_serves("/");
}

/// Requests under a short quota leave what is used up of a long one as it is, and so do refusals.
#[test]
fn limiter_washed_by_another_quota() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .tiers("free: { rank: 0, rate: 5/d }\npro: { rank: 1, rate: 10000/s }")
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]).access;
    let ask = || gateway.send(&get("/").bearer(&alice)).status;
    for _ in 0..5 {
        assert_eq!(ask(), 200);
    }
    assert_eq!(ask(), 429);
    let move_to = |tier: &str| {
        let moved = gateway.cli(&["user", "set", "alice", "--tier", tier], "");
        assert_eq!(moved.code, 0, "{moved:?}");
    };
    move_to("pro");
    // Until the change is known all are refused, and so are the first under the short quota.
    eventually("a faster tier helps", || (ask() == 200).then_some(()));
    move_to("free");
    eventually("the change is known", || (ask() == 429).then_some(()));
    for _ in 0..50 {
        assert_eq!(ask(), 429, "what was used up is forgotten");
    }
    gateway.still_serves("/");
}

#[test]
fn limiter_boundary_burst() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("anonymous: { rate: 20/s, burst: 10 }")
        .start();

    // Over two seconds and so over every boundary that a window of one second could have.
    let mut client = gateway.connect();
    let mut passed = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_millis() < 2200 {
        let sent = Instant::now();
        if client.exchange(&get("/")).status == 200 {
            passed.push((sent, Instant::now()));
        }
    }
    for (first, (sent, _)) in passed.iter().enumerate() {
        for (last, (_, answered)) in passed.iter().enumerate().skip(first) {
            let span = answered.duration_since(*sent).as_secs_f64();
            let most = 10.0 + span * 20.0 + 1.0;
            let count = last - first + 1;
            assert!((count as f64) <= most, "{count} passed within {span} s");
        }
    }
    assert!(passed.len() >= 10, "{} passed at all", passed.len());
    gateway.still_serves("/");
}
