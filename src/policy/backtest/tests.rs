//! What is said of lines of a log.

use serde_json::{Value, json};

use super::*;
use crate::config;

const ALICE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const BOB: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

/// A line about `GET /a` by alice, with other values in place.
fn line(changes: &Value) -> Vec<u8> {
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
fn look_up(id: Uuid) -> Option<TestCaller> {
    (id.to_string() == ALICE).then(|| TestCaller {
        user: Some("alice".into()),
        tier: Some("pro".into()),
        roles: vec!["x".into()],
        ..TestCaller::default()
    })
}

fn config_of(routes: &str) -> Config {
    config_with("", routes)
}

fn config_with(head: &str, routes: &str) -> Config {
    let text = format!(
        "version: 1\n{head}\ntiers: {{ free: {{ rank: 0 }}, pro: {{ rank: 1 }} }}\n\
         upstreams: {{ app: {{ targets: http://a }} }}\nroutes:\n  - {{ upstream: app, {routes} }}\n"
    );
    let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
    loaded.unwrap_or_else(|report| panic!("{report}")).config
}

fn report(routes: &str, lines: &[Vec<u8>]) -> Report {
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
    let told = report(routes, &[line(changes)]).to_json();
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
        backtest.written_under(&old);
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
fn limits_are_held_to_the_times_of_the_log() {
    let routes = "name: a, path: /a, auth: required, limits: [{ name: w, key: user, rate: 2/min }]";
    let at = |time: &str| line(&json!({ "time": format!("2026-01-01T00:{time}Z") }));
    let lines = ["00:00", "00:01", "00:02", "01:30", "01:29"].map(at);
    let told = report(routes, &lines).to_json();
    assert_eq!(
        told["differences"][0]["new"], "deny rate-limited",
        "{told:#}"
    );
    assert_eq!(told["differences"][0]["requests"], 1, "{told:#}");
    assert_eq!(
        told["differences"][0]["examples"][0]["time"],
        "2026-01-01T00:00:02Z"
    );
    assert_eq!(told["same"], 4);
    // Of other callers, and of routes by header, which the route of then had.
    let routes = "name: a, path: /a, headers: { X-B: '1' }, auth: required, limits: []";
    assert_eq!(report(routes, &lines).same, 5);
}

#[test]
fn a_time_at_which_no_gateway_wrote_makes_a_line_none_of_the_log() {
    let routes = "name: a, path: /a, auth: required, limits: [{ name: w, key: ip, rate: 2/min }]";
    let at = |time: &str| line(&json!({ "time": time }));
    let lines = [
        "9999-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "2000-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2099-12-31T23:59:59Z",
        "2026-01-01T00:00:01Z",
        "2026-01-01T00:00:01Z",
        "2026-01-01T00:00:01Z",
    ]
    .map(at);
    let told = report(routes, &lines).to_json();
    assert_eq!(
        (&told["bad_lines"], &told["requests"]),
        (&json!(3), &json!(8)),
        "{told:#}"
    );
    // The third at either time.
    assert_eq!(told["differences"][0]["requests"], 2, "{told:#}");
}

#[test]
fn a_log_of_many_years_is_held_to_its_limits_to_its_end() {
    let routes = "name: a, path: /a, auth: required, limits: [{ name: w, key: user, rate: 2/d }]";
    let months = (2001..2031).flat_map(|year| (1..=12).map(move |month| (year, month)));
    let lines = months.flat_map(|(year, month)| {
        let time = format!("{year}-{month:02}-01T00:00:00Z");
        vec![line(&json!({ "time": time })); 3]
    });
    let report = report(routes, &lines.collect::<Vec<_>>());
    assert_eq!((report.different(), report.same), (360, 720));
}

#[test]
fn lines_that_are_none_of_the_log_are_counted() {
    let bad: [&[u8]; 8] = [
        b"not json",
        b"[]",
        b"{}",
        b"\xff\xfe",
        br#"{"time":"yesterday","client_ip":"192.0.2.1","method":"GET","path":"/","decision":"allow"}"#,
        br#"{"time":"2026-01-01T00:00:00Z","client_ip":"x","method":"GET","path":"/","decision":"allow"}"#,
        br#"{"time":"2026-01-01T00:00:00Z","client_ip":"192.0.2.1","method":"G T","path":"/","decision":"allow"}"#,
        br#"{"time":"2026-01-01T00:00:00Z","client_ip":"192.0.2.1","method":"GET","path":"a b","decision":"allow"}"#,
    ];
    let mut lines: Vec<Vec<u8>> = bad.iter().map(|line| line.to_vec()).collect();
    lines.push(b" \n".to_vec());
    lines.push(line(&json!({})));
    lines.push(line(&json!({ "path": "/x\u{1b}[31m", "route": null, "decision": "deny", "reason": "not-found" })));
    let report = report("name: a, path: /a, auth: required", &lines);
    assert_eq!((report.bad_lines, report.requests), (9, 1));
    assert!(
        report
            .to_string()
            .ends_with("1 requests: 1 as before, 0 different, 0 not told; 9 bad lines\n"),
        "{report}"
    );
}

#[test]
fn kinds_of_difference_are_bounded() {
    let lines: Vec<Vec<u8>> = (0..10_050)
        .map(|n| line(&json!({ "route": format!("r{n}"), "path": "/gone" })))
        .collect();
    let report = report("name: a, path: /a, auth: required", &lines);
    assert_eq!(report.different(), 10_050);
    let told = report.to_json();
    assert_eq!(told["differences"].as_array().unwrap().len(), 10_000);
    let rest = json!({ "different": 50, "not_told": 0 });
    assert_eq!(told["ungrouped"], rest);
    let said = "50 more would be decided differently, in more ways than are told apart\n";
    assert!(report.to_string().contains(said));
}

#[test]
fn kinds_of_what_is_not_told_are_bounded_and_no_differences() {
    let lines: Vec<Vec<u8>> = (0..10_050)
        .map(|n| {
            line(&json!({ "route": format!("r{n}"), "decision": "abandoned", "path": "/gone" }))
        })
        .collect();
    let report = report("name: a, path: /a, auth: required", &lines);
    assert_eq!(report.different(), 0);
    let told = report.to_json();
    assert_eq!(told["not_told"].as_array().unwrap().len(), 10_000);
    let rest = json!({ "different": 0, "not_told": 50 });
    assert_eq!(told["ungrouped"], rest);
    let text = report.to_string();
    let end = "50 more are not told, for more reasons and routes than are told apart\n\
               10050 requests: 0 as before, 0 different, 10050 not told; 0 bad lines\n";
    assert!(text.ends_with(end), "{}", &text[text.len() - 300..]);
}
