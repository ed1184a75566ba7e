//! Routes that stay, turn public, or change their names.

use super::*;

#[test]
fn the_same_policy_in_other_words_is_no_change() {
    let routes = [
        "name: a, path: '/a/{id}', methods: [GET, PUT], auth: required, allow: [{ superuser: true }, { tiers: [pro] }]",
        REST,
    ];
    let turned = [
        REST,
        "name: a, path: '/a/{id}', methods: [GET, PUT], auth: required, allow: [{ tiers: [pro] }, { superuser: true }]",
    ];
    assert_said(&routes, &routes, &[]);
    assert_said(&routes, &turned, &[]);
}

#[test]
fn a_route_that_turns_public_is_told_first() {
    assert_said(
        &["name: a, path: /a, auth: required, timeout: 1s", REST],
        &["name: a, path: /a, auth: optional, timeout: 2s", REST],
        &[
            "newly public: route a: auth required → optional: anybody gets through",
            "changed: route a: timeout 1s → 2s",
        ],
    );
    assert_said(
        &["name: a, path: /a, auth: optional, allow: [{ roles: [x] }]"],
        &["name: a, path: /a, auth: optional"],
        &[
            "newly public: route a: auth optional → optional: anybody gets through",
            "loosened: route a: `allow` asks nothing any more",
        ],
    );
    assert_said(
        &["name: a, path: /a, auth: optional, allow: [{ roles: [x] }]"],
        &["name: a, path: /a, auth: required, allow: [{ roles: [x] }]"],
        &["changed: route a: auth optional → required"],
    );
    assert_said(
        &["name: a, path: /a, auth: none"],
        &["name: a, path: /a, auth: required"],
        &[
            "tightened: route a: auth none → required",
            "changed: route a: callers are told apart, and have the limits of their tier, which may be more than those for anybody were",
        ],
    );
}

#[test]
fn a_route_under_another_name_is_the_same_route() {
    assert_said(
        &["name: a, path: /a, auth: required"],
        &["name: b, path: /a, auth: required"],
        &["renamed: route b: was `a`"],
    );
}
