//! Limits by user and tier: exact over all workers, and told to the client.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::Gate;
use crate::harness::client::get;
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::Origin;

const REQUIRED: &str = "- { name: all, prefix: /, auth: required, upstream: app }";

/// Sends `count` requests over eight connections at once and counts the answers by status.
fn flood(gateway: &Gateway, path: &str, token: Option<&str>, count: usize) -> BTreeMap<u16, usize> {
    let mut request = get(path);
    if let Some(token) = token {
        request = request.bearer(token);
    }
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|n| {
                let request = &request;
                scope.spawn(move || {
                    let mut client = gateway.connect();
                    let share = count / 8 + usize::from(n < count % 8);
                    (0..share)
                        .map(|_| client.exchange(request).status)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|c| c.join().unwrap())
            .collect()
    });
    let mut counts = BTreeMap::new();
    for status in statuses {
        *counts.entry(status).or_default() += 1;
    }
    counts
}

#[test]
fn a_tiers_rate_is_exact_over_all_workers_and_its_own_for_each_user() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .tiers("free: { rank: 0, rate: 1/h, burst: 50 }\npro: { rank: 1, rate: 90/h }\nenterprise: { rank: 2 }")
        .routes(REQUIRED)
        .start();
    let alice = gateway.user("alice", &[]).access;
    let bob = gateway.user("bob", &[]).access;
    let pro = gateway.user("pro_user", &["--tier", "pro"]).access;
    let enterprise = gateway.user("big", &["--tier", "enterprise"]).access;

    assert_eq!(
        flood(&gateway, "/", Some(&alice), 200),
        [(200, 50), (429, 150)].into()
    );
    assert_eq!(
        flood(&gateway, "/", Some(&bob), 60),
        [(200, 50), (429, 10)].into()
    );
    assert_eq!(
        flood(&gateway, "/", Some(&enterprise), 200),
        [(200, 200)].into()
    );
    // A rate without a burst lets its count through at once; one more may come of age meanwhile.
    let counts = flood(&gateway, "/", Some(&pro), 150);
    assert!((90..=91).contains(&counts[&200]), "{counts:?}");
    assert_eq!(origin.requests().len(), 50 + 50 + 200 + counts[&200]);
}

#[test]
fn one_user_has_one_budget_over_sessions_and_routes() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .tiers("free: { rank: 0, rate: 1/h, burst: 6 }")
        .routes(
            "
            - { name: one, prefix: /one, auth: required, upstream: app }
            - { name: two, prefix: /two, auth: required, upstream: app }
            - { name: free, prefix: /free, auth: required, limits: [], upstream: app }
            ",
        )
        .start();
    let first = gateway.user("alice", &[]).access;
    let second = gateway.login("alice").access;

    assert_eq!(flood(&gateway, "/one", Some(&first), 3), [(200, 3)].into());
    assert_eq!(flood(&gateway, "/two", Some(&second), 3), [(200, 3)].into());
    assert_eq!(flood(&gateway, "/one", Some(&second), 1), [(429, 1)].into());
    assert_eq!(
        flood(&gateway, "/free", Some(&first), 20),
        [(200, 20)].into()
    );
}

#[test]
fn who_waits_as_told_before_being_known_is_served_too() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: all
              prefix: /
              auth: optional
              limits: [ { name: ip, key: ip, rate: 6/min, burst: 3 }, { name: user, rate: 1/h, burst: 2 } ]
              upstream: app
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]).access;
    let callers = [get("/").bearer(&alice), get("/")];
    // The first limit has one more than the second.
    for request in &callers {
        gateway.send(request).expect(200);
    }
    gateway.send(&get("/")).expect(200);
    // The first is refused by the limit by address alone, the second would meet the next after it.
    for (request, told) in callers.iter().zip([1..=10, 3500..=3600]) {
        let refused = gateway.send(request);
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!(told.contains(&wait), "{wait}");
        refused.expect_problem(429, "rate-limited");
    }
}

#[test]
fn anonymous_callers_are_held_by_address() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("anonymous: { rate: 5/h }\ntrusted_proxies: [127.0.0.1/32]")
        .routes(
            "
            - { name: open, prefix: /open, auth: none, upstream: app }
            - { name: optional, prefix: /optional, auth: optional, upstream: app }
            ",
        )
        .start();

    let ask = |path: &str, from: &str| {
        gateway
            .send(&get(path).header("x-forwarded-for", from))
            .status
    };
    let first: Vec<_> = (0..3).map(|_| ask("/open", "203.0.113.1")).collect();
    assert_eq!(first, [200; 3]);
    let next: Vec<_> = (0..3).map(|_| ask("/optional", "203.0.113.1")).collect();
    assert_eq!(next, [200, 200, 429]);
    assert_eq!(ask("/open", "203.0.113.2"), 200);
    // A host has a whole /64 to choose addresses from.
    let six: Vec<_> = (1..8)
        .map(|n| ask("/open", &format!("2001:db8::{n}")))
        .collect();
    assert_eq!(six, [200, 200, 200, 200, 200, 429, 429]);
    assert_eq!(ask("/open", "2001:db8:0:1::1"), 200);
}

#[test]
fn a_routes_own_limit_takes_the_place_of_the_tiers() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .tiers("free: { rank: 0, rate: 1/h }\npro: { rank: 1 }\nenterprise: { rank: 2 }")
        .routes(
            "
            - name: writes
              prefix: /
              auth: required
              limits:
                - name: writes
                  key: user
                  rate: 3/h
                  tiers: { pro: { rate: 5/h, burst: 7 }, enterprise: unlimited }
              upstream: app
            ",
        )
        .start();
    let free = gateway.user("alice", &[]).access;
    let pro = gateway.user("pro_user", &["--tier", "pro"]).access;
    let enterprise = gateway.user("big", &["--tier", "enterprise"]).access;

    assert_eq!(
        flood(&gateway, "/", Some(&free), 10),
        [(200, 3), (429, 7)].into()
    );
    assert_eq!(
        flood(&gateway, "/", Some(&pro), 10),
        [(200, 7), (429, 3)].into()
    );
    assert_eq!(
        flood(&gateway, "/", Some(&enterprise), 50),
        [(200, 50)].into()
    );
}

#[test]
fn a_limit_may_count_addresses_headers_or_the_route() {
    let origin = Origin::start();
    let limit = |key: &str, path: &str| {
        format!(
            "- name: by{}\n  prefix: {path}\n  auth: none\n  upstream: app\n  \
             limits: [ {{ name: l, key: \"{key}\", rate: 2/h }} ]\n",
            path.replace('/', "-")
        )
    };
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .routes(
            &[
                limit("ip", "/ip"),
                limit("header:X-Org", "/header"),
                limit("route", "/route"),
            ]
            .concat(),
        )
        .start();

    let ask = |path: &str, from: &str, org: &str| {
        let mut request = get(path).header("x-forwarded-for", from);
        if !org.is_empty() {
            request = request.header("x-org", org);
        }
        gateway.send(&request).status
    };
    let (a, b) = ("203.0.113.1", "203.0.113.2");
    assert_eq!([(); 3].map(|()| ask("/ip", a, "x")), [200, 200, 429]);
    assert_eq!(ask("/ip", b, "x"), 200);
    assert_eq!([(); 3].map(|()| ask("/header", a, "x")), [200, 200, 429]);
    assert_eq!(ask("/header", a, "y"), 200);
    assert_eq!([(); 3].map(|()| ask("/header", a, "")), [200, 200, 429]);
    assert_eq!(ask("/header", b, ""), 200);
    assert_eq!(
        [
            ask("/route", a, ""),
            ask("/route", b, ""),
            ask("/route", b, "")
        ],
        [200, 200, 429]
    );
}

#[test]
fn all_limits_must_pass_and_a_refusal_charges_none() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: both
              prefix: /both
              auth: required
              limits:
                - { name: wide, key: user, rate: 5/h }
                - { name: narrow, key: header:x-box, rate: 2/h }
              upstream: app
            - name: costly
              prefix: /costly
              auth: required
              limits: [ { name: costly, key: user, rate: 10/h, cost: 4 } ]
              upstream: app
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]).access;

    let ask = |r#box: &str| {
        let request = get("/both").bearer(&alice).header("x-box", r#box);
        gateway.send(&request)
    };
    let statuses: Vec<u16> = (0..20).map(|_| ask("a").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 2);
    // Another box has a budget of its own, and the 18 refusals took nothing from the wide limit.
    let standing = ask("b").expect(200).header_all("ratelimit").join(", ");
    assert!(standing.contains("\"wide\";r=2"), "{standing}");
    assert!(standing.contains("\"narrow\";r=1"), "{standing}");

    assert_eq!(
        flood(&gateway, "/costly", Some(&alice), 5),
        [(200, 2), (429, 3)].into()
    );
}

#[test]
fn what_is_left_is_told_in_both_forms() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: writes
              prefix: /
              auth: required
              limits: [ { name: writes, key: user, rate: 5/h } ]
              upstream: app
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]).access;

    for left in (0..5).rev() {
        let response = gateway.send(&get("/").bearer(&alice)).expect(200);
        assert_eq!(
            response.header("ratelimit-policy"),
            Some("\"writes\";q=5;w=3600")
        );
        let limit = response.header("ratelimit").unwrap();
        let seconds = limit
            .strip_prefix(&format!("\"writes\";r={left};t="))
            .unwrap_or_else(|| panic!("{limit}"));
        let seconds: u64 = seconds.parse().unwrap();
        // Each request takes a fifth of an hour to come back.
        let full = 720 * (5 - left);
        assert!((full - 60..=full).contains(&seconds), "{limit}");
        assert_eq!(response.header("x-ratelimit-limit"), Some("5"));
        assert_eq!(
            response.header("x-ratelimit-remaining"),
            Some(&*left.to_string())
        );
        let reset: u64 = response
            .header("x-ratelimit-reset")
            .unwrap()
            .parse()
            .unwrap();
        assert!(reset.abs_diff(seconds) <= 1, "{reset} and {seconds}");
        assert_eq!(response.header("retry-after"), None);
    }

    let refused = gateway
        .send(&get("/").bearer(&alice))
        .expect_problem(429, "rate-limited");
    assert!(
        refused
            .header("ratelimit")
            .unwrap()
            .starts_with("\"writes\";r=0;t=")
    );
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((660..=720).contains(&wait), "{wait}");
}

#[test]
fn the_forms_can_be_chosen() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin)
        .top("anonymous: { rate: 100/h }\nlimits_headers: [ietf]")
        .start();

    let response = gateway.send(&get("/")).expect(200);
    assert!(response.header("ratelimit").is_some());
    assert_eq!(response.header("x-ratelimit-limit"), None);
    gateway.reconfigure(|s| s.top("anonymous: { rate: 100/h }\nlimits_headers: [legacy]"));
    let response = gateway.send(&get("/")).expect(200);
    assert_eq!(response.header("ratelimit"), None);
    assert!(response.header("x-ratelimit-limit").is_some());
    gateway.reconfigure(|s| s.top("anonymous: { rate: 100/h }\nlimits_headers: []"));
    let response = gateway.send(&get("/")).expect(200);
    assert_eq!(response.header("ratelimit"), None);
    assert_eq!(response.header("x-ratelimit-limit"), None);
}

#[test]
fn who_waits_as_told_is_served() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("anonymous: { rate: 1/s, burst: 2 }")
        .start();

    let mut refusals = 0;
    let mut client = gateway.connect();
    while refusals < 2 {
        let response = client.exchange(&get("/"));
        if response.status == 200 {
            continue;
        }
        refusals += 1;
        let wait = response
            .expect(429)
            .header("retry-after")
            .unwrap()
            .parse()
            .unwrap();
        // What a client does that obeys.
        std::thread::sleep(std::time::Duration::from_secs(wait));
        client.exchange(&get("/")).expect(200);
    }
}

#[test]
fn a_refused_request_does_not_reach_the_origin_and_keeps_the_connection() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("anonymous: { rate: 1/h }")
        .start();

    let mut client = gateway.connect();
    client.exchange(&get("/")).expect(200);
    for _ in 0..10 {
        client
            .exchange(&get("/"))
            .expect_problem(429, "rate-limited");
    }
    assert_eq!(origin.requests().len(), 1);
    let response = gateway.send(&get("/")).expect(429);
    let log = gateway.log_of(&response);
    assert_eq!(log["reason"], "rate-limited");
    assert!(
        log["limit"].as_str().is_some_and(|name| !name.is_empty()),
        "{log}"
    );
}

#[test]
fn long_quotas_outlive_a_restart() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .tiers("free: { rank: 0, rate: 6/mo }")
        .routes(
            "
            - { name: tier, prefix: /tier, auth: required, upstream: app }
            - name: day
              prefix: /day
              auth: none
              limits: [ { name: a, key: ip, rate: 4/d }, { name: b, key: header:x-org, rate: 3/d } ]
              upstream: app
            - name: minute
              prefix: /minute
              auth: none
              limits: [ { name: a, key: route, rate: 5/min } ]
              upstream: app
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]).access;
    assert_eq!(flood(&gateway, "/tier", Some(&alice), 4), [(200, 4)].into());
    let day = |gateway: &Gateway, from: &str, org: &str| {
        let request = get("/day").header("x-forwarded-for", from);
        gateway.send(&request.header("x-org", org)).status
    };
    assert_eq!(
        [(); 2].map(|()| day(&gateway, "2001:db8::1", "x")),
        [200; 2]
    );
    assert_eq!(
        flood(&gateway, "/minute", None, 6),
        [(200, 5), (429, 1)].into()
    );

    let gateway = gateway.restart();
    // The token is still good: only the counters are asked about here.
    assert_eq!(
        flood(&gateway, "/tier", Some(&alice), 4),
        [(200, 2), (429, 2)].into()
    );
    assert_eq!(day(&gateway, "2001:db8::2", "y"), 200);
    assert_eq!(day(&gateway, "2001:db8::2", "x"), 200);
    assert_eq!(day(&gateway, "2001:db8::2", "y"), 429, "by address");
    assert_eq!(day(&gateway, "192.0.2.1", "x"), 429, "by header");
    assert_eq!(day(&gateway, "192.0.2.1", "y"), 200);
    // A minute's quota is soon back anyway.
    assert_eq!(flood(&gateway, "/minute", None, 5), [(200, 5)].into());

    let gateway = gateway.restart();
    assert_eq!(flood(&gateway, "/tier", Some(&alice), 1), [(429, 1)].into());
}

#[test]
fn a_limit_by_claim_counts_all_who_have_it_together() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("identity: { preset: none }")
        .routes(
            "
            - name: all
              prefix: /
              auth: optional
              limits:
                - { name: org, key: \"claim:account.org\", rate: 3/h }
                - { name: mail, key: \"claim:email\", rate: 5/h }
              upstream: app
            ",
        )
        .start();
    for name in ["ann", "bob", "cal"] {
        gateway.user_add(name, &[]);
    }
    let token = |name: &str, org: &str| {
        let claim = format!("account={{\"org\":\"{org}\"}}");
        let minted = gateway.cli(
            &[
                "token", "mint", "--user", name, "--ttl", "1h", "--claim", &claim,
            ],
            "",
        );
        assert_eq!(minted.code, 0, "{minted:?}");
        minted.stdout.trim().to_owned()
    };
    let ask = |token: &str| gateway.send(&get("/").bearer(token)).status;
    let (ann, bob) = (token("ann", "acme"), token("bob", "acme"));
    assert_eq!(
        [&ann, &bob, &ann, &bob].map(|t| ask(t)),
        [200, 200, 200, 429]
    );
    let elsewhere = token("ann", "other");
    assert_eq!([(); 4].map(|()| ask(&elsewhere)), [200, 200, 200, 429]);
    // Her e-mail address is in her token because a limit goes by it, and it is used up by now.
    let refused = gateway.send(&get("/").bearer(&token("ann", "third")));
    refused.expect_problem(429, "rate-limited");
    // Whoever has no such claim is counted alone, and whoever is nobody by address.
    let cal = gateway.login("cal").access;
    assert_eq!([(); 4].map(|()| ask(&cal)), [200, 200, 200, 429]);
    let anonymous = || gateway.send(&get("/")).status;
    assert_eq!([(); 4].map(|()| anonymous()), [200, 200, 200, 429]);
}

#[test]
fn what_callers_have_used_up_is_shown_to_superusers() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            if exchange.request().target().ends_with("/held") {
                gate.pass();
            }
            exchange.respond(200, "", b"")
        })
    };
    let gateway = Settings::new(&origin)
        .top("anonymous: { rate: 10/h }")
        .auth("rate: 50/h")
        .tiers("free: { rank: 0, rate: 4/h }\npro: { rank: 1, rate: 100/h }")
        .routes(
            "
            - name: writes
              prefix: /writes
              auth: required
              limits:
                - { name: w, key: user, rate: 3/h, tiers: { pro: 30/h } }
                - { name: org, key: header:x-org, rate: 20/h }
              concurrency: { key: user, max: 5 }
              upstream: app
            - { name: all, prefix: /, auth: optional, upstream: app }
            ",
        )
        .start();
    let root = gateway.user("root", &["--superuser"]).access;
    let alice = gateway.user("alice", &[]).access;
    let bob = gateway.user("bob", &["--tier", "pro"]).access;
    let write = |token: &str| gateway.send(&get("/writes").bearer(token).header("x-org", "acme"));
    assert_eq!([(); 4].map(|()| write(&alice).status), [200, 200, 200, 429]);
    write(&bob).expect(200);
    gateway.send(&get("/")).expect(200);
    gateway.send(&get("/").bearer(&bob)).expect(200);
    let mut held = gateway.connect();
    held.send(get("/writes/held").bearer(&bob).to_bytes());
    origin.wait_for(7);

    let ask = |path: &str| {
        get(path)
            .bearer(&root)
            .send(gateway.admin)
            .expect(200)
            .json()
    };
    let shown = ask("/limits");
    let rows = shown["counters"].as_array().unwrap();
    let row = |limit: &str, user: Option<&str>| {
        let row = rows
            .iter()
            .find(|row| row["limit"] == limit && row["user"].as_str() == user);
        row.unwrap_or_else(|| panic!("{limit} of {user:?}: {shown:#}"))
    };
    assert_eq!(row("w", Some("alice")), &rows[0], "the least is left there");
    for (limit, user, route, rate, remaining) in [
        ("w", Some("alice"), Some("writes"), "3/h", 0),
        ("w", Some("bob"), Some("writes"), "30/h", 28),
        ("tier", Some("bob"), None, "100/h", 99),
        ("anonymous", None, None, "10/h", 9),
        ("org", None, Some("writes"), "20/h", 16),
        ("auth", None, None, "50/h", 47),
    ] {
        let row = row(limit, user);
        assert_eq!(row["route"].as_str(), route, "{row}");
        assert_eq!(row["rate"], rate, "{row}");
        assert_eq!(row["remaining"], remaining, "{row}");
    }
    assert!(row("w", Some("alice"))["retry_in"].as_u64().unwrap() > 1000);
    assert_eq!(row("anonymous", None)["key"], "ip 127.0.0.1");
    // A header without a value is counted by address, so there are two of that limit.
    assert_eq!(shown["total_count"], 7);
    let cap = &shown["concurrency"][0];
    assert_eq!(
        (&cap["user"], &cap["requests"], &cap["max"]),
        (&json!("bob"), &json!(1), &json!(5))
    );

    let shown = ask("/limits?user=bob");
    assert_eq!(shown["total_count"], 2);
    assert_eq!(
        ask("/limits?limit=3")["counters"].as_array().unwrap().len(),
        3
    );
    assert_eq!(ask("/limits?limit=3")["total_count"], 7);
    let asked = |path: &str, token: &str| get(path).bearer(token).send(gateway.admin);
    asked("/limits?user=nobody", &root).expect_problem(404, "not-found");
    asked("/limits?users=bob", &root).expect_problem(400, "bad-request");
    asked("/limits", &alice).expect_problem(403, "forbidden");
    get("/limits")
        .send(gateway.admin)
        .expect_problem(401, "token-missing");

    let output = gateway.cli(&["limits", "show", "--user", "alice", "--token", &root], "");
    assert_eq!(output.code, 0, "{output:?}");
    let line = output.stdout.lines().nth(1).unwrap();
    assert!(
        line.starts_with("w      writes  alice (free)  3/h   0, one in "),
        "{line}"
    );
    let output = gateway.cli(&["limits", "show", "--json", "--token", &root], "");
    let told: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(told["total_count"], 7);
    let output = gateway.cli(&["limits", "show"], "");
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("--token"), "{output:?}");
    gate.open();
    held.read_response().expect(200);
}
