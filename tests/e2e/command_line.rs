//! The commands besides `serve`.

use std::io::{Read, Write};
use std::path::Path;

use serde_json::Value;

use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::{Output, PASSWORD, Settings, free_address, portcullis, run};
use crate::harness::origin::Origin;

#[track_caller]
fn check(dir: &Path, yaml: &str, options: &[&str]) -> Output {
    std::fs::write(dir.join("gateway.yaml"), yaml).unwrap();
    run(portcullis(dir).arg("check").args(options), "")
}

fn good() -> String {
    Settings::toward("http://127.0.0.1:8000").to_yaml(free_address(), free_address())
}

#[test]
fn a_good_file_passes() {
    let dir = tempfile::tempdir().unwrap();
    let output = check(dir.path(), &good(), &[]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        !dir.path().join("portcullis.db").exists(),
        "a check has no effect"
    );
    assert!(!dir.path().join("keys").exists(), "a check has no effect");
}

#[test]
fn every_error_is_told_at_once_with_its_place_and_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = "\
version: 1
listen:
  - address: 127.0.0.1:8080
wrokers: 2
auth:
  access_token: { ttl: 30x }
tiers:
  free: { rank: 0 }
upstreams:
  app:
    targets: [ http://127.0.0.1:8000 ]
routes:
  - name: one
    path: /one
    auth: maybe
    upstream: app
  - name: two
    prefix: /two
    auth: required
    upstream: ap
";
    let output = check(dir.path(), yaml, &[]);
    assert_eq!(output.code, 1, "{output:?}");
    let text = format!("{}{}", output.stdout, output.stderr);
    for (place, line, hint) in [
        ("gateway.yaml:4:1", "wrokers: 2", "workers"),
        ("gateway.yaml:6:24", "access_token: { ttl: 30x }", "30x"),
        ("gateway.yaml:15:11", "auth: maybe", "optional"),
        ("gateway.yaml:20:15", "upstream: ap", "app"),
    ] {
        assert!(text.contains(place), "no {place} in:\n{text}");
        assert!(text.contains(line), "no source line {line:?} in:\n{text}");
        assert!(text.contains(hint), "no hint {hint:?} in:\n{text}");
    }
    assert!(text.matches('^').count() >= 4, "carets in:\n{text}");
    assert!(
        !text.contains('\u{1b}'),
        "no colour where there is no terminal:\n{text}"
    );
}

#[test]
fn machines_can_read_the_errors() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = good().replace("auth: none", "auth: maybe");
    let output = check(dir.path(), &yaml, &["--format", "json"]);
    assert_eq!(output.code, 1, "{output:?}");
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let text = report.to_string();
    assert!(text.contains("maybe") || text.contains("auth"), "{text}");
    assert!(
        text.contains("\"line\"") && text.contains("\"column\""),
        "{text}"
    );

    let output = check(dir.path(), &good(), &["--format", "json"]);
    assert_eq!(output.code, 0, "{output:?}");
    serde_json::from_str::<Value>(&output.stdout).unwrap();
}

#[test]
fn each_mistake_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let good = good();
    let route = "- { name: all, prefix: /, auth: none, upstream: app }";
    assert!(good.contains(route));
    let with = |other: &str| good.replace(route, other);
    for (yaml, reason) in [
        (with("- { name: all, prefix: /, upstream: app }"), "auth"),
        (with("- { name: all, auth: none, upstream: app }"), "path"),
        (with("- { prefix: /, auth: none, upstream: app }"), "name"),
        (with(&format!("{route}\n  {route}")), "all"),
        (
            with(&format!(
                "{route}\n  - {{ name: tie, prefix: /, auth: none, upstream: app }}"
            )),
            "tie",
        ),
        (
            with(
                "- { name: all, path: \"/a/{x}\", auth: required, allow: [ { owner: \"{y}\" } ], upstream: app }",
            ),
            "y",
        ),
        (
            with(
                "- { name: all, prefix: /, auth: required, allow: [ { tiers: [gold] } ], upstream: app }",
            ),
            "gold",
        ),
        (good.replace("version: 1", "version: 2"), "version"),
        (good.replace("version: 1\n", ""), "version"),
        (
            good.replace("free: { rank: 0 }", "free: { rank: 0, rate: 10/fortnight }"),
            "fortnight",
        ),
        (
            good.replace("pro: { rank: 1 }", "free: { rank: 1 }"),
            "free",
        ),
        (
            good.replace("bcrypt_cost: 4", "bcrypt_cost: 3"),
            "bcrypt_cost",
        ),
        (
            good.replace("issuer: ", "issuer: \"${PORTCULLIS_TEST_UNSET}\" #"),
            "PORTCULLIS_TEST_UNSET",
        ),
        (
            good.replace("http://127.0.0.1:8000", "ftp://127.0.0.1"),
            "ftp",
        ),
        (good.replace("routes:", "\troutes:"), "gateway.yaml"),
    ] {
        assert_ne!(yaml, good, "the mistake about {reason} is not in the file");
        let output = check(dir.path(), &yaml, &[]);
        assert_eq!(output.code, 1, "{reason}: {output:?}\n{yaml}");
        let text = format!("{}{}", output.stdout, output.stderr);
        assert!(text.contains(reason), "{reason} is not told:\n{text}");
        assert!(text.contains("gateway.yaml"), "no place is told:\n{text}");
    }
}

#[test]
fn variables_and_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = good().replace(
        "http://127.0.0.1:8000",
        "http://${UP_HOST}:${UP_PORT:-8000}",
    );
    std::fs::write(dir.path().join("gateway.yaml"), yaml).unwrap();
    let output = run(portcullis(dir.path()).arg("check"), "");
    assert_eq!(output.code, 1, "{output:?}");
    let output = run(
        portcullis(dir.path())
            .arg("check")
            .env("UP_HOST", "127.0.0.1"),
        "",
    );
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn the_file_is_found_where_the_help_says() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("other.yaml");
    std::fs::write(&file, good()).unwrap();

    let missing = run(portcullis(dir.path()).arg("check"), "");
    assert_eq!(missing.code, 1, "{missing:?}");
    let text = format!("{}{}", missing.stdout, missing.stderr);
    assert!(text.contains("gateway.yaml"), "{text}");
    let by_option = run(portcullis(dir.path()).arg("check").arg("-c").arg(&file), "");
    assert_eq!(by_option.code, 0, "{by_option:?}");
    let by_variable = run(
        portcullis(dir.path())
            .arg("check")
            .env("PORTCULLIS_CONFIG", &file),
        "",
    );
    assert_eq!(by_variable.code, 0, "{by_variable:?}");
}

#[test]
fn bad_usage_is_2_and_help_is_0() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["version"], 0),
        (&["serve", "--help"], 0),
        (&["no-such-command"], 2),
        (&["serve", "--no-such-option"], 2),
        (&["user", "add"], 2),
        (&["user", "set", "alice"], 2),
        (&["tier", "set", "gold"], 2),
        (&["tier", "limit", "set", "gold", "7"], 2),
    ] {
        let output = run(portcullis(dir.path()).args(arguments), "");
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        if code == 0 {
            assert!(!output.stdout.is_empty(), "{arguments:?}: {output:?}");
        } else {
            assert!(!output.stderr.is_empty(), "{arguments:?}: {output:?}");
        }
    }
}

/// Verbs that print, each in all its forms, on files that are there.
const PRINTING: [&[&str]; 16] = [
    &["schema"],
    &["openapi"],
    &["version"],
    &["check"],
    &["check", "--format", "json"],
    &["explain", "GET", "/"],
    &["explain", "GET", "/", "--json"],
    &["test"],
    &["test", "--json"],
    &["test", "good.test.yaml"],
    &["diff", "gateway.yaml", "gateway.yaml"],
    &["diff", "gateway.yaml", "gateway.yaml", "--json"],
    &["import", "openapi", "api.json"],
    &["backtest", "--no-store", "log"],
    &["backtest", "--no-store", "log", "--json"],
    &["key", "generate", "--out", "new.pem"],
];

#[test]
fn a_reader_that_closes_the_pipe_is_no_crash() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("gateway.yaml", good()),
        (
            "good.test.yaml",
            "tests: [{ name: a, request: { path: / }, expect: { route: all } }]".to_owned(),
        ),
        (
            "bad.test.yaml",
            "tests: [{ name: a, request: { path: / }, expect: { status: 404 } }]".to_owned(),
        ),
        ("api.json", "{ \"openapi\": \"3.1.0\" }".to_owned()),
        ("log", String::new()),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let output = |arguments: &[&str], stdout: std::process::Stdio| {
        let _ = std::fs::remove_file(dir.path().join("new.pem"));
        let mut command = portcullis(dir.path());
        command.args(arguments).stdout(stdout).output().unwrap()
    };
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = output(arguments, writer.into());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("rror: "), "{arguments:?}: {said}");
    }
    // Nor is a disk that is full, of which one has to hear.
    for arguments in PRINTING {
        let full = std::fs::File::create("/dev/full").unwrap();
        let output = output(arguments, full.into());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("error: "), "{arguments:?}: {said}");
    }
}

#[test]
fn errors_that_nobody_can_be_told_are_no_crash() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (&["check", "-c", "none.yaml"][..], 1),
        (&["explain", "-c", "none.yaml", "GET", "/"], 1),
        (&["import", "openapi", "none.json"], 1),
        (&["import", "openapi", "none.json", "--upstream", ""], 2),
        (&["health", "-c", "none.yaml"], 1),
        (&["user", "list", "-c", "none.yaml"], 1),
    ] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let child = portcullis(dir.path()).args(arguments).stderr(full).output();
        let output = child.unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
    }
    let admin = free_address();
    let yaml = Settings::toward("http://127.0.0.1:1").to_yaml(free_address(), admin);
    std::fs::write(dir.path().join("gateway.yaml"), yaml).unwrap();
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut gateway = portcullis(dir.path());
    let mut gateway = gateway.arg("serve").stderr(full).spawn().unwrap();
    eventually("the gateway is ready or gone", || {
        let is_ready = get("/readyz")
            .try_send(admin)
            .is_ok_and(|r| r.status == 200);
        (is_ready || gateway.try_wait().unwrap().is_some()).then_some(())
    });
    let kill = format!("kill -TERM {}", gateway.id());
    let _ = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert_eq!(gateway.wait().unwrap().code(), Some(0));
}

/// A listener in the gateway's place that gives one answer.
fn listener(answer: String) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut [0; 4096]);
        client.write_all(answer.as_bytes()).unwrap();
    });
    address
}

#[test]
fn nothing_that_is_printed_drives_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let cli = |arguments: &[&str]| run(portcullis(dir.path()).args(arguments), "");
    write("gateway.yaml", &good());
    write(
        "a.test.yaml",
        r#"tests: [{ name: "\e[31mred\nline", request: { path: / }, expect: { code: "\e[32m" } }]"#,
    );
    write(
        "api",
        r#"{ "openapi": "3.1.0", "paths": { "/\u001b[31mred": [] } }"#,
    );
    let mut outputs = vec![
        cli(&["test"]),
        cli(&["import", "openapi", "api"]),
        cli(&["explain", "\u{1b}[31m", "/"]),
        cli(&["backtest", "\u{1b}[31m"]),
    ];
    let change = r#"{ "what": "route", "name": "\u001b[31m", "change": "added" }"#;
    let doubt = r#"{ "severity": "error", "file": "\u001b", "line": 1, "column": 1, "end_column": 1, "message": "\u009b31m" }"#;
    for (status, body) in [
        (
            "200 OK",
            format!("{{ \"changes\": [{change}], \"warnings\": [{doubt}] }}"),
        ),
        (
            "422 No",
            format!("{{ \"detail\": \"\\u001b\", \"diagnostics\": [{doubt}] }}"),
        ),
    ] {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        let yaml = Settings::toward("http://127.0.0.1:1");
        write(
            "gateway.yaml",
            &yaml.to_yaml(free_address(), listener(answer)),
        );
        outputs.push(cli(&["reload", "--token", "x"]));
    }
    for output in outputs {
        let told = format!("{}{}", output.stdout, output.stderr);
        assert!(told.contains('?'), "{told:?}");
        assert!(
            !told.contains(|c: char| c.is_control() && c != '\n'),
            "{told:?}"
        );
    }
}

#[test]
fn accounts_are_added_before_and_while_the_gateway_runs() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();

    let alice = gateway.user("alice", &["--tier", "pro"]);
    gateway.send(&get("/").bearer(&alice.access)).expect(200);

    let invented = gateway.cli(&["user", "add", "bob", "--email", "bob@example.test"], "");
    assert_eq!(invented.code, 0, "{invented:?}");
    let printed = invented.stdout.lines();
    let password = printed
        .filter_map(|line| line.strip_prefix("password: "))
        .next();
    let password = password.unwrap_or_else(|| panic!("no password: {invented:?}"));
    let fields = [("username", "bob"), ("password", password)];
    let login = crate::harness::client::post("/api/v1/login").form(&fields);
    gateway.send(&login).expect(200);
}

#[test]
fn an_account_that_cannot_be_is_not_added() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    gateway.user_add("alice", &[]);

    let add = |name: &str, email: &str, options: &[&str], password: &str| {
        let mut arguments = vec!["user", "add", name, "--email", email, "--password-stdin"];
        arguments.extend(options);
        gateway.cli(&arguments, password)
    };
    for (name, email, options, password) in [
        ("alice", "other@example.test", &[][..], PASSWORD),
        ("other", "alice@example.test", &[], PASSWORD),
        ("Bad Name", "bad@example.test", &[], PASSWORD),
        ("other", "no-at-sign", &[], PASSWORD),
        ("other", "other@example.test", &["--tier", "gold"], PASSWORD),
        ("other", "other@example.test", &[], "weak"),
        ("other", "other@example.test", &[], ""),
    ] {
        let output = add(name, email, options, password);
        assert_eq!(output.code, 1, "{name} {email} {options:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{output:?}");
        assert!(!output.stderr.contains(PASSWORD), "{output:?}");
    }
    let output = add("other", "other@example.test", &[], PASSWORD);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(!output.stdout.contains(PASSWORD), "{output:?}");
}
