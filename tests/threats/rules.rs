//! Rules of `allow` that are asked about what they did not expect.

use crate::harness::client::{Request, get};
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

const ROUTES: &str = r#"
    - { name: open, prefix: /open, auth: none, upstream: app }
    - { name: not-banned, path: /not-banned, auth: required, allow: [{ cel: '!("banned" in claims.flags)' }], upstream: app }
    - { name: level, path: /level, auth: required, allow: [{ cel: 'claims.level < 10 || claims.level >= 10' }], upstream: app }
    - { name: flag, path: /flag, auth: required, allow: [{ cel: claims.flag }], upstream: app }
    - { name: header, path: /header, auth: required, allow: [{ cel: 'request.headers["x-zone"] != "red"' }], upstream: app }
    - { name: absent, path: /absent, auth: required, allow: [{ cel: '!("x-zone" in request.headers)' }], upstream: app }
    - { name: pattern, path: /pattern, auth: required, allow: [{ cel: '!request.headers["x-zone"].matches("^(a|aa)*$")' }], upstream: app }
"#;

/// What has no value must not become true behind a `!`, nor be taken for false and pass as such.
#[test]
fn expression_without_value() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let _alice = gateway.user("alice", &[]);
    let minted = |claims: &[&str]| {
        let mut mint = vec!["token", "mint", "--user", "alice"];
        claims
            .iter()
            .for_each(|claim| mint.extend(["--claim", claim]));
        let minted = gateway.cli(&mint, "");
        assert_eq!(minted.code, 0, "{minted:?}");
        minted.stdout.trim().to_owned()
    };
    let status = |request: &Request| gateway.send(request).status;
    for (path, claims, answer) in [
        ("/not-banned", &[r#"flags=["new"]"#][..], 200),
        ("/not-banned", &[r#"flags=["banned"]"#], 403),
        ("/not-banned", &[], 403),
        ("/not-banned", &["flags=\"banned\""], 403),
        ("/not-banned", &["flags=banned"], 403),
        ("/not-banned", &["flags=null"], 403),
        ("/not-banned", &["flags=7"], 403),
        ("/level", &["level=3"], 200),
        ("/level", &["level=1e308"], 200),
        ("/level", &[], 403),
        ("/level", &["level=\"3\""], 403),
        ("/level", &["level=[3]"], 403),
        ("/level", &["level=null"], 403),
        ("/flag", &["flag=true"], 200),
        ("/flag", &["flag=false"], 403),
        ("/flag", &["flag=1"], 403),
        ("/flag", &["flag=\"true\""], 403),
        ("/flag", &[r#"flag={"true":true}"#], 403),
        ("/flag", &[r#"flag=[true]"#], 403),
    ] {
        let token = minted(claims);
        assert_eq!(
            status(&get(path).bearer(&token)),
            answer,
            "{path} {claims:?}"
        );
    }
    let token = minted(&[]);
    let with = |path: &str, value: &[u8]| {
        let mut bytes = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nX-Zone: "
        )
        .into_bytes();
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n\r\n");
        let mut connection = gateway.connect();
        connection.send(bytes);
        connection.read_response().status
    };
    let long = "a".repeat(16 * 1024);
    for (path, value, answer) in [
        ("/header", &b"blue"[..], 200),
        ("/header", b"red", 403),
        ("/header", b"\xff", 403),
        ("/absent", b"\xff", 403),
        ("/absent", b"", 403),
        ("/pattern", b"b", 200),
        ("/pattern", b"\xff", 403),
        ("/pattern", long.as_bytes(), 403),
        ("/pattern", format!("{long}b").as_bytes(), 200),
    ] {
        assert_eq!(with(path, value), answer, "{path}");
    }
    assert_eq!(status(&get("/header").bearer(&token)), 403);
    assert_eq!(status(&get("/absent").bearer(&token)), 200);
    gateway.still_serves("/open");
}

const LOOK_UPS: &str = r#"
    - { name: open, prefix: /open, auth: none, upstream: app }
    - { name: path, path: "/posts/{id}", auth: required, allow: [{ owner: { lookup: "GET /api/posts/{id}", field: /by, equals: "{user.username}" } }], upstream: app }
    - { name: part, regex: "/p-(?P<id>.+)", auth: required, allow: [{ owner: { lookup: "GET /api/posts/{id}", field: /by, equals: "{user.username}" } }], upstream: app }
    - { name: query, path: "/q/{id}", auth: required, allow: [{ owner: { lookup: "GET /api/find?id={id}&by=all", field: /by, equals: "{user.username}" } }], upstream: app }
"#;

/// A look-up asks for the resource that the request names, in every server's reading of it, and for no
/// other; and it says nothing that the client could have a say in.
#[test]
fn look_up_injection() {
    // Whatever is asked is mallory's, but for the post that is not.
    let origin = Origin::with(|exchange| {
        exchange.read_body()?;
        let owner = match exchange.request().target().as_str() {
            "/api/posts/1" | "/api/find?id=1&by=all" => "alice",
            _ => "mallory",
        };
        exchange.respond(200, "", format!(r#"{{"by":"{owner}"}}"#).as_bytes())
    });
    let gateway = Settings::new(&origin).routes(LOOK_UPS).start();
    let mallory = gateway.user("mallory", &[]);
    let send = |target: &str| {
        let bytes = format!(
            "GET {target} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {}\r\n\
             Cookie: a=b\r\nX-User-Name: alice\r\nX-Original-Url: /api/posts/1\r\nX-Beta: 1\r\n\r\n",
            mallory.access
        );
        let mut connection = gateway.connect();
        connection.send(bytes);
        connection.read_response().status
    };
    for target in [
        "/posts/1",
        "/posts/1?id=2",
        "/posts/%31",
        "/posts/2%2F..%2F1",
        "/posts/2/../1",
        "/posts/1;x=2",
        "/posts/1%3Fx",
        "/posts/1%23x",
        "/posts/1%00",
        "/posts/%2e%2e",
        "/posts/..%2fposts%2f2",
        "/posts/1\\x",
        "/posts/1%252f",
        "/posts/1|2",
        "/p-1",
        "/p-2/../1",
        "/p-..",
        "/p-.",
        "/p-../posts/2",
        "/p-2/x",
        "/p-2//",
        "/p-%2e%2e%2f2",
        "/p-2;x",
        "/p-",
        "/q/1",
        "/q/%31",
        "/q/1%26id%3D2",
        "/q/%26",
    ] {
        let status = send(target);
        assert!(matches!(status, 400 | 403 | 404), "{target}: {status}");
    }
    // A value that a query would read as more than one is one.
    assert_eq!(send("/q/1&id=2"), 200);
    assert_eq!(send("/posts/2"), 200);
    let asked: Vec<_> = origin.requests();
    let mut targets: Vec<String> = asked.iter().map(|asked| asked.target()).collect();
    targets.retain(|target| target.starts_with("/api/"));
    targets.sort();
    targets.dedup();
    assert_eq!(
        targets,
        [
            "/api/find?id=1%26id%3D2&by=all",
            "/api/find?id=1&by=all",
            "/api/posts/1",
            "/api/posts/2",
        ]
    );
    for asked in asked.iter().filter(|one| one.target().starts_with("/api/")) {
        let mut names: Vec<String> = asked.headers().into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, ["accept", "host"], "{asked:?}");
        // By the name that the requests themselves go out with.
        assert_eq!(asked.header("host").as_deref(), Some("evil.example"));
    }
    gateway.still_serves("/open");
}
