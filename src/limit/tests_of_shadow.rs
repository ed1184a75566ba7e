//! Limits in shadow through the stage: they refuse nobody, change nothing for those in force, and say
//! what they would have said.

use http::HeaderMap;
use proptest::prelude::*;

use crate::config::checked::{Guard, Limit, LimitKey, Mode, Rate, Route, Shadow};
use crate::config::{LimitRule, Plans, RuleScope, text};
use crate::route::sample;

use super::tests::*;

fn tried(limit: Limit) -> Limit {
    Limit {
        mode: Mode::Shadow,
        ..limit
    }
}

fn in_shadow(route: Route) -> Route {
    Route {
        shadow: Shadow::of([Guard::Limits]),
        ..route
    }
}

fn rule(name: &str, scope: RuleScope, rate: Rate) -> Plans {
    let tier = "free".into();
    let name = name.into();
    let rule = LimitRule {
        tier,
        name,
        scope,
        rate,
    };
    Plans {
        rules: vec![rule],
        ..Plans::default()
    }
}

fn by_path(template: &str) -> RuleScope {
    RuleScope::Path {
        template: template.into(),
        pattern: text::path(template).unwrap(),
        method: None,
    }
}

/// How many of twenty requests would have been refused; all of them pass.
fn refused_in_shadow(gateway: &Gateway, path: &str, tier: &str) -> usize {
    let refused = (0..20).filter(|_| {
        let ticket = gateway.ask(&at(path), &user(1, tier)).unwrap();
        ticket.would_refuse(&gateway.limits).next().is_some()
    });
    refused.count()
}

#[test]
fn limits_in_shadow_are_not_told_and_counted_by_name() {
    let gateway = Gateway::of_routes(vec![route(
        "a",
        Some(vec![
            tried(limit("x", LimitKey::User, only(1))),
            limit("y", LimitKey::User, only(9)),
        ]),
    )]);
    let caller = user(1, "free");
    let first = gateway.ask(&at("/a"), &caller).unwrap();
    let names: Vec<_> = first.policies(&gateway.limits).collect();
    assert_eq!(names, ["y", "x"]);
    assert_eq!(first.would_refuse(&gateway.limits).count(), 0);
    let second = gateway.ask(&at("/a"), &caller).unwrap();
    let names: Vec<_> = second.would_refuse(&gateway.limits).collect();
    assert_eq!(names, ["x"]);
    let mut headers = HeaderMap::new();
    second.write_headers(&gateway.limits, &mut headers);
    assert!(
        headers["ratelimit"]
            .to_str()
            .unwrap()
            .starts_with("\"y\";r=7;")
    );
}

#[test]
fn a_request_that_is_refused_charges_no_limit_in_shadow() {
    let gateway = Gateway::of_routes(vec![route(
        "a",
        Some(vec![
            tried(limit("early", LimitKey::Route, only(4))),
            tried(limit("late", LimitKey::User, only(4))),
            limit("real", LimitKey::User, only(2)),
        ]),
    )]);
    assert_eq!(gateway.passes(&at("/a"), &user(1, "free")), 2);
    for _ in 0..2 {
        let ticket = gateway.ask(&at("/a"), &user(2, "free")).unwrap();
        assert_eq!(ticket.policies(&gateway.limits).count(), 3);
    }
}

#[test]
fn budgets_that_other_routes_share_are_left_alone() {
    let mut config = sample::config(vec![route("real", None), in_shadow(route("tried", None))]);
    config.tiers = tiers(&[("free", Some(only(3)))]);
    config.anonymous = Some(only(2));
    let gateway = Gateway::new(&config);
    assert_eq!(refused_in_shadow(&gateway, "/tried", "free"), 17);
    assert_eq!(gateway.passes(&at("/real"), &user(1, "free")), 3);
    assert_eq!(gateway.passes(&at("/tried"), &ANYONE), 20);
    assert_eq!(gateway.passes(&at("/real"), &ANYONE), 2);
}

#[test]
fn rules_of_the_store_are_in_shadow_where_the_route_or_the_limit_is() {
    let limits = || Some(vec![tried(limit("x", LimitKey::User, only(9)))]);
    let mut config = sample::config(vec![
        in_shadow(route("all", None)),
        route("one", limits()),
        route("none", Some(Vec::new())),
    ]);
    config.tiers = tiers(&[("free", None)]);
    let mut gateway = Gateway::new(&config);
    for (route, name) in [("all", "y"), ("one", "x")] {
        gateway.reload_with(
            &config,
            &rule(name, RuleScope::Route(route.into()), only(5)),
        );
        let path = format!("/{route}");
        assert_eq!(refused_in_shadow(&gateway, &path, "free"), 15, "{route}");
    }
    for (path, name) in [("/all", "y"), ("/one", "x")] {
        gateway.reload_with(&config, &rule(name, by_path("/{any}"), only(5)));
        refused_in_shadow(&gateway, path, "free");
        // The same rule is in force on other routes, and nothing of it is used up.
        assert_eq!(gateway.passes(&at("/none"), &user(1, "free")), 5, "{path}");
        gateway = Gateway::new(&config);
    }
    gateway.reload_with(&config, &rule("other", by_path("/one"), only(5)));
    assert_eq!(gateway.passes(&at("/one"), &user(1, "free")), 5);
}

proptest! {
    /// Whatever is in shadow beside them, the limits in force decide as if they were alone.
    #[test]
    fn what_is_in_force_does_not_feel_what_is_in_shadow(
        bursts in prop::collection::vec((1..6_u32, any::<bool>(), any::<bool>()), 1..6),
        callers in prop::collection::vec(1..4_u128, 1..40),
    ) {
        let all = bursts.iter().enumerate().map(|(index, (burst, is_early, is_tried))| {
            let key = if *is_early { LimitKey::Ip } else { LimitKey::User };
            let limit = limit(&index.to_string(), key, only(*burst));
            if *is_tried { tried(limit) } else { limit }
        });
        let all: Vec<_> = all.collect();
        let real = all.iter().filter(|limit| limit.mode == Mode::Enforce).cloned().collect();
        let mixed = Gateway::of_routes(vec![route("a", Some(all))]);
        let alone = Gateway::of_routes(vec![route("a", Some(real))]);
        for caller in callers {
            let caller = user(caller, "free");
            let asked = |gateway: &Gateway| {
                let outcome = gateway.ask(&at("/a"), &caller);
                outcome.map(|ticket| {
                    let mut headers = HeaderMap::new();
                    ticket.write_headers(&gateway.limits, &mut headers);
                    headers
                }).map_err(|refusal| refusal.limit().map(str::to_owned))
            };
            prop_assert_eq!(asked(&mixed), asked(&alone));
        }
    }
}
