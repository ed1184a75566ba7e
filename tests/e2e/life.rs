//! A user's whole life at the edge, and what the upstream is told of it.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::client::{Request, get, post, request};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, PASSWORD, Settings, portcullis};
use crate::harness::origin::Origin;

fn gateway(origin: &Origin) -> Gateway {
    let gateway = Settings::new(origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    gateway.user_add("root", &["--superuser"]);
    gateway
}

fn api(method: &str, path: &str, token: &str) -> Request {
    request(method, format!("/api/v1{path}")).bearer(token)
}

#[test]
fn the_upstream_is_told_the_account_as_it_is_now() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let root = gateway.login("root").access;
    let ann = gateway.user("ann", &[]).access;

    let rename =
        json!({ "username": "anna", "email": "anna@example.test", "current_password": PASSWORD });
    gateway
        .send(&api("PATCH", "/users/me", &ann).json(&rename))
        .expect(200);
    gateway
        .send(&api("PUT", "/users/anna/roles", &root).json(&json!({ "roles": ["editor"] })))
        .expect(200);
    gateway.send(&get("/x").bearer(&ann)).expect(200);
    let told = origin.last_request();
    for (header, value) in [
        ("x-user-name", "anna"),
        ("x-user-email", "anna@example.test"),
        ("x-user-roles", "editor"),
        ("x-user-superuser", "false"),
    ] {
        assert_eq!(told.header(header).as_deref(), Some(value), "{header}");
    }

    gateway
        .send(&api("POST", "/users/anna/disable", &root))
        .expect(200);
    gateway
        .send(&get("/x").bearer(&ann))
        .expect_problem(401, "token-revoked");
    gateway
        .send(&api("POST", "/users/anna/enable", &root))
        .expect(200);
    gateway.login("anna");
}

#[test]
fn a_life_ends_and_its_name_is_not_given_away() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let root = gateway.login("root").access;
    let new = json!({
        "name": "Ann", "username": "ann", "email": "ann@example.test", "password": PASSWORD
    });
    gateway
        .send(&api("POST", "/users", &root).json(&new))
        .expect(201);
    let ann = gateway.login("ann");
    gateway
        .send(&api("DELETE", "/users/me", &ann.access))
        .expect(204);
    gateway
        .send(&get("/x").bearer(&ann.access))
        .expect_problem(401, "token-revoked");
    gateway.refresh(&ann.refresh).expect(401);
    let login = post("/api/v1/login").json(&json!({ "username": "ann", "password": PASSWORD }));
    gateway
        .send(&login)
        .expect_problem(401, "credentials-invalid");

    gateway
        .send(&api("POST", "/users/ann/restore", &root))
        .expect(200);
    let ann = gateway.login("ann");
    gateway
        .send(&api("DELETE", "/users/ann?purge=true", &root))
        .expect(204);
    gateway
        .send(&get("/x").bearer(&ann.access))
        .expect_problem(401, "token-revoked");
    gateway.send(&get("/x").bearer(&root)).expect(200);
    gateway
        .send(&api("POST", "/users", &root).json(&new))
        .expect_problem(409, "conflict");
}

#[test]
fn paths_that_the_api_does_not_serve_are_the_backends() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let root = gateway.login("root").access;
    for path in ["/users/root/posts", "/users/root/tier/x", "/other"] {
        gateway.send(&api("GET", path, &root)).expect(200);
        assert_eq!(origin.last_request().target(), format!("/api/v1{path}"));
    }
    let before = origin.requests().len();
    gateway
        .send(&api("GET", "/users/root%2Ftier", &root))
        .expect(404);
    gateway
        .send(&api("GET", "/users/x%2F..%2Froot%2Fposts", &root))
        .expect_problem(400, "ambiguous-path");
    assert_eq!(origin.requests().len(), before);
}

#[track_caller]
fn cli(gateway: &Gateway, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let output = gateway.cli(&arguments, "");
    assert_eq!(output.code, 0, "{output:?}");
    serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn the_command_line_leads_the_same_life() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let ann = gateway.user("ann", &[]);

    let list = cli(&gateway, &["user", "list", "--q", "an"]);
    assert_eq!(list["data"][0]["username"], "ann");
    assert_eq!(list["total_count"], 1);
    let changed = cli(
        &gateway,
        &[
            "user",
            "set",
            "ann",
            "--roles",
            "a,b",
            "--external-id",
            "7",
            "--superuser",
            "true",
        ],
    );
    assert_eq!(changed["roles"], json!(["a", "b"]));
    assert_eq!(cli(&gateway, &["user", "show", "ann"]), changed);
    eventually("the upstream is told", || {
        gateway.send(&get("/x").bearer(&ann.access)).expect(200);
        let told = origin.last_request().header("x-user-roles");
        (told.as_deref() == Some("a,b")).then_some(())
    });

    let sessions = cli(&gateway, &["session", "list", "ann"]);
    let id = sessions["data"][0]["id"].as_str().unwrap();
    assert_eq!(sessions["data"][0]["ip"], "127.0.0.1");
    cli(&gateway, &["session", "revoke", id]);
    let ended = |token: &str| {
        let status = gateway.send(&get("/x").bearer(token)).status;
        (status == 401).then_some(())
    };
    eventually("the session's end is felt", || ended(&ann.access));
    let again = gateway.cli(&["session", "revoke", id], "");
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains(id), "{again:?}");

    let ann = gateway.login("ann");
    cli(&gateway, &["session", "revoke", "--user", "ann"]);
    eventually("the end of all is felt", || ended(&ann.access));
    let made = cli(&gateway, &["user", "passwd", "ann"]);
    let password = made["password"].as_str().unwrap();
    let login = post("/api/v1/login").json(&json!({ "username": "ann", "password": password }));
    gateway.send(&login).expect(200);
    cli(&gateway, &["user", "delete", "ann"]);
    gateway.send(&login).expect(401);
    cli(&gateway, &["user", "restore", "ann"]);
    gateway.send(&login).expect(200);
    let text = gateway.cli(&["user", "list"], "");
    assert!(text.stdout.starts_with("USERNAME"), "{text:?}");
    assert!(text.stdout.ends_with("2 of 2\n"), "{text:?}");
    cli(&gateway, &["user", "delete", "ann", "--purge"]);
    let gone = gateway.cli(&["user", "show", "ann"], "");
    assert_eq!(gone.code, 1);
    assert!(gone.stderr.contains("there is no account ann"), "{gone:?}");
}

#[test]
fn guesses_are_locked_out_and_a_restart_does_not_help() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .auth("lockout: { failures: 3, window: 1h, base: 1h, max: 2h }")
        .start();
    gateway.user_add("ann", &[]);
    let login = |name: &str, password: &str| {
        post("/api/v1/login").json(&json!({ "username": name, "password": password }))
    };
    for name in ["ann", "ann@example.test", "ann"] {
        gateway
            .send(&login(name, "wrong"))
            .expect_problem(401, "credentials-invalid");
    }
    let gateway = gateway.restart();
    let locked = gateway
        .send(&login("ann", PASSWORD))
        .expect_problem(429, "too-many-attempts");
    let seconds: u64 = locked.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&seconds), "{seconds}");
    assert_eq!(
        gateway.metric("portcullis_logins_total{result=\"too-many-attempts\""),
        1.0
    );
}

#[test]
fn accounts_of_another_system_sign_in_with_their_passwords() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let csv = "username,email,password_hash\n\
        ann,ann@example.test,pbkdf2_sha256$1000$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=\n\
        bob,bob@example.test,plain\n";
    std::fs::write(gateway.directory().join("users.csv"), csv).unwrap();
    let output = gateway.cli(&["user", "import", "users.csv"], "");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stdout.contains("line 3: password_hash"),
        "{output:?}"
    );
    assert!(output.stdout.contains("1 imported"), "{output:?}");
    let login = json!({ "username": "ann", "password": "Aa1!aaaa" });
    for _ in 0..2 {
        let login = post("/api/v1/login").json(&login);
        gateway.send(&login).expect(200);
    }
    let wrong = json!({ "username": "ann", "password": "Aa1!aaab" });
    gateway
        .send(&post("/api/v1/login").json(&wrong))
        .expect_problem(401, "credentials-invalid");
}

#[test]
fn an_import_that_was_interrupted_goes_on_where_it_was() {
    const ROWS: usize = 30_000;
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    let hash = "pbkdf2_sha256$1000$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=";
    let rows = (0..ROWS).map(|n| format!("user{n},user{n}@example.test,{hash}\n"));
    let file = format!("username,email,password_hash\n{}", rows.collect::<String>());
    std::fs::write(gateway.directory().join("users.csv"), file).unwrap();
    let total = || {
        let output = gateway.cli(&["user", "list", "--limit", "1", "--json"], "");
        assert_eq!(output.code, 0, "{output:?}");
        let told: Value = serde_json::from_str(&output.stdout).unwrap();
        told["total_count"].as_u64().unwrap()
    };
    let mut import = portcullis(gateway.directory())
        .args(["user", "import", "users.csv"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the first rows", || (total() > 0).then_some(()));
    import.kill().unwrap();
    import.wait().unwrap();
    let before = total();
    assert!(before > 0 && before < ROWS as u64, "{before}");
    let output = gateway.cli(&["user", "import", "users.csv", "--json"], "");
    assert_eq!(output.code, 0, "{output:?}");
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(told["known"].as_u64(), Some(before));
    assert_eq!(told["imported"].as_u64(), Some(ROWS as u64 - before));
    assert_eq!(total(), ROWS as u64);
}
