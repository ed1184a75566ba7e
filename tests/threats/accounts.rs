//! Accounts that change under the tokens that speak for them, and what is locked by whose guesses.

use serde_json::json;

use crate::harness::client::{Request, get, post, request};
use crate::harness::gateway::{Gateway, PASSWORD, Settings};
use crate::harness::origin::Origin;
use crate::harness::response::Response;

fn closed(origin: &Origin) -> Settings {
    Settings::new(origin).routes("- { name: all, prefix: /, auth: required, upstream: app }")
}

fn api(method: &str, path: &str, token: &str) -> Request {
    request(method, format!("/api/v1{path}")).bearer(token)
}

#[test]
fn renamed_user_takeover() {
    let origin = Origin::start();
    let gateway = closed(&origin)
        .routes(
            "
            - name: own
              path: /users/{username}
              auth: required
              allow: [ { owner: '{username}' } ]
              upstream: app
            ",
        )
        .start();
    let root = gateway.user("root", &["--superuser"]).access;
    let ann = gateway.user("ann", &[]).access;
    gateway.send(&get("/users/ann").bearer(&ann)).expect(200);

    let rename = json!({ "username": "anna" });
    gateway
        .send(&api("PATCH", "/users/me", &ann).json(&rename))
        .expect(200);
    // The token of before speaks for the account of now, in rules and to the upstream.
    gateway
        .send(&get("/users/ann").bearer(&ann))
        .expect_problem(403, "forbidden");
    gateway.send(&get("/users/anna").bearer(&ann)).expect(200);
    let told = origin.last_request();
    assert_eq!(told.header("x-user-name").as_deref(), Some("anna"));

    // Nobody else gets the name, by whichever way.
    let taken = json!({
        "name": "Eve", "username": "ann", "email": "eve@example.test", "password": PASSWORD
    });
    gateway
        .send(&api("POST", "/users", &root).json(&taken))
        .expect_problem(409, "conflict");
    let bob = gateway.user("bob", &[]).access;
    let steal = json!({ "username": "ann" });
    gateway
        .send(&api("PATCH", "/users/me", &bob).json(&steal))
        .expect_problem(409, "conflict");
    let added = gateway.cli(&["user", "add", "ann", "--email", "eve@example.test"], "");
    assert_eq!(added.code, 1, "{added:?}");
    gateway
        .send(&get("/users/ann").bearer(&bob))
        .expect_problem(403, "forbidden");
    // Whose it was may have it back.
    let back = json!({ "username": "ann" });
    gateway
        .send(&api("PATCH", "/users/me", &ann).json(&back))
        .expect(200);
    gateway.send(&get("/users/ann").bearer(&ann)).expect(200);
    gateway.still_serves("/");
}

fn login_from(gateway: &Gateway, address: &str, name: &str, password: &str) -> Response {
    let credentials = json!({ "username": name, "password": password });
    let login = post("/api/v1/login").header("x-forwarded-for", address);
    gateway.send(&login.json(&credentials))
}

#[test]
fn lockout_as_weapon() {
    const FAILURES: u32 = 2;
    let origin = Origin::start();
    let gateway = closed(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .auth(&format!(
            "rate: unlimited\nlockout: {{ failures: {FAILURES} }}"
        ))
        .start();
    gateway.user_add("alice", &[]);
    let home = "192.0.2.1";
    let guess = |address: &str| login_from(&gateway, address, "alice", "Wrong-Horse-7").status;

    // Nine addresses, each until it is locked: one is not the owner's.
    for host in 1..10 {
        let address = format!("198.51.100.{host}");
        for _ in 0..FAILURES {
            assert_eq!(guess(&address), 401);
        }
        let locked = login_from(&gateway, &address, "alice", PASSWORD);
        locked.expect_problem(429, "too-many-attempts");
        login_from(&gateway, home, "alice", PASSWORD).expect(200);
    }
    // A success from home forgives home alone: ten times the count locks the account for all.
    for host in 10..40 {
        let address = format!("198.51.100.{host}");
        if login_from(&gateway, home, "alice", PASSWORD).status == 429 {
            break;
        }
        for _ in 0..FAILURES {
            guess(&address);
        }
    }
    login_from(&gateway, home, "alice", PASSWORD).expect_problem(429, "too-many-attempts");
    gateway.still_serves("/");
}

#[test]
fn deleted_user_token() {
    let origin = Origin::start();
    let gateway = closed(&origin).start();
    let admin = gateway.user("root", &["--superuser"]);
    let root = &admin.access;
    let act = |method: &str, path: &str| gateway.send(&api(method, path, root));
    let ends: [(&str, &str, &str, u16); 3] = [
        ("ann", "POST", "/users/ann/disable", 200),
        ("ben", "DELETE", "/users/ben", 204),
        ("eve", "DELETE", "/users/eve?purge=true", 204),
    ];
    for (name, method, path, status) in ends {
        let session = gateway.user(name, &[]);
        let with_key = {
            let key = api("POST", "/api-keys", &session.access).json(&json!({ "name": "k" }));
            let made = gateway.send(&key).expect(201);
            let key = made.json()["key"].as_str().unwrap().to_owned();
            move || get("/").header("x-api-key", &key)
        };
        gateway.send(&get("/").bearer(&session.access)).expect(200);
        gateway.send(&with_key()).expect(200);
        let before = origin.requests().len();

        act(method, path).expect(status);
        gateway
            .send(&get("/").bearer(&session.access))
            .expect_problem(401, "token-revoked");
        assert_eq!(gateway.send(&with_key()).status, 401, "{name}");
        let me = gateway.send(&api("GET", "/users/me", &session.access));
        assert_eq!(me.status, 401, "{name}: {me:?}");
        assert_eq!(gateway.refresh(&session.refresh).status, 401, "{name}");
        let login = json!({ "username": name, "password": PASSWORD });
        let login = gateway.send(&post("/api/v1/login").json(&login));
        assert_eq!(login.status, 401, "{name}");
        assert_eq!(
            origin.requests().len(),
            before,
            "{name} reached the upstream"
        );
        // Whoever did it goes on.
        gateway.send(&get("/").bearer(root)).expect(200);
    }
    gateway.refresh(&admin.refresh).expect(200);
    gateway.still_serves("/");
}

#[test]
fn open_redirect_host_header() {
    const EVIL: &str = "evil.example";
    let origin = Origin::start();
    let gateway = closed(&origin)
        .top("trusted_proxies: [127.0.0.1/32]")
        .auth("registration: open")
        .start();
    let alice = gateway.user("alice", &[]);
    let credentials = json!({ "username": "alice", "password": PASSWORD });
    let new = json!({
        "name": "Bob", "username": "bob", "email": "bob@example.test", "password": PASSWORD
    });
    for (call, status) in [
        (get("/.well-known/oauth-authorization-server"), 200),
        (get("/.well-known/jwks.json"), 200),
        (get("/api/v1/openapi.json"), 200),
        (post("/api/v1/login").json(&credentials), 200),
        (post("/api/v1/login").json(&json!({})), 422),
        (post("/api/v1/users").json(&new), 201),
        (post("/api/v1/logout"), 200),
        (get("/api/v1/login"), 405),
        (get("/api/v1/users").bearer(&alice.access), 403),
        (get("/api/v1/users/me").bearer(&alice.access), 200),
        (get("/api/v1/users/me/"), 401),
        (get("/x"), 401),
        (get("/x").bearer("rubbish"), 401),
        (get("/x/%2e%2e/api"), 401),
    ] {
        let call = call
            .header("host", EVIL)
            .header("x-forwarded-host", EVIL)
            .header("x-forwarded-proto", "https");
        let answer = gateway.send(&call).expect(status);
        let told = format!(
            "{:?} {}",
            answer.headers,
            String::from_utf8_lossy(&answer.body)
        );
        assert!(!told.contains(EVIL), "{told}");
    }
    gateway.still_serves("/");
}
