//! Floods: of bad tokens, of logins and of made-up keys. They cost the one who sends them.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::Duration;

use serde_json::json;

use crate::harness::client::{Request, get, post, request};
use crate::harness::forge::{Jwt, sign};
use crate::harness::gateway::{Gateway, PASSWORD, SECRET, Settings};
use crate::harness::origin::Origin;
use crate::harness::response::Response;

const WRONG: &str = "Wrong-Horse-7";

/// Sends what `request` makes of each number below `count`, over eight connections at once, and counts
/// the answers by status.
fn flood(
    gateway: &Gateway,
    count: usize,
    request: impl Fn(usize) -> Request + Sync,
) -> BTreeMap<u16, usize> {
    const CLIENTS: usize = 8;
    let request = &request;
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let mut connection = gateway.connect();
                    (client..count)
                        .step_by(CLIENTS)
                        .map(|n| connection.exchange(&request(n)).status)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let finished = clients.into_iter().map(|client| client.join().unwrap());
        finished.flatten().collect()
    });
    let mut counts = BTreeMap::new();
    for status in statuses {
        *counts.entry(status).or_default() += 1;
    }
    counts
}

#[test]
fn auth_flood() {
    const FLOOD: usize = 400;
    const BUDGET: usize = 50;
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .routes(&format!(
            "
            - name: all
              prefix: /
              auth: required
              limits: [ {{ name: by-address, key: ip, rate: {BUDGET}/d }} ]
              upstream: app
            "
        ))
        .start();
    let alice = gateway.user("alice", &[]);
    let genuine = Jwt::parse(&alice.access);
    let claims = genuine.claims.to_string();
    let mut broken = alice.access.clone();
    let last = broken.pop().unwrap();
    broken.push(if last == 'A' { 'Q' } else { 'A' });

    let bad = |n: usize| match n % 5 {
        0 => format!("rubbish{n}"),
        1 => genuine.clone().claim("jti", n).unsigned(),
        2 => genuine.clone().claim("jti", n).signed(SECRET.as_bytes()),
        3 => sign(
            &format!("{{\"alg\":\"HS256\",\"kid\":\"{n}\"}}"),
            &claims,
            b"x",
        ),
        _ => broken.clone(),
    };
    let counts = flood(&gateway, FLOOD, |n| {
        get("/")
            .header("x-forwarded-for", "203.0.113.1")
            .bearer(&bad(n))
    });
    // Each failure is charged to its address, and a refusal by the limit comes before any signature
    // is looked at.
    assert_eq!(counts, [(401, BUDGET), (429, FLOOD - BUDGET)].into());
    assert_eq!(origin.requests().len(), 0);
    let refused = gateway.metric("portcullis_auth_total{result=\"refused\"");
    assert_eq!(refused, BUDGET as f64);
    let total = "portcullis_http_requests_total{route=\"all\",method=\"GET\",code=";
    assert_eq!(
        gateway.metric(&format!("{total}\"401\"")),
        BUDGET as f64,
        "every refusal is counted"
    );
    assert_eq!(
        gateway.metric(&format!("{total}\"429\"")),
        (FLOOD - BUDGET) as f64
    );

    let elsewhere = get("/").header("x-forwarded-for", "203.0.113.2");
    gateway.send(&elsewhere.bearer(&alice.access)).expect(200);
    let from_there = get("/").header("x-forwarded-for", "203.0.113.1");
    gateway.send(&from_there.bearer(&alice.access)).expect(429);
    gateway.still_serves("/");
}

/// Whoever is signed in has a budget too, wherever the calls come from.
#[test]
fn auth_api_flood() {
    const FLOOD: usize = 200;
    const BUDGET: usize = 60;
    const NAMES: usize = 10;
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .auth(&format!("user_rate: {BUDGET}/d"))
        .start();
    let alice = gateway.user("alice", &[]);
    let bob = gateway.user("bob", &["--superuser"]);
    let rename = |n: usize| {
        let call = request("PATCH", "/api/v1/users/me").bearer(&alice.access);
        call.json(&json!({ "username": format!("alice{n}") }))
    };
    let counts = flood(&gateway, NAMES + 5, rename);
    assert_eq!(counts, [(200, NAMES), (429, 5)].into());
    let refused = gateway
        .send(&rename(99))
        .expect_problem(429, "rate-limited");
    assert_eq!(refused.json()["policy"], "renames");

    let call = |n: usize, token: &str| {
        let call = match n % 3 {
            0 => get("/api/v1/users/me"),
            1 => get("/api/v1/sessions"),
            // Which is refused for another reason.
            _ => post("/api/v1/tiers"),
        };
        let client = format!("203.0.113.{}", n % 100);
        call.bearer(token).header("x-forwarded-for", &client)
    };
    let counts = flood(&gateway, FLOOD, |n| call(n, &alice.access));
    let used = NAMES + 6;
    assert_eq!(counts[&429], FLOOD - (BUDGET - used), "{counts:?}");
    let refused = gateway.send(&call(0, &alice.access));
    let refused = refused.expect_problem(429, "rate-limited");
    assert_eq!(refused.json()["policy"], "auth-user");
    assert!(refused.header("retry-after").is_some());
    let counts = flood(&gateway, FLOOD, |n| call(3 * n, &bob.access));
    assert_eq!(counts, [(200, BUDGET), (429, FLOOD - BUDGET)].into());
    // What is no call of the auth API goes on.
    gateway.send(&get("/").bearer(&alice.access)).expect(200);
    gateway.login("bob");
}

/// No limit of a route is needed for that.
#[test]
fn auth_flood_by_default() {
    const FLOOD: usize = 700;
    const BUDGET: usize = 300;
    let origin = Origin::start();
    let settings = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .auth("failure_rate: 300/d")
        .routes(
            "
            - { name: open, prefix: /open, auth: none, upstream: app }
            - { name: optional, prefix: /optional, auth: optional, upstream: app }
            - { name: all, prefix: /, auth: required, upstream: app }
            ",
        );
    let gateway = settings.start();
    let alice = gateway.user("alice", &[]);
    let later = gateway.login("alice");
    // What it handed out before is not known to it then.
    let mut gateway = gateway.restart();
    let from = |request: Request| request.header("x-forwarded-for", "203.0.113.1");
    gateway
        .send(&from(get("/").bearer(&alice.access)))
        .expect(200);
    let genuine = Jwt::parse(&alice.access);
    let bad = |n: usize| {
        let request = get(["/", "/optional"][n % 2]);
        from(match n % 3 {
            0 => request.bearer(&format!("rubbish{n}")),
            1 => request.bearer(&genuine.clone().claim("jti", n).unsigned()),
            _ => request.header("x-api-key", &format!("pck_{n:032x}_{}", "A".repeat(43))),
        })
    };
    let counts = flood(&gateway, FLOOD, bad);
    // One that is under way when the last one is charged may be looked at as well.
    let looked_at = counts[&401];
    assert!((BUDGET..BUDGET + 8).contains(&looked_at), "{counts:?}");
    assert_eq!(counts[&429], FLOOD - looked_at);
    let refused = gateway.metric("portcullis_auth_total{result=\"refused\"");
    assert_eq!(refused, looked_at as f64, "no other was looked at");

    let answer = gateway
        .send(&bad(0))
        .expect_problem(429, "too-many-attempts");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(gateway.log_of(&answer)["limit"], "failures");
    // Whoever was known before, or carries nothing to verify, is not held back; nor is a token for what is no key.
    let beside = get("/").bearer(&alice.access);
    let beside = from(beside.header("x-api-key", "of-the-backend"));
    gateway.send(&beside).expect(200);
    gateway
        .send(&from(get("/").bearer(&alice.access)))
        .expect(200);
    gateway.send(&from(get("/optional"))).expect(200);
    gateway
        .send(&from(get("/open").bearer("rubbish")))
        .expect(200);
    gateway
        .send(&from(get("/")))
        .expect_problem(401, "token-missing");
    // What the gateway has just handed out itself is known.
    let fresh = gateway.login("alice");
    gateway
        .send(&from(get("/").bearer(&fresh.access)))
        .expect(200);
    let unseen = || get("/").bearer(&later.access);
    gateway.send(&from(unseen())).expect(429);
    let elsewhere = unseen().header("x-forwarded-for", "203.0.113.2");
    gateway.send(&elsewhere).expect(200);
    gateway.send(&from(unseen())).expect(200);
    // The auth API verifies no more than routes do.
    for (method, path) in [("GET", "/api/v1/users/me"), ("POST", "/api/v1/introspect")] {
        let call = |token: &str| from(request(method, path).bearer(token));
        gateway
            .send(&call("rubbish"))
            .expect_problem(429, "too-many-attempts");
        gateway
            .send(&from(request(method, path)))
            .expect_problem(401, "token-missing");
    }
    gateway
        .send(&from(get("/api/v1/users/me").bearer(&alice.access)))
        .expect(200);
    gateway.reconfigure(|s| s.auth("failure_rate: unlimited"));
    gateway.send(&bad(0)).expect(401);
    gateway.still_serves("/open");
}

/// What is not valid there counts as on routes.
#[test]
fn auth_flood_of_the_auth_api() {
    const FLOOD: usize = 300;
    const BUDGET: usize = 100;
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .auth(&format!("failure_rate: {BUDGET}/d"))
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let boss = gateway.user("boss", &["--superuser"]);
    let from = |request: Request| request.header("x-forwarded-for", "203.0.113.1");
    let bad = |n: usize| {
        from(match n % 3 {
            0 => get("/api/v1/users/me").bearer(&format!("rubbish{n}")),
            1 => post("/api/v1/introspect").bearer(&format!("rubbish{n}")),
            _ => post("/api/v1/introspect")
                .header("x-api-key", &format!("pck_{n:032x}_{}", "A".repeat(43))),
        })
    };
    let counts = flood(&gateway, FLOOD, bad);
    // Those under way when the last one is charged may be looked at as well.
    assert!((BUDGET..BUDGET + 8).contains(&counts[&401]), "{counts:?}");
    let refused = gateway.send(&bad(2));
    refused.expect_problem(429, "too-many-attempts");
    gateway
        .send(&from(get("/").bearer("rubbish")))
        .expect_problem(429, "too-many-attempts");

    // Who asks in good faith is not held to what addresses may do without a token.
    let ask = |n: usize| {
        let ask = post("/api/v1/introspect").bearer(&boss.access);
        ask.form(&[("token", &format!("x{n}"))])
    };
    assert_eq!(flood(&gateway, 100, ask), [(200, 100)].into());
}

/// The same of API keys: what can't be one is never looked up, and what is none only now and then.
#[test]
fn auth_flood_of_api_keys() {
    const FLOOD: usize = 600;
    const BUDGET: usize = 90;
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .auth("failure_rate: unlimited")
        .routes(&format!(
            "
            - name: limited
              path: /limited
              auth: required
              limits: [ {{ name: by-address, key: ip, rate: {BUDGET}/d }} ]
              upstream: app
            - {{ name: all, prefix: /, auth: required, upstream: app }}
            "
        ))
        .start();
    let alice = gateway.user("alice", &[]);
    let made = post("/api/v1/api-keys").bearer(&alice.access);
    let made = gateway
        .send(&made.json(&json!({ "name": "x" })))
        .expect(201);
    let key = made.json()["key"].as_str().unwrap().to_owned();
    gateway
        .send(&get("/").header("x-api-key", &key))
        .expect(200);
    let bad = |n: usize| match n % 3 {
        0 => format!("rubbish{n}"),
        // Well formed, and each another.
        1 => format!("pck_{n:032x}_{}", "A".repeat(43)),
        // Of the right id, and always the same.
        _ => format!("{}{}", &key[..key.len() - 8], "AAAAAAAA"),
    };
    let counts = flood(&gateway, FLOOD, |n| {
        get("/limited")
            .header("x-forwarded-for", "203.0.113.1")
            .header("x-api-key", &bad(n))
    });
    assert_eq!(counts, [(401, BUDGET), (429, FLOOD - BUDGET)].into());
    let refused =
        "portcullis_auth_total{result=\"refused\",reason=\"token-invalid\",method=\"api_key\"}";
    assert_eq!(
        gateway.metric(refused),
        BUDGET as f64,
        "no other was looked at"
    );

    // Without such a limit the good key is not washed out, nor the store called away.
    let counts = flood(&gateway, FLOOD, |n| get("/").header("x-api-key", &bad(n)));
    assert_eq!(counts, [(401, FLOOD)].into());
    assert_eq!(origin.requests().len(), 1);
    gateway
        .send(&get("/").header("x-api-key", &key))
        .expect(200);
    assert_eq!(gateway.metric("portcullis_store_up"), 1.0);
    let logged_in = get("/").bearer(&alice.access);
    gateway.send(&logged_in).expect(200);
    gateway.still_serves("/");
}

fn login(username: &str, password: &str) -> Request {
    post("/api/v1/login").json(&json!({ "username": username, "password": password }))
}

#[test]
fn login_flood_starves_proxy() {
    const LOGINS: usize = 200;
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth("password: { bcrypt_cost: 10 }\nlockout: { failures: 1000 }")
        .start();
    gateway.user_add("alice", &[]);

    let barrier = Barrier::new(LOGINS);
    let (answers, proxied) = std::thread::scope(|scope| {
        let (gateway, start) = (&gateway, &barrier);
        let logins: Vec<_> = (0..LOGINS)
            .map(|n| {
                scope.spawn(move || {
                    let request = match n % 3 {
                        0 => login("alice", PASSWORD),
                        1 => login("alice", WRONG),
                        _ => login("nobody", PASSWORD),
                    };
                    start.wait();
                    gateway.send(&request)
                })
            })
            .collect();
        let mut proxied = 0;
        while logins.iter().any(|login| !login.is_finished()) {
            gateway.send(&get("/")).expect(200);
            proxied += 1;
            // Hashing has the lowest priority: a client that never rests would starve it.
            std::thread::sleep(Duration::from_millis(5));
        }
        let answers: Vec<Response> = logins.into_iter().map(|l| l.join().unwrap()).collect();
        (answers, proxied)
    });
    assert!(proxied > 0);
    assert_eq!(origin.requests().len(), proxied);
    let mut turned_away = 0;
    for answer in &answers {
        match answer.status {
            200 | 401 => {}
            429 | 503 => {
                turned_away += 1;
                let wait = answer.header("retry-after");
                assert!(wait.is_some_and(|s| s.parse::<u64>().is_ok()), "{answer:?}");
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert!(turned_away > 0, "the queue is bounded");
    assert!(turned_away < LOGINS, "nobody could sign in");
    gateway.send(&login("alice", PASSWORD)).expect(200);
    gateway.still_serves("/");
}

#[test]
#[cfg(target_os = "linux")]
fn limiter_memory() {
    const KEYS: usize = 100_000;
    const CLIENTS: usize = 4;
    const PIPELINED: usize = 50;
    /// The counters of all limits by header and address end at 96 MiB; the rest is for connections.
    const CAP: u64 = 144 << 20;
    let origin = Origin::start();
    // The limit is charged before the credential is looked for, so that a request costs a 401.
    let gateway = Settings::new(&origin)
        .top("log: { access: off }")
        .routes(
            "
            - name: keyed
              prefix: /keyed
              auth: required
              limits: [ { name: few, key: header:x-key, rate: 2/d } ]
              upstream: app
            - { name: all, prefix: /, auth: none, upstream: app }
            ",
        )
        .start();
    let ask = |key: &str| gateway.send(&get("/keyed").header("x-key", key)).status;
    let over: Vec<String> = (0..20).map(|n| format!("over-{n}")).collect();
    for key in &over {
        assert_eq!([ask(key), ask(key), ask(key)], [401, 401, 429]);
    }

    let before = gateway.peak_memory();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut connection = gateway.connect();
                let numbers: Vec<usize> = (client..KEYS).step_by(CLIENTS).collect();
                for some in numbers.chunks(PIPELINED) {
                    let mut bytes = Vec::new();
                    for n in some {
                        let key = format!("{n}-{}", "x".repeat(100));
                        bytes.extend(get("/keyed").header("x-key", &key).to_bytes());
                    }
                    connection.send(&bytes);
                    for n in some {
                        let response = connection.read_response();
                        assert_eq!(response.status, 401, "key {n} is new: {response:?}");
                    }
                }
            });
        }
    });
    let grown = gateway.peak_memory() - before;
    assert!(grown < CAP, "{KEYS} keys took {grown} bytes");
    for key in &over {
        assert_eq!(ask(key), 429, "{key} has got a fresh budget");
    }
    assert_eq!(origin.requests().len(), 0);
    gateway.still_serves("/");
}
