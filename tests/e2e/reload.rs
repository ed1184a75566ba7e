//! A changed gateway.yaml, from being noticed to being in force; and administration, which asks for it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::harness::client::{get, post};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, Settings, make_pipe, portcullis, run};
use crate::harness::origin::Origin;

const OPEN: &str = "- { name: all, prefix: /, auth: none, upstream: app }";

/// With a route that refuses, where [`OPEN`] lets everybody through.
fn closed(gateway: &Gateway) -> String {
    gateway.yaml().replace("auth: none", "auth: required")
}

fn start(origin: &Origin) -> Gateway {
    Settings::new(origin).routes(OPEN).start()
}

#[track_caller]
fn until(gateway: &Gateway, status: u16) {
    eventually(&format!("answers {status}"), || {
        (gateway.send(&get("/")).status == status).then_some(())
    });
}

fn reloads(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric(&format!(
        "portcullis_config_reloads_total{{result=\"{result}\"}}"
    ))
}

/// As an editor does that must not lose what it overwrites.
fn put(gateway: &Gateway, text: &str) {
    let new = gateway.directory().join(".gateway.yaml.swp");
    fs::write(&new, text).unwrap();
    fs::rename(&new, gateway.file()).unwrap();
}

#[test]
fn a_file_that_is_written_is_taken_and_said_to_be() {
    let origin = Origin::start();
    let gateway = start(&origin);
    let open = gateway.yaml();
    gateway.send(&get("/")).expect(200);

    fs::write(gateway.file(), closed(&gateway)).unwrap();
    until(&gateway, 401);
    gateway.says("route `all` changed: auth");

    put(
        &gateway,
        &open.replace(
            "routes:",
            "routes:\n  - { name: new, path: /new, auth: none, upstream: app }",
        ),
    );
    until(&gateway, 200);
    gateway.says("route `new` added");
    assert_eq!(reloads(&gateway, "failure"), 0.0);
}

#[test]
fn a_file_that_does_not_hold_changes_nothing_until_it_does() {
    let origin = Origin::start();
    let gateway = start(&origin);
    put(
        &gateway,
        &gateway.yaml().replace("auth: none", "auth: nobody"),
    );
    eventually("the refusal", || {
        (reloads(&gateway, "failure") == 1.0).then_some(())
    });
    gateway.send(&get("/")).expect(200);
    put(&gateway, &closed(&gateway));
    until(&gateway, 401);
    put(
        &gateway,
        &closed(&gateway).replace("workers: 2", "workers: 3"),
    );
    eventually("the refusal", || {
        (reloads(&gateway, "failure") == 2.0).then_some(())
    });
    gateway.says("a reload can't change workers");
}

#[test]
fn a_file_that_is_being_written_is_not_read() {
    let origin = Origin::start();
    let gateway = start(&origin);
    let text = closed(&gateway);
    // Whole as far as it goes, and not what its writer means.
    let (half, rest) = text.split_at(text.find("routes:").unwrap());
    let open_for_all =
        format!("{half}routes:\n  - {{ name: everybody, prefix: /, auth: none, upstream: app }}\n");
    let mut file = File::create(gateway.file()).unwrap();
    file.write_all(open_for_all.as_bytes()).unwrap();
    // Asked for, it is refused as well: so it was seen, and not taken.
    gateway.signal("HUP");
    eventually("the refusal", || {
        (reloads(&gateway, "failure") == 1.0).then_some(())
    });
    assert_eq!(reloads(&gateway, "success"), 0.0);
    gateway.says("somebody is writing to the file");
    file.set_len(half.len() as u64).unwrap();
    drop(file);
    let mut file = File::options().append(true).open(gateway.file()).unwrap();
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    until(&gateway, 401);
}

#[test]
fn a_file_that_goes_away_comes_back() {
    let origin = Origin::start();
    let gateway = start(&origin);
    fs::remove_file(gateway.file()).unwrap();
    gateway.send(&get("/")).expect(200);
    fs::write(gateway.file(), closed(&gateway)).unwrap();
    until(&gateway, 401);

    // The whole folder, as a volume that is mounted anew.
    let folder = gateway.directory();
    let away = folder.with_extension("away");
    fs::rename(folder, &away).unwrap();
    fs::create_dir(folder).unwrap();
    fs::write(gateway.file(), gateway.yaml()).unwrap();
    until(&gateway, 200);
    fs::remove_dir_all(away).unwrap();
}

#[test]
fn the_same_text_again_is_no_change() {
    let origin = Origin::start();
    let gateway = start(&origin);
    put(&gateway, &gateway.yaml());
    fs::write(gateway.file(), gateway.yaml()).unwrap();
    put(&gateway, &closed(&gateway));
    until(&gateway, 401);
    assert_eq!(reloads(&gateway, "success"), 1.0);
    assert_eq!(reloads(&gateway, "failure"), 0.0);
}

#[test]
fn connections_to_upstreams_outlive_what_does_not_concern_them() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(OPEN).start();
    let mut client = gateway.connect();
    client.exchange(&get("/")).expect(200);
    let before = origin.connections();
    for round in 0..10 {
        let more = format!(
            "routes:\n  - {{ name: r{round}, path: /r{round}, auth: none, upstream: app }}"
        );
        gateway.reload_with(&gateway.yaml().replace("routes:", &more));
        client.exchange(&get(format!("/r{round}"))).expect(200);
    }
    // A client is one worker's, and so are the connections that its requests take.
    assert_eq!(origin.connections(), before);
}

/// One request by the admin listener's Unix socket.
fn by_socket(gateway: &Gateway, method: &str, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(gateway.directory().join("admin.sock")).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn administration_is_for_superusers_and_for_the_socket_s_owner() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(OPEN)
        .auth("master_key: \"a-key-of-the-master-with-more-than-32-bytes-9x\"")
        .admin_socket("admin.sock")
        .start();
    let root = gateway.user("root", &["--superuser"]).access;
    let ann = gateway.user("ann", &[]).access;
    let socket = gateway.directory().join("admin.sock");
    let mode = fs::symlink_metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    for (request, method, path) in [
        (get("/routes"), "GET", "/routes"),
        (get("/config"), "GET", "/config"),
        (post("/reload"), "POST", "/reload"),
    ] {
        request
            .send(gateway.admin)
            .expect_problem(401, "token-missing");
        request
            .clone()
            .bearer("rubbish")
            .send(gateway.admin)
            .expect_problem(401, "token-invalid");
        request
            .clone()
            .bearer(&ann)
            .send(gateway.admin)
            .expect_problem(403, "forbidden");
        let by_token = request
            .clone()
            .bearer(&root)
            .send(gateway.admin)
            .expect(200)
            .json();
        let (status, body) = by_socket(&gateway, method, path);
        assert_eq!(status, 200, "{path}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, by_token, "{path}");
    }
    let (_, config) = by_socket(&gateway, "GET", "/config");
    assert!(!config.contains("a-key-of-the-master"), "{config}");
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["auth"]["master_key"], "***");
    assert_eq!(config["routes"][0]["name"], "all");
    // What is open stays open, by either.
    get("/healthz").send(gateway.admin).expect(200);
    assert_eq!(by_socket(&gateway, "GET", "/metrics").0, 200);
    let limits = gateway.cli(&["limits", "show", "--user", "ann"], "");
    assert_eq!((limits.code, &*limits.stderr), (0, ""), "{limits:?}");
    // And nothing of it is where the public comes in.
    gateway.send(&get("/config").bearer(&root)).expect(200);
    assert_eq!(origin.last_request().target(), "/config");
    let mut gateway = gateway;
    gateway.signal("TERM");
    gateway.wait_for_exit();
    assert!(!socket.exists());
}

#[test]
fn the_command_line_has_the_gateway_reload() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(OPEN)
        .admin_socket("admin.sock")
        .start();
    let root = gateway.user("root", &["--superuser"]).access;
    let nothing = gateway.cli(&["reload"], "");
    assert_eq!(
        (nothing.code, nothing.stdout.as_str()),
        (0, "reloaded: nothing changed\n")
    );

    put(&gateway, &closed(&gateway));
    until(&gateway, 401);
    put(
        &gateway,
        &gateway.yaml().replace("auth: none", "auth: nobody"),
    );
    let refused = gateway.cli(&["reload"], "");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("expected"), "{refused:?}");
    assert!(refused.stderr.contains("nobody"), "{refused:?}");
    gateway.send(&get("/")).expect(401);
    let json = gateway.cli(&["reload", "--json"], "");
    let told: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &told["code"]), (1, &"validation-failed".into()));
    let found = told["diagnostics"].as_array().unwrap();
    assert!(found.iter().any(|one| one["severity"] == "error"), "{told}");

    // By the address it takes a superuser's token.
    let without = gateway.yaml().replace(", socket: admin.sock", "");
    let by_address = gateway.directory().join("by-address.yaml");
    fs::write(&by_address, without).unwrap();
    let file = by_address.to_str().unwrap();
    let ask = |arguments: &[&str]| {
        let mut command = crate::harness::gateway::portcullis(gateway.directory());
        command.args(["reload", "-c", file]).args(arguments);
        crate::harness::gateway::run(&mut command, "")
    };
    put(&gateway, &gateway.yaml());
    until(&gateway, 200);
    let refused = ask(&[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("PORTCULLIS_TOKEN"), "{refused:?}");
    assert_eq!(ask(&["--token", &root]).code, 0);

    // `health` asks where the file says that it is told.
    let by_socket = gateway
        .yaml()
        .replace(&format!("address: {}, ", gateway.admin), "");
    let other = gateway.directory().join("by-socket.yaml");
    fs::write(&other, by_socket).unwrap();
    let mut health = crate::harness::gateway::portcullis(gateway.directory());
    health.args(["health", "-c", other.to_str().unwrap()]);
    assert_eq!(crate::harness::gateway::run(&mut health, "").code, 0);
}

#[test]
fn a_text_that_was_refused_is_taken_once_what_it_names_is_there() {
    let origin = Origin::start();
    let settings = Settings::new(&origin).auth("signing: { keys: [{ file: a.pem }] }");
    let make = |directory: &Path, name: &str| {
        let output = run(
            portcullis(directory).args(["key", "generate", "--out", name]),
            "",
        );
        assert_eq!(output.code, 0, "{output:?}");
    };
    let gateway = settings.start_on(|directory| make(directory, "a.pem"));
    let both = gateway
        .yaml()
        .replace("{ file: a.pem }", "{ file: a.pem }, { file: b.pem }");
    put(&gateway, &both);
    gateway.says("b.pem");
    eventually("the refusal", || {
        (reloads(&gateway, "failure") == 1.0).then_some(())
    });
    make(gateway.directory(), "b.pem");
    put(&gateway, &both);
    eventually("two keys", || {
        let keys = gateway.send(&get("/.well-known/jwks.json")).expect(200);
        (keys.json()["keys"].as_array().unwrap().len() == 2).then_some(())
    });
    assert_eq!(reloads(&gateway, "failure"), 1.0);
}

#[test]
fn a_changed_lockout_acts_without_a_restart() {
    let origin = Origin::start();
    let settings = Settings::new(&origin).auth("lockout: { failures: 1000 }");
    let gateway = settings.start();
    gateway.user_add("alice", &[]);
    let wrong = post("/api/v1/login").form(&[("username", "alice"), ("password", "Wrong-Horse-7")]);
    gateway.send(&wrong).expect(401);
    gateway.reload_with(&gateway.yaml().replace("failures: 1000", "failures: 1"));
    gateway.says("setting `auth.lockout.failures` changed");
    gateway.send(&wrong).expect(401);
    gateway.send(&wrong).expect(429);
}

#[test]
fn a_pipe_in_a_file_s_place_is_not_waited_for() {
    let origin = Origin::start();
    let mut gateway = start(&origin);
    let yaml = gateway.yaml();
    let pipe = gateway.directory().join("pipe");
    make_pipe(&pipe);
    fs::rename(&pipe, gateway.file()).unwrap();
    gateway.signal("HUP");
    gateway.says("it is no regular file");
    gateway.send(&get("/")).expect(200);
    put(&gateway, &yaml.replace("auth: none", "auth: required"));
    until(&gateway, 401);

    // Nor is one that the file names.
    make_pipe(&pipe);
    let key = format!("auth:\n  master_key_file: {}\n", pipe.display());
    put(&gateway, &yaml.replace("auth:\n", &key));
    gateway.says("it is no file");
    gateway.signal("TERM");
    assert_eq!(gateway.wait_for_exit().code(), Some(0));
}

/// As `serve -c <(envsubst < gateway.yaml)` does.
#[test]
fn a_gateway_that_was_served_by_a_pipe_goes_on_and_ends() {
    let origin = Origin::start();
    let settings = Settings::new(&origin).routes(OPEN);
    let mut gateway = settings.by_a_pipe().start();
    gateway.signal("HUP");
    gateway.says("it is no regular file");
    gateway.send(&get("/")).expect(200);
    gateway.signal("TERM");
    assert_eq!(gateway.wait_for_exit().code(), Some(0));
}
