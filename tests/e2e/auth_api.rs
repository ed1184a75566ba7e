//! Login, refresh, logout and accounts, served at the edge.

use serde_json::{Value, json};

use crate::harness::client::{get, post, request};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, PASSWORD, Settings, access_token, refresh_cookie};
use crate::harness::origin::Origin;
use crate::harness::response::Response;

fn closed(origin: &Origin) -> Settings {
    Settings::new(origin).routes("- { name: all, prefix: /, auth: required, upstream: app }")
}

#[track_caller]
fn login(gateway: &Gateway, body: &Value) -> Response {
    gateway.send(&post("/api/v1/login").json(body))
}

#[track_caller]
fn works(gateway: &Gateway, token: &str) -> bool {
    let response = gateway.send(&get("/").bearer(token));
    assert!(matches!(response.status, 200 | 401), "{response:?}");
    response.status == 200
}

#[test]
fn login_takes_a_form_or_json_and_a_name_or_an_email() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    gateway.user_add("alice", &[]);

    for who in ["alice", "alice@example.test", "Alice@Example.TEST"] {
        let fields = [("username", who), ("password", PASSWORD)];
        let by_form = post("/api/v1/login").form(&fields);
        let by_json = post("/api/v1/login").json(&json!({"username": who, "password": PASSWORD}));
        for request in [by_form, by_json] {
            let response = gateway.send(&request).expect(200);
            let body = response.json();
            assert_eq!(body["token_type"], "bearer");
            assert_eq!(body["expires_in"], 1800);
            assert_eq!(body.get("refresh_token"), None);
            assert!(works(&gateway, &access_token(&response)));
        }
    }
    // What else an OAuth2 password form carries is no reason to refuse it.
    let oauth2 = [
        ("grant_type", "password"),
        ("username", "alice"),
        ("password", PASSWORD),
        ("scope", ""),
    ];
    gateway
        .send(&post("/api/v1/login").form(&oauth2))
        .expect(200);
}

#[test]
fn the_refresh_token_is_a_cookie_that_scripts_and_strangers_cannot_read() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    gateway.user_add("alice", &[]);

    let response = login(
        &gateway,
        &json!({"username": "alice", "password": PASSWORD}),
    )
    .expect(200);
    let cookie = response.header("set-cookie").unwrap().to_owned();
    let mut attributes: Vec<_> = cookie.split(';').skip(1).map(str::trim).collect();
    attributes.sort_unstable();
    assert_eq!(
        attributes,
        [
            "HttpOnly",
            "Max-Age=604800",
            "Path=/api/v1",
            "SameSite=Lax",
            "Secure"
        ]
    );
}

#[test]
fn the_cookie_is_as_configured() {
    let origin = Origin::start();
    let gateway = closed(&origin)
        .auth(
            "
            base_path: /auth
            refresh_token: { ttl: 1h }
            cookie: { name: rt, secure: false, same_site: strict, path: /auth/refresh, domain: example.test }
            ",
        )
        .start();
    gateway.user_add("alice", &[]);

    let fields = [("username", "alice"), ("password", PASSWORD)];
    let response = gateway.send(&post("/auth/login").form(&fields)).expect(200);
    let cookie = response.header("set-cookie").unwrap().to_owned();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    let mut attributes: Vec<_> = attributes.split(';').map(str::trim).collect();
    attributes.sort_unstable();
    assert_eq!(
        attributes,
        [
            "Domain=example.test",
            "HttpOnly",
            "Max-Age=3600",
            "Path=/auth/refresh",
            "SameSite=Strict"
        ]
    );
    assert!(pair.starts_with("rt="), "{pair}");
    gateway
        .send(&post("/auth/refresh").header("cookie", pair))
        .expect(200);
    gateway
        .send(&post("/api/v1/login").form(&fields))
        .expect(401);
}

#[test]
fn a_refresh_by_cookie_is_answered_by_cookie() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    let alice = gateway.user("alice", &[]);

    let response = gateway.refresh(&alice.refresh).expect(200);
    assert_eq!(response.json().get("refresh_token"), None);
    assert_eq!(response.json()["token_type"], "bearer");
    let access = access_token(&response);
    assert_ne!(access, alice.access);
    assert!(works(&gateway, &access));
    let next = refresh_cookie(&response).unwrap();
    assert_ne!(next, alice.refresh);
    gateway.refresh(&next).expect(200);
}

#[test]
fn a_refresh_by_body_is_answered_by_body() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    gateway.user_add("alice", &[]);

    let credentials = json!({"username": "alice", "password": PASSWORD, "delivery": "body"});
    let response = login(&gateway, &credentials).expect(200);
    assert_eq!(response.header("set-cookie"), None);
    let first = response.json()["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();

    let by_json = post("/api/v1/refresh").json(&json!({ "refresh_token": first }));
    let response = gateway.send(&by_json).expect(200);
    assert_eq!(response.header("set-cookie"), None);
    let second = response.json()["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(first, second);

    let by_form = post("/api/v1/refresh").form(&[("refresh_token", &second)]);
    let response = gateway.send(&by_form).expect(200);
    let third = response.json()["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(second, third);
    assert!(works(&gateway, &access_token(&response)));
}

#[test]
fn delivery_by_body_can_be_the_rule() {
    let origin = Origin::start();
    let gateway = closed(&origin)
        .auth("refresh_token: { delivery: body }")
        .start();
    gateway.user_add("alice", &[]);

    let response = login(
        &gateway,
        &json!({"username": "alice", "password": PASSWORD}),
    )
    .expect(200);
    assert_eq!(response.header("set-cookie"), None);
    assert!(response.json()["refresh_token"].is_string());
}

#[test]
fn no_or_a_wrong_refresh_token_is_refused() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    let alice = gateway.user("alice", &[]);

    gateway.send(&post("/api/v1/refresh")).expect(401);
    let mut broken = alice.refresh.clone().into_bytes();
    let last = broken.len() / 2;
    broken[last] = if broken[last] == b'A' { b'B' } else { b'A' };
    let broken = String::from_utf8(broken).unwrap();
    for token in [
        "",
        "x",
        "a.b.c",
        "00000000-0000-0000-0000-000000000000.1.x",
        &broken,
    ] {
        let response = gateway.refresh(token);
        assert_eq!(response.status, 401, "{token}: {response:?}");
    }
    gateway.refresh(&alice.refresh).expect(200);
}

#[test]
fn a_session_ends_with_its_refresh_tokens_life() {
    let origin = Origin::start();
    let gateway = closed(&origin).auth("refresh_token: { ttl: 1s }").start();
    let alice = gateway.user("alice", &[]);

    // Each try rotates, and the last one finds a session past its end or a token past its own.
    let mut token = alice.refresh;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(1);
    eventually("the refresh token's end", || {
        if std::time::Instant::now() < end {
            return None;
        }
        let response = gateway.refresh(&token);
        if response.status == 200 {
            token = refresh_cookie(&response).unwrap();
            return None;
        }
        Some(response.expect(401))
    });
}

#[test]
fn a_logout_acts_on_tokens_already_issued() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    gateway.user_add("alice", &[]);
    let (one, two, three) = (
        gateway.login("alice"),
        gateway.login("alice"),
        gateway.login("alice"),
    );
    // Used before, so that every worker may remember them.
    for session in [&one, &two, &three] {
        for _ in 0..8 {
            assert!(works(&gateway, &session.access));
        }
    }

    let response = gateway
        .send(&post("/api/v1/logout").bearer(&one.access))
        .expect(200);
    let cleared = response.header("set-cookie").unwrap();
    assert!(cleared.starts_with("refresh_token="), "{cleared}");
    assert!(cleared.contains("Max-Age=0"), "{cleared}");
    for _ in 0..8 {
        gateway
            .send(&get("/").bearer(&one.access))
            .expect_problem(401, "token-revoked");
    }
    gateway.refresh(&one.refresh).expect(401);

    let cookie = format!("refresh_token={}", two.refresh);
    gateway
        .send(&post("/api/v1/logout").header("cookie", &cookie))
        .expect(200);
    for _ in 0..8 {
        assert!(!works(&gateway, &two.access));
    }
    assert!(works(&gateway, &three.access), "another session goes on");
    gateway.refresh(&three.refresh).expect(200);
}

#[test]
fn a_logout_by_body_and_one_without_anything_are_fine() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    gateway.user_add("alice", &[]);
    let credentials = json!({"username": "alice", "password": PASSWORD, "delivery": "body"});
    let response = login(&gateway, &credentials).expect(200);
    let token = response.json()["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();

    gateway.send(&post("/api/v1/logout")).expect(200);
    assert!(works(&gateway, &access_token(&response)));
    for _ in 0..2 {
        let by_body = post("/api/v1/logout").json(&json!({ "refresh_token": token }));
        gateway.send(&by_body).expect(200);
        assert!(!works(&gateway, &access_token(&response)));
    }
    gateway
        .send(&post("/api/v1/logout").bearer("rubbish"))
        .expect(200);
}

#[test]
fn an_account_can_be_read_by_its_owner() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    let alice = gateway.user("alice", &["--tier", "pro"]);

    let me = gateway
        .send(&get("/api/v1/users/me").bearer(&alice.access))
        .expect(200)
        .json();
    assert!(uuid::Uuid::parse_str(me["id"].as_str().unwrap()).is_ok());
    assert_eq!(me["username"], "alice");
    assert_eq!(me["email"], "alice@example.test");
    assert_eq!(me["tier"], "pro");
    assert_eq!(me["roles"], json!([]));
    assert_eq!(me["is_superuser"], false);
    assert_eq!(me["is_active"], true);
    for member in [
        "external_id",
        "name",
        "profile_image_url",
        "created_at",
        "updated_at",
        "deleted_at",
    ] {
        assert!(me.get(member).is_some(), "{member} in {me}");
    }
    let text = me.to_string();
    assert!(!text.contains("password") && !text.contains("$2"), "{text}");
    gateway
        .send(&get("/api/v1/users/me"))
        .expect_problem(401, "token-missing");
    gateway
        .send(&get("/api/v1/users/me").bearer("rubbish"))
        .expect_problem(401, "token-invalid");
}

fn registration(name: &str) -> Value {
    json!({
        "name": "Some Body",
        "username": name,
        "email": format!("{name}@example.test"),
        "password": PASSWORD,
    })
}

#[test]
fn closed_registration_is_for_superusers() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    let alice = gateway.user("alice", &[]);
    let boss = gateway.user("boss", &["--superuser"]);
    let add = post("/api/v1/users").json(&registration("carol"));

    gateway.send(&add).expect_problem(401, "token-missing");
    gateway
        .send(&add.clone().bearer(&alice.access))
        .expect_problem(403, "forbidden");
    let created = gateway.send(&add.clone().bearer(&boss.access)).expect(201);
    let user = created.json();
    assert_eq!(user["username"], "carol");
    assert_eq!(user["tier"], "free");
    assert_eq!(user["is_superuser"], false);
    assert!(works(&gateway, &gateway.login("carol").access));
    gateway
        .send(&add.bearer(&boss.access))
        .expect_problem(409, "conflict");
}

#[test]
fn open_registration_is_for_anyone() {
    let origin = Origin::start();
    let gateway = closed(&origin).auth("registration: open").start();

    let add = |body: &Value| gateway.send(&post("/api/v1/users").json(body));
    add(&registration("dave")).expect(201);
    assert!(works(&gateway, &gateway.login("dave").access));

    let mut same_email = registration("dave2");
    same_email["email"] = json!("DAVE@example.test");
    add(&same_email).expect_problem(409, "conflict");
    add(&registration("dave")).expect_problem(409, "conflict");
}

#[test]
fn registration_gives_nobody_more_than_an_account() {
    let origin = Origin::start();
    let gateway = closed(&origin).auth("registration: open").start();

    for (member, value) in [
        ("is_superuser", json!(true)),
        ("tier", json!("enterprise")),
        ("roles", json!(["admin"])),
        ("id", json!("00000000-0000-0000-0000-000000000001")),
    ] {
        let mut body = registration("eve");
        body[member] = value;
        gateway
            .send(&post("/api/v1/users").json(&body))
            .expect_problem(422, "validation-failed");
    }
    gateway
        .send(&post("/api/v1/users").json(&registration("eve")))
        .expect(201);
}

#[test]
fn each_wrong_member_is_named() {
    let origin = Origin::start();
    let gateway = closed(&origin).auth("registration: open").start();

    let too_long = format!("Aa1!{}", "x".repeat(80));
    for (member, value) in [
        ("name", json!("x")),
        ("name", json!("x".repeat(31))),
        ("username", json!("x")),
        ("username", json!("x".repeat(21))),
        ("username", json!("Upper")),
        ("username", json!("with space")),
        ("email", json!("no-at-sign")),
        ("password", json!("Sh0rt!")),
        ("password", json!("nouppercase1!")),
        ("password", json!("NoDigitsHere!")),
        ("password", json!("NoOthers123")),
        // bcrypt reads 72 bytes: the rest must not be dropped in silence.
        ("password", json!(too_long)),
    ] {
        let mut body = registration("frank");
        body[member] = value.clone();
        let response = gateway
            .send(&post("/api/v1/users").json(&body))
            .expect_problem(422, "validation-failed");
        assert!(
            response.text().contains(member),
            "{member} {value}: {response:?}"
        );
        assert!(!response.text().contains(PASSWORD), "{response:?}");
    }
    let mut missing = registration("frank");
    missing.as_object_mut().unwrap().remove("email");
    missing.as_object_mut().unwrap().remove("name");
    let response = gateway
        .send(&post("/api/v1/users").json(&missing))
        .expect_problem(422, "validation-failed");
    assert!(response.text().contains("email"), "{response:?}");
}

#[test]
fn bodies_that_cannot_be_read_are_told_apart() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    gateway.user_add("alice", &[]);

    let login = || post("/api/v1/login");
    gateway
        .send(&login().body("application/json", "{\"username\": \"alice\""))
        .expect_problem(400, "bad-request");
    gateway
        .send(&login().body("text/plain", "alice"))
        .expect_problem(415, "unsupported-media-type");
    gateway
        .send(&login().json(&json!({"username": "alice"})))
        .expect_problem(422, "validation-failed");
    gateway
        .send(&login().json(&json!({"username": "alice", "password": 7})))
        .expect_problem(422, "validation-failed");
    let unknown = json!({"username": "alice", "password": PASSWORD, "is_superuser": true});
    gateway
        .send(&login().json(&unknown))
        .expect_problem(422, "validation-failed");
    let large = json!({"username": "alice", "password": "x".repeat(4 << 20)});
    let response = gateway.connect().exchange(&login().json(&large));
    assert!(matches!(response.status, 413 | 422), "{response:?}");
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn only_the_apis_own_paths_are_taken() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    for path in [
        "/api/v1/other",
        "/api/v1",
        "/api/v1/loginx",
        "/api/v2/login",
        "/login",
    ] {
        gateway.send(&get(path)).expect(200);
        assert_eq!(origin.last_request().target(), path);
    }
    let count = origin.requests().len();
    gateway.send(&post("/api/v1/login").form(&[("username", "x"), ("password", "y")]));
    gateway.send(&get("/.well-known/jwks.json")).expect(200);
    assert_eq!(origin.requests().len(), count);
    let wrong_method = gateway
        .connect()
        .exchange(&request("DELETE", "/api/v1/login"));
    assert!(matches!(wrong_method.status, 200 | 405), "{wrong_method:?}");
}

#[test]
fn unauthenticated_endpoints_share_a_budget_by_address() {
    let origin = Origin::start();
    let gateway = closed(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .auth("rate: 5/h")
        .start();
    gateway.user_add("alice", &[]);

    let attempt = |from: &str| {
        let fields = [("username", "alice"), ("password", "Wrong-Horse-7")];
        let request = post("/api/v1/login")
            .form(&fields)
            .header("x-forwarded-for", from);
        gateway.send(&request)
    };
    for _ in 0..5 {
        attempt("203.0.113.1").expect_problem(401, "credentials-invalid");
    }
    let refused = attempt("203.0.113.1");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let refresh = post("/api/v1/refresh").header("x-forwarded-for", "203.0.113.1");
    gateway.send(&refresh).expect(429);
    attempt("203.0.113.2").expect_problem(401, "credentials-invalid");
}

#[test]
fn what_is_not_served_is_the_backend_s() {
    let origin = Origin::start();
    let gateway = closed(&origin)
        .auth("serve: [session]\ndocs: superuser")
        .start();
    let token = gateway.user("alice", &[]).access;
    let path = "/api/v1/users/me";
    let refused = gateway.send(&get(path));
    refused.expect_problem(401, "token-missing");
    gateway.send(&get(path).bearer(&token)).expect(200);
    assert_eq!(origin.last_request().target(), path);
    let document = get("/api/v1/openapi.json");
    let refused = gateway.send(&document.clone().bearer(&token));
    refused.expect_problem(403, "forbidden");
    assert_eq!(origin.requests().len(), 1);

    let gateway = Settings::new(&origin).start();
    let told = gateway.send(&document).expect(200).json();
    assert!(told["paths"][path]["get"].is_object(), "{told}");
}
