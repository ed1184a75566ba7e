//! What is said of lines of a log.

use serde_json::{Value, json};

use super::*;
use crate::config;

const ALICE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const BOB: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

/// A line about `GET /a` by alice, with other values in place.
pub(super) fn line(changes: &Value) -> Vec<u8> {
    let mut line = json!({
        "time": "2026-01-01T00:00:00Z", "request_id": "id", "client_ip": "192.0.2.1", "peer_ip": "192.0.2.1",
        "method": "GET", "host": "a.example", "path": "/a", "status": 200, "route": "a", "user_id": ALICE,
        "auth": "jwt", "decision": "allow", "reason": null, "limit": null, "new_field": 1,
    });
    for (key, value) in changes.as_object().unwrap() {
        line[key] = value.clone();
    }
    line.to_string().into_bytes()
}

/// Alice is known, and has tier pro and the role x.
pub(super) fn look_up(id: Uuid) -> Option<TestCaller> {
    (id.to_string() == ALICE).then(|| TestCaller {
        user: Some("alice".into()),
        tier: Some("pro".into()),
        roles: vec!["x".into()],
        ..TestCaller::default()
    })
}

pub(super) fn config_of(routes: &str) -> Config {
    config_with("", routes)
}

pub(super) fn config_with(head: &str, routes: &str) -> Config {
    let text = format!(
        "version: 1\n{head}\ntiers: {{ free: {{ rank: 0 }}, pro: {{ rank: 1 }} }}\n\
         upstreams: {{ app: {{ targets: http://a }} }}\nroutes:\n  - {{ upstream: app, {routes} }}\n"
    );
    let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
    loaded.unwrap_or_else(|report| panic!("{report}")).config
}

pub(super) fn report(routes: &str, lines: &[Vec<u8>]) -> Report {
    let config = config_of(routes);
    let endpoints = vec!["/api/v1/login".to_owned()];
    let mut backtest = Backtest::new(config, endpoints, &Plans::default(), 1);
    for line in lines {
        backtest.line(line, &mut look_up);
    }
    backtest.finish()
}

/// `old → new`, or why that is not told, of one line.
fn said(routes: &str, changes: &Value) -> String {
    of_one(&report(routes, &[line(changes)]))
}

/// The same of a report on one line.
pub(super) fn of_one(report: &Report) -> String {
    let told = report.to_json();
    assert_eq!(told["requests"], 1, "{told}");
    match (&told["differences"][0], &told["not_told"][0]) {
        (Value::Null, Value::Null) => "same".to_owned(),
        (Value::Null, untold) => untold["why"].as_str().unwrap().to_owned(),
        (found, _) => format!(
            "{} → {}",
            found["old"].as_str().unwrap(),
            found["new"].as_str().unwrap()
        ),
    }
}

#[test]
fn what_the_log_and_the_store_tell_is_decided() {
    let token = "it hangs on scopes, claims, headers, a query or an owner, which are not logged";
    let bob = json!({ "user_id": BOB });
    let none = json!({});
    for (routes, changes, expected) in [
        ("name: a, path: /a, auth: required", &none, "same"),
        ("name: a, path: /a, auth: none", &none, "same"),
        (
            "name: a, path: /b, auth: required",
            &none,
            "allow → deny not-found",
        ),
        (
            "name: a, path: /a, methods: [PUT], auth: required",
            &none,
            "allow → deny method-not-allowed",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ tiers: [pro] }]",
            &none,
            "same",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ tiers: [free] }]",
            &none,
            "allow → deny forbidden",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ min_tier: pro, roles: [x] }]",
            &none,
            "same",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ roles: [y] }, { superuser: true }]",
            &none,
            "allow → deny forbidden",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ roles: [y], scopes: [s] }]",
            &none,
            "allow → deny forbidden",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ roles: [x], scopes: [s] }]",
            &none,
            token,
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ roles: [y] }, { claims: { org: a } }]",
            &none,
            token,
        ),
        (
            "name: a, path: '/{who}', auth: required, allow: [{ owner: '{who}' }]",
            &none,
            "allow → deny forbidden",
        ),
        (
            "name: a, path: '/{who}', auth: required, allow: [{ owner: { path: '{who}', equals: '{claims.org}' } }]",
            &none,
            token,
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ owner: { lookup: 'GET /a', field: /by, equals: user.id } }]",
            &none,
            token,
        ),
        (
            "name: a, path: /a, auth: required, shadow: [allow], allow: [{ owner: { lookup: 'GET /a', field: /by, equals: user.id } }]",
            &none,
            "same",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ roles: [y], owner: { lookup: 'GET /a', field: /by, equals: user.id } }]",
            &none,
            "allow → deny forbidden",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ cel: \"user.tier == 'pro'\" }]",
            &none,
            "same",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ cel: \"user.tier != 'pro'\" }]",
            &none,
            "allow → deny forbidden",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ cel: \"!has(claims.org)\" }]",
            &none,
            token,
        ),
        ("name: a, path: /a, auth: required", &bob, "same"),
        (
            "name: a, path: /a, auth: required, allow: [{ tiers: [free] }]",
            &bob,
            "the account is not known",
        ),
        (
            "name: a, path: /a, auth: required, allow: [{ superuser: false }]",
            &bob,
            "the account is not known",
        ),
        (
            "name: a, path: '/{id}', auth: required, allow: [{ owner: { path: '{id}', equals: '{user.id}' } }]",
            &bob,
            "allow → deny forbidden",
        ),
    ] {
        assert_eq!(said(routes, changes), expected, "{routes}");
    }
}

#[test]
fn who_sent_a_request_is_as_far_as_somebody_looked() {
    let (required, optional, open) = (
        "name: a, path: /a, auth: required",
        "name: a, path: /a, auth: optional",
        "name: a, path: /a, auth: none",
    );
    let denied = |reason: &str, route: Value| json!({ "decision": "deny", "reason": reason, "route": route, "user_id": null, "auth": "none" });
    let missing = denied("token-missing", "a".into());
    let expired = denied("token-expired", "a".into());
    let nowhere = denied("not-found", Value::Null);
    let anonymous = json!({ "user_id": null, "auth": "anonymous" });
    let hidden = json!({ "user_id": null, "auth": "none" });
    for (routes, changes, expected) in [
        (required, &missing, "same"),
        (optional, &missing, "deny token-missing → allow"),
        (required, &expired, "same"),
        (optional, &expired, "same"),
        (open, &expired, "deny token-expired → allow"),
        (required, &anonymous, "it may have had credentials"),
        (optional, &anonymous, "same"),
        (required, &hidden, "it may have had credentials"),
        (open, &hidden, "same"),
        (open, &nowhere, "deny not-found → allow"),
        (required, &nowhere, "it may have had credentials"),
    ] {
        assert_eq!(said(routes, changes), expected, "{routes} {changes}");
    }
}

#[test]
fn where_api_keys_are_not_read_whoever_had_one_is_nobody() {
    let by_key = line(&json!({ "auth": "api_key" }));
    for (enabled, auth, expected) in [
        (true, "required", None),
        (false, "required", Some("deny token-missing")),
        (false, "optional", None),
    ] {
        let head = format!("auth: {{ api_keys: {{ enabled: {enabled} }} }}");
        let config = config_with(&head, &format!("name: a, path: /a, auth: {auth}"));
        let mut backtest = Backtest::new(config, Vec::new(), &Plans::default(), 1);
        backtest.line(&by_key, &mut look_up);
        let told = backtest.finish().to_json();
        let new = told["differences"][0]["new"].as_str();
        assert_eq!(new, expected, "{enabled} {auth}: {told:#}");
    }
}

#[test]
fn what_is_in_shadow_refuses_nobody_and_tells_who_was_nobody() {
    let required = "name: a, path: /a, auth: required";
    let shadow =
        "name: a, path: /a, auth: required, allow: [{ roles: [y] }], shadow: [auth, allow]";
    let hidden = json!({ "user_id": null, "auth": "none" });
    let nobody = |code: &str| json!({ "user_id": null, "auth": "anonymous", "would_refuse": [format!("auth: {code}")] });
    for (routes, changes, expected) in [
        (shadow, &json!({}), "same"),
        (shadow, &nobody("token-missing"), "same"),
        (
            required,
            &nobody("token-missing"),
            "allow → deny token-missing",
        ),
        (
            required,
            &nobody("token-expired"),
            "allow → deny token-expired",
        ),
        (
            required,
            &json!({ "would_refuse": ["allow: forbidden"] }),
            "same",
        ),
        (
            "name: a, path: /a, auth: required, ip: { deny: [192.0.2.0/24] }",
            &json!({}),
            "allow → deny forbidden",
        ),
        (
            "name: a, path: /a, auth: required, shadow: [auth], allow: [{ tiers: [free] }]",
            &hidden,
            "it may have had credentials",
        ),
        (
            "name: a, path: /a, auth: required, shadow: [auth], allow: [{ tiers: [free] }]",
            &nobody("token-missing"),
            "allow → deny token-missing",
        ),
        (
            "name: a, path: /a, auth: required, shadow: [auth]",
            &hidden,
            "same",
        ),
        (
            "name: a, path: /a, auth: required, shadow: [auth, allow], allow: [{ tiers: [free] }]",
            &hidden,
            "same",
        ),
    ] {
        assert_eq!(said(routes, changes), expected, "{routes} {changes}");
    }
}

#[test]
fn the_old_file_tells_where_credentials_were_looked_for() {
    let anonymous = line(&json!({ "user_id": null, "auth": "anonymous" }));
    for (old, untold, different) in [("none", 1, 0), ("optional", 0, 1)] {
        let old = config_of(&format!("name: a, path: /a, auth: {old}"));
        let new = config_of("name: a, path: /a, auth: required");
        let mut backtest = Backtest::new(new, Vec::new(), &Plans::default(), 1);
        backtest.written_under(old, &[]);
        backtest.line(&anonymous, &mut look_up);
        let told = backtest.finish().to_json();
        assert_eq!(told["different"], different, "{told}");
        assert_eq!(told["not_told"].as_array().unwrap().len(), untold, "{told}");
    }
}

#[test]
fn what_the_policy_did_not_decide_is_not_compared() {
    let routes = "name: a, path: /a, auth: required";
    let deny = |reason: &str| json!({ "decision": "deny", "reason": reason });
    assert_eq!(
        said(routes, &deny("upstream-timeout")),
        "same",
        "the policy let it through"
    );
    assert_eq!(
        said(routes, &deny("internal")),
        "refused for what the log does not hold"
    );
    assert_eq!(
        said(routes, &json!({ "decision": "abandoned" })),
        "the client left"
    );
    let login = |decision: &str| json!({ "path": "/api/v1/login", "route": null, "decision": decision, "reason": "credentials-invalid" });
    assert_eq!(said(routes, &login("allow")), "same");
    assert_eq!(said(routes, &login("deny")), "same");
    let users = json!({ "path": "/api/v1/users", "route": null });
    assert_eq!(said(routes, &users), "auth API → deny not-found");
}

#[test]
fn what_may_have_been_a_preflight_is_not_told_whatever_methods_its_route_takes() {
    let preflight = json!({ "method": "OPTIONS", "user_id": null, "auth": "none" });
    let untold = "it may have been a preflight";
    let cors = "cors: { origins: ['https://x.example'] }";
    for (route, expected) in [
        ("auth: required", untold),
        ("auth: required, methods: [GET]", untold),
        ("auth: required, methods: [PURGE]", untold),
        (
            "auth: required, methods: [GET], headers: { X-B: '1' }",
            untold,
        ),
        (
            "auth: required, methods: [GET], hosts: [b.example]",
            "allow → deny not-found",
        ),
    ] {
        let routes = format!("name: a, path: /a, {cors}, {route}");
        assert_eq!(said(&routes, &preflight), expected, "{route}");
    }
    let without = "name: a, path: /a, auth: required, methods: [GET]";
    let refused = "allow → deny method-not-allowed";
    assert_eq!(said(without, &preflight), refused, "nothing answers it");
    let known = json!({ "method": "OPTIONS" });
    let routes = format!("name: a, path: /a, {cors}, auth: required, methods: [GET]");
    assert_eq!(
        said(&routes, &known),
        refused,
        "a preflight has no credentials"
    );
}

#[test]
fn a_path_that_the_new_file_rewrites_has_to_be_read_alike_then() {
    let (plain, odd) = (json!({ "path": "/api/x" }), json!({ "path": "/api//x" }));
    let strip = "name: a, prefix: /api, auth: required, rewrite: { strip_prefix: /api }";
    let refused = json!({ "path": "/api//x", "decision": "deny", "reason": "ambiguous-path" });
    for (routes, changes, expected) in [
        (strip, &plain, "same"),
        (strip, &odd, "allow → deny ambiguous-path"),
        (strip, &refused, "same"),
        ("name: a, prefix: /api, auth: required", &odd, "same"),
        (
            "name: a, prefix: /api, auth: required",
            &refused,
            "deny ambiguous-path → allow",
        ),
    ] {
        assert_eq!(said(routes, changes), expected, "{routes} {changes}");
    }
}
