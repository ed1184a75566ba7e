//! `portcullis backtest`: the access log of a gateway, under another configuration.

use serde_json::{Value, json};

use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, Output, Settings, run};
use crate::harness::origin::Origin;
use crate::harness::websocket::{self, Socket, handshake};

const ROUTES: &str = "
    - { name: health, path: /healthz, auth: none, upstream: app }
    - { name: own, path: '/users/{name}', auth: required, allow: [{ owner: '{name}' }], upstream: app }
    - { name: all, prefix: /, auth: required, upstream: app }
";

/// A gateway that has served some requests, and its log.
fn past(origin: &Origin) -> (Gateway, String) {
    let gateway = Settings::new(origin)
        .tiers("free: { rank: 0 }\npro: { rank: 1 }")
        .routes(ROUTES)
        .start();
    let ann = gateway.user("ann", &["--tier", "pro"]).access;
    let bob = gateway.user("bob", &[]).access;
    for (path, token, status) in [
        ("/healthz", None, 200),
        ("/users/ann", Some(&ann), 200),
        ("/users/ann?q=secret", Some(&bob), 403),
        ("/reports", Some(&ann), 200),
        ("/reports", Some(&bob), 200),
        ("/reports", None, 401),
        ("/users/ann/..;/x", Some(&ann), 400),
    ] {
        let request = token.map_or_else(|| get(path), |token| get(path).bearer(token));
        gateway.send(&request).expect(status);
    }
    // Two log-ins come before.
    eventually("the log is written", || {
        (gateway.stdout().len() == 9).then_some(())
    });
    let log = gateway.stdout().join("\n") + "\nno line of the log\n";
    (gateway, log)
}

fn backtest(gateway: &Gateway, routes: &str, arguments: &[&str], log: &str) -> Output {
    let yaml = gateway.yaml().replacen("routes:", "old:", 1);
    let head = yaml.split("old:").next().unwrap();
    let indented: String = routes
        .lines()
        .map(|line| format!("{}\n", line.trim_start()))
        .collect();
    let file = gateway.directory().join("new.yaml");
    std::fs::write(file, format!("{head}routes:\n{indented}")).unwrap();
    std::fs::write(gateway.directory().join("access.log"), log).unwrap();
    let all = [&["backtest", "access.log", "-c", "new.yaml"], arguments].concat();
    let mut command = crate::harness::gateway::portcullis(gateway.directory());
    run(command.args(all), "")
}

#[test]
fn a_log_without_an_end_is_refused() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    let output = gateway.cli(&["backtest", "/dev/zero"], "");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("no access log"), "{output:?}");
}

#[test]
fn the_log_of_a_gateway_is_decided_as_it_was_by_the_same_file() {
    let origin = Origin::start();
    let (gateway, log) = past(&origin);
    let output = backtest(&gateway, ROUTES, &["--json"], &log);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(told["different"], 0, "{told:#}");
    assert_eq!(
        (&told["bad_lines"], &told["not_told"]),
        (&json!(1), &json!([])),
        "{told:#}"
    );
    // Two logins come before.
    assert_eq!(
        (&told["requests"], &told["same"]),
        (&json!(9), &json!(9)),
        "{told:#}"
    );
}

#[test]
fn a_request_is_decided_by_the_host_that_it_was_decided_by() {
    let routes = "
        - { name: open, prefix: /, hosts: [open.example], auth: none, upstream: app }
        - { name: all, prefix: /, auth: required, upstream: app }
    ";
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(routes).start();
    for (target, host, status) in [
        ("http://open.example/x", "other.example", 200),
        ("http://other.example/x", "open.example", 401),
    ] {
        let mut client = gateway.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let response = client.read_response().expect(status);
        let authority = target.split('/').nth(2).unwrap();
        assert_eq!(gateway.log_of(&response)["host"], authority);
    }
    let told = of_log(&gateway, routes, &[]);
    assert_eq!(
        (&told["same"], &told["requests"]),
        (&json!(2), &json!(2)),
        "{told:#}"
    );
}

#[test]
fn a_websocket_is_decided_as_the_gateway_decided_it() {
    let routes = "
        - { name: all, prefix: /, auth: none, cors: { origins: [https://app.test] }, upstream: app }
    ";
    let origin = Origin::with(websocket::echo);
    let gateway = Settings::new(&origin).routes(routes).start();
    let of_page = |page: &str| handshake("/").header("Origin", page);
    let socket = Socket::open(&gateway, &of_page("https://app.test"));
    let opened = socket.response.clone();
    socket.close();
    let refused = gateway.connect().exchange(&of_page("https://evil.test"));
    let refused = refused.expect_problem(403, "forbidden");
    gateway.log_of(&opened);
    gateway.log_of(&refused);
    let why = "it opens a WebSocket, and from which site's page is not logged";
    let old = gateway.file();
    let told = of_log(&gateway, routes, &["--old", old.to_str().unwrap()]);
    assert_eq!(told["same"], 1, "{told:#}");
    let untold = json!([{ "why": why, "route": "all", "requests": 1 }]);
    assert_eq!(told["not_told"], untold, "{told:#}");
    let told = of_log(&gateway, routes, &[]);
    assert_eq!(told["not_told"][0]["requests"], 2, "{told:#}");
}

/// What is said of all that the gateway has logged.
fn of_log(gateway: &Gateway, routes: &str, arguments: &[&str]) -> Value {
    let log = gateway.stdout().join("\n");
    let output = backtest(gateway, routes, &[arguments, &["--json"]].concat(), &log);
    assert_eq!(output.code, 0, "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn what_another_file_decides_otherwise_is_counted_with_examples() {
    let origin = Origin::start();
    let (gateway, log) = past(&origin);
    let routes = "
        - { name: health, path: /healthz, auth: required, upstream: app }
        - { name: own, path: '/users/{name}', auth: required, upstream: app }
        - { name: reports, prefix: /reports, auth: required, allow: [{ tiers: [pro] }], upstream: app }
        - { name: all, prefix: /, auth: required, allow: [{ scopes: [x] }], upstream: app }
    ";
    let output = backtest(&gateway, routes, &["--json"], &log);
    assert_eq!(output.code, 0, "{output:?}");
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let mut differences: Vec<Value> = told["differences"].as_array().unwrap().clone();
    differences.sort_by_key(|group| group["route"].to_string());
    let kinds: Vec<_> = differences
        .iter()
        .map(|group| {
            json!([
                group["old"],
                group["new"],
                group["route"],
                group["requests"]
            ])
        })
        .collect();
    assert_eq!(
        kinds,
        [
            json!(["deny forbidden", "allow", "own", 1]),
            json!(["allow", "deny forbidden", "reports", 1]),
        ],
        "{told:#}"
    );
    let example = &differences[0]["examples"][0];
    assert_eq!(
        (&example["path"], &example["method"]),
        (&json!("/users/ann"), &json!("GET"))
    );
    let untold =
        json!([{ "why": "it may have had credentials", "route": "health", "requests": 1 }]);
    assert_eq!(told["not_told"], untold, "{told:#}");

    let text = backtest(&gateway, routes, &["--examples", "0"], &log).stdout;
    assert!(
        text.contains("allow → deny forbidden  route reports: 1\n"),
        "{text}"
    );
    assert!(
        text.ends_with("9 requests: 6 as before, 2 different, 1 not told; 1 bad lines\n"),
        "{text}"
    );
}

#[test]
fn what_hangs_on_accounts_is_not_told_without_the_store() {
    let origin = Origin::start();
    let (gateway, log) = past(&origin);
    let output = backtest(&gateway, ROUTES, &["--json", "--no-store"], &log);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stderr.contains("without the store: by --no-store"),
        "{output:?}"
    );
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let untold = json!([{ "why": "the account is not known", "route": "own", "requests": 2 }]);
    assert_eq!(told["not_told"], untold, "{told:#}");
    let store = gateway.directory().join("none.db");
    let yaml = std::fs::read_to_string(gateway.directory().join("new.yaml")).unwrap();
    let yaml = yaml.lines().filter(|line| !line.starts_with("store:"));
    let yaml: String = yaml.map(|line| format!("{line}\n")).collect();
    let elsewhere = gateway.directory().join("elsewhere.yaml");
    std::fs::write(&elsewhere, format!("store: sqlite:none.db\n{yaml}")).unwrap();
    let output = gateway_cli(
        &gateway,
        &["backtest", "access.log", "-c", "elsewhere.yaml"],
    );
    assert!(
        output.stderr.contains("none.db: it is not there"),
        "{output:?}"
    );
    assert!(!store.exists(), "to look makes no store");
}

fn gateway_cli(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = crate::harness::gateway::portcullis(gateway.directory());
    run(command.args(arguments), "")
}

#[test]
fn a_log_that_cannot_be_read_is_1_and_bad_usage_2() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let output = gateway_cli(&gateway, &["backtest", "none.log"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("error: none.log: "), "{output:?}");
    assert_eq!(gateway_cli(&gateway, &["backtest"]).code, 2);
    // A line without an end is none, and no reason to keep it all.
    let long = format!("{}\n", "x".repeat(9 << 20));
    std::fs::write(gateway.directory().join("long.log"), long).unwrap();
    let output = gateway_cli(&gateway, &["backtest", "long.log"]);
    assert!(
        output
            .stdout
            .ends_with("0 requests: 0 as before, 0 different, 0 not told; 1 bad lines\n"),
        "{output:?}"
    );
}
