//! What the operator's file gives away when it is wrong, or lets in when it is cut.

use crate::harness::client::get;
use crate::harness::gateway::{SECRET, Settings, free_address, portcullis, run};
use crate::harness::origin::Origin;

/// Three routes in block style, the last with all that a route may have, so that a cut can fall anywhere.
const ROUTES: &str = "
    - name: open
      prefix: /open
      auth: none
      upstream: app
    - name: guarded
      prefix: /guarded
      auth: required
      upstream: app
    - name: late
      path: /late/{username}
      methods: [GET, POST]
      auth: required
      allow:
        - owner: \"{username}\"
        - superuser: true
      limits:
        - name: writes
          key: user
          rate: 30/min
          burst: 10
          tiers:
            pro: { rate: 300/min, burst: 50 }
            enterprise: unlimited
      upstream: app
    ";

/// What a reload can tell of a half-written file, and what it cannot.
///
/// A file cut anywhere is refused, and nothing changes, but in one place: right after a whole route,
/// where what is left is a whole configuration with fewer routes. Paths of the lost ones are then no
/// longer known, never open.
#[test]
fn truncated_config_at_each_place() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let whole = gateway.yaml();
    let routes_at = whole.find("routes:").unwrap();
    let last_at = whole.find("  - name: late").unwrap();
    let is_whole = |cut: &str| {
        let rest = &whole[cut.trim_end().len()..];
        cut.len() > routes_at
            && cut.trim_end().ends_with("upstream: app")
            && (rest.trim().is_empty() || rest.starts_with("\n  - name:"))
    };
    let success = "portcullis_config_reloads_total{result=\"success\"}";

    let ends_of_lines = whole.match_indices('\n').flat_map(|(at, _)| [at, at + 1]);
    let mut cuts: Vec<usize> = (0..last_at)
        .step_by(17)
        .chain(ends_of_lines)
        .chain((last_at..whole.len()).step_by(3))
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    let (mut refused, mut taken) = (0, 0);
    for cut in cuts {
        let part = &whole[..cut];
        let before = gateway.metric(success);
        gateway.reload_with(part);
        let was_taken = gateway.metric(success) > before;
        assert_eq!(was_taken, is_whole(part), "cut at byte {cut}:\n{part}");
        if !was_taken {
            refused += 1;
            continue;
        }
        taken += 1;
        let known = |path: &str, name: &str, status: u16| {
            let is_there = part.contains(&format!("name: {name}"));
            let expected = if is_there { status } else { 404 };
            gateway.send(&get(path)).expect(expected);
        };
        known("/open", "open", 200);
        known("/guarded", "guarded", 401);
        known("/late/alice", "late", 401);
        gateway.reload_with(&whole);
    }
    assert!(
        refused > 100 && taken >= 6,
        "{refused} refused, {taken} taken"
    );
    for (path, status) in [
        ("/open", 200),
        ("/guarded", 401),
        ("/late/alice", 401),
        ("/", 404),
    ] {
        gateway.send(&get(path)).expect(status);
    }
    gateway.still_serves("/open");
}

/// Every kind of error that can fall on a line with a secret, told by `check` and by `serve`.
#[test]
fn secret_in_config_errors() {
    let dir = tempfile::tempdir().unwrap();
    let signing = |yaml: String| Settings::toward("http://127.0.0.1:1").auth(&yaml);
    let plain = || Settings::toward("http://127.0.0.1:1");
    let with = |from: &str, to: &str| {
        let yaml = plain().to_yaml(free_address(), free_address());
        let changed = yaml.replace(from, to);
        assert_ne!(yaml, changed);
        changed
    };
    let mut files: Vec<String> = [
        format!("signing: {{ algorithm: HS256, secret: \"{SECRET}\", oops: 1 }}"),
        format!("signing: {{ algorithm: HS999, secret: \"{SECRET}\" }}"),
        format!("signing: {{ algorithm: EdDSA, secret: \"{SECRET}\" }}"),
        format!("signing: {{ algorithm: HS256, secret: \"{SECRET}\", secret: \"{SECRET}\" }}"),
        format!("signing: {{ algorithm: HS256, secret: \"{SECRET}\", secret_file: x }}"),
        format!("signing: {{ algorithm: HS256, secret: [ {SECRET} ] }}"),
        format!("signing: {{ algorithm: HS256, secret: {{ a: {SECRET} }} }}"),
        format!("signing: {{ algorithm: HS256, secert: \"{SECRET}\" }}"),
        format!("signing: {{ algorithm: HS256, Secret: \"{SECRET}\" }}"),
        format!("signing: {{ algorithm: HS256, secret: \"{SECRET} }}"),
        format!("signing: {{ algorithm: HS256, secret: \"{SECRET}\""),
        format!("signing: {{ algorithm: HS256, secret: \"${{{SECRET}\" }}"),
        format!("signing: {{ algorithm: HS256, secret: \"{SECRET}${{UNSET_VARIABLE}}\" }}"),
        format!("signing:\n  algorithm: HS256\n  secret: {SECRET}: x"),
        format!("signing:\n  algorithm: HS256\n  secret: \"{SECRET}\" x"),
        format!("signing:\n  algorithm: HS256\n   secret: {SECRET}"),
        format!("signing:\n  algorithm: HS256\n  secret: |\n    {SECRET}\n  oops: 1"),
        format!("signing:\n  algorithm: HS256\n  secret: &{SECRET} x"),
        format!("signing:\n  algorithm: HS256\n  secret: *{SECRET}"),
        format!("signing:\n  algorithm: HS256\n  secret: !{SECRET} x"),
        format!("password: {SECRET}"),
        format!("master_key: {SECRET}\nmaster_key_file: x"),
        format!("masterkey: {SECRET}"),
        format!("signing: {{ master_key: {SECRET} }}"),
        format!("cookie: {{ name: x, token: {SECRET} }}"),
        format!("secret: {SECRET}"),
        format!("issuer: \"http://user:{SECRET}@issuer.test\""),
    ]
    .map(|yaml| signing(yaml).to_yaml(free_address(), free_address()))
    .into();
    let store = "store: sqlite:portcullis.db";
    files.extend([
        with(
            store,
            &format!("store: postgres://user:{SECRET}@db:port/app"),
        ),
        with(store, &format!("store: \"postgres://user:{SECRET}@db/app")),
        with(store, &format!("stroe: postgres://user:{SECRET}@db/app")),
        with(
            "http://127.0.0.1:1",
            &format!("http://user:{SECRET}@127.0.0.1:1"),
        ),
        with(
            "http://127.0.0.1:1",
            &format!("http://user:{SECRET}@127.0.0.1:port"),
        ),
        with("http://127.0.0.1:1", &format!("user:{SECRET}@127.0.0.1:1")),
        with(
            "http://127.0.0.1:1",
            &format!("https://user:{SECRET}@127.0.0.1:1"),
        ),
        with(
            "targets:",
            &format!("tragets: [ http://user:{SECRET}@a ]\n    targets:"),
        ),
    ]);
    // Headers whose names say that they hold a credential.
    for edit in [
        format!("{{ set: {{ Authorization: \"Bearer {SECRET}\" }}, oops: 1 }}"),
        format!("{{ set: {{ Authorization: \"Bearer {{{SECRET}}}\" }} }}"),
        format!("{{ set: {{ Authorization: \"Bearer {SECRET}\\r\" }} }}"),
        format!("{{ sett: {{ authorization: \"Bearer {SECRET}\" }} }}"),
        format!("{{ add: {{ X-Vault-Key: {SECRET}, \"bad name\": x }} }}"),
        format!("{{ set: {{ apikey: {SECRET}, \"bad name\": x }} }}"),
        format!("{{ set: {{ apikey: [{SECRET}] }} }}"),
        format!("\n      set:\n        apikey:\n          - {SECRET}"),
        format!("{{ set: {{ Cookie: \"sid={SECRET}; {{user.id\" }} }}"),
        format!("{{ set: {{ X-Vault-Key: \"{SECRET} }} }}"),
    ] {
        let routes = format!(
            "- name: all\n  prefix: /\n  auth: none\n  upstream: app\n  request_headers: {edit}"
        );
        files.push(
            plain()
                .routes(&routes)
                .to_yaml(free_address(), free_address()),
        );
    }
    let identity = format!("identity: {{ headers: {{ X-Api-Token: {SECRET} }}, oops: 1 }}");
    files.push(
        plain()
            .top(&identity)
            .to_yaml(free_address(), free_address()),
    );
    let mut leaks = Vec::new();
    for yaml in files {
        std::fs::write(dir.path().join("gateway.yaml"), &yaml).unwrap();
        for arguments in [&["check"][..], &["check", "--format", "json"], &["serve"]] {
            let output = run(portcullis(dir.path()).args(arguments), "");
            let told = format!("{}{}", output.stdout, output.stderr);
            if output.code != 1 || told.contains(SECRET) {
                leaks.push(format!("{arguments:?} {}:\n{told}", output.code));
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n----\n"));

    // A reload tells the same to the log.
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth("signing: { algorithm: HS256, secret: \"${SIGNING_SECRET}\" }")
        .environment("SIGNING_SECRET", SECRET)
        .start();
    let whole = gateway.yaml();
    for bad in [
        whole.replace("${SIGNING_SECRET}", &format!("{SECRET}\", oops: \"1")),
        whole.replace("\"${SIGNING_SECRET}\"", &format!("\"{SECRET}")),
        whole.replace(
            "sqlite:portcullis.db",
            &format!("postgres://u:{SECRET}@db/a"),
        ),
    ] {
        assert_ne!(bad, whole);
        gateway.reload_with(&bad);
    }
    // The watch may have asked as well.
    let reloads = |result: &str| {
        gateway.metric(&format!(
            "portcullis_config_reloads_total{{result=\"{result}\"}}"
        ))
    };
    assert!(reloads("failure") >= 3.0);
    assert_eq!(reloads("success"), 0.0);
    gateway.says("gateway.yaml:");
    let told = gateway.stderr().join("\n");
    assert!(!told.contains(SECRET), "{told}");
    gateway.still_serves("/");
}

/// What people are shown of a file, by the command line and by the admin listener.
#[test]
fn secret_in_what_is_shown() {
    let origin = Origin::start();
    let routes = |beside: &str| {
        format!(
            "
            - name: all
              prefix: /
              auth: required
              headers: {{ X-Gate-Key: {SECRET} }}
              request_headers: {{ set: {{ Authorization: \"Bearer {SECRET}\" }}, add: {{ X-Vault-Key: \"{SECRET}/{{user.id}}\" }} }}
              response_headers: {{ set: {{ Set-Cookie: \"s={SECRET}\" }} }}
              upstream: app
              {beside}
            - {{ name: open, prefix: /open, auth: none, upstream: app }}
            "
        )
    };
    let identity = format!("identity: {{ headers: {{ Apikey: \"{SECRET}\" }} }}");
    let gateway = Settings::new(&origin)
        .top(&identity)
        .routes(&routes(""))
        .start();
    let boss = gateway.user("boss", &["--superuser"]).access;
    let sent = get("/").bearer(&boss).header("x-gate-key", SECRET);
    gateway.send(&sent).expect(200);
    let received = origin.last_request();
    let bearer = format!("Bearer {SECRET}");
    assert_eq!(received.header("authorization"), Some(bearer));
    assert_eq!(received.header("apikey").as_deref(), Some(SECRET));

    let mut told = String::new();
    for path in ["/config", "/routes"] {
        let shown = get(path).bearer(&boss).send(gateway.admin).expect(200);
        told += &shown.text();
    }
    let tests = "tests: [{ name: t, request: { path: /, headers: { X-Gate-Key: \"${GATE}\" } }, as: { user: a }, expect: { headers: { Apikey: b } } }]";
    std::fs::write(gateway.directory().join("a.test.yaml"), tests).unwrap();
    let other = gateway.yaml().replace("X-Gate-Key", "X-Door-Key");
    let other = other
        .replace("Bearer", "Basic")
        .replace("name: open", "name: opened");
    std::fs::write(gateway.directory().join("other.yaml"), other).unwrap();
    let gate = format!("X-Gate-Key: {SECRET}");
    for arguments in [
        &["explain", "GET", "/", "--as", "user=a", "-H", &gate][..],
        &[
            "explain", "GET", "/", "--as", "user=a", "-H", &gate, "--json",
        ],
        &["explain", "GET", "/"],
        &["explain", "GET", "/", "--json"],
        &["diff", "gateway.yaml", "other.yaml"],
        &["diff", "gateway.yaml", "other.yaml", "--json"],
        &["test"],
        &["test", "--json"],
    ] {
        let mut command = portcullis(gateway.directory());
        let output = run(command.args(arguments).env("GATE", SECRET), "");
        assert!(output.code != 2 && !output.stdout.is_empty(), "{output:?}");
        told += &format!("{arguments:?}:\n{}{}", output.stdout, output.stderr);
    }
    for shown in [
        "authorization: ***",
        "\"x-vault-key\":\"***\"",
        "set-cookie: ***",
        "x-gate-key=***",
        "x-door-key: ***",
    ] {
        assert!(told.contains(shown), "{shown} in\n{told}");
    }
    let told = told.replace(&format!("{gate:?}"), "");
    assert!(!told.contains(SECRET), "{told}");
    gateway.reload_with(&gateway.yaml().replace("name: open", "name: \"\""));
    gateway.says("gateway.yaml:");
    let told = gateway.stderr().join("\n");
    assert!(!told.contains(SECRET), "{told}");
}

#[test]
fn weak_secret_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let settings = |secret: &str| {
        Settings::toward("http://127.0.0.1:1")
            .auth(&format!("signing: {{ algorithm: HS256, {secret} }}"))
            .to_yaml(free_address(), free_address())
    };
    for weak in [
        "secret",
        "0123456789abcdef",
        "f83kd9Qz1LmX0pVt7RbYc2HsWnJ4gAe",
        "your-256-bit-secret",
        "a-string-secret-at-least-256-bits-long",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        "super-secret-jwt-token-with-at-least-32-characters-long",
        "change-me-change-me-change-me-now!",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        std::fs::write(dir.path().join("secret"), format!("{weak}\n")).unwrap();
        for secret in [
            format!("secret: \"{weak}\""),
            "secret: \"${WEAK_SECRET}\"".to_owned(),
            "secret_file: secret".to_owned(),
        ] {
            std::fs::write(dir.path().join("gateway.yaml"), settings(&secret)).unwrap();
            for command in ["check", "serve"] {
                let mut portcullis = portcullis(dir.path());
                let output = run(portcullis.env("WEAK_SECRET", weak).arg(command), "");
                let told = format!("{}{}", output.stdout, output.stderr);
                assert_eq!(output.code, 1, "{weak} by {secret}: {told}");
                assert!(told.contains("gateway.yaml:"), "no place: {told}");
                let is_sample = weak.len() > 10;
                assert!(!is_sample || !told.contains(weak), "it is shown: {told}");
            }
        }
    }
    assert!(
        !dir.path().join("portcullis.db").exists(),
        "it began to serve"
    );

    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth("signing: { algorithm: HS256, secret: \"${SIGNING_SECRET}\" }")
        .environment("SIGNING_SECRET", SECRET)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]);
    gateway.send(&get("/").bearer(&alice.access)).expect(200);
    gateway.still_serves("/");
}
