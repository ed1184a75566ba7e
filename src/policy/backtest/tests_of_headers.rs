//! What is said where the log does not hold what a route is chosen by: headers, and whose page opens a WebSocket.

use serde_json::{Value, json};

use super::tests::{config_of, config_with, line, look_up, of_one};
use super::*;

/// Of lines of a log that was written under `old`, if that is known.
fn report(old: Option<&str>, new: Config, lines: &[Value]) -> Report {
    let mut backtest = Backtest::new(new, Vec::new(), &Plans::default(), 1);
    if let Some(old) = old {
        backtest.written_under(config_of(old), &[]);
    }
    for changes in lines {
        backtest.line(&line(changes), &mut look_up);
    }
    backtest.finish()
}

fn said(old: Option<&str>, new: &str, changes: &Value) -> String {
    of_one(&report(old, config_of(new), std::slice::from_ref(changes)))
}

/// A route for `/a` and one for what it does not take.
fn before(a: &str, rest: &str) -> String {
    format!(
        "name: a, path: /a, {a} }}\n  - {{ upstream: app, name: rest, prefix: /, auth: none, {rest}"
    )
}

const BETA: &str = "headers: { X-B: '1' }";

fn missing() -> Value {
    json!({
        "decision": "deny", "reason": "token-missing", "user_id": null, "auth": "none",
    })
}

#[test]
fn a_header_that_only_the_new_file_asks_for_may_not_have_been_there() {
    let old = before("auth: required", "");
    let new = before(&format!("auth: required, {BETA}"), "");
    let either = "allow or deny token-missing, by headers that are not logged";
    assert_eq!(said(Some(&old), &new, &missing()), either);
    assert_eq!(said(None, &new, &missing()), either);
    assert_eq!(said(Some(&old), &new, &json!({})), "same", "either way");
    let closed = format!("name: a, path: /a, auth: required, {BETA}");
    let nowhere = "deny not-found or deny token-missing, by headers that are not logged";
    assert_eq!(said(Some(&old), &closed, &missing()), nowhere);
    let inside = before(
        &format!("auth: none, {BETA}, ip: {{ deny: [192.0.2.0/24] }}"),
        "",
    );
    let kept_out = "allow or deny forbidden, by headers that are not logged";
    assert_eq!(said(Some(&old), &inside, &missing()), kept_out);
    let elsewhere = before("auth: required", "headers: { X-B: '1' }");
    assert_eq!(said(Some(&old), &elsewhere, &missing()), "same");
}

#[test]
fn the_old_file_tells_which_headers_a_request_had() {
    let both = before(&format!("auth: required, {BETA}"), "");
    assert_eq!(said(Some(&both), &both, &missing()), "same", "it had it");
    let rest = json!({ "route": "rest", "user_id": null, "auth": "none" });
    assert_eq!(said(Some(&both), &both, &rest), "same", "it had it not");
    assert_ne!(said(None, &both, &rest), "same");
    let other = before("auth: required, headers: { X-B: '2' }", "");
    let deny = "deny token-missing → allow";
    assert_eq!(said(Some(&both), &other, &missing()), deny, "one value");
    // A log of another file than the one that is told.
    let unknown = json!({ "route": "gone", "user_id": null, "auth": "none" });
    assert_ne!(said(Some(&both), &both, &unknown), "same");
}

#[test]
fn a_request_that_may_have_been_two_is_counted_once() {
    let anonymous = json!({ "user_id": null, "auth": "none" });
    let lines = [anonymous.clone(), anonymous.clone(), anonymous];
    let routes = before(&format!("auth: none, {BETA}"), "");
    let limited = config_with("anonymous: { rate: 2/min }", &routes);
    let told = report(None, limited, &lines).to_json();
    assert_eq!(told["same"], 2, "{told:#}");
    let why = "deny rate-limited or allow, by headers that are not logged";
    assert_eq!(told["not_told"][0]["why"], why, "{told:#}");
    let limit = "limits: [{ name: w, key: ip, rate: 1/min }]";
    let routes = before(&format!("auth: none, {BETA}, {limit}"), "limits: []");
    let told = report(None, config_of(&routes), &lines[..1]).to_json();
    let why = "it is held to other limits, by headers that are not logged";
    assert_eq!(told["not_told"][0]["why"], why, "{told:#}");
}

#[test]
fn a_websocket_is_decided_as_one() {
    let cors = |origin: &str| {
        format!(
            "name: a, path: /a, auth: required, cors: {{ origins: ['https://{origin}.example'] }}"
        )
    };
    let socket = json!({ "websocket": true, "status": 101 });
    let unknown = "it opens a WebSocket, and from which site's page is not logged";
    let (x, y, none) = (cors("x"), cors("y"), "name: a, path: /a, auth: required");
    assert_eq!(said(Some(&x), &x, &socket), "same", "the same was asked");
    assert_eq!(said(Some(&x), &y, &socket), unknown);
    assert_eq!(said(Some(none), &x, &socket), unknown);
    assert_eq!(said(None, &x, &socket), unknown);
    assert_eq!(said(None, none, &socket), "same");
    assert_eq!(said(None, &x, &json!({})), "same", "no WebSocket");
    let refused = json!({
        "websocket": true, "decision": "deny", "reason": "forbidden", "user_id": null, "auth": "none",
    });
    assert_eq!(said(Some(&x), &x, &refused), unknown);
    let mut nobody = missing();
    nobody["websocket"] = json!(true);
    assert_eq!(said(Some(&x), &x, &nobody), "same");
}
