//! The admin listener and the access log.

use serde_json::{Value, json};

use crate::harness::client::{Connection, get, post};
use crate::harness::gateway::{PASSWORD, Settings, access_token, portcullis, run};
use crate::harness::origin::Origin;

#[test]
fn health_and_readiness_are_told() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    get("/healthz").send(gateway.admin).expect(200);
    get("/readyz").send(gateway.admin).expect(200);
    assert_eq!(get("/nothing").send(gateway.admin).status, 404);
    let output = gateway.cli(&["health"], "");
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn health_of_a_gateway_that_is_away_is_bad() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin).start();
    gateway.signal("TERM");
    gateway.wait_for_exit();

    let output = gateway.cli(&["health"], "");
    assert_eq!(output.code, 1, "{output:?}");
}

/// The gateway serves on by what it read before.
#[test]
fn a_file_that_is_half_written_says_nothing_of_health() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin).start();
    let whole = gateway.yaml();
    let other = gateway.directory().join("half.yaml");
    let file = other.to_str().unwrap().to_owned();
    let health = |text: &str| {
        std::fs::write(&other, text).unwrap();
        run(
            portcullis(gateway.directory()).args(["health", "-c", &file]),
            "",
        )
    };
    let cut = whole.find("\nroutes:").unwrap();
    for text in [
        format!("{whole}unknown: 1\n"),
        format!("{}\nroutes:\n  - {{ na", &whole[..cut]),
        format!("{whole}\"\n"),
    ] {
        let output = health(&text);
        assert_eq!(output.code, 0, "{text}\n{output:?}");
    }
    let said = health(&format!("{whole}\"\n")).stderr;
    assert!(said.contains("cannot be read as a whole"), "{said}");
    assert!(said.contains(&gateway.admin.to_string()), "{said}");
    // What is wrong with `admin` itself is said.
    let output = health("version: 1\nadmin: { addr");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("half.yaml:2"), "{output:?}");

    std::fs::write(&other, format!("{whole}\"\n")).unwrap();
    gateway.signal("TERM");
    gateway.wait_for_exit();
    let output = run(
        portcullis(gateway.directory()).args(["health", "-c", &file]),
        "",
    );
    assert_eq!(output.code, 1, "{output:?}");
}

#[test]
fn metrics_count_what_happens() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: open, prefix: /open, auth: none, upstream: app }
            - name: guarded
              prefix: /
              auth: required
              limits: [ { name: few, key: user, rate: 2/h } ]
              upstream: app
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]).access;
    let wrong = [("username", "alice"), ("password", "Wrong-Horse-7")];
    gateway
        .send(&post("/api/v1/login").form(&wrong))
        .expect(401);
    for _ in 0..3 {
        gateway.send(&get("/open")).expect(200);
        gateway.send(&get("/x").bearer(&alice));
    }
    gateway.send(&get("/x")).expect(401);

    let series = |name: &str| gateway.metric(name);
    let total = "portcullis_http_requests_total";
    let text = get("/metrics").send(gateway.admin).expect(200).text();
    let count = |parts: &[&str]| -> f64 {
        text.lines()
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    assert_eq!(
        count(&[total, "route=\"open\"", "code=\"200\""]),
        3.0,
        "{text}"
    );
    assert_eq!(
        count(&[total, "route=\"guarded\"", "code=\"200\""]),
        2.0,
        "{text}"
    );
    assert_eq!(
        count(&[total, "route=\"guarded\"", "code=\"429\""]),
        1.0,
        "{text}"
    );
    assert_eq!(
        count(&[total, "route=\"guarded\"", "code=\"401\""]),
        1.0,
        "{text}"
    );
    assert_eq!(
        count(&[
            "portcullis_limit_decisions_total",
            "policy=\"few\"",
            "tier=\"free\""
        ]),
        3.0,
        "{text}"
    );
    assert!(series("portcullis_logins_total") >= 2.0);
    assert!(series("portcullis_auth_total") >= 4.0);
    assert_eq!(series("portcullis_store_up"), 1.0);
    assert!(series("portcullis_http_request_duration_seconds_count") >= 6.0);
    assert!(series("portcullis_upstream_duration_seconds_count") >= 5.0);
    for name in [
        "portcullis_http_requests_in_flight",
        "portcullis_connections",
    ] {
        assert!(text.contains(name), "{name} is missing: {text}");
    }
    assert!(!text.contains("alice"), "a label for a user: {text}");
}

#[test]
fn what_the_documents_list_is_measured() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth("rate: 2/h")
        .routes(
            "- { name: all, prefix: /, auth: required, shadow: [auth], upstream: app, \
             limits: [ { name: few, rate: 9/h } ] }",
        )
        .start();
    gateway.send(&get("/")).expect(200);
    let wrong = [("username", "nobody"), ("password", "Wrong-Horse-7")];
    let login = post("/api/v1/login").form(&wrong);
    for status in [401, 401, 429] {
        gateway.send(&login).expect(status);
    }
    gateway.reload_with(&gateway.yaml());

    let documented = include_str!("../../docs/operations.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `portcullis_")?.split('`').next());
    let page = get("/metrics").send(gateway.admin).expect(200).text();
    for name in documented {
        let of_it = page.lines().filter(|line| {
            let rest = line.strip_prefix(&format!("portcullis_{name}"));
            rest.is_some_and(|rest| rest.starts_with(['{', ' ', '_']))
        });
        let of_others = ["users_up", "redis_up", "replicas", "redis_missed_total"];
        let is_absent = of_others.contains(&name);
        assert_eq!(of_it.count() == 0, is_absent, "{name}: {page}");
    }
    // The limit of the auth API is counted like those of routes.
    let limited = |decision: &str| {
        let labels = format!("policy=\"auth\",tier=\"\",decision=\"{decision}\"");
        gateway.metric(&format!("portcullis_limit_decisions_total{{{labels}}}"))
    };
    assert_eq!((limited("allowed"), limited("refused")), (2.0, 1.0));
}

#[test]
fn the_metrics_page_is_well_formed() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    gateway.send(&get("/")).expect(200);

    let page = get("/metrics").send(gateway.admin).expect(200);
    let kind = page.header("content-type").unwrap();
    assert!(
        kind.starts_with("text/plain") || kind.starts_with("application/openmetrics-text"),
        "{kind}"
    );
    for line in page.text().lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(series.starts_with("portcullis_"), "{line}");
    }
}

#[test]
fn methods_that_nobody_defined_add_no_series() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    for n in 0..50 {
        let made_up = crate::harness::client::request(&format!("MADEUP{n}"), "/");
        gateway.connect().exchange(&made_up);
    }

    let text = get("/metrics").send(gateway.admin).expect(200).text();
    assert!(!text.contains("MADEUP"), "{text}");
}

#[test]
fn the_admin_pages_are_not_on_the_public_listener() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: one, path: /one, auth: none, upstream: app }")
        .start();

    for path in ["/metrics", "/readyz", "/healthz", "/reload", "/config"] {
        gateway.send(&get(path)).expect_problem(404, "not-found");
    }
}

#[test]
fn the_access_log_tells_of_each_request() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: guarded, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]).access;
    let me = gateway.send(&get("/api/v1/users/me").bearer(&alice)).json();

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let request = post("/some/path?secret=1")
        .bearer(&alice)
        .header("traceparent", &parent)
        .body("text/plain", "12345");
    let response = gateway.connect().exchange(&request).expect(200);
    let log = gateway.log_of(&response);
    assert_eq!(log["trace_id"], trace);
    assert_eq!(origin.last_request().header("traceparent"), Some(parent));
    assert_eq!(log["method"], "POST");
    assert_eq!(log["host"], "gateway.test");
    assert_eq!(log["path"], "/some/path");
    assert_eq!(log["status"], 200);
    assert_eq!(log["route"], "guarded");
    assert_eq!(log["user_id"], me["id"]);
    assert!(log["session_id"].is_string(), "{log}");
    assert_eq!(log["auth"], "jwt");
    assert_eq!(log["decision"], "allow");
    assert_eq!(log["client_ip"], "127.0.0.1");
    assert_eq!(log["peer_ip"], "127.0.0.1");
    assert_eq!(log["upstream"], "app");
    assert_eq!(log["protocol"], "HTTP/1.1");
    assert_eq!(log["bytes_in"], 5);
    assert_eq!(log["bytes_out"], response.body.len());
    assert!(
        log["duration_ms"].is_number() && log["upstream_ms"].is_number(),
        "{log}"
    );
    let time = log["time"].as_str().unwrap();
    assert!(
        time.ends_with('Z') && time.contains('T'),
        "RFC 3339 in UTC: {time}"
    );

    let wrong = "username=alice&password=wrong";
    let login = post("/api/v1/login").body("application/x-www-form-urlencoded", wrong);
    let log = gateway.log_of(&gateway.send(&login).expect(401));
    assert_eq!(log["bytes_in"], wrong.len());
    assert_eq!(log["path"], "/api/v1/login");

    let refused = gateway.send(&get("/")).expect(401);
    let log = gateway.log_of(&refused);
    assert_eq!(log["status"], 401);
    assert_eq!(log["decision"], "deny");
    assert_eq!(log["reason"], "token-missing");
    assert!(log.get("user_id").is_none_or(|id| id.is_null()), "{log}");

    let lost = Settings::new(&origin)
        .routes("- { name: one, path: /one, auth: none, upstream: app }")
        .start();
    let response = lost.send(&get("/two")).expect(404);
    assert_eq!(lost.log_of(&response)["reason"], "not-found");
}

#[test]
fn the_log_has_one_line_for_one_request_whatever_is_in_it() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    let odd = get("/a%0a%22b%5c?x=1")
        .header("Host", "gateway.test")
        .header("User-Agent", "\"}\\ {\"status\":500}");
    let response = client.exchange(&odd);
    if response.status == 200 {
        let log = gateway.log_of(&response);
        assert_eq!(log["path"], "/a%0a%22b%5c");
    }
    let last = client.exchange(&get("/last")).expect(200);
    gateway.log_of(&last);
    assert_eq!(gateway.stdout().len(), 2, "{:?}", gateway.stdout());
}

#[test]
fn the_auth_apis_requests_are_logged_too() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    gateway.user_add("alice", &[]);

    let fields = [("username", "alice"), ("password", PASSWORD)];
    let response = gateway
        .send(&post("/api/v1/login").form(&fields))
        .expect(200);
    let log = gateway.log_of(&response);
    assert_eq!(log["path"], "/api/v1/login");
    assert_eq!(log["status"], 200);
    assert_eq!(
        (&log["auth"], &log["user_id"]),
        (&json!("none"), &Value::Null)
    );

    // Who calls is told where a token says so, whatever comes of the call.
    let token = access_token(&response);
    let me = gateway
        .send(&get("/api/v1/users/me").bearer(&token))
        .expect(200);
    for (path, status) in [("/api/v1/users/me", 200), ("/api/v1/users", 403)] {
        let response = gateway.send(&get(path).bearer(&token)).expect(status);
        let log = gateway.log_of(&response);
        assert_eq!(log["user_id"], me.json()["id"], "{log}");
        assert!(log["session_id"].is_string(), "{log}");
        assert_eq!(log["auth"], "jwt");
    }
    let rubbish = gateway
        .send(&get("/api/v1/users/me").bearer("rubbish"))
        .expect(401);
    assert_eq!(gateway.log_of(&rubbish)["user_id"], Value::Null);
}

#[test]
fn the_log_can_be_text_or_off() {
    let origin = Origin::start();
    let text = Settings::new(&origin).top("log: { access: text }").start();
    let response = text.send(&get("/readable")).expect(200);
    let id = response.header("x-request-id").unwrap();
    crate::harness::eventually("a line of text", || {
        let lines = text.stdout();
        let line = lines.iter().find(|line| line.contains("/readable"))?;
        assert!(!line.starts_with('{') && line.contains(id), "{line}");
        Some(())
    });

    let mut off = Settings::new(&origin).top("log: { access: off }").start();
    off.send(&get("/quiet")).expect(200);
    off.signal("TERM");
    off.wait_for_exit();
    assert!(
        off.stdout().iter().all(|l| !l.contains("/quiet")),
        "{:?}",
        off.stdout()
    );
}

#[test]
fn a_slow_admin_client_holds_nobody_up() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut stuck: Vec<_> = (0..8).map(|_| Connection::open(gateway.admin)).collect();
    for client in &mut stuck {
        client.send("GET /metrics HTTP/1.1\r\nHost: ");
    }
    gateway.still_serves("/");
}
