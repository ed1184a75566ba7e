//! What a route has in shadow refuses nobody, and is recorded.

use serde_json::{Value, json};

use crate::harness::Gate;
use crate::harness::client::{get, post};
use crate::harness::forge::Jwt;
use crate::harness::gateway::{Gateway, SECRET, Settings};
use crate::harness::origin::Origin;

fn would_refuse(gateway: &Gateway, route: &str, part: &str) -> f64 {
    gateway.metric(&format!(
        "portcullis_would_refuse_total{{route=\"{route}\",part=\"{part}\"}}"
    ))
}

/// The line that the access log has of a response, which was let through.
#[track_caller]
fn logged(gateway: &Gateway, response: &crate::harness::response::Response) -> Value {
    let log = gateway.log_of(response);
    assert_eq!(log["decision"], "allow", "{log}");
    assert_eq!(log["reason"], Value::Null, "{log}");
    log["would_refuse"].clone()
}

#[test]
fn auth_in_shadow_lets_bad_and_missing_tokens_pass_as_nobody() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth(&format!(
            "signing: {{ algorithm: HS256, secret: {SECRET} }}\nleeway: 0s"
        ))
        .top("identity: { forward_authorization: true }")
        .routes("- { name: all, prefix: /, auth: required, shadow: [auth], upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]).access;
    let token = Jwt::parse(&alice);
    let issued = token.claims["iat"].as_u64().unwrap();
    let expired = token
        .claim("iat", issued - 100)
        .claim("exp", issued - 50)
        .signed(SECRET.as_bytes());

    let cases = [
        (get("/"), "auth: token-missing"),
        (get("/").bearer("rubbish"), "auth: token-invalid"),
        (get("/").bearer(&expired), "auth: token-expired"),
        (
            get("/").header("x-api-key", "pk_rubbish"),
            "auth: token-invalid",
        ),
    ];
    for (request, reason) in &cases {
        let request = request.clone().header("x-user-name", "root");
        let response = gateway.send(&request).expect(200);
        assert_eq!(response.header("www-authenticate"), None);
        assert_eq!(logged(&gateway, &response), json!([reason]));
        let log = gateway.log_of(&response);
        assert_eq!(log["auth"], "anonymous");
        let received = origin.last_request();
        for name in ["x-user-id", "x-user-name", "authorization", "x-api-key"] {
            assert_eq!(received.header(name), None, "{name}: {received:?}");
        }
    }
    let rubbish = gateway.send(&get("/").bearer("rubbish")).expect(200);
    assert!(gateway.log_of(&rubbish)["cause"].is_string());
    assert_eq!(would_refuse(&gateway, "all", "auth"), 5.0);
    let refused = "portcullis_auth_total{result=\"refused\"";
    assert_eq!(gateway.metric(refused), 0.0);
    let expired = "portcullis_auth_total{result=\"would_refuse\",reason=\"token-expired\"";
    assert_eq!(gateway.metric(expired), 1.0);

    // A good token is taken as ever.
    let response = gateway.send(&get("/").bearer(&alice)).expect(200);
    assert_eq!(logged(&gateway, &response), Value::Null);
    let received = origin.last_request();
    assert_eq!(received.header("x-user-name").as_deref(), Some("alice"));
    assert!(received.header("authorization").is_some());
    assert_eq!(would_refuse(&gateway, "all", "auth"), 5.0);
}

#[test]
fn auth_in_shadow_closes_no_event_stream_and_rules_in_force_do() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")?;
            exchange.send("Transfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n")?;
            gate.pass();
            exchange.send("2\r\n2\n\r\n0\r\n\r\n")
        })
    };
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: open, prefix: /open, auth: required, shadow: [auth], upstream: app }
            - { name: both, prefix: /both, auth: required, allow: [{ tiers: [free] }], shadow: [auth, allow], upstream: app }
            - { name: rules, prefix: /rules, auth: required, allow: [{ tiers: [free] }], shadow: [auth], upstream: app }
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]);
    let listen = |path: &str| {
        let mut client = gateway.connect();
        client.send(get(path).bearer(&alice.access).to_bytes());
        assert_eq!(client.read_head().unwrap().0, 200);
        assert_eq!(client.read_exact(7).unwrap(), b"2\r\n1\n\r\n");
        client
    };
    let (mut open, mut both) = (listen("/open"), listen("/both"));
    // One for each worker, most likely.
    let mut rules = [listen("/rules"), listen("/rules")];
    let logout = post("/api/v1/logout").bearer(&alice.access);
    gateway.send(&logout).expect(200);
    for stream in &mut rules {
        assert_eq!(stream.read_until_closed(), b"");
    }
    gate.open();
    for stream in [&mut open, &mut both] {
        let rest = stream.read_exact(7 + 5).unwrap();
        assert_eq!(rest, b"2\r\n2\n\r\n0\r\n\r\n");
    }
}

#[test]
fn allow_in_shadow_knows_who_passes() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: reports
              prefix: /
              auth: required
              allow: [ { superuser: true } ]
              shadow: [allow]
              upstream: app
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]).access;
    let boss = gateway.user("boss", &["--superuser"]).access;

    let response = gateway.send(&get("/").bearer(&alice)).expect(200);
    assert_eq!(logged(&gateway, &response), json!(["allow: forbidden"]));
    let name = origin.last_request().header("x-user-name");
    assert_eq!(name.as_deref(), Some("alice"));
    let response = gateway.send(&get("/").bearer(&boss)).expect(200);
    assert_eq!(logged(&gateway, &response), Value::Null);
    assert_eq!(would_refuse(&gateway, "reports", "allow"), 1.0);
    // Only `allow` is in shadow.
    gateway.send(&get("/")).expect_problem(401, "token-missing");
    assert_eq!(would_refuse(&gateway, "reports", "auth"), 0.0);
}

#[test]
fn allow_in_shadow_asks_upstreams_and_lets_pass_whatever_they_say() {
    let origin = Origin::with(|exchange| match exchange.request().target().as_str() {
        "/owners/silent" => exchange.wait_for_close(),
        _ => exchange.respond(200, "", br#"{"by":"bob"}"#),
    });
    let gateway = Settings::new(&origin)
        .routes(
            r#"
            - name: posts
              path: "/posts/{id}"
              auth: required
              allow: [ { owner: { lookup: "GET /owners/{id}", field: /by, equals: "{user.username}" } } ]
              shadow: [allow]
              upstream: app
            "#,
        )
        .start();
    let (alice, bob) = (gateway.user("alice", &[]), gateway.user("bob", &[]));
    for (post, caller, reason) in [
        ("1", &bob, Value::Null),
        ("1", &alice, json!(["allow: forbidden"])),
        ("silent", &bob, json!(["allow: forbidden"])),
    ] {
        let request = get(format!("/posts/{post}")).bearer(&caller.access);
        let response = gateway.send(&request).expect(200);
        assert_eq!(logged(&gateway, &response), reason);
        assert_eq!(origin.last_request().target(), format!("/posts/{post}"));
        let cause = gateway.log_of(&response)["cause"].clone();
        let silent = json!("owner: GET /owners/silent was not answered in time");
        assert_eq!(cause == silent, post == "silent", "{cause}");
    }
    assert_eq!(would_refuse(&gateway, "posts", "allow"), 2.0);
}

#[test]
fn allow_refuses_whom_auth_in_shadow_lets_pass_unless_it_is_in_shadow_too() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: one, prefix: /one, auth: required, allow: [ { superuser: true } ], shadow: [auth], upstream: app }
            - { name: two, prefix: /two, auth: required, allow: [ { superuser: true } ], shadow: [auth, allow], upstream: app }
            ",
        )
        .start();

    let refused = gateway
        .send(&get("/one").bearer("rubbish"))
        .expect_problem(401, "token-missing");
    let log = gateway.log_of(&refused);
    assert_eq!(log["decision"], "deny");
    assert_eq!(log["would_refuse"], json!(["auth: token-invalid"]));
    assert_eq!(origin.requests().len(), 0);

    assert_eq!(log.get("cause"), None, "{log}");

    let response = gateway.send(&get("/two").bearer("rubbish")).expect(200);
    let both = json!(["auth: token-invalid", "allow: token-missing"]);
    assert_eq!(logged(&gateway, &response), both);
}

#[test]
fn limits_in_shadow_are_counted_and_not_told() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: all
              prefix: /
              auth: none
              shadow: [limits]
              limits: [ { name: early, key: route, rate: 2/h }, { name: late, key: user, rate: 3/h } ]
              upstream: app
            ",
        )
        .start();

    let mut client = gateway.connect();
    let responses: Vec<_> = (0..5)
        .map(|_| client.exchange(&get("/")).expect(200))
        .collect();
    for response in &responses {
        for name in ["ratelimit", "ratelimit-policy", "x-ratelimit-limit"] {
            assert_eq!(response.header(name), None, "{response:?}");
        }
    }
    let noted: Vec<_> = responses.iter().map(|r| logged(&gateway, r)).collect();
    let early = "limits: rate-limited: early";
    let both = json!([early, "limits: rate-limited: late"]);
    assert_eq!(
        noted,
        [Value::Null, Value::Null, json!([early]), both.clone(), both]
    );
    // Of a request that two limits would refuse one is counted.
    assert_eq!(would_refuse(&gateway, "all", "limits"), 3.0);
    let decisions = |policy: &str, decision: &str| {
        gateway.metric(&format!(
            "portcullis_limit_decisions_total{{policy=\"{policy}\",tier=\"\",decision=\"{decision}\"}}"
        ))
    };
    assert_eq!(decisions("early", "allowed"), 2.0);
    assert_eq!(decisions("early", "would_refuse"), 3.0);
    assert_eq!(decisions("late", "allowed"), 3.0);
    assert_eq!(decisions("late", "refused"), 0.0);
}

#[test]
fn one_limit_in_shadow_leaves_the_others_in_force() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: all
              prefix: /
              auth: none
              limits:
                - { name: tried, key: ip, rate: 1/h, mode: shadow }
                - { name: real, key: ip, rate: 3/h, mode: enforce }
              upstream: app
            ",
        )
        .start();

    let answers: Vec<_> = (0..4).map(|_| gateway.send(&get("/"))).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    // What `tried` would refuse gave nothing back to `real`.
    assert_eq!(statuses, [200, 200, 200, 429]);
    assert_eq!(
        answers[1].header("ratelimit-policy"),
        Some("\"real\";q=3;w=3600")
    );
    answers[3].clone().expect_problem(429, "rate-limited");
    assert_eq!(answers[3].json()["policy"], "real");
    let noted = logged(&gateway, &answers[1]);
    assert_eq!(noted, json!(["limits: rate-limited: tried"]));
}

#[test]
fn a_tier_s_budget_is_not_used_up_by_a_route_in_shadow() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .tiers("free: { rank: 0, rate: 2/h }")
        .routes(
            "
            - { name: tried, prefix: /tried, auth: required, shadow: [limits], upstream: app }
            - { name: real, prefix: /real, auth: required, upstream: app }
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]).access;
    let ask = |path: &str| gateway.send(&get(path).bearer(&alice)).status;

    assert_eq!([(); 4].map(|()| ask("/tried")), [200; 4]);
    assert_eq!(would_refuse(&gateway, "tried", "limits"), 2.0);
    assert_eq!([(); 3].map(|()| ask("/real")), [200, 200, 429]);
}

#[test]
fn what_was_in_shadow_is_enforced_after_a_reload_with_what_was_used() {
    let origin = Origin::start();
    let routes = |mode: &str| {
        format!(
            "- {{ name: all, prefix: /, auth: none, upstream: app, \
             limits: [ {{ name: few, key: ip, rate: 2/h, mode: {mode} }} ] }}"
        )
    };
    let mut gateway = Settings::new(&origin).routes(&routes("shadow")).start();
    for _ in 0..3 {
        gateway.send(&get("/")).expect(200);
    }
    gateway.reconfigure(|settings| settings.routes(&routes("enforce")));
    gateway.send(&get("/")).expect_problem(429, "rate-limited");
}

#[test]
fn explain_tells_what_would_be_refused() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: tried
              prefix: /
              auth: required
              allow: [ { superuser: true } ]
              shadow: [auth, allow]
              limits: [ { name: few, rate: 2/h, mode: shadow } ]
              upstream: app
            ",
        )
        .start();

    let output = gateway.cli(&["explain", "GET", "/"], "");
    assert_eq!(output.code, 0, "{output:?}");
    for line in [
        "shadow    auth would refuse: 401 token-missing",
        "shadow    allow would refuse: 401 token-missing",
    ] {
        assert!(output.stdout.contains(line), "{}", output.stdout);
    }
    let limit = "limit     few: 2/h for ip 192.0.2.1, after authentication, in shadow";
    assert!(output.stdout.contains(limit), "{}", output.stdout);
    let output = gateway.cli(&["explain", "GET", "/", "--as", "user=a", "--json"], "");
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let expected = json!([{ "part": "allow", "status": 403, "code": "forbidden" }]);
    assert_eq!(told["would_refuse"], expected, "{told}");
    assert_eq!(told["decision"], "allow");
    assert_eq!(told["limits"][0]["shadow"], true);
}

#[test]
fn check_warns_that_auth_in_shadow_makes_a_route_public() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, shadow: [auth], upstream: app }")
        .start();
    let output = gateway.cli(&["check"], "");
    assert_eq!(output.code, 0, "{output:?}");
    let warning = "warning: with `auth` in shadow this route is open to everybody";
    assert!(output.stderr.contains(warning), "{}", output.stderr);
}

#[test]
fn a_cap_in_shadow_lets_everybody_pass_and_tells_who_was_too_many() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            if exchange.request().target() == "/held" {
                gate.pass();
            }
            exchange.respond(200, "", b"")
        })
    };
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: all
              prefix: /
              auth: none
              limits: []
              concurrency: { key: ip, max: 1 }
              shadow: [limits]
              upstream: app
            ",
        )
        .start();
    let mut held = gateway.connect();
    held.send(get("/held").to_bytes());
    origin.wait_for(1);
    let response = gateway.send(&get("/")).expect(200);
    let noted = json!(["limits: too-many-concurrent: concurrency"]);
    assert_eq!(logged(&gateway, &response), noted);
    gate.open();
    let response = held.read_response().expect(200);
    assert_eq!(logged(&gateway, &response), Value::Null);
    let response = gateway.send(&get("/")).expect(200);
    assert_eq!(logged(&gateway, &response), Value::Null);
    assert_eq!(would_refuse(&gateway, "all", "limits"), 1.0);
}

#[test]
fn credentials_that_auth_in_shadow_lets_pass_are_no_failures_elsewhere() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth("failure_rate: 2/h")
        .routes(
            "
            - { name: tried, prefix: /tried, auth: required, shadow: [auth], upstream: app }
            - { name: all, prefix: /, auth: required, upstream: app }
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]);
    let later = gateway.login("alice");
    // What it handed out before is not known to it then.
    let gateway = gateway.restart();
    let tried = || gateway.send(&get("/tried").bearer("rubbish")).status;
    assert_eq!([(); 5].map(|()| tried()), [200; 5]);
    let ask = || gateway.send(&get("/").bearer("rubbish")).status;
    gateway.send(&get("/").bearer(&alice.access)).expect(200);
    assert_eq!([(); 3].map(|()| ask()), [401, 401, 429]);
    assert_eq!([(); 5].map(|()| tried()), [200; 5]);
    // Past the budget nothing is verified here either, unless it is known.
    for (token, reason, name) in [
        ("rubbish", json!(["auth: too-many-attempts"]), None),
        (&later.access, json!(["auth: too-many-attempts"]), None),
        (&alice.access, Value::Null, Some("alice")),
    ] {
        let response = gateway.send(&get("/tried").bearer(token)).expect(200);
        assert_eq!(logged(&gateway, &response), reason);
        let told = origin.last_request().header("x-user-name");
        assert_eq!(told.as_deref(), name);
    }
}
