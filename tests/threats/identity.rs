//! Identity that a client claims for itself.

use crate::harness::client::{get, post};
use crate::harness::gateway::Settings;
use crate::harness::origin::{Origin, Received};

const ROUTES: &str = "
    - { name: open, prefix: /open, auth: none, upstream: app }
    - { name: optional, prefix: /optional, auth: optional, upstream: app }
    - name: told
      prefix: /told
      auth: none
      upstream: app
      request_headers: { set: { Acme-Team: red, X-Nothing: \"{user.id}\" }, add: { X_Added: one } }
    - { name: all, prefix: /, auth: required, upstream: app }
";

const TOP: &str = "identity: { headers: { X-Org: \"{user.username}\", Acme-Mail: \"{claims.mail}\" }, assertion: { header: X-Proof } }";

/// Headers by which an upstream is told who is calling and from where.
const IDENTITY: [&str; 59] = [
    "X-User-Id",
    "X-User-Name",
    "X-User-Email",
    "X-User-Tier",
    "X-User-Roles",
    "X-User-Scopes",
    "X-User-Superuser",
    "X-Auth-Method",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "Remote-User",
    "Remote-Email",
    "Remote-Groups",
    "Remote-Name",
    "X-Consumer-Id",
    "X-Consumer-Username",
    "X-Consumer-Custom-Id",
    "X-Consumer-Groups",
    "X-Credential-Identifier",
    "X-Anonymous-Consumer",
    "X-User_Id",
    "X_USER-ID",
    "x_user_id",
    "x-USER-id",
    "REMOTE_USER",
    "x_forwarded_user",
    "X_Consumer_Username",
    "X_Auth_Request_User",
    "X_Forwarded_For",
    "X_Forwarded_Proto",
    "X_Forwarded_Host",
    "X_Forwarded_Port",
    "X_Request_Id",
    "X.User.Superuser",
    "X~User~Id",
    "Remote'User",
    "X.Forwarded.For",
    // What the file of these tests sets, on whatever route.
    "X-Org",
    "x_org",
    "Acme-Mail",
    "ACME_MAIL",
    "acme_mail",
    "Acme-Team",
    "ACME_TEAM",
    "X-Nothing",
    "x_nothing",
    "X_Added",
    "x-added",
    "X-Proof",
    "x_proof",
    "X.PROOF",
    // Where assertions are by default.
    "X-Portcullis-Assertion",
    "X_PORTCULLIS_Assertion",
];

fn holds_forgery(received: &Received) -> bool {
    let trailers = received
        .trailers
        .iter()
        .any(|(_, value)| value.contains("forged"));
    trailers || String::from_utf8_lossy(&received.head).contains("forged")
}

#[test]
fn underscore_header_spoof() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).top(TOP).routes(ROUTES).start();
    let alice = gateway.user("alice", &[]);

    let mut client = gateway.connect();
    for path in ["/open", "/optional", "/told", "/guarded"] {
        for name in IDENTITY {
            let mut request = get(path).header(name, "forged").header(name, "forged");
            if path == "/guarded" {
                request = request.bearer(&alice.access);
            }
            client.exchange(&request).expect(200);
            let received = origin.last_request();
            assert!(!holds_forgery(&received), "{name}: {received:?}");
        }
    }

    for name in IDENTITY {
        let mut client = gateway.connect();
        client.send(format!(
            "POST /open HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: {name}\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{name}: forged\r\n\r\n"
        ));
        let response = client.read_response();
        assert!(matches!(response.status, 200 | 400), "{response:?}");
        let received = origin.last_request();
        assert!(
            !holds_forgery(&received),
            "{name} in the trailers: {received:?} {:?}",
            received.trailers
        );
    }

    gateway
        .send(&get("/guarded").bearer(&alice.access))
        .expect(200);
    assert_eq!(
        origin.last_request().header("x-user-name").as_deref(),
        Some("alice")
    );
    gateway.still_serves("/open");
}

/// A header by which a route or a rule goes, in another spelling that the upstream takes for the same.
#[test]
fn underscore_header_past_a_route() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: beta, prefix: /, headers: { X-Beta: \"1\" }, auth: required, upstream: app }
            - name: ruled
              prefix: /ruled
              auth: required
              allow: [{ cel: '!(\"x-draft\" in request.headers)' }]
              upstream: app
            - { name: all, prefix: /, auth: none, upstream: app }
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]);
    let is_told = |received: &Received, word: &str| {
        let headers = received.headers();
        let mut all = headers.iter().chain(&received.trailers);
        all.any(|(name, _)| {
            name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
                .eq_ignore_ascii_case(word)
        })
    };
    gateway.send(&get("/").header("X-Beta", "1")).expect(401);
    for spelling in ["X_Beta", "x_beta", "X.Beta", "x~BETA"] {
        gateway.send(&get("/").header(spelling, "1")).expect(200);
        assert!(!is_told(&origin.last_request(), "x-beta"), "{spelling}");
    }
    for spelling in ["X_Draft", "x.draft"] {
        let request = get("/ruled").header(spelling, "1").bearer(&alice.access);
        gateway.send(&request).expect(200);
        assert!(!is_told(&origin.last_request(), "x-draft"), "{spelling}");
    }
    // Nor is it told behind a body, where no route was chosen by it.
    for spelling in ["X-Beta", "X_Beta", "X-Draft"] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: {spelling}\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{spelling}: 1\r\n\r\n"
        ));
        client.read_response().expect(200);
        let received = origin.last_request();
        assert!(
            !is_told(&received, &spelling.replace('_', "-")),
            "{spelling}"
        );
    }
    // And what a route was chosen by is not taken away behind it.
    let request = get("/")
        .header("X-Beta", "1")
        .header("Connection", "X-Beta")
        .bearer(&alice.access);
    gateway.connect().exchange(&request).expect(200);
    let received = origin.last_request();
    assert_eq!(received.header("x-beta").as_deref(), Some("1"));
    gateway.still_serves("/");
}

#[test]
fn connection_nominates_identity() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).top(TOP).routes(ROUTES).start();
    let alice = gateway.user("alice", &[]);

    for nominated in [
        "x-user-id, x-user-name",
        "X-User-Id, X-USER-NAME",
        "keep-alive, x-user-name , x-user-id",
        "x_user_id, x_user_name",
        "x-forwarded-for, x-request-id, x-user-name",
        "x-org, X_ORG, acme-team",
    ] {
        for lines in [
            format!("Connection: {nominated}\r\n"),
            format!("Connection: close\r\nconnection: {nominated}\r\n"),
            format!("Proxy-Connection: {nominated}\r\n"),
        ] {
            let mut client = gateway.connect();
            let before = origin.requests().len();
            client.send(format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{lines}X-User-Name: forged\r\n\
                 Authorization: Bearer {}\r\n\r\n",
                alice.access
            ));
            let response = client.read_response();
            if response.status == 400 {
                assert_eq!(origin.requests().len(), before);
                continue;
            }
            response.expect(200);
            let received = origin.last_request();
            assert_eq!(
                received.header("x-user-name").as_deref(),
                Some("alice"),
                "{lines}"
            );
            assert_eq!(
                received.header("x-org").as_deref(),
                Some("alice"),
                "{lines}"
            );
            assert!(
                received.header("x-user-id").is_some(),
                "{lines}: {received:?}"
            );
            assert_eq!(
                received.header("x-forwarded-for").as_deref(),
                Some("127.0.0.1")
            );
            assert!(received.header("x-request-id").is_some(), "{lines}");
        }
    }
    // Nominating the credential makes the caller nobody, not somebody.
    let mut client = gateway.connect();
    client.send(format!(
        "GET /optional HTTP/1.1\r\nHost: a\r\nConnection: authorization\r\n\
         Authorization: Bearer {}\r\nX-User-Name: forged\r\n\r\n",
        alice.access
    ));
    client.read_response();
    assert!(origin.requests().iter().all(|r| !holds_forgery(r)));
    gateway.still_serves("/open");

    // Nor what a trusted proxy said, by which the gateway went itself.
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .start();
    let mut client = gateway.connect();
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: shop.test\r\nX-Request-Id: of-the-proxy\r\nConnection: x-forwarded-for, \
         X-Forwarded-Proto, x-forwarded-host, x-request-id\r\n\r\n",
    );
    client.read_response().expect(200);
    let received = origin.last_request();
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.7, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.test"),
        ("x-request-id", "of-the-proxy"),
    ] {
        assert_eq!(received.header(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn credentials_leak_upstream() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let alice = gateway.user("alice", &[]);
    let cookie = format!("theme=dark; refresh_token={}; lang=en", alice.refresh);

    for path in ["/", "/optional", "/open"] {
        let mut request = get(path)
            .header("cookie", &cookie)
            .header("x-api-key", "secret-api-key")
            .header("X_API_KEY", "secret-api-key")
            .header("proxy-authorization", "Basic c2VjcmV0");
        if path != "/open" {
            request = request.bearer(&alice.access);
        }
        gateway.connect().exchange(&request).expect(200);
        let received = origin.last_request();
        let head = String::from_utf8_lossy(&received.head).into_owned();
        for secret in [&alice.refresh, &alice.access, "secret-api-key", "c2VjcmV0"] {
            assert!(!head.contains(secret), "{secret} on {path}: {head}");
        }
        let cookies = received.header("cookie").unwrap();
        assert!(
            cookies.contains("theme=dark") && cookies.contains("lang=en"),
            "{cookies}"
        );
    }
    // A key that is one, in the field that is for it and in others, in trailers and nominated, under a
    // name of the file's own.
    let other = Settings::new(&origin)
        .routes(ROUTES)
        .auth("api_keys: { header: Acme-Key }")
        .start();
    for (gateway, name) in [(&gateway, "X-API-Key"), (&other, "Acme-Key")] {
        let owner = gateway.user("keyed", &[]);
        let made = post("/api/v1/api-keys").bearer(&owner.access);
        let made = made.json(&serde_json::json!({ "name": "x" }));
        let key = gateway.send(&made).expect(201).json()["key"].clone();
        let key = key.as_str().unwrap();
        for path in ["/", "/optional", "/open"] {
            for nominated in ["", &format!("Connection: {name}\r\n")] {
                let mut client = gateway.connect();
                let other_spelling = name.replace('-', "_");
                client.send(format!(
                    "POST {path} HTTP/1.1\r\nHost: a\r\n{nominated}{name}: {key}\r\n\
                     {other_spelling}: {key}\r\nX-Api_Key: {key}\r\nTrailer: {name}\r\n\
                     Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\
                     {name}: {key}\r\n{other_spelling}: {key}\r\n\r\n"
                ));
                let response = client.read_response().expect(200);
                assert_eq!(response.status, 200);
                let received = origin.last_request();
                let all = format!("{received:?} {:?}", received.trailers);
                assert!(!all.contains(key), "{name} on {path}: {all}");
                if path != "/open" {
                    assert_eq!(received.header("x-user-name").as_deref(), Some("keyed"));
                }
            }
        }
    }
    // A spelling that a lenient upstream would read must not smuggle the cookie past.
    for cookie in [
        format!("refresh_token={}", alice.refresh),
        format!("a=1;refresh_token={}", alice.refresh),
        format!("a=1;  refresh_token={} ;b=2", alice.refresh),
        format!("a=1; refresh_token =  {}", alice.refresh),
        format!("refresh_token=\"{}\"", alice.refresh),
    ] {
        gateway
            .connect()
            .exchange(&get("/open").header("cookie", &cookie))
            .expect(200);
        let received = origin.last_request();
        let head = String::from_utf8_lossy(&received.head).into_owned();
        assert!(!head.contains(&alice.refresh), "{cookie}: {head}");
    }
    gateway.still_serves("/open");
}

/// A route is for some networks alone, and the client is not in them.
#[test]
fn ip_list_bypass() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: inside, prefix: /inside, auth: none, ip: { allow: [10.0.0.0/8] }, upstream: app }
            - { name: banned, prefix: /banned, auth: none, ip: { deny: [127.0.0.0/8] }, upstream: app }
            ",
        )
        .start();
    for path in ["/inside", "/banned"] {
        for name in [
            "X-Forwarded-For",
            "X_Forwarded_For",
            "X-Real-IP",
            "X-Client-IP",
            "True-Client-IP",
            "CF-Connecting-IP",
            "X-Original-Forwarded-For",
        ] {
            for value in ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1, 127.0.0.1", ""] {
                let request = get(path).header(name, value);
                let response = gateway.connect().exchange(&request);
                response.expect_problem(403, "forbidden");
            }
        }
        let forwarded = get(path).header("Forwarded", "for=10.0.0.1");
        gateway.send(&forwarded).expect_problem(403, "forbidden");
    }
    assert_eq!(origin.requests().len(), 0);

    // Behind a proxy that is trusted, what the client wrote is left of what the proxy did.
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .routes(
            "- { name: inside, prefix: /, auth: none, ip: { allow: [10.0.0.0/8] }, upstream: app }",
        )
        .start();
    for list in [
        "10.0.0.1, 192.0.2.1",
        "10.0.0.1, ::ffff:192.0.2.1, 127.0.0.1",
        "10.0.0.1, 192.0.2.1:10",
    ] {
        let request = get("/").header("x-forwarded-for", list);
        gateway.send(&request).expect_problem(403, "forbidden");
    }
    assert_eq!(origin.requests().len(), 0);
    let inside = get("/").header("x-forwarded-for", "192.0.2.1, 10.0.0.1");
    gateway.send(&inside).expect(200);
    // What is no address does not make the proxy itself the client.
    let gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .routes(
            "- { name: inside, prefix: /, auth: none, ip: { allow: [127.0.0.0/8, 10.0.0.0/8] }, upstream: app }",
        )
        .start();
    for list in [
        "unknown",
        "10.0.0.1, rubbish",
        "8.8.8.8, unknown, 127.0.0.1",
        "8.8.8.8, 127.1",
        "_hidden",
        "10.0.0.1:x",
        "",
        " ",
        ",",
        ", ,",
    ] {
        let request = get("/").header("x-forwarded-for", list);
        let response = gateway.connect().exchange(&request);
        response.expect_problem(400, "bad-request");
    }
    assert_eq!(origin.requests().len(), 1);
    gateway.still_serves("/");
}
