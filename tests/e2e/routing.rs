//! Which route a request falls to.

use std::collections::BTreeSet;

use crate::harness::client::{Request, get, post, request};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::Origin;

#[track_caller]
fn route_of(gateway: &Gateway, path: &str) -> String {
    let response = gateway.connect().exchange(&get(path)).expect(200);
    let log = gateway.log_of(&response);
    log["route"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_more_literal_path_wins_segment_by_segment() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: rest, path: \"/files/{*rest}\", auth: none, upstream: app }
            - { name: one, path: \"/files/{name}\", auth: none, upstream: app }
            - { name: literal, path: /files/list, auth: none, upstream: app }
            - { name: deep, path: \"/files/{name}/raw\", auth: none, upstream: app }
            - { name: prefix, prefix: /f, auth: none, upstream: app }
            - { name: root, path: /, auth: none, upstream: app }
            ",
        )
        .start();

    for (path, route) in [
        ("/files/list", "literal"),
        ("/files/other", "one"),
        ("/files/other?x=/files/list", "one"),
        ("/files/other/raw", "deep"),
        ("/files/other/more", "rest"),
        ("/files/a/b/c", "rest"),
        ("/f", "prefix"),
        ("/f/files", "prefix"),
        ("/", "root"),
    ] {
        assert_eq!(route_of(&gateway, path), route, "{path}");
    }
    for path in ["/fi", "/nothing", "/files"] {
        gateway.send(&get(path)).expect_problem(404, "not-found");
    }
    assert!(origin.requests().iter().all(|r| r.target() != "/fi"));
}

#[test]
fn the_order_in_the_file_does_not_matter() {
    let routes = [
        "- { name: admin, prefix: /admin, auth: required, upstream: app }",
        "- { name: all, prefix: /, auth: none, upstream: app }",
    ];
    for order in [[0, 1], [1, 0]] {
        let origin = Origin::start();
        let text = order.map(|n| routes[n]).join("\n");
        let gateway = Settings::new(&origin).routes(&text).start();

        gateway
            .send(&get("/admin"))
            .expect_problem(401, "token-missing");
        gateway
            .send(&get("/admin/x"))
            .expect_problem(401, "token-missing");
        gateway.send(&get("/administrator")).expect(200);
        assert_eq!(origin.only_request().target(), "/administrator");
    }
}

#[test]
fn a_method_that_no_route_takes_is_a_405_with_allow() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: read, path: /items, methods: [GET], auth: none, upstream: app }
            - { name: write, path: /items, methods: [POST, PATCH], auth: none, upstream: app }
            ",
        )
        .start();

    for method in ["DELETE", "PUT", "BREW"] {
        let response = gateway
            .connect()
            .exchange(&request(method, "/items"))
            .expect_problem(405, "method-not-allowed");
        let allow: BTreeSet<_> = response.header("allow").unwrap().split(", ").collect();
        assert_eq!(allow, BTreeSet::from(["GET", "HEAD", "PATCH", "POST"]));
    }
    gateway
        .connect()
        .exchange(&request("HEAD", "/items"))
        .expect(200);
    gateway.send(&get("/items")).expect(200);
    gateway
        .send(&post("/items").body("text/plain", "x"))
        .expect(200);
    let methods: Vec<_> = origin.requests().iter().map(|r| r.method()).collect();
    assert_eq!(methods, ["HEAD", "GET", "POST"]);
}

#[test]
fn a_route_that_does_not_take_the_method_makes_room_for_one_that_does() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: narrow, path: /a/b, methods: [POST], auth: required, upstream: app }
            - { name: wide, prefix: /a, auth: none, upstream: app }
            ",
        )
        .start();

    assert_eq!(route_of(&gateway, "/a/b"), "wide");
    gateway
        .send(&post("/a/b").body("text/plain", ""))
        .expect_problem(401, "token-missing");
}

#[test]
fn hosts_choose_before_paths() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: api, prefix: /, hosts: [api.example.test], auth: none, upstream: app }
            - { name: wild, prefix: /, hosts: [\"*.example.test\"], auth: none, upstream: app }
            - { name: any, path: /a/very/literal/path, auth: none, upstream: app }
            ",
        )
        .start();

    let ask = |host: &str, path: &str| {
        let response = gateway.connect().exchange(&get(path).header("Host", host));
        let route = gateway.log_of(&response)["route"]
            .as_str()
            .map(str::to_owned);
        (response.status, route.unwrap_or_default())
    };
    let literal = "/a/very/literal/path";
    assert_eq!(ask("api.example.test", literal), (200, "api".into()));
    assert_eq!(ask("API.Example.TEST:8080", literal), (200, "api".into()));
    assert_eq!(ask("www.example.test", literal), (200, "wild".into()));
    assert_eq!(ask("a.b.example.test", literal), (200, "wild".into()));
    assert_eq!(ask("example.test", literal), (200, "any".into()));
    assert_eq!(ask("notexample.test", literal), (200, "any".into()));
    assert_eq!(ask("example.test", "/other").0, 404);
    assert_eq!(ask("evilapi.example.test.attacker.test", "/other").0, 404);
}

#[test]
fn a_regex_covers_whole_paths_and_names_parameters() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            r#"
            - name: versioned
              regex: '/svc/v(?P<version>[0-9]+)/users/(?P<username>[a-z0-9_]+)(/.*)?'
              auth: required
              allow: [{ owner: "{username}" }]
              upstream: app
            - { name: literal, path: /svc/v1/users/all, auth: none, upstream: app }
            - { name: below, prefix: /svc, auth: none, upstream: app }
            - { name: images, regex: '/.*[.](png|svg)', auth: none, upstream: app }
            - { name: first, regex: '/x/[a-z]+', auth: none, upstream: app }
            - { name: second, regex: '/x/[a-z0-9]+', auth: none, upstream: app }
            "#,
        )
        .start();
    let alice = gateway.user("alice", &[]);

    for (path, status) in [
        ("/svc/v2/users/alice", 200),
        ("/svc/v2/users/alice/posts/1", 200),
        ("/svc/v2/users/bob", 403),
        ("/svc/v2/users/bob/posts/1", 403),
        ("/svc/v2/users/%61lice", 400),
        ("/svc/v2/users/alice/../bob", 400),
    ] {
        let mut client = gateway.connect();
        client.send(get(path).bearer(&alice.access).to_bytes());
        assert_eq!(client.read_response().status, status, "{path}");
    }
    gateway
        .send(&get("/svc/v2/users/alice"))
        .expect_problem(401, "token-missing");
    for (path, route) in [
        ("/svc/v1/users/all", "literal"),
        ("/svc/v1/users", "below"),
        ("/svc/vx/users/alice", "below"),
        ("/xx/svc/v1/users/alice.png", "images"),
        ("/x/abc", "first"),
        ("/x/abc1", "second"),
    ] {
        assert_eq!(route_of(&gateway, path), route, "{path}");
    }
    for path in ["/x/abc/d", "/a.png/b", "/y/x/abc"] {
        gateway.send(&get(path)).expect_problem(404, "not-found");
    }
}

#[test]
fn a_header_chooses_among_routes_of_one_path() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            r#"
            - { name: stable, prefix: /x, auth: none, upstream: app }
            - { name: beta, prefix: /x, headers: { X-Beta: "1" }, auth: none, upstream: app }
            - { name: only, path: /only, headers: { X-Beta: "1" }, auth: none, upstream: app }
            - { name: write, path: /w, methods: [POST], headers: { X-Beta: "1" }, auth: none, upstream: app }
            "#,
        )
        .start();

    let ask = |request: Request| {
        let response = gateway.connect().exchange(&request);
        let log = gateway.log_of(&response);
        (
            response.status,
            log["route"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(ask(get("/x/y")), (200, "stable".into()));
    assert_eq!(
        ask(get("/x/y").header("X-Beta", "2")),
        (200, "stable".into())
    );
    assert_eq!(ask(get("/x/y").header("x-beta", "1")), (200, "beta".into()));
    let two_lines = get("/x").header("X-Beta", "0").header("X-Beta", "1");
    assert_eq!(ask(two_lines), (200, "beta".into()));
    assert_eq!(
        ask(get("/only").header("X-Beta", "1")),
        (200, "only".into())
    );
    gateway.send(&get("/only")).expect_problem(404, "not-found");
    gateway.send(&get("/w")).expect_problem(404, "not-found");
    let response = gateway
        .send(&get("/w").header("X-Beta", "1"))
        .expect_problem(405, "method-not-allowed");
    assert_eq!(response.header("allow"), Some("POST"));
}

#[test]
fn a_host_with_a_port_beats_the_host() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            r#"
            - { name: ported, prefix: /, hosts: ["api.example.test:8443"], auth: none, upstream: app }
            - { name: exact, prefix: /, hosts: [api.example.test], auth: none, upstream: app }
            - { name: any, prefix: /, auth: none, upstream: app }
            "#,
        )
        .start();

    let ask = |host: &str| {
        let response = gateway.connect().exchange(&get("/").header("Host", host));
        let log = gateway.log_of(&response);
        (
            response.status,
            log["route"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(ask("API.example.test:8443"), (200, "ported".into()));
    assert_eq!(ask("api.example.test.:8443"), (200, "ported".into()));
    assert_eq!(ask("api.example.test:443"), (200, "exact".into()));
    assert_eq!(ask("api.example.test"), (200, "exact".into()));
    assert_eq!(ask("example.test:8443"), (200, "any".into()));
}

#[test]
fn other_spellings_count_where_a_route_asks_and_go_on_as_they_came() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            r#"
            - name: all
              path: /a/b
              auth: none
              upstream: app
              path_options: { case_insensitive: true, merge_slashes: true, trailing_slash: ignore }
            - { name: slashed, path: "/s/{id}", auth: none, upstream: app, path_options: { trailing_slash: ignore } }
            - { name: merged, prefix: /m, auth: none, upstream: app, path_options: { merge_slashes: true } }
            - name: pages
              regex: '/pages/[a-z]+'
              auth: none
              upstream: app
              path_options: { case_insensitive: true, merge_slashes: true, trailing_slash: ignore }
            - { name: strict, path: /strict, auth: none, upstream: app, path_options: { trailing_slash: strict } }
            - { name: guarded, path: /guarded, auth: required, upstream: app }
            "#,
        )
        .start();

    for (path, route) in [
        ("/a/b", "all"),
        ("/A/B/", "all"),
        ("/A//b/", "all"),
        ("/a//b//?q=//X", "all"),
        ("/s/1/", "slashed"),
        ("/s/1", "slashed"),
        ("/m//x", "merged"),
        ("/PAGES//Intro/", "pages"),
        ("/strict", "strict"),
    ] {
        assert_eq!(route_of(&gateway, path), route, "{path}");
        assert_eq!(origin.last_request().target(), path);
    }
    for (path, status) in [
        ("/strict/", 404),
        ("/GUARDED", 400),
        ("/STRICT", 400),
        ("/s//1", 400),
        ("//strict", 400),
        ("//m//x", 400),
    ] {
        assert_eq!(
            gateway.connect().exchange(&get(path)).status,
            status,
            "{path}"
        );
    }
}

#[test]
fn a_parameter_needs_a_segment() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: one, path: \"/users/{name}/posts\", auth: none, upstream: app }")
        .start();

    gateway.send(&get("/users/alice/posts")).expect(200);
    for path in [
        "/users//posts",
        "/users/posts",
        "/users/a/b/posts",
        "/users/a/posts/",
    ] {
        let response = gateway.connect().exchange(&get(path));
        assert!(matches!(response.status, 400 | 404), "{path}: {response:?}");
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn two_upstreams_each_get_their_own() {
    let (one, two) = (Origin::start(), Origin::start());
    let gateway = Settings::new(&one)
        .more_upstreams(&format!("two: {{ targets: [\"{}\"] }}", two.url()))
        .routes(
            "
            - { name: one, prefix: /one, auth: none, upstream: app }
            - { name: two, prefix: /two, auth: none, upstream: two }
            ",
        )
        .start();

    let mut client = gateway.connect();
    for _ in 0..3 {
        client.exchange(&get("/one")).expect(200);
        client.exchange(&get("/two")).expect(200);
    }

    assert!(one.requests().iter().all(|r| r.target() == "/one"));
    assert!(two.requests().iter().all(|r| r.target() == "/two"));
    assert_eq!((one.requests().len(), two.requests().len()), (3, 3));
}

#[test]
fn several_targets_share_the_work() {
    let (one, two) = (Origin::start(), Origin::start());
    let gateway = Settings::new(&one)
        .more_upstreams(&format!(
            "both: {{ targets: [\"{}\", \"{}\"] }}",
            one.url(),
            two.url()
        ))
        .routes("- { name: all, prefix: /, auth: none, upstream: both }")
        .start();

    for _ in 0..20 {
        gateway.send(&get("/")).expect(200);
    }
    let shares = (one.requests().len(), two.requests().len());
    assert_eq!(shares.0 + shares.1, 20);
    assert!(shares.0 > 0 && shares.1 > 0, "{shares:?}");
}
