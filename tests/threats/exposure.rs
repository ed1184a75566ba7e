//! What must not be seen, and who must not be heard.

use serde_json::json;

use crate::harness::client::{Connection, get, post};
use crate::harness::eventually;
use crate::harness::gateway::{PASSWORD, SECRET, Settings};
use crate::harness::origin::Origin;

#[test]
fn secret_in_logs() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin)
        .auth(&format!(
            "signing: {{ algorithm: HS256, secret: {SECRET} }}"
        ))
        .top("log: { access: json, level: trace }")
        .routes(
            "
            - { name: open, prefix: /open, auth: none, upstream: app }
            - { name: all, prefix: /, auth: required, upstream: app }
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]);
    let boss = gateway.user("boss", &["--superuser"]);
    let wrong = "Wrong-Horse-8";
    let query = "token-in-the-query";
    let basic = "YWxpY2U6c2VjcmV0";

    let mut shown = String::new();
    for request in [
        post("/api/v1/login").form(&[("username", "alice"), ("password", wrong)]),
        post("/api/v1/login").body("application/json", format!("{{\"password\": \"{PASSWORD}\"")),
        post("/api/v1/login").json(&json!({"username": "alice", "password": [PASSWORD]})),
        post("/api/v1/users")
            .bearer(&boss.access)
            .json(&json!({"name": "x", "username": "carol", "email": "c@x.test", "password": PASSWORD, "odd": 1})),
        post("/api/v1/refresh").json(&json!({ "refresh_token": format!("{}x", alice.refresh) })),
        post("/api/v1/refresh").json(&json!({ "refresh_token": [alice.refresh] })),
        get(format!("/open/x?access_token={query}")).bearer(&alice.access),
        get("/x").header("authorization", &format!("Bearer {}x", alice.access)),
        get("/x").header("authorization", &format!("Bearer x {}", alice.access)),
        get("/x").header("authorization", &format!("Basic {basic}")),
        get("/x").bearer(&alice.access).header("cookie", &format!("refresh_token={}", alice.refresh)),
        get("/open/../x").bearer(&alice.access),
    ] {
        let response = gateway.connect().exchange(&request);
        // What a client is told of its own error does not hold what it sent either.
        if response.status >= 400 {
            shown.push_str(&format!("{response:?}\n"));
        }
    }
    let made = post("/api/v1/api-keys").bearer(&alice.access);
    let made = gateway
        .send(&made.json(&json!({ "name": "x" })))
        .expect(201);
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let key_secret = key.splitn(3, '_').nth(2).unwrap().to_owned();
    gateway
        .send(&get("/x").header("x-api-key", &key))
        .expect(200);
    for request in [
        get("/x").header("x-api-key", &key).bearer(&alice.access),
        get("/x").header("x-api-key", &format!("{key}x")),
        get("/x").header("x-api-key", &key.to_uppercase()),
        get("/x").header("authorization", &format!("Bearer {key}")),
        post("/api/v1/introspect")
            .header("x-api-key", &key)
            .form(&[("token", &key)]),
        post("/api/v1/introspect")
            .bearer(&boss.access)
            .form(&[("token", &key), ("token", &key)]),
        post("/api/v1/revoke").body("application/json", format!("{{\"token\": \"{key}\"")),
        post("/api/v1/revoke").json(&json!({ "token": [key] })),
    ] {
        let response = gateway.connect().exchange(&request);
        assert!(response.status >= 400, "{response:?}");
        shown.push_str(&format!("{response:?}\n"));
    }
    let listed = gateway.send(&get("/api/v1/api-keys").bearer(&alice.access));
    shown.push_str(&format!("{listed:?}\n"));
    let audited = gateway
        .send(&get("/api/v1/audit").bearer(&boss.access))
        .expect(200);
    shown.push_str(&format!("{audited:?}\n"));
    let revoked = post("/api/v1/revoke").form(&[("token", &key)]);
    gateway.send(&revoked).expect(200);
    let refreshed = gateway.refresh(&alice.refresh).expect(200);
    gateway
        .send(&post("/api/v1/logout").bearer(&alice.access))
        .expect(200);
    gateway.reload_with(&gateway.yaml().replace("auth: none", "auth: nobody"));
    shown.push_str(&get("/metrics").send(gateway.admin).expect(200).text());
    for path in ["/config", "/routes", "/readyz", "/healthz"] {
        if let Ok(response) = get(path).try_send(gateway.admin) {
            shown.push_str(&format!("{response:?}\n"));
        }
    }
    gateway.still_serves("/open");
    gateway.signal("TERM");
    gateway.wait_for_exit();

    shown.push_str(&gateway.stdout().join("\n"));
    shown.push_str(&gateway.stderr().join("\n"));
    let signature = alice.access.rsplit('.').next().unwrap().to_owned();
    let new_refresh = crate::harness::gateway::refresh_cookie(&refreshed).unwrap();
    let new_access = crate::harness::gateway::access_token(&refreshed);
    for secret in [
        PASSWORD,
        wrong,
        SECRET,
        query,
        basic,
        &signature,
        &key_secret,
        &key_secret.to_uppercase(),
        &alice.refresh,
        &new_refresh,
        new_access.rsplit('.').next().unwrap(),
        "$2b$",
    ] {
        if let Some(at) = shown.find(secret) {
            let start = at.saturating_sub(300);
            let excerpt =
                String::from_utf8_lossy(&shown.as_bytes()[start..at + secret.len()]).into_owned();
            panic!("{secret} is shown: …{excerpt}");
        }
    }
}

#[test]
fn admin_rebinding() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    let port = gateway.admin.port();

    let ask = |path: &str, host: &str| {
        let mut client = Connection::open(gateway.admin);
        client.exchange(&get(path).header("Host", host))
    };
    // What a page of the attacker's sends once its name points to 127.0.0.1.
    for path in ["/metrics", "/healthz", "/readyz", "/config", "/reload"] {
        for host in [
            "evil.test".to_owned(),
            format!("evil.test:{port}"),
            format!("127.0.0.1.evil.test:{port}"),
            format!("127.0.0.1:{}", port.wrapping_add(1)),
            format!("localhost.evil.test:{port}"),
            format!("192.0.2.1:{port}"),
        ] {
            let response = ask(path, &host);
            assert!(
                (400..500).contains(&response.status),
                "{path} for {host}: {response:?}"
            );
            assert!(
                !response.text().contains("portcullis_"),
                "{path} for {host}: {response:?}"
            );
        }
    }
    ask("/metrics", &format!("127.0.0.1:{port}")).expect(200);
    ask("/metrics", &format!("localhost:{port}")).expect(200);

    // And what needs a superuser is not to be had without one, whatever the name.
    let before = gateway.metric("portcullis_config_reloads_total");
    for request in [
        get("/config"),
        get("/routes"),
        get("/limits"),
        post("/reload"),
    ] {
        let response = request.send(gateway.admin);
        assert!(
            matches!(response.status, 401 | 403 | 404 | 405),
            "{request:?}: {response:?}"
        );
    }
    // Nor by a page of another site that knows a token.
    let boss = gateway.user("boss", &["--superuser"]).access;
    let host = gateway.admin.to_string();
    let reload = |headers: &[(&str, &str)]| {
        let reload = post("/reload").header("Host", &host).bearer(&boss);
        let add = |request: crate::harness::client::Request, (name, value): &(&str, &str)| {
            request.header(name, value)
        };
        headers.iter().fold(reload, add).send(gateway.admin)
    };
    for page in [
        [("Origin", "http://evil.test")],
        [("Origin", "null")],
        [("Origin", "http://localhost:3000")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
    ] {
        reload(&page).expect_problem(403, "forbidden");
    }
    assert_eq!(gateway.metric("portcullis_config_reloads_total"), before);
    reload(&[]).expect(200);
    reload(&[("Origin", &format!("http://{host}"))]).expect(200);
    gateway.still_serves("/");
}

#[test]
fn slow_clients() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    // Heads and bodies that never end, and answers that nobody reads: many more than there are workers.
    let mut slow = Vec::new();
    for n in 0..120 {
        let mut client = gateway.connect();
        match n % 3 {
            0 => client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "),
            1 => client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx"),
            _ => {}
        }
        slow.push(client);
    }
    for _ in 0..20 {
        let mut client = gateway.connect();
        for _ in 0..10 {
            client.exchange(&get("/quick")).expect(200);
        }
    }
    #[cfg(target_os = "linux")]
    assert!(
        gateway.peak_memory() < 128 * 1024 * 1024,
        "{} bytes for 120 slow clients",
        gateway.peak_memory()
    );
    drop(slow);
    gateway.still_serves("/");
}

/// More of them than the auth API serves at once.
#[test]
fn slow_clients_of_the_auth_api() {
    const SLOW: usize = 560;
    allow_descriptors(4 * SLOW as u64);
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    let alice = gateway.user("alice", &[]);
    gateway.user_add("bob", &[]);

    let head = format!(
        "PATCH /api/v1/users/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 6000\r\n\r\n{{\"name\":",
        alice.access
    );
    let slow: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut client = gateway.connect();
            client.send(&head);
            client
        })
        .collect();
    eventually("every head is being served", || {
        (gateway.metric("portcullis_http_requests_in_flight") >= SLOW as f64).then_some(())
    });
    gateway.login("bob");
    let me = get("/api/v1/users/me").bearer(&alice.access);
    gateway.send(&me).expect(200);
    drop(slow);
    gateway.still_serves("/");
}

/// Descriptors are few by default on some systems, for the test as for what it starts.
fn allow_descriptors(count: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        let raised = Rlimit {
            current: Some(limit.maximum.unwrap_or(count)),
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).unwrap();
    }
}

#[test]
fn slow_clients_are_cut_off() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let start = std::time::Instant::now();
    // One byte a second keeps a naive timer from ever ending.
    let mut sent = 0;
    while client.try_send("X").is_ok() {
        assert!(
            start.elapsed().as_secs() < 120,
            "a head of {sent} slow bytes is still waited for"
        );
        std::thread::sleep(std::time::Duration::from_secs(1));
        sent += 1;
    }
    gateway.still_serves("/");
}
