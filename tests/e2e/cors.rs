//! What browsers are told: before a page of another origin calls, of what it may read, and of what a response is.

use serde_json::json;

use crate::harness::client::{Request, get, post, request};
use crate::harness::gateway::{PASSWORD, Settings, refresh_cookie};
use crate::harness::origin::Origin;
use crate::harness::response::Response;

const APP: &str = "https://app.example.com";
const TOP: &str = "
cors: { origins: [https://app.example.com, 'http://localhost:5173'], methods: [GET, POST], headers: [content-type], credentials: true }
";
const ROUTES: &str = "
- { name: one, path: '/one', methods: [GET], auth: required, upstream: app, limits: [{ name: few, rate: 2/h }] }
- { name: open, prefix: /open, auth: none, upstream: app, cors: { origins: ['*'], max_age: 5s, expose: [X-Origin] } }
- { name: own, prefix: /own, auth: none, upstream: app, cors: {} }
- { name: admins, prefix: /admins, auth: required, allow: [{ superuser: true }], upstream: app }
";

fn preflight(target: &str, origin: &str, method: &str) -> Request {
    request("OPTIONS", target)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", "content-type,x-y")
}

/// What a response says to a page, without `access-control-`.
fn told(response: &Response) -> Vec<(&str, &str)> {
    let lines = response.headers.iter();
    let mut told: Vec<_> = lines
        .filter_map(|(name, value)| {
            let name = name.strip_prefix("access-control-")?;
            (name != "expose-headers").then_some((name, value.as_str()))
        })
        .collect();
    told.sort_unstable();
    told
}

const PAGE: [(&str, &str); 2] = [("allow-credentials", "true"), ("allow-origin", APP)];

fn varies(response: &Response) -> bool {
    response.header_all("vary").contains(&"origin")
}

#[test]
fn a_preflight_is_answered_for_a_route_that_takes_the_method() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).top(TOP).routes(ROUTES).start();

    // More often than the route's limit would let.
    for _ in 0..5 {
        let response = gateway.send(&preflight("/one", APP, "GET")).expect(204);
        let expected = [
            ("allow-credentials", "true"),
            ("allow-headers", "content-type"),
            ("allow-methods", "GET, POST"),
            ("allow-origin", APP),
            ("max-age", "600"),
        ];
        assert_eq!(told(&response), expected);
        assert!(varies(&response), "{response:?}");
        assert_eq!(response.header("ratelimit"), None);
        assert_eq!(gateway.log_of(&response)["route"], "one");
    }
    let response = gateway.send(&preflight("/open/x", "https://any.test", "PATCH"));
    let expected = [
        ("allow-headers", "authorization, content-type"),
        ("allow-methods", "PATCH"),
        ("allow-origin", "*"),
        ("max-age", "5"),
    ];
    assert_eq!(told(&response.expect(204)), expected);

    for (target, page) in [
        ("/one", "https://evil.test"),
        ("/one", "null"),
        ("/open", "null"),
        ("/api/v1/login", "https://evil.test"),
    ] {
        let response = gateway.send(&preflight(target, page, "GET"));
        let response = response.expect_problem(403, "forbidden");
        assert_eq!(told(&response), [], "{target} {page}");
        assert!(varies(&response));
    }
    assert_eq!(origin.requests().len(), 0);

    // Where no route takes the method, or the route leaves it to its upstream, it is a request like others.
    gateway
        .send(&preflight("/one", APP, "DELETE"))
        .expect_problem(405, "method-not-allowed");
    gateway
        .send(&preflight("/none", APP, "GET"))
        .expect_problem(404, "not-found");
    gateway.send(&preflight("/own", APP, "GET")).expect(200);
    assert_eq!(origin.only_request().method(), "OPTIONS");
    let no_preflight = request("OPTIONS", "/open").header("Origin", APP);
    gateway.send(&no_preflight).expect(200);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_preflight_is_for_the_route_of_the_headers_that_it_announces() {
    let origin = Origin::start();
    let routes = "
- { name: beta, prefix: /x, headers: { X-Beta: '1' }, auth: none, upstream: app, cors: { origins: [https://beta.test], headers: [x-beta] } }
- { name: plain, prefix: /x, auth: none, upstream: app, cors: { origins: [https://plain.test] } }
- { name: only, prefix: /only, headers: { X-Beta: '1' }, auth: none, upstream: app, cors: { origins: [https://beta.test], headers: [x-beta] } }
";
    let gateway = Settings::new(&origin).routes(routes).start();
    let ask = |target: &str, page: &str, headers: &str| {
        let request = request("OPTIONS", target).header("Origin", page);
        let request = request.header("Access-Control-Request-Method", "PUT");
        gateway.send(&request.header("Access-Control-Request-Headers", headers))
    };
    let (beta, plain) = ("https://beta.test", "https://plain.test");
    for (target, page, headers, status) in [
        ("/x", beta, "content-type,x-beta", 204),
        ("/x", beta, "content-type , X-Beta", 204),
        ("/x", plain, "x-beta", 403),
        ("/x", plain, "content-type", 204),
        ("/x", beta, "content-type", 403),
        ("/only", beta, "x-beta", 204),
        ("/only", beta, "x-other", 404),
        // No request has more than a hundred.
        ("/x", beta, &format!("{}x-beta", "x-a,".repeat(99)), 204),
        ("/x", beta, &format!("{}x-beta", "x-a,".repeat(7000)), 403),
        ("/x", plain, &"x-a,".repeat(7000), 204),
    ] {
        let response = ask(target, page, headers);
        assert_eq!(response.status, status, "{target} {page} {}", headers.len());
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn every_response_says_which_page_may_read_it() {
    let origin = Origin::with(|exchange| {
        let head = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: PUT\r\nVary: Accept\r\n";
        exchange.respond(200, head, b"")
    });
    let gateway = Settings::new(&origin).top(TOP).routes(ROUTES).start();
    let alice = gateway.user("alice", &[]).access;
    let from = |target: &str, page: &str| get(target).header("Origin", page);

    // An upstream's response, the refusals of each stage, and the auth API.
    let one = from("/one", APP).bearer(&alice);
    for (request, status) in [
        (&one, 200),
        (&one, 200),
        (&one, 429),
        (&from("/one", APP), 401),
        (&from("/admins", APP).bearer(&alice), 403),
        (&from("/none", APP), 404),
        (&from("/api/v1/users/me", APP).bearer(&alice), 200),
        (&from("/api/v1/users/me", APP), 401),
        (&from("/.well-known/jwks.json", APP), 200),
    ] {
        let response = gateway.send(request).expect(status);
        assert_eq!(told(&response), PAGE, "{response:?}");
        assert!(varies(&response), "{response:?}");
        let exposed = response.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("retry-after"), "{exposed}");
    }
    for page in ["https://evil.test", "null"] {
        let response = gateway.send(&from("/none", page)).expect(404);
        assert_eq!(told(&response), []);
        let response = gateway.send(&from("/one", page).bearer(&alice)).expect(429);
        assert_eq!(told(&response), []);
        assert!(varies(&response));
    }
    let response = gateway.send(&from("/open", "https://any.test")).expect(200);
    assert_eq!(told(&response), [("allow-origin", "*")]);
    assert_eq!(response.header_all("vary"), ["Accept", "origin"]);
    let exposed = response.header("access-control-expose-headers").unwrap();
    assert!(exposed.ends_with("x-origin"), "{exposed}");
    let response = gateway.send(&from("/open", "null")).expect(200);
    assert_eq!(told(&response), []);
    // `cors: {}` leaves it to the upstream.
    let response = gateway.send(&from("/own", "null")).expect(200);
    let own = [("allow-methods", "PUT"), ("allow-origin", "*")];
    assert_eq!(told(&response), own);
    assert_eq!(response.header_all("vary"), ["Accept"]);
}

#[test]
fn a_listed_page_may_sign_in_refresh_and_sign_out_by_cookie() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin).top(TOP).routes(ROUTES).start();
    let refresh = |gateway: &crate::harness::gateway::Gateway, page: &str, token: &str| {
        let cookie = format!("refresh_token={token}");
        let request = post("/api/v1/refresh").header("cookie", &cookie);
        gateway.send(
            &request
                .header("Origin", page)
                .header("Sec-Fetch-Site", "cross-site"),
        )
    };
    let alice = gateway.user("alice", &[]).refresh;
    assert_eq!(told(&refresh(&gateway, APP, &alice).expect(200)), PAGE);
    let response = refresh(&gateway, "https://evil.test", &alice);
    assert_eq!(told(&response.expect_problem(403, "forbidden")), []);

    let credentials = json!({ "username": "alice", "password": PASSWORD });
    let login = post("/api/v1/login").json(&credentials);
    let response = gateway.send(&login.clone().header("Origin", "https://evil.test"));
    response.expect_problem(403, "forbidden");
    let response = gateway.send(&login.header("Origin", APP)).expect(200);
    assert_eq!(told(&response), PAGE);
    let cookie = format!("refresh_token={}", refresh_cookie(&response).unwrap());
    let logout = post("/api/v1/logout").header("cookie", &cookie);
    let response = gateway.send(&logout.clone().header("Origin", "null"));
    response.expect_problem(403, "forbidden");
    let response = gateway.send(&logout.header("Origin", APP)).expect(200);
    assert_eq!(told(&response), PAGE);

    // A reload takes the list back; a star lists nobody.
    for cors in ["", "cors: { origins: ['*'] }"] {
        gateway.reconfigure(|s| s.top(cors));
        refresh(&gateway, APP, &alice).expect_problem(403, "forbidden");
    }
}

#[test]
fn without_cors_nothing_is_said_and_options_is_a_method() {
    let origin =
        Origin::with(|exchange| exchange.respond(200, "Access-Control-Allow-Origin: *\r\n", b""));
    let routes = "- { name: all, prefix: /, auth: none, upstream: app }";
    let gateway = Settings::new(&origin).routes(routes).start();
    let response = gateway.send(&preflight("/x", APP, "GET")).expect(200);
    assert_eq!(told(&response), [("allow-origin", "*")]);
    assert_eq!(response.header("vary"), None);
    assert_eq!(origin.only_request().method(), "OPTIONS");
    let response = gateway.send(&get("/api/v1/users/me").header("Origin", APP));
    assert_eq!(told(&response.expect(401)), []);
}

#[test]
fn browsers_are_held_to_what_a_response_says() {
    let origin = Origin::with(|exchange| {
        let head = match exchange.request().target().as_str() {
            "/own" => "X-Frame-Options: SAMEORIGIN\r\nReferrer-Policy: no-referrer\r\n",
            _ => "",
        };
        exchange.respond(200, head, b"")
    });
    let routes = "
- { name: off, prefix: /off, auth: none, upstream: app, security_headers: off }
- { name: edited, prefix: /edited, auth: none, upstream: app, security_headers: standard,
    response_headers: { set: { X-Frame-Options: SAMEORIGIN } } }
- { name: closed, prefix: /closed, auth: required, upstream: app, security_headers: standard }
- { name: rest, prefix: /, auth: none, upstream: app, security_headers: standard }
";
    let mut gateway = Settings::new(&origin).routes(routes).start();
    let names = [
        "x-content-type-options",
        "referrer-policy",
        "x-frame-options",
        "content-security-policy",
        "strict-transport-security",
    ];
    let standard = [
        Some("nosniff"),
        Some("strict-origin-when-cross-origin"),
        Some("DENY"),
        Some("frame-ancestors 'none'"),
        None,
    ];
    let framed = [standard[0], standard[1], Some("SAMEORIGIN"), None, None];
    let own = [standard[0], Some("no-referrer"), framed[2], None, None];
    for (target, expected) in [
        ("/x", standard),
        ("/closed", standard),
        ("/own", own),
        ("/edited", framed),
        ("/off", [None; 5]),
        ("/api/v1/users/me", [None; 5]),
    ] {
        // Not believed from a client.
        let request = get(target).header("X-Forwarded-Proto", "https");
        let response = gateway.send(&request);
        assert_eq!(
            names.map(|name| response.header(name)),
            expected,
            "{target}"
        );
    }
    gateway.reconfigure(|s| s.top("trusted_proxies: [127.0.0.1]"));
    let request = get("/closed").header("X-Forwarded-Proto", "https");
    let response = gateway.send(&request).expect(401);
    let year = response.header("strict-transport-security");
    assert_eq!(year, Some("max-age=31536000"));
    let response = gateway.send(&get("/x")).expect(200);
    assert_eq!(response.header("strict-transport-security"), None);
}
