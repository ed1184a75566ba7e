//! What callers may use up.

use super::*;

#[test]
fn limits_are_compared_by_who_meets_them() {
    let limits = |limits: &str| format!("name: a, path: /a, auth: required, {limits}");
    for (old, new, expected) in [
        (
            "limits: [{ name: w, key: user, rate: 30/min, tiers: { pro: 60/min } }]",
            "limits: [{ name: w, key: user, rate: 30/min, tiers: { pro: 90/min } }]",
            &["loosened: route a: the limit w 60/min → 90/min for pro"][..],
        ),
        (
            "limits: [{ name: w, key: user, rate: 30/min }]",
            "limits: [{ name: w, key: user, rate: 20/min, burst: 40 }]",
            &["loosened: route a: the limit w 30/min → 20/min, burst 40"],
        ),
        (
            "limits: [{ name: w, key: user, rate: 30/min }]",
            "limits: [{ name: other, key: user, rate: 30/min }]",
            &[],
        ),
        (
            "limits: [{ name: w, key: user, rate: 30/min }]",
            "limits: []",
            &["loosened: route a: the limit w 30/min → unlimited"],
        ),
        (
            "limits: [{ name: w, key: user, rate: 30/min }]",
            "limits: [{ name: w, key: ip, rate: 30/min }]",
            &["loosened: route a: the limit w counts by ip and no longer by user"],
        ),
        (
            "limits: []",
            "limits: [{ name: w, key: user, rate: 30/min, cost: 3 }]",
            &["tightened: route a: the limit w unlimited → 30/min at 3 a request"],
        ),
        (
            "limits: [{ name: w, key: api_key, rate: 30/min }]",
            "limits: [{ name: w, key: \"claim:org\", rate: 30/min }]",
            &["loosened: route a: the limit w counts by claim:org and no longer by api_key"],
        ),
        // What says nothing of limits has those of tiers.
        (
            "timeout: 1s",
            "timeout: 1s, limits: [{ name: w, key: user, rate: 10/min }]",
            &["tightened: route a: the limit w unlimited → 10/min for max, pro"],
        ),
        (
            "timeout: 1s",
            "timeout: 1s, limits: []",
            &[
                "loosened: route a: the limit tier 10/min → unlimited for free",
                "loosened: route a: the limit tier 100/min → unlimited for pro",
            ],
        ),
    ] {
        assert_said(&[&limits(old)], &[&limits(new)], expected);
    }
}

#[test]
fn limits_that_gateways_no_longer_share_are_looser() {
    let route = &["name: a, path: /a, auth: required"][..];
    let with = |url: &str| file(&format!("{HEAD}\nshared: {{ redis: \"{url}\" }}\n"), route);
    let (none, one) = (file(HEAD, route), with("redis://one"));
    assert_eq!(
        lines(&one, &none),
        [
            "loosened: shared: limits hold for each gateway alone, and not for all together",
            "changed: shared.redis: redis://one:6379 → nothing",
        ]
    );
    assert_eq!(
        lines(&none, &one),
        ["changed: shared.redis: nothing → redis://one:6379"]
    );
    assert_eq!(
        lines(&one, &with("redis://:hunter2@two")),
        ["changed: shared.redis: redis://one:6379 → redis://two:6379"]
    );
}

#[test]
fn who_is_known_only_now_had_the_limits_for_anybody() {
    let with = |auth: &str, rest: &str| format!("name: a, path: /a, auth: {auth}{rest}");
    let changed = "changed: route a: callers are told apart, and have the limits of their tier, which may be more than those for anybody were";
    let tightened = |auth| format!("tightened: route a: auth none → {auth}");
    let own = |tiers: &str| format!(", limits: [{{ name: x, key: user, rate: 5/min{tiers} }}]");
    let by_address = ", limits: [{ name: x, key: ip, rate: 5/min }]";
    for (old, new, expected) in [
        // Anonymous callers have 5/min, and no tier has less.
        (
            with("none", ""),
            with("required", ""),
            vec![tightened("required"), changed.to_owned()],
        ),
        (
            with("none", &own("")),
            with("optional", &own(", tiers: { pro: 50/min }")),
            vec![tightened("optional"), changed.to_owned()],
        ),
        (
            with("none", by_address),
            with("required", by_address),
            vec![tightened("required")],
        ),
        (
            with("none", by_address),
            with("optional", ", limits: [{ name: x, key: ip, rate: 6/min }]"),
            vec![
                "loosened: route a: the limit x 5/min → 6/min".to_owned(),
                tightened("optional"),
            ],
        ),
        (
            with("none", by_address),
            with("required", ", limits: []"),
            vec![
                "loosened: route a: the limit x 5/min → unlimited".to_owned(),
                tightened("required"),
            ],
        ),
        (
            with("none", ", concurrency: { key: ip, max: 3 }, limits: []"),
            with(
                "required",
                ", concurrency: { key: user, max: 3 }, limits: []",
            ),
            vec![
                "loosened: route a: concurrency 3 at once by ip → 3 at once by user".to_owned(),
                tightened("required"),
                changed.to_owned(),
            ],
        ),
    ] {
        assert_eq!(said(&[&old], &[&new]), expected, "{new}");
    }
}

#[test]
fn the_rate_beside_those_of_all_tiers_is_for_tiers_of_the_store() {
    let with = |rate: &str| {
        format!(
            "name: a, path: /a, auth: required, limits: [{{ name: x, key: user, rate: {rate}, tiers: {{ free: 1/min, pro: 2/min, max: 3/min }} }}]"
        )
    };
    assert_said(
        &[&with("10/min")],
        &[&with("unlimited")],
        &["loosened: route a: the limit x 10/min → unlimited for tiers of the store"],
    );
    // Without limits of its own a route has the default tier's for them, 10/min in HEAD.
    let tiers = "tiers: { free: 10/min, pro: 100/min, max: unlimited }";
    let with = |rate: &str| {
        format!(
            "name: a, path: /a, auth: required, limits: [{{ name: x, key: user, rate: {rate}, {tiers} }}]"
        )
    };
    let without = "name: a, path: /a, auth: required";
    assert_said(
        &[&with("1/min")],
        &[without],
        &["loosened: route a: the limit x 1/min → unlimited for tiers of the store"],
    );
    assert_said(
        &[without],
        &[&with("unlimited")],
        &["loosened: route a: the limit tier 10/min → unlimited for tiers of the store"],
    );
    assert_said(&[without], &[&with("10/min")], &[]);
}
