//! From which addresses a route may be used.

use crate::harness::client::{get, request};
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

const PROXIED: &str = "trusted_proxies: [127.0.0.1/32]";

#[test]
fn a_route_is_for_the_addresses_that_it_names() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top(PROXIED)
        .routes(
            "
            - name: inside
              prefix: /inside
              auth: none
              ip: { allow: [10.0.0.0/8, \"2001:db8::/32\"], deny: [10.9.0.0/16] }
              upstream: app
            - { name: outside, prefix: /outside, auth: none, ip: { deny: [10.0.0.0/8] }, upstream: app }
            ",
        )
        .start();
    let ask = |path: &str, from: &str| {
        let request = get(path).header("x-forwarded-for", from);
        gateway.send(&request).status
    };
    for (from, inside, outside) in [
        ("10.1.2.3", 200, 403),
        ("::ffff:10.1.2.3", 200, 403),
        ("10.9.2.3", 403, 403),
        ("::ffff:a09:203", 403, 403),
        ("2001:db8::7", 200, 200),
        ("2001:db9::7", 403, 200),
        ("192.0.2.1", 403, 200),
        ("192.0.2.1, 10.1.2.3", 200, 403),
    ] {
        assert_eq!(ask("/inside", from), inside, "{from}");
        assert_eq!(ask("/outside", from), outside, "{from}");
    }
    // Nobody stands behind the proxy: the address is its own.
    assert_eq!(gateway.send(&get("/inside")).status, 403);
}

#[test]
fn who_is_kept_out_is_told_nothing_and_charged_nothing() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top(PROXIED)
        .routes(
            "
            - name: inside
              prefix: /
              auth: required
              allow: [ { superuser: true } ]
              limits: [ { name: all, key: route, rate: 2/h } ]
              ip: { allow: [10.0.0.0/8] }
              shadow: [auth, allow, limits]
              upstream: app
            ",
        )
        .start();
    let boss = gateway.user("boss", &["--superuser"]).access;
    for request in [get("/"), get("/").bearer("rubbish"), get("/").bearer(&boss)] {
        let refused = gateway.send(&request).expect_problem(403, "forbidden");
        let text = refused.text();
        for hint in ["ip", "address", "10.0.0.0", "network"] {
            assert!(!text.contains(&format!(" {hint}")), "{text}");
        }
        assert_eq!(refused.header("www-authenticate"), None);
        assert_eq!(refused.header("ratelimit"), None);
        let log = gateway.log_of(&refused);
        assert_eq!(log["route"], "inside");
        assert_eq!(log["reason"], "forbidden");
        assert!(log["cause"].as_str().unwrap().contains("`ip`"), "{log}");
        assert_eq!(log.get("would_refuse"), None);
    }
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(gateway.metric("portcullis_auth_total"), 0.0);
    assert_eq!(gateway.metric("portcullis_limit_decisions_total"), 0.0);
    let inside = get("/").header("x-forwarded-for", "10.0.0.1");
    assert_eq!([(); 2].map(|()| gateway.send(&inside).status), [200; 2]);
    assert_eq!(
        gateway.metric("portcullis_would_refuse_total{route=\"inside\",part=\"limits\"}"),
        0.0
    );
}

#[test]
fn a_browser_that_asks_first_is_kept_out_as_well() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top(&format!(
            "{PROXIED}\ncors: {{ origins: [\"https://app.test\"] }}"
        ))
        .routes(
            "- { name: inside, prefix: /, auth: none, ip: { allow: [10.0.0.0/8] }, upstream: app }",
        )
        .start();
    let ask = |from: &str| {
        let request = request("OPTIONS", "/")
            .header("origin", "https://app.test")
            .header("access-control-request-method", "GET")
            .header("x-forwarded-for", from);
        gateway.send(&request)
    };
    ask("10.0.0.1").expect(204);
    ask("192.0.2.1").expect_problem(403, "forbidden");
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn explain_decides_by_the_address_too() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "- { name: inside, prefix: /, auth: none, ip: { allow: [10.0.0.0/8] }, upstream: app }",
        )
        .start();
    let output = gateway.cli(&["explain", "GET", "/", "--ip", "10.0.0.7"], "");
    assert_eq!(output.code, 0, "{output:?}");
    let output = gateway.cli(&["explain", "GET", "/"], "");
    assert_eq!(output.code, 3, "{output:?}");
    assert!(
        output.stdout.contains("refused by ip: 403 forbidden"),
        "{}",
        output.stdout
    );
}
