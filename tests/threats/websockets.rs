//! What a WebSocket could be taken for: a way past the stages, past `cors`, or past the end of a session.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::harness::client::{Request, get, post, request, statuses};
use crate::harness::forge::Jwt;
use crate::harness::gateway::{SECRET, Settings};
use crate::harness::origin::{Origin, Received};
use crate::harness::websocket::{self, Socket, handshake};
use crate::harness::{Gate, eventually};

/// A request that must never be seen on its own.
const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

const ROUTES: &str = "
    - { name: open, prefix: /open, auth: none, upstream: app }
    - { name: smuggled, prefix: /smuggled, auth: none, upstream: app }
    - { name: all, prefix: /, auth: required, upstream: app }
";

#[test]
fn connect_poison_by_a_handshake() {
    const ANSWERS: [&str; 5] = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ];
    let origin = Origin::with(|exchange| {
        let target = exchange.request().target();
        match target.strip_prefix("/upgrade/") {
            None => exchange.respond(200, "", b"honest"),
            Some(nth) => {
                exchange.send(ANSWERS[nth.parse::<usize>().unwrap()])?;
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
            }
        }
    });
    let gateway = Settings::new(&origin).start();
    // A connection for the attacks to poison, on each worker.
    let mut others: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    for round in 0..3 {
        for nth in 0..ANSWERS.len() {
            let mut client = gateway.connect();
            let response = client.exchange(&handshake(&format!("/upgrade/{nth}")));
            assert_ne!(response.body, b"forged", "{nth} in round {round}");
            for other in &mut others {
                let response = other.exchange(&get("/")).expect(200);
                assert_eq!(response.body, b"honest", "after {nth} in round {round}");
            }
        }
    }
    let all = origin.requests();
    let is_handshake = |received: &&Received| received.target() != "/";
    for received in all.iter().filter(is_handshake) {
        let with_it = |other: &&Received| other.connection == received.connection;
        let carried = all.iter().filter(with_it).count();
        assert_eq!(carried, 1, "not a connection of its own: {received:?}");
    }
}

#[test]
fn smuggling_behind_a_handshake() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| match exchange.request().target().as_str() {
            "/open/yes" => {
                let early = exchange.read_until_quiet(Duration::from_millis(400))?;
                assert_eq!(early, b"", "bytes of a tunnel that there was not yet");
                gate.pass();
                websocket::switch(exchange)?;
                assert_eq!(exchange.read_exact(INNER.len())?, INNER.as_bytes());
                exchange.send("HTTP/1.1 200 OK\r\n\r\n")?;
                exchange.close()
            }
            "/open/wrong" => {
                exchange.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")?;
                exchange.wait_for_close()
            }
            "/open/bare" => exchange
                .send("HTTP/1.1 200 OK\r\n\r\n")
                .and(exchange.close()),
            "/open/no" => exchange.respond(403, "", b"no"),
            _ => exchange.respond(200, "", b"plain"),
        })
    };
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let behind = |target: &str, tail: &[u8]| {
        let mut client = gateway.connect();
        client.send([&handshake(target).to_bytes(), tail].concat());
        client
    };

    let mut client = behind("/open/yes", INNER.as_bytes());
    gate.open();
    assert_eq!(client.read_head().unwrap().0, 101);
    assert_eq!(client.read_to_end().unwrap(), b"HTTP/1.1 200 OK\r\n\r\n");

    // Where there is no tunnel they are nobody's, whoever refuses it.
    let large = [INNER.as_bytes(), &vec![b'x'; 1 << 20]].concat();
    for (target, status) in [
        ("/open/no", 403),
        ("/open", 200),
        ("/open/bare", 200),
        ("/open/wrong", 502),
        ("/guarded", 401),
        ("/open/..;/x", 400),
        ("/.well-known/jwks.json", 200),
    ] {
        for tail in [INNER.as_bytes(), &large] {
            let mut client = behind(target, tail);
            client.half_close();
            let answer = client.read_until_closed();
            assert_eq!(statuses(&answer), [status], "{target}");
        }
    }
    // An upgrade that the gateway knows nothing of is none, and what follows is a request like any other.
    let mut client = gateway.connect();
    let other = get("/open")
        .header("Connection", "upgrade")
        .header("Upgrade", "x");
    client.send(
        [
            &other.to_bytes(),
            "GET /guarded HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(),
        ]
        .concat(),
    );
    client.read_response().expect(200);
    client.read_response().expect_problem(401, "token-missing");
    gateway.still_serves("/open");
    for received in origin.requests() {
        assert_ne!(received.target(), "/smuggled", "{received:?}");
        assert_ne!(received.target(), "/guarded", "{received:?}");
    }
}

#[test]
fn websocket_from_another_site() {
    let origin = Origin::with(websocket::echo);
    let gateway = Settings::new(&origin)
        .top("cors: { origins: [https://app.test], credentials: true }\ntrusted_proxies: [127.0.0.1]")
        .routes(
            r#"
            - { name: guarded, prefix: /guarded, auth: required, upstream: app }
            - { name: any, prefix: /any, auth: none, upstream: app, cors: { origins: ["*"] } }
            - { name: own-word, prefix: /own-word, auth: none, upstream: app, cors: {} }
            - { name: all, prefix: /, auth: none, upstream: app }
            "#,
        )
        .start();
    let from = |target: &str, page: &str| {
        let asked = handshake(target).header("Host", "a.test");
        asked.header("Cookie", "session=1").header("Origin", page)
    };
    let refused = |request: Request| {
        let before = origin.requests().len();
        let response = gateway.connect().exchange(&request);
        response.expect_problem(403, "forbidden");
        assert_eq!(origin.requests().len(), before);
    };
    for page in [
        "https://evil.test",
        "https://app.test.evil.test",
        "http://app.test",
        "https://a.test",
        "http://a.test:8080",
        "null",
        "",
    ] {
        refused(from("/", page));
    }
    refused(from("/", "https://app.test").header("Origin", "https://evil.test"));
    refused(from("/", "http://a.test").header("Origin", "http://a.test"));
    refused(from("/any", "null"));
    for (target, page) in [
        ("/", "https://app.test"),
        ("/", "http://a.test"),
        ("/", "http://issuer.test"),
        ("/any", "https://evil.test"),
        ("/own-word", "https://evil.test"),
    ] {
        Socket::open(&gateway, &from(target, page)).echo("hello");
        let received = origin.last_request();
        assert_eq!(received.header("origin").as_deref(), Some(page));
    }
    let behind_tls = from("/", "https://a.test").header("X-Forwarded-Proto", "wss");
    Socket::open(&gateway, &behind_tls).echo("hello");
    // A program is no page.
    Socket::open(&gateway, &handshake("/")).echo("hello");
    // No cookie lets anybody in, so none is there to be misused.
    let session = gateway.user("alice", &[]);
    let cookie = format!("refresh_token={0}; access_token={0}", session.refresh);
    let by_cookie = handshake("/guarded").header("Cookie", &cookie);
    let response = gateway.connect().exchange(&by_cookie);
    response.expect_problem(401, "token-missing");
}

#[test]
fn stream_outlives_logout_by_websocket() {
    let origin = Origin::with(|exchange| match exchange.request().header("upgrade") {
        Some(_) => websocket::echo(exchange),
        None => exchange.respond(200, "", b""),
    });
    let signing = format!("signing: {{ algorithm: HS256, secret: {SECRET} }}\nleeway: 0s");
    let gateway = Settings::new(&origin)
        .auth(&signing)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let root = gateway.user("root", &["--superuser"]).access;
    let open = |request: Request| {
        let mut socket = Socket::open(&gateway, &request);
        socket.echo("hello");
        socket
    };
    let by = |token: &str| open(handshake("/").bearer(token));
    let ended = |mut socket: Socket, after: &str| {
        assert_eq!(socket.connection.read_until_closed(), b"", "after {after}");
        let line = gateway.log_of(&socket.response);
        let cause =
            "the caller's session, token or API key had ended, or its tier or roles were others";
        assert_eq!(line["cause"], cause, "after {after}");
    };

    gateway.user_add("alice", &[]);
    let (leaves, stays) = (gateway.login("alice"), gateway.login("alice"));
    let mut others = [by(&stays.access), by(&root)];
    let socket = by(&leaves.access);
    let logout = post("/api/v1/logout").bearer(&leaves.access);
    gateway.send(&logout).expect(200);
    ended(socket, "a logout");

    let socket = by(&gateway.user("bob", &[]).access);
    let disable = post("/api/v1/users/bob/disable").bearer(&root);
    assert!(gateway.send(&disable).status < 300);
    ended(socket, "being disabled");

    let key = post("/api/v1/api-keys").json(&json!({ "name": "k" }));
    let key = gateway.send(&key.bearer(&stays.access)).expect(201).json();
    let socket = open(handshake("/").header("x-api-key", key["key"].as_str().unwrap()));
    let path = format!("/api/v1/api-keys/{}", key["id"].as_str().unwrap());
    let revoke = request("DELETE", path).bearer(&stays.access);
    gateway.send(&revoke).expect(204);
    ended(socket, "a key was revoked");

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let short = Jwt::parse(&stays.access).claim("exp", now.as_secs() + 5);
    ended(by(&short.signed(SECRET.as_bytes())), "the token expired");

    for other in &mut others {
        other.echo("still here");
    }
    eventually("the end of the others' connections to the upstream", || {
        let sockets = origin.open_connections();
        (sockets == others.len()).then_some(())
    });
}
