//! An existing application's users sign in at the edge, and the application notices nothing.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::application::{Application, QUERY};
use crate::harness::client::{get, post, request};
use crate::harness::eventually;
use crate::harness::gateway::{
    Gateway, Output, PASSWORD, Settings, access_token, free_address, portcullis, refresh_cookie,
    run,
};
use crate::harness::origin::Origin;
use crate::harness::postgres::{self, Cluster};
use crate::harness::response::Response;

fn auth(store: &str) -> String {
    format!("users:\n  query: \"{QUERY}\"\n  store: {store}")
}

fn settings(origin: &Origin, application: &Application) -> Settings {
    Settings::new(origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .top("identity: { user_id: external_id }")
        .auth(&auth(&application.store()))
}

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn login(gateway: &Gateway, name: &str, password: &str) -> Response {
    let credentials = json!({ "username": name, "password": password });
    gateway.send(&post("/api/v1/login").json(&credentials))
}

fn a_day_of_a_member(application: &Application) {
    let origin = Origin::start();
    application.member(41, "Ann.Lee", &hash(PASSWORD));
    application.member(42, "twin", &hash(PASSWORD));
    application.member(43, "twin", &hash(PASSWORD));
    let gateway = settings(&origin, application).start();

    let response = login(&gateway, "Ann.Lee@example.com", PASSWORD).expect(200);
    let (access, refresh) = (access_token(&response), refresh_cookie(&response).unwrap());
    gateway.send(&get("/x").bearer(&access)).expect(200);
    let told = origin.last_request();
    for (header, value) in [
        ("x-user-id", "41"),
        ("x-user-name", "Ann.Lee"),
        ("x-user-email", "Ann.Lee@example.com"),
        ("x-user-tier", "pro"),
        ("x-user-roles", "editor"),
        ("x-user-superuser", "false"),
    ] {
        assert_eq!(told.header(header).as_deref(), Some(value), "{header}");
    }

    for name in ["Ann.Lee", "nobody", "twin", "twin"] {
        login(&gateway, name, "Correct-Horse-8").expect_problem(401, "credentials-invalid");
    }
    let log = || gateway.stderr().join("\n");
    gateway.says("more than one user");
    assert_eq!(log().matches("more than one user").count(), 1, "{}", log());

    application.set(41, "plan = 'free', email = NULL");
    let response = gateway.refresh(&refresh).expect(200);
    gateway.send(&get("/x").bearer(&access)).expect(200);
    let told = origin.last_request();
    assert_eq!(told.header("x-user-tier").as_deref(), Some("free"));
    assert_eq!(told.header("x-user-email"), None);

    let refused = gateway.cli(&["user", "set", "Ann.Lee", "--tier", "pro"], "");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("kept by the application behind"),
        "{refused:?}"
    );
    for command in [
        &["user", "add", "bob", "--email", "bob@example.test"][..],
        &["user", "passwd", "Ann.Lee"],
        &["user", "delete", "Ann.Lee"],
    ] {
        assert_eq!(
            gateway.cli(command, "").stderr,
            refused.stderr,
            "{command:?}"
        );
    }
    let shown = gateway.cli(&["user", "show", "Ann.Lee", "--json"], "");
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(
        (&shown["external_id"], &shown["email"]),
        (&json!("41"), &json!(null))
    );
    assert_eq!(gateway.cli(&["user", "disable", "Ann.Lee"], "").code, 0);
    login(&gateway, "Ann.Lee", PASSWORD).expect_problem(401, "credentials-invalid");
    assert_eq!(gateway.cli(&["user", "enable", "Ann.Lee"], "").code, 0);
    let status = || gateway.send(&get("/x").bearer(&access)).status;
    eventually("the end of the session", || (status() == 401).then_some(()));
    gateway
        .refresh(&refresh_cookie(&response).unwrap())
        .expect_problem(401, "token-revoked");

    let response = login(&gateway, "Ann.Lee", PASSWORD).expect(200);
    let (access, refresh) = (access_token(&response), refresh_cookie(&response).unwrap());
    application.set(
        41,
        &format!("password_hash = '{}'", hash("Correct-Horse-8")),
    );
    gateway
        .refresh(&refresh)
        .expect_problem(401, "token-revoked");
    gateway
        .send(&get("/x").bearer(&access))
        .expect_problem(401, "token-revoked");
    login(&gateway, "Ann.Lee", "Correct-Horse-8").expect(200);

    assert_eq!(gateway.metric("portcullis_users_up"), 1.0);
    let said = format!("{}\n{}", log(), gateway.stdout().join("\n"));
    for personal in ["Ann.Lee", "twin", "@example.com", "$2b$", "Correct-Horse"] {
        assert!(!said.contains(personal), "{personal} in {said}");
    }
}

#[test]
fn members_of_an_application_on_sqlite_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let application = Application::sqlite(folder.path());
    a_day_of_a_member(&application);
    let path = folder.path().join("application.db");
    let before = std::fs::read(&path).unwrap();
    let origin = Origin::start();
    let gateway = settings(&origin, &application).start();
    login(&gateway, "Ann.Lee", "Correct-Horse-8").expect(200);
    assert!(
        std::fs::read(&path).unwrap() == before,
        "not a byte is written"
    );
}

#[test]
fn members_of_an_application_on_postgresql_sign_in() {
    let Some(url) = postgres::database() else {
        return;
    };
    a_day_of_a_member(&Application::postgres(url));
}

#[test]
fn while_the_applications_database_is_away_nobody_is_signed_in_or_out() {
    let Some(mut cluster) = Cluster::start_if_there() else {
        return;
    };
    let application = Application::postgres(cluster.database("app"));
    application.member(1, "ann", &hash(PASSWORD));
    let origin = Origin::start();
    let gateway = settings(&origin, &application).start();
    let response = login(&gateway, "ann", PASSWORD).expect(200);
    let (access, refresh) = (access_token(&response), refresh_cookie(&response).unwrap());
    cluster.signal_all("QUIT");
    eventually("the server's end", || {
        (!Path::new(&format!("/proc/{}", cluster.pid)).exists()).then_some(())
    });
    login(&gateway, "ann", PASSWORD).expect_problem(503, "unavailable");
    gateway.refresh(&refresh).expect_problem(503, "unavailable");
    gateway.send(&get("/x").bearer(&access)).expect(200);
    get("/readyz").send(gateway.admin).expect(200);
    let up = || gateway.metric("portcullis_users_up");
    eventually("the metric", || (up() == 0.0).then_some(()));
    assert_eq!(gateway.metric("portcullis_store_up"), 1.0);
    cluster.run_again();
    eventually("the metric", || (up() == 1.0).then_some(()));
    gateway.refresh(&refresh).expect(200);
    login(&gateway, "ann", PASSWORD).expect(200);
    gateway.says("the table of auth.users does not answer");
    gateway.says("the table of auth.users answers again");
}

#[track_caller]
fn check(folder: &Path, users: &str, options: &[&str]) -> Output {
    let yaml = Settings::toward("http://127.0.0.1:8000")
        .auth(users)
        .to_yaml(free_address(), free_address());
    std::fs::write(folder.join("gateway.yaml"), yaml).unwrap();
    run(portcullis(folder).arg("check").args(options), "")
}

#[test]
fn check_connects_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let missing = auth("sqlite:application.db");
    assert_eq!(check(dir, &missing, &[]).code, 0, "nothing is connected to");
    let output = check(dir, &missing, &["--online"]);
    assert_eq!(output.code, 1, "{output:?}");
    let told = &output.stderr;
    for part in [
        "gateway.yaml:",
        ": error: cannot open ",
        "application.db",
        "    store: sqlite:",
        "^^^",
        "hint: ",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }

    Application::sqlite(dir);
    let output = check(dir, &missing, &["--online"]);
    assert_eq!(output.code, 0, "{output:?}");
    let line = output.stdout.lines().last().unwrap();
    let columns = "id (integer), username (text), email (text), password_hash (text), name (text), \
        tier (text), roles (text), is_superuser (boolean), disabled_at (datetime): good";
    assert!(
        line.starts_with("auth.users: ") && line.ends_with(columns),
        "{line}"
    );
    let output = check(dir, &missing, &["--online", "--format", "json"]);
    let value: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(value["users"]["columns"][0], "id (integer)");

    let wrong = "users: { store: \"sqlite:application.db\", \
        query: \"SELECT id, plan FROM members WHERE username = $1\" }";
    let output = check(dir, wrong, &["--online", "--format", "json"]);
    assert_eq!(output.code, 1, "{output:?}");
    let value: Value = serde_json::from_str(&output.stdout).unwrap();
    let messages: Vec<_> = value["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|diagnostic| diagnostic["severity"] == "error")
        .map(|diagnostic| {
            (
                diagnostic["line"].as_u64().unwrap(),
                diagnostic["message"].as_str().unwrap(),
            )
        })
        .collect();
    let line = messages[0].0;
    assert_eq!(
        messages,
        [
            (line, "the column `plan` means nothing here"),
            (line, "the query gives no column `username`"),
            (line, "the query gives no column `password_hash`"),
        ]
    );
    let none = check(dir, "", &["--online"]);
    assert_eq!(none.code, 0);
    assert!(
        none.stdout
            .ends_with("there is no `auth.users` to connect to\n"),
        "{none:?}"
    );
}

#[test]
fn a_table_that_does_not_hold_ends_the_start_and_keeps_its_password() {
    let origin = Origin::start();
    let refused = "postgres://reader:hunter2@127.0.0.1:1/app";
    let output = Settings::new(&origin).auth(&auth(refused)).refused();
    assert_eq!(output.code, 1, "{output:?}");
    let told = &output.stderr;
    assert!(
        told.contains("auth.users.store: cannot open postgres://127.0.0.1:1/app"),
        "{told}"
    );
    assert!(
        told.contains("refused") && !told.contains("hunter2"),
        "{told}"
    );
    let dir = tempfile::tempdir().unwrap();
    let output = check(dir.path(), &auth(refused), &["--online"]);
    assert!(
        output.stderr.contains("refused") && !output.stderr.contains("hunter2"),
        "{output:?}"
    );

    let folder = tempfile::tempdir().unwrap();
    let application = Application::sqlite(folder.path());
    let users = auth(&application.store()).replace("is_admin AS is_superuser", "is_admin");
    let output = Settings::new(&origin).auth(&users).refused();
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output
            .stderr
            .contains("auth.users.query: the column `is_admin` means nothing here"),
        "{output:?}"
    );
}

#[test]
fn the_api_refuses_what_the_application_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let application = Application::sqlite(folder.path());
    application.member(1, "ann", &hash(PASSWORD));
    let origin = Origin::start();
    let gateway = settings(&origin, &application).start();
    let ann = access_token(&login(&gateway, "ann", PASSWORD).expect(200));
    let patch = request("PATCH", "/api/v1/users/me").bearer(&ann);
    gateway
        .send(&patch.json(&json!({ "name": "Anna" })))
        .expect_problem(409, "conflict");
    let new = json!({ "name": "Bob", "username": "bob", "email": "b@example.test", "password": PASSWORD });
    gateway
        .send(&post("/api/v1/users").json(&new))
        .expect_problem(401, "token-missing");
    gateway
        .send(&post("/api/v1/users").bearer(&ann).json(&new))
        .expect_problem(403, "forbidden");
}
