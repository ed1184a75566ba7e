//! What the upstream is asked for in place of what the client asked for.

use crate::harness::client::get;
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

const ROUTES: &str = "
- { name: posts, path: '/users/{username}/posts/{id}', auth: required, allow: [{ owner: '{username}' }], upstream: app,
    rewrite: { strip_prefix: /users, set_prefix: /v2, host: upstream } }
- { name: files, prefix: /files, auth: none, upstream: app, rewrite: { strip_prefix: /files, host: files.internal } }
- { name: shelf, prefix: /Shelf, auth: none, upstream: app, path_options: { case_insensitive: true }, rewrite: { strip_prefix: /shelf } }
- { name: versions, regex: '/api/v[0-9]+/.*', auth: none, upstream: app, rewrite: { strip_prefix: /api } }
- { name: below, prefix: /below, auth: none, upstream: app, rewrite: { set_prefix: /app, host: preserve } }
- { name: rest, prefix: /, auth: none, upstream: app }
";

#[test]
fn the_upstream_is_asked_for_another_path_and_host() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let alice = gateway.user("alice", &[]);
    let upstream = origin.address.to_string();

    for (target, sent, host) in [
        (
            "/users/alice/posts/7?a=/users",
            "/v2/alice/posts/7?a=/users",
            upstream.as_str(),
        ),
        (
            "/users/alice/posts/a%20b",
            "/v2/alice/posts/a%20b",
            &upstream,
        ),
        ("/files/a%2Fb", "/a%2Fb", "files.internal"),
        ("/files", "/", "files.internal"),
        ("/files/files/a%20b?", "/files/a%20b?", "files.internal"),
        ("/below/x", "/app/below/x", "a.test"),
        ("/SHELF/Book", "/Book", "a.test"),
        ("/api/v1/x", "/v1/x", "a.test"),
        ("/filesystem", "/filesystem", "a.test"),
    ] {
        let request = get(target).header("Host", "a.test").bearer(&alice.access);
        let response = gateway.connect().exchange(&request).expect(200);
        let received = origin.last_request();
        assert_eq!(received.line(), format!("GET {sent} HTTP/1.1"));
        assert_eq!(received.header("host").as_deref(), Some(host), "{target}");
        assert_eq!(
            received.header("x-forwarded-host").as_deref(),
            Some("a.test")
        );
        let path = target.split('?').next().unwrap();
        assert_eq!(gateway.log_of(&response)["path"], path);
    }

    // The decision is on the path as it came.
    let request = get("/users/bob/posts/7").bearer(&alice.access);
    gateway.send(&request).expect_problem(403, "forbidden");
    gateway
        .send(&get("/users/alice/posts/7"))
        .expect_problem(401, "token-missing");
}
