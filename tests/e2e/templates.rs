//! Headers that the file makes of what is known: templates toward upstreams and toward clients.

use crate::harness::client::get;
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

const TOP: &str = "
identity:
  headers: { X-Org: \"{claims.org}\", X-Who: \"{user.username} <{user.email}>\", X-Real-Ip: \"{request.ip}\" }
";

const ROUTES: &str = "
- name: edited
  path: /users/{username}/{*rest}
  auth: optional
  upstream: app
  request_headers:
    set: { X-Place: \"{request.method} {path.username}/{path.rest}\", X-Template: \"{{x}}\", User-Agent: gateway }
    add: { X-Place: \"{request.scheme}://{request.host}{request.path}\" }
    remove: [X-User-Email, X-Secret]
  response_headers:
    set: { X-Served-To: \"{user.username}\", X-Id: \"{request.id}\", Server: portcullis }
    add: { X-Origin: too }
    remove: [X-Body-Length]
- { name: rest, prefix: /, auth: optional, upstream: app }
";

#[test]
fn templates_are_filled_in_toward_both_sides() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin).top(TOP).routes(ROUTES).start();
    let alice = gateway.user("alice", &[]);

    let request = get("/users/bob/a/c?q=1")
        .header("Host", "api.test")
        .header("X_Secret", "1")
        .header("X-Place", "forged")
        .bearer(&alice.access);
    let response = gateway.send(&request).expect(200);
    let received = origin.only_request();
    assert_eq!(
        received.header_all("x-place"),
        ["GET bob/a/c", "http://api.test/users/bob/a/c"]
    );
    for (name, value) in [
        ("x-template", Some("{x}")),
        ("user-agent", Some("gateway")),
        ("x-who", Some("alice <alice@example.test>")),
        ("x-real-ip", Some("127.0.0.1")),
        ("x-org", None),
        ("x-user-email", None),
        ("x_secret", None),
        ("x-user-name", Some("alice")),
    ] {
        assert_eq!(
            received.header(name).as_deref(),
            value,
            "{name}: {received:?}"
        );
    }
    assert_eq!(response.header_all("x-origin"), ["yes", "too"]);
    assert_eq!(response.header("server"), Some("portcullis"));
    assert_eq!(response.header("x-served-to"), Some("alice"));
    assert_eq!(response.header("x-id"), response.header("x-request-id"));
    assert_eq!(response.header("x-body-length"), None);

    // Without a caller there is nothing to say of one.
    let response = gateway.send(&get("/users/bob/x")).expect(200);
    assert_eq!(response.header("x-served-to"), None);
    assert_eq!(origin.last_request().header("x-who"), None);

    // Elsewhere nothing is edited.
    let response = gateway.send(&get("/other").header("User-Agent", "mine"));
    assert!(response.expect(200).header("x-body-length").is_some());
    let received = origin.last_request();
    assert_eq!(received.header("user-agent").as_deref(), Some("mine"));
    assert_eq!(received.header("x-real-ip").as_deref(), Some("127.0.0.1"));

    // A reload takes other templates.
    gateway.reconfigure(|s| {
        s.top("identity: { preset: none, headers: { X-User-Id: \"{user.name}\" } }")
    });
    let later = gateway.login("alice");
    gateway.send(&get("/x").bearer(&later.access)).expect(200);
    let received = origin.last_request();
    assert_eq!(received.header("x-user-id").as_deref(), Some("alice"));
    assert_eq!(received.header("x-user-name"), None);
}

#[test]
fn what_a_route_sets_no_client_says_there_in_another_spelling_or_a_trailer() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    for path in ["/users/bob/x", "/other"] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nUser_Agent: mine\r\nTransfer-Encoding: chunked\r\n\
             Trailer: User-Agent, X-Sum\r\n\r\n0\r\nUser-Agent: mine\r\nX-Sum: 7\r\n\r\n"
        ));
        client.read_response().expect(200);
        let received = origin.last_request();
        let is_set = path != "/other";
        let said = (!is_set).then_some("mine");
        assert_eq!(received.header("user_agent").as_deref(), said, "{path}");
        let trailers = received.trailers.iter().map(|(name, _)| name.as_str());
        let trailers: Vec<_> = trailers.filter(|name| *name == "user-agent").collect();
        assert_eq!(
            trailers.is_empty(),
            is_set,
            "{path}: {:?}",
            received.trailers
        );
    }
}

#[test]
fn a_claim_that_could_break_a_header_sets_none() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).top(TOP).routes(ROUTES).start();
    gateway.user_add("alice", &[]);

    for (claims, expected) in [
        ("org=acme", Some("acme")),
        (r#"org="a\r\nX-User-Name: root""#, None),
        (r#"org="a\u0000b""#, None),
        ("other=acme", None),
    ] {
        let minted = gateway.cli(&["token", "mint", "--user", "alice", "--claim", claims], "");
        assert_eq!(minted.code, 0, "{minted:?}");
        let request = get("/").header("X-Org", "forged").header("x_org", "forged");
        gateway
            .send(&request.bearer(minted.stdout.trim()))
            .expect(200);
        let received = origin.last_request();
        assert_eq!(received.header("x-org").as_deref(), expected, "{claims:?}");
        assert_eq!(received.header("x_org"), None);
        assert_eq!(received.header("x-user-name").as_deref(), Some("alice"));
    }
}
