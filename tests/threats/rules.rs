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
