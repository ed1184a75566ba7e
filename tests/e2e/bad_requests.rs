//! What is wrong with a request is said in one form, and nothing else happens.

use crate::harness::client::{get, post, statuses};
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

#[test]
fn a_body_past_the_limit_is_a_413() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: none, upstream: app, max_body: 1KiB }")
        .start();

    let fits = post("/").body("text/plain", "x".repeat(1024));
    gateway.connect().exchange(&fits).expect(200);
    assert_eq!(origin.last_request().body.len(), 1024);

    // Said in advance: nothing is sent on.
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n");
    client.read_response().expect_problem(413, "body-too-large");
    assert_eq!(origin.requests().len(), 1);

    // Found out on the way: the origin does not get a whole request.
    let mut client = gateway.connect();
    client.send("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        let _ = client.try_send(format!("200\r\n{}\r\n", "x".repeat(512)));
    }
    let _ = client.try_send("0\r\n\r\n");
    client.read_response().expect_problem(413, "body-too-large");
    let arrived: Vec<_> = origin
        .requests()
        .into_iter()
        .filter(|r| r.target() == "/chunked" && !r.body.is_empty())
        .collect();
    assert!(
        arrived.is_empty(),
        "a cut body passed for whole: {arrived:?}"
    );
    gateway.still_serves("/");
}

#[test]
fn a_body_is_measured_however_it_comes() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: none, prefix: /none, auth: none, upstream: app, max_body: 0 }
            - { name: all, prefix: /, auth: none, upstream: app, max_body: 1KiB }
            ",
        )
        .start();

    // Just as much as is admitted, in chunks.
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..2 {
        client.send(format!("200\r\n{}\r\n", "x".repeat(512)));
    }
    client.send("0\r\n\r\n");
    client.read_response().expect(200);
    assert_eq!(origin.last_request().body.len(), 1024);

    // Who asks first is not told to go on.
    let mut client = gateway.connect();
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1025\r\n\r\n");
    let response = client.read_response();
    assert_eq!(response.interim, [0; 0]);
    response.expect_problem(413, "body-too-large");

    // No body at all is not too much where none is admitted.
    gateway.send(&get("/none")).expect(200);
    let one = post("/none").body("text/plain", "x");
    let response = gateway.connect().exchange(&one);
    response.expect_problem(413, "body-too-large");

    // The upstream is kept waiting in the middle of it, and hears no end.
    let mut client = gateway.connect();
    client.send("POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("200\r\n{}\r\n", "x".repeat(512)));
    let begun = |requests: Vec<crate::harness::origin::Received>| {
        requests.iter().any(|r| r.target() == "/slow").then_some(())
    };
    crate::harness::eventually("the request at the origin", || begun(origin.requests()));
    client.send(format!("201\r\n{}\r\n", "x".repeat(513)));
    let response = client.read_response();
    let log = gateway.log_of(&response);
    response.expect_problem(413, "body-too-large");
    assert_eq!(log["reason"], "body-too-large");
    assert!(client.read_until_closed().is_empty());
    gateway.still_serves("/");
}

#[test]
fn many_fields_are_a_431() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).top("max_header: 8KiB").start();
    let many = |count: usize, length: usize| {
        let value = "v".repeat(length);
        (0..count).fold(get("/"), |r, n| r.header(&format!("x-{n}"), &value))
    };

    // With `Host` a hundred.
    gateway.connect().exchange(&many(99, 1)).expect(200);
    assert_eq!(origin.only_request().header("x-98").as_deref(), Some("v"));
    // Too many of them, however short they are: the answer is bare.
    for count in [100, 500, 5000] {
        let mut client = gateway.connect();
        let _ = client.try_send(many(count, 1).to_bytes());
        let answer = client.read_until_closed();
        assert_eq!(statuses(&answer), [431], "{count}");
    }
    // Each is short, and together they are too long.
    let response = gateway.connect().exchange(&many(90, 100));
    response.expect_problem(431, "header-too-large");
    assert_eq!(origin.requests().len(), 1);
    gateway.still_serves("/");
}

#[test]
fn a_head_past_the_limit_is_a_431() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).top("max_header: 8KiB").start();

    let with_header = |length: usize| get("/").header("X-Long", &"x".repeat(length));
    gateway
        .connect()
        .exchange(&with_header(4 * 1024))
        .expect(200);

    for request in [
        with_header(20 * 1024),
        with_header(2 * 1024 * 1024),
        (0..3000).fold(get("/"), |r, n| r.header(&format!("x-{n}"), "v")),
        get(format!("/{}", "x".repeat(20 * 1024))),
    ] {
        let mut client = gateway.connect();
        let _ = client.try_send(request.to_bytes());
        let answer = client.read_until_closed();
        let statuses = statuses(&answer);
        assert!(
            matches!(statuses[..], [431]),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(origin.requests().len(), 1);
    gateway.still_serves("/");
}

#[test]
fn a_head_a_little_past_the_limit_is_told_so() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).top("max_header: 8KiB").start();

    let mut client = gateway.connect();
    client.send(get("/").header("X-Long", &"x".repeat(9 * 1024)).to_bytes());
    let response = client.read_response();
    response.expect_problem(431, "header-too-large");
    let mut client = gateway.connect();
    client.send(get(format!("/{}", "x".repeat(9 * 1024))).to_bytes());
    let response = client.read_response();
    response.expect_problem(431, "header-too-large");
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_request_without_or_with_two_hosts_is_a_400() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test/path\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test:99999\r\n\r\n",
    ] {
        let mut client = gateway.connect();
        client.send(head);
        let response = client.read_response();
        assert_eq!(response.status, 400, "{head:?}: {response:?}");
        response.expect_problem(400, "bad-request");
    }
    assert_eq!(origin.requests().len(), 0);
    gateway.still_serves("/");
}

#[test]
fn what_is_not_http_gets_a_status_and_a_closed_connection() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\0Y: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
        b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut client = gateway.connect();
        client.send(bytes);
        client.half_close();
        let answer = client.read_until_closed();
        let statuses = statuses(&answer);
        let shown = String::from_utf8_lossy(bytes);
        assert!(
            statuses.iter().all(|status| (400..=505).contains(status)) && statuses.len() <= 1,
            "{shown:?} got {statuses:?}"
        );
    }
    assert_eq!(origin.requests().len(), 0);
    gateway.still_serves("/");
}

#[test]
fn connect_and_the_asterisk_are_no_paths_of_a_route() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    for head in [
        "CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ] {
        let mut client = gateway.connect();
        client.send(head);
        let response = client.read_response();
        assert!(
            matches!(response.status, 400 | 404 | 405 | 501),
            "{head:?}: {response:?}"
        );
    }
    assert_eq!(origin.requests().len(), 0);
    gateway.still_serves("/");
}

#[test]
fn a_path_that_servers_read_differently_is_a_400() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: open, prefix: /open, auth: none, upstream: app }
            - { name: guarded, prefix: /, auth: required, upstream: app }
            ",
        )
        .start();

    gateway
        .connect()
        .exchange(&get("/open/%2e%2e/guarded"))
        .expect_problem(400, "ambiguous-path");
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn errors_come_in_one_form_and_tell_nothing_of_the_inside() {
    let nobody = crate::harness::gateway::free_address();
    let gateway = Settings::toward(&format!("http://{nobody}"))
        .routes(
            "
            - { name: one, path: /one, methods: [GET], auth: required, upstream: app }
            - { name: down, path: /down, auth: none, upstream: app }
            ",
        )
        .start();

    for (request, status, code) in [
        (get("/nothing"), 404, "not-found"),
        (get("/one"), 401, "token-missing"),
        (get("/one").bearer("x"), 401, "token-invalid"),
        (
            post("/one").body("text/plain", ""),
            405,
            "method-not-allowed",
        ),
        (get("/down"), 502, "upstream-unreachable"),
        (get("/api/v1/users/me"), 401, "token-missing"),
    ] {
        let response = gateway.send(&request).expect_problem(status, code);
        let told = format!("{response:?}").to_lowercase();
        for inside in [
            &nobody.port().to_string(),
            "hyper",
            "portcullis/",
            "sqlite",
            ".rs:",
            "connection refused",
        ] {
            assert!(!told.contains(inside), "{inside} in {told}");
        }
        assert_eq!(response.header("server"), None);
    }
}

#[test]
fn a_target_is_a_path() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("cors: { origins: [\"https://app.test\"] }")
        .routes("- { name: all, prefix: /, auth: none, upstream: app }")
        .start();
    let send = |line: &str, fields: &str| {
        let mut client = gateway.connect();
        client.send(format!(
            "{line} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n{fields}\r\n"
        ));
        client
    };
    let preflight = "Origin: https://app.test\r\nAccess-Control-Request-Method: GET\r\n";
    for (line, fields) in [
        ("OPTIONS *", ""),
        ("OPTIONS *", preflight),
        ("GET *", ""),
        ("GET x", ""),
        ("GET gateway.test:80", ""),
        ("GET 1.2.3.4", ""),
        ("GET http:x", ""),
        ("GET mailto:a@b.test", ""),
    ] {
        let refused = send(line, fields).read_response();
        let told = refused.expect_problem(400, "bad-request").json();
        let detail = "The request's target has to be a path that begins with a slash.";
        assert_eq!(told["detail"], detail, "{line}");
    }
    let refused = send("GET ftp://gateway.test/x", "").read_response();
    refused.expect_problem(400, "bad-request");
    // What is no target at all is no HTTP: the answer is bare.
    for line in [
        "GET ",
        "GET  ",
        "GET #x",
        "GET ?x=1",
        "GET */x",
        "GET x/y",
        "GET http://",
        "GET http:///x",
    ] {
        let answer = send(line, "").read_until_closed();
        assert_eq!(statuses(&answer), [400], "{line}");
    }
    assert_eq!(origin.requests().len(), 0);
    let whole = send("GET http://gateway.test?x=1", "").read_response();
    whole.expect(200);
    assert_eq!(origin.only_request().target(), "/?x=1");
    gateway.still_serves("/");
}
