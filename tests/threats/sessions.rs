//! Refresh tokens, logouts and logins under attack.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::harness::client::{Request, get, post, request};
use crate::harness::forge::Jwt;
use crate::harness::gateway::{Gateway, PASSWORD, SECRET, Settings, access_token, refresh_cookie};
use crate::harness::origin::Origin;
use crate::harness::{Gate, eventually};

fn closed(origin: &Origin) -> Settings {
    Settings::new(origin).routes("- { name: all, prefix: /, auth: required, upstream: app }")
}

#[track_caller]
fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.send(&get("/").bearer(token)).status
}

#[test]
fn refresh_reuse() {
    let origin = Origin::start();
    let gateway = closed(&origin)
        .auth("refresh_token: { reuse_grace: 1s }")
        .start();
    let first = gateway.user("alice", &[]);
    let other_session = gateway.login("alice");

    let response = gateway.refresh(&first.refresh).expect(200);
    let access = access_token(&response);
    let current = refresh_cookie(&response).unwrap();
    assert_eq!(status(&gateway, &access), 200);

    // Within the grace the used token is answered, and then it is a theft.
    eventually("the end of the grace", || {
        let replay = gateway.refresh(&first.refresh);
        assert!(matches!(replay.status, 200 | 401), "{replay:?}");
        (replay.status == 401).then_some(())
    });
    assert_eq!(
        gateway.refresh(&current).status,
        401,
        "the thief keeps the session"
    );
    for token in [&first.access, &access] {
        for _ in 0..8 {
            assert_eq!(
                status(&gateway, token),
                401,
                "an access token of the ended session"
            );
        }
    }
    assert_eq!(gateway.refresh(&first.refresh).status, 401);

    assert_eq!(status(&gateway, &other_session.access), 200);
    gateway.refresh(&other_session.refresh).expect(200);

    // The thief may wait for as long as the gateway remembers single rotations, and longer.
    let stolen = gateway.login("alice");
    let mut current = stolen.refresh.clone();
    for _ in 0..20 {
        current = refresh_cookie(&gateway.refresh(&current).expect(200)).unwrap();
    }
    gateway.refresh(&stolen.refresh).expect(401);
    gateway.refresh(&current).expect(401);
    gateway.still_serves("/");
}

#[test]
fn refresh_race_tabs() {
    let origin = Origin::start();
    let gateway = closed(&origin)
        .auth("refresh_token: { reuse_grace: 1h }")
        .start();
    let alice = gateway.user("alice", &[]);

    let responses: Vec<_> = std::thread::scope(|scope| {
        let tabs: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| gateway.refresh(&alice.refresh)))
            .collect();
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
    });

    let mut tokens = HashSet::new();
    let mut sessions = HashSet::new();
    for response in responses {
        let response = response.expect(200);
        let access = access_token(&response);
        assert_eq!(status(&gateway, &access), 200);
        sessions.insert(Jwt::parse(&access).claims["sid"].to_string());
        tokens.insert(refresh_cookie(&response).unwrap());
    }
    assert_eq!(sessions.len(), 1, "one session remains: {sessions:?}");
    // Whichever answer a browser kept last, it can go on.
    for token in tokens {
        gateway.refresh(&token).expect(200);
    }
    gateway.still_serves("/");
}

#[test]
fn stream_outlives_logout() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            if exchange.request().target() != "/events" {
                return exchange.respond(200, "", b"");
            }
            exchange
                .send("HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n")?;
            exchange.send("Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")?;
            gate.pass();
            exchange.send("9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        })
    };
    let signing = format!("signing: {{ algorithm: HS256, secret: {SECRET} }}\nleeway: 0s");
    let gateway = closed(&origin).auth(&signing).start();
    let root = gateway.user("root", &["--superuser"]).access;
    let listen = |request: Request| {
        let mut client = gateway.connect();
        client.send(request.to_bytes());
        assert_eq!(client.read_head().unwrap().0, 200);
        assert_eq!(client.read_exact(14).unwrap(), b"9\r\ndata: 1\n\n\r\n");
        client
    };
    let events = |token: &str| listen(get("/events").bearer(token));

    gateway.user_add("alice", &[]);
    let (ended, stays) = (gateway.login("alice"), gateway.login("alice"));
    let mut others = [events(&stays.access), events(&root)];
    let mut stream = events(&ended.access);
    let logout = post("/api/v1/logout").bearer(&ended.access);
    gateway.send(&logout).expect(200);
    assert_eq!(stream.read_until_closed(), b"", "after a logout");

    let bob = gateway.user("bob", &[]);
    let mut stream = events(&bob.access);
    let disable = post("/api/v1/users/bob/disable").bearer(&root);
    assert!(gateway.send(&disable).status < 300);
    assert_eq!(stream.read_until_closed(), b"", "after being disabled");

    let carol = gateway.user("carol", &[]);
    let mut stream = events(&carol.access);
    let promote = request("PUT", "/api/v1/users/carol/tier").json(&json!({ "tier": "pro" }));
    assert!(gateway.send(&promote.bearer(&root)).status < 300);
    assert_eq!(stream.read_until_closed(), b"", "after a change of tier");

    let key = post("/api/v1/api-keys").json(&json!({ "name": "k" }));
    let key = gateway.send(&key.bearer(&stays.access)).expect(201).json();
    let presented = get("/events").header("x-api-key", key["key"].as_str().unwrap());
    let mut stream = listen(presented);
    let path = format!("/api/v1/api-keys/{}", key["id"].as_str().unwrap());
    gateway
        .send(&request("DELETE", path).bearer(&stays.access))
        .expect(204);
    assert_eq!(stream.read_until_closed(), b"", "after a key was revoked");

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let short = Jwt::parse(&stays.access).claim("exp", now.as_secs() + 5);
    let mut stream = events(&short.signed(SECRET.as_bytes()));
    assert_eq!(stream.read_until_closed(), b"", "after the token expired");

    gate.open();
    for other in &mut others {
        let rest = other.read_exact(14 + 5).unwrap();
        assert_eq!(rest, b"9\r\ndata: 2\n\n\r\n0\r\n\r\n");
    }
}

#[test]
fn logout_with_expired_access() {
    let origin = Origin::start();
    let gateway = closed(&origin)
        .auth(&format!(
            "signing: {{ algorithm: HS256, secret: {SECRET} }}\nleeway: 0s"
        ))
        .start();
    gateway.user_add("alice", &[]);

    for with_cookie in [true, false] {
        let alice = gateway.login("alice");
        let token = Jwt::parse(&alice.access);
        let issued = token.claims["iat"].as_u64().unwrap();
        let expired = token
            .claim("iat", issued - 100)
            .claim("exp", issued - 50)
            .signed(SECRET.as_bytes());
        assert_eq!(status(&gateway, &expired), 401);

        for _ in 0..2 {
            let mut request = post("/api/v1/logout");
            if with_cookie {
                request = request.header("cookie", &format!("refresh_token={}", alice.refresh));
            } else {
                request = request.bearer(&expired);
            }
            gateway.send(&request).expect(200);
            assert_eq!(
                gateway.refresh(&alice.refresh).status,
                401,
                "the session is not gone"
            );
            assert_eq!(status(&gateway, &alice.access), 401);
        }
    }

    // An expired token that nobody signed ends nothing.
    let alice = gateway.login("alice");
    let forged = Jwt::parse(&alice.access)
        .claim("exp", 1)
        .signed(b"attacker");
    gateway
        .send(&post("/api/v1/logout").bearer(&forged))
        .expect(200);
    assert_eq!(status(&gateway, &alice.access), 200);
    gateway.refresh(&alice.refresh).expect(200);
    gateway.still_serves("/");
}

#[test]
fn login_enumeration() {
    let origin = Origin::start();
    let gateway = closed(&origin).auth("lockout: { failures: 1000 }").start();
    gateway.user_add("alice", &[]);
    gateway.user_add("disabled", &[]);
    let output = gateway.cli(&["user", "disable", "disabled"], "");
    assert_eq!(output.code, 0, "{output:?}");

    let mut answers = HashSet::new();
    for (name, password) in [
        ("alice", "Wrong-Horse-7"),
        ("alice@example.test", "Wrong-Horse-7"),
        ("nobody", "Wrong-Horse-7"),
        ("nobody@example.test", PASSWORD),
        ("disabled", PASSWORD),
        ("disabled@example.test", "Wrong-Horse-7"),
        ("alice", ""),
        ("nobody", ""),
        ("' OR 1=1 --", "x"),
        ("alice", &"x".repeat(73)),
        ("nobody", &"x".repeat(73)),
        ("a name that could not be", "Wrong-Horse-7"),
    ] {
        for json in [true, false] {
            let request = post("/api/v1/login");
            let request = if json {
                request.json(&json!({ "username": name, "password": password }))
            } else {
                let form = [
                    ("username", name.replace(' ', "+")),
                    ("password", password.into()),
                ];
                let form = form.map(|(key, value)| format!("{key}={value}")).join("&");
                request.body("application/x-www-form-urlencoded", form)
            };
            let response = gateway
                .connect()
                .exchange(&request)
                .expect_problem(401, "credentials-invalid");
            assert_eq!(response.header("set-cookie"), None);
            let mut body = response.json();
            body["request_id"] = json!(null);
            let mut headers: Vec<_> = response
                .headers
                .iter()
                .filter(|(name, _)| !["date", "x-request-id"].contains(&&*name.to_lowercase()))
                .map(|(name, value)| format!("{}: {value}", name.to_lowercase()))
                .collect();
            headers.sort();
            answers.insert((response.status, body.to_string(), headers));
        }
    }
    assert_eq!(answers.len(), 1, "the answers differ: {answers:#?}");
    gateway.login("alice");

    // Guesses at an account that is not there are slowed down like those at one that is.
    let gateway = closed(&origin).start();
    for name in ["alice", "disabled"] {
        gateway.user_add(name, &[]);
    }
    let output = gateway.cli(&["user", "disable", "disabled"], "");
    assert_eq!(output.code, 0, "{output:?}");
    let attempts = |name: &str| -> Vec<u16> {
        let wrong = json!({ "username": name, "password": "Wrong-Horse-7" });
        let attempt = post("/api/v1/login").json(&wrong);
        (0..8).map(|_| gateway.send(&attempt).status).collect()
    };
    let known = attempts("alice");
    assert_eq!(known.last(), Some(&429), "{known:?}");
    assert_eq!(attempts("nobody"), known);
    assert_eq!(attempts("nobody@example.test"), known);
    assert_eq!(attempts("disabled"), known);
    gateway.still_serves("/");
}

#[test]
fn csrf_refresh_cookie() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    gateway.user_add("alice", &[]);
    let own = format!("http://{}", gateway.public);

    let mut alice = gateway.login("alice");
    for (headers, allowed) in [
        (&[("origin", "https://evil.test")][..], false),
        (&[("origin", "null")], false),
        (&[("origin", "")], false),
        (&[("origin", "http://issuer.test.evil.test")], false),
        (&[("origin", "https://issuer.test")], false),
        (&[("origin", "http://issuer.test:8080")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (
            &[
                ("origin", "https://evil.test"),
                ("sec-fetch-site", "same-origin"),
            ],
            false,
        ),
        (&[("origin", &own)], true),
        (&[("origin", "http://issuer.test")], true),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[], true),
    ] {
        for path in ["/api/v1/refresh", "/api/v1/logout"] {
            let mut request =
                post(path).header("cookie", &format!("refresh_token={}", alice.refresh));
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let response = gateway.send(&request);
            if allowed {
                let response = response.expect(200);
                if path.ends_with("refresh") {
                    alice.refresh = refresh_cookie(&response).unwrap();
                } else {
                    alice = gateway.login("alice");
                }
            } else {
                let response = response.expect_problem(403, "forbidden");
                assert_eq!(response.header("set-cookie"), None, "{headers:?}");
                assert_eq!(
                    status(&gateway, &alice.access),
                    200,
                    "{headers:?} ended the session"
                );
            }
        }
    }
    // Nor is the cookie given to a page elsewhere, whosever password it knows.
    let credentials = [("username", "alice"), ("password", PASSWORD)];
    for (name, value) in [
        ("origin", "https://evil.test"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let login = post("/api/v1/login").form(&credentials).header(name, value);
        let refused = gateway.send(&login).expect_problem(403, "forbidden");
        assert_eq!(refused.header("set-cookie"), None);
        let by_body = post("/api/v1/login?delivery=body").form(&credentials);
        let given = gateway.send(&by_body.header(name, value)).expect(200);
        assert_eq!(given.header("set-cookie"), None);
    }
    // One origin does not make up for another.
    let twice = post("/api/v1/refresh")
        .header("host", &gateway.public.to_string())
        .header("cookie", &format!("refresh_token={}", alice.refresh))
        .header("origin", &own)
        .header("origin", "https://evil.test");
    gateway
        .connect()
        .exchange(&twice)
        .expect_problem(403, "forbidden");
    // A page elsewhere can send a form, but neither read the token nor put it into a body.
    let by_body = post("/api/v1/refresh")
        .form(&[("refresh_token", &alice.refresh)])
        .header("origin", "https://evil.test");
    gateway.send(&by_body).expect(200);
    gateway.still_serves("/");
}

#[test]
fn cache_control_public() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    let alice = gateway.user("alice", &[]);
    let boss = gateway.user("boss", &["--superuser"]);

    let right = json!({ "username": "alice", "password": PASSWORD });
    let wrong = json!({ "username": "alice", "password": "Wrong-Horse-7" });
    let cookie = format!("refresh_token={}", alice.refresh);
    for request in [
        post("/api/v1/login").json(&right),
        post("/api/v1/login").json(&wrong),
        post("/api/v1/login").body("text/plain", "x"),
        post("/api/v1/refresh").header("cookie", &cookie),
        post("/api/v1/refresh"),
        get("/api/v1/users/me").bearer(&alice.access),
        get("/api/v1/users/me"),
        post("/api/v1/users").json(&json!({})).bearer(&boss.access),
        post("/api/v1/logout").bearer(&alice.access),
        post("/api/v1/logout"),
        post("/api/v1/login").body("application/json", "{"),
        post("/api/v1/login").body("application/json", "{}"),
        post("/api/v1/refresh")
            .header("cookie", &cookie)
            .header("origin", "https://evil.test"),
        get("/api/v1/login"),
        get("/api/v1/refresh"),
        get("/api/v1/users/me").bearer("rubbish"),
        get("/api/v1/users/me").bearer(&alice.access),
    ] {
        let response = gateway.send(&request);
        assert_eq!(
            response.header("cache-control"),
            Some("no-store"),
            "{request:?} got {response:?}"
        );
    }
    gateway.still_serves("/");
}

/// How often a value of the one is above one of the other, from 0 to 1: a half when they are alike, 0 or 1
/// when each tells which it is of (the statistic of Mann and Whitney).
fn above(one: &[Duration], other: &[Duration]) -> f64 {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
    let above = pairs.filter(|(a, b)| a > b).count();
    above as f64 / (one.len() * other.len()) as f64
}

#[test]
fn login_enumeration_by_time() {
    const ROUNDS: usize = 40;
    let origin = Origin::start();
    let gateway = closed(&origin)
        .auth("lockout: { failures: 1000 }\npassword: { bcrypt_cost: 8 }")
        .start();
    gateway.user_add("alice", &[]);
    gateway.user_add("disabled", &[]);
    let output = gateway.cli(&["user", "disable", "disabled"], "");
    assert_eq!(output.code, 0, "{output:?}");
    // A hash of another system that takes next to no time.
    let csv = "username,email,password_hash\n\
        imported,imported@example.test,\
        pbkdf2_sha256$1$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=\n";
    std::fs::write(gateway.directory().join("users.csv"), csv).unwrap();
    let output = gateway.cli(&["user", "import", "users.csv"], "");
    assert_eq!(output.code, 0, "{output:?}");

    let kinds = [
        ("nobody", "Wrong-Horse-7"),
        ("alice", "Wrong-Horse-7"),
        ("disabled", PASSWORD),
        ("alice@example.test", "Wrong-Horse-7"),
        ("imported", "Wrong-Horse-7"),
    ];
    let mut times = [const { Vec::new() }; 5];
    let mut connection = gateway.connect();
    let mut login = |name: &str, password: &str| {
        let body = json!({ "username": name, "password": password });
        let request = post("/api/v1/login").json(&body);
        let start = Instant::now();
        let response = connection.exchange(&request);
        let time = start.elapsed();
        response.expect_problem(401, "credentials-invalid");
        time
    };
    // In turn, so that whatever else the machine does is done to all of them.
    for round in 0..=ROUNDS {
        for (kind, times) in kinds.iter().zip(&mut times) {
            let time = login(kind.0, kind.1);
            // The first of each finds nothing warm.
            if round > 0 {
                times.push(time);
            }
        }
    }
    for (kind, of_kind) in kinds.iter().zip(&times).skip(1) {
        let above = above(of_kind, &times[0]);
        assert!((0.2..=0.8).contains(&above), "{kind:?}: {above}");
    }
    gateway.still_serves("/");
}
