//! Signing keys over their lives: made, named, rotated, shared; and what the command line does by them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::client::{get, post};
use crate::harness::forge::Jwt;
use crate::harness::gateway::{
    Gateway, PASSWORD, SECRET, Settings, portcullis, refresh_cookie, run,
};
use crate::harness::origin::Origin;
use crate::harness::postgres;

const GUARDED: &str = "- { name: all, prefix: /, auth: required, upstream: app }";

/// A key in a folder of its own, and its kid.
fn generate(folder: &std::path::Path, name: &str, algorithm: &str) -> String {
    let arguments = ["key", "generate", "--json", "--algorithm", algorithm];
    let output = run(portcullis(folder).args(arguments).args(["--out", name]), "");
    assert_eq!(output.code, 0, "{output:?}");
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    told["kid"].as_str().unwrap().to_owned()
}

#[track_caller]
fn published(gateway: &Gateway) -> Vec<(String, String)> {
    let keys = gateway.send(&get("/.well-known/jwks.json")).expect(200);
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    let keys = keys.json();
    let keys = keys["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| (text(key, "kid"), text(key, "alg")))
        .collect()
}

fn kid(token: &str) -> String {
    Jwt::parse(token).header["kid"].as_str().unwrap().to_owned()
}

#[test]
fn a_generated_key_is_for_its_owner_alone_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    for (algorithm, kty) in [("EdDSA", "OKP"), ("es256", "EC"), ("RS256", "RSA")] {
        let arguments = [
            "key",
            "generate",
            "--algorithm",
            algorithm,
            "--out",
            "k.pem",
        ];
        let output = run(portcullis(folder.path()).args(arguments), "");
        assert_eq!(output.code, 0, "{output:?}");
        let path = folder.path().join("k.pem");
        let pem = fs::read_to_string(&path).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{pem}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (_, jwk) = output.stdout.split_once("public JWK: ").unwrap();
        let jwk: Value = serde_json::from_str(jwk).unwrap();
        assert_eq!(jwk["kty"], kty);
        assert!(jwk.get("d").is_none(), "{jwk}");
        let kid = format!("kid: {}\n", jwk["kid"].as_str().unwrap());
        assert!(output.stdout.contains(&kid), "{output:?}");
        for line in pem.lines().filter(|line| !line.starts_with('-')) {
            assert!(!output.stdout.contains(line), "{output:?}");
        }

        let again = run(portcullis(folder.path()).args(arguments), "");
        assert_eq!(again.code, 1, "{again:?}");
        assert!(again.stderr.contains("k.pem"), "{again:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), pem);
        fs::remove_file(path).unwrap();
    }
    // Without a name it takes one by its kid.
    let output = run(portcullis(folder.path()).args(["key", "generate"]), "");
    assert_eq!(output.code, 0, "{output:?}");
    let mut names = fs::read_dir(folder.path()).unwrap();
    let name = names.next().unwrap().unwrap().file_name();
    let name = name.into_string().unwrap();
    assert!(
        name.starts_with("eddsa-") && name.ends_with(".pem"),
        "{name}"
    );
    assert!(output.stdout.contains(&name), "{output:?}");
}

#[test]
fn named_keys_rotate_with_a_reload_also_to_another_algorithm() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().unwrap();
    let old = generate(folder.path(), "old.pem", "RS256");
    generate(folder.path(), "new.pem", "ES256");
    let keys = |items: &[(&str, &str)]| {
        let item = |(kid, file): &(&str, &str)| {
            let file = folder.path().join(file);
            let kid = if kid.is_empty() {
                String::new()
            } else {
                format!("kid: {kid}, ")
            };
            format!("{{ {kid}file: \"{}\" }}", file.display())
        };
        let items: Vec<String> = items.iter().map(item).collect();
        format!("signing: {{ keys: [{}] }}", items.join(", "))
    };
    let mut gateway = Settings::new(&origin)
        .auth(&keys(&[("", "old.pem")]))
        .routes(GUARDED)
        .start();
    let alice = gateway.user("alice", &[]);
    assert_eq!(kid(&alice.access), old);
    assert_eq!(Jwt::parse(&alice.access).header["alg"], "RS256");
    gateway.send(&get("/").bearer(&alice.access)).expect(200);
    assert!(!gateway.directory().join("keys/eddsa.pem").exists());

    // Published first, so that whoever keeps the key set knows it before it signs.
    gateway.reconfigure(|s| s.auth(&keys(&[("", "old.pem"), ("next", "new.pem")])));
    let both = [
        (old.clone(), "RS256".into()),
        ("next".into(), "ES256".into()),
    ];
    assert_eq!(published(&gateway), both);
    assert_eq!(kid(&gateway.login("alice").access), old);

    gateway.reconfigure(|s| s.auth(&keys(&[("next", "new.pem"), ("", "old.pem")])));
    let later = gateway.login("alice");
    assert_eq!(kid(&later.access), "next");
    for token in [&alice.access, &later.access] {
        gateway.send(&get("/").bearer(token)).expect(200);
    }
    gateway.refresh(&alice.refresh).expect(200);

    gateway.reconfigure(|s| s.auth(&keys(&[("next", "new.pem")])));
    gateway.send(&get("/").bearer(&later.access)).expect(200);
    // Both workers had seen it.
    for _ in 0..4 {
        let response = gateway.connect().exchange(&get("/").bearer(&alice.access));
        assert_eq!(response.status, 401, "{response:?}");
    }
    assert_eq!(published(&gateway).len(), 1);

    // Where keys come from takes a restart, and a key that can't be read changes nothing.
    gateway.reconfigure(|s| s.auth("signing: { algorithm: EdDSA }"));
    gateway.send(&get("/").bearer(&later.access)).expect(200);
    gateway.says("auth.signing");
    gateway.reconfigure(|s| s.auth(&keys(&[("next", "none.pem")])));
    gateway.send(&get("/").bearer(&later.access)).expect(200);
    gateway.says("none.pem");
}

#[test]
fn a_key_that_cannot_be_read_stops_check_and_start_and_is_not_told() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k.pem");
    let settings =
        Settings::new(&origin).auth(&format!("signing: {{ keys: [{{ file: {file:?} }}] }}"));
    let broken = "-----BEGIN PRIVATE KEY-----\nhunter2\n";
    for content in [None, Some(broken)] {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let refused = settings.clone().refused();
        assert!(refused.stderr.contains("k.pem"), "{refused:?}");
        assert!(refused.stderr.contains("gateway.yaml:"), "{refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    }
}

#[test]
fn generated_keys_rotate_by_command_and_reload() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(GUARDED).start();
    let alice = gateway.user("alice", &[]);
    let first = kid(&alice.access);
    let list = |gateway: &Gateway| {
        let output = gateway.cli(&["key", "list", "--json"], "");
        assert_eq!(output.code, 0, "{output:?}");
        let keys: Value = serde_json::from_str(&output.stdout).unwrap();
        let keys = keys["data"].as_array().unwrap();
        let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
        keys.iter()
            .map(|key| (text(key, "kid"), text(key, "state")))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&gateway), [(first.clone(), "signs".into())]);
    let rotated = gateway.cli(&["key", "rotate"], "");
    assert_eq!(rotated.code, 0, "{rotated:?}");
    let second = list(&gateway)[0].0.clone();
    assert_ne!(second, first);
    assert!(rotated.stdout.contains(&second), "{rotated:?}");
    gateway.reload_with(&gateway.yaml());
    let later = gateway.login("alice");
    assert_eq!(kid(&later.access), second);
    gateway.send(&get("/").bearer(&alice.access)).expect(200);

    let refused = gateway.cli(&["key", "retire", &second], "");
    assert_eq!(refused.code, 1, "{refused:?}");
    let retired = gateway.cli(&["key", "retire", &first], "");
    assert_eq!(retired.code, 0, "{retired:?}");
    gateway.reload_with(&gateway.yaml());
    gateway.send(&get("/").bearer(&alice.access)).expect(401);
    gateway.send(&get("/").bearer(&later.access)).expect(200);
    gateway.refresh(&alice.refresh).expect(200);
    // A kid may begin like an option.
    let odd = gateway.cli(&["key", "retire", "-x-1"], "");
    assert_eq!(odd.code, 1, "{odd:?}");
    assert!(odd.stderr.contains("-x-1"), "{odd:?}");
}

#[test]
fn with_a_master_key_the_keys_are_in_the_store() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth("master_key: \"${MASTER}\"")
        .environment("MASTER", SECRET)
        .routes(GUARDED)
        .start();
    let alice = gateway.user("alice", &[]);
    assert!(!gateway.directory().join("keys").exists());
    let listed = gateway.cli(&["key", "list"], "");
    assert!(listed.stdout.contains(&kid(&alice.access)), "{listed:?}");
    assert!(listed.stdout.contains("the store"), "{listed:?}");
    let explain = ["explain", "GET", "/", "--token", &alice.access];
    let explained = gateway.cli(&explain, "");
    assert_eq!(explained.code, 0, "{explained:?}");
    // As to the gateway, what can be no key counts for nothing beside a token, and what may be one makes two callers.
    let key = format!("pck_{}_{}", "0".repeat(32), "a".repeat(43));
    for (key, status, exit) in [("abc", 200, 0), (&*key, 401, 3)] {
        let header = format!("X-API-Key: {key}");
        let explained = gateway.cli(&[&explain[..], &["-H", &header]].concat(), "");
        assert_eq!(explained.code, exit, "{explained:?}");
        let sent = get("/").bearer(&alice.access).header("X-API-Key", key);
        gateway.send(&sent).expect(status);
    }
    let gateway = gateway.restart();
    gateway.send(&get("/").bearer(&alice.access)).expect(200);
    gateway.refresh(&alice.refresh).expect(200);

    let mut command = portcullis(gateway.directory());
    command.env("MASTER", SECRET.replace('4', "5"));
    let wrong = run(command.args(["serve", "-c", "gateway.yaml"]), "");
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("auth.master_key"), "{wrong:?}");
    assert!(!wrong.stderr.contains(SECRET), "{wrong:?}");
    for text in [gateway.stderr(), gateway.stdout()].concat() {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn gateways_with_one_master_key_and_one_database_are_one() {
    let Some(url) = postgres::database() else {
        return;
    };
    let origin = Origin::start();
    let settings = Settings::new(&origin)
        .auth("master_key: \"${MASTER}\"")
        .environment("MASTER", SECRET)
        .routes(GUARDED)
        .store(&url);
    let gateways: Vec<Gateway> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| settings.clone().start()))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    let alice = gateways[0].user("alice", &[]);
    let mut refresh = alice.refresh.clone();
    for gateway in &gateways {
        gateway.send(&get("/").bearer(&alice.access)).expect(200);
        refresh = refresh_cookie(&gateway.refresh(&refresh).expect(200)).unwrap();
        assert_eq!(published(gateway), published(&gateways[0]));
    }

    // A key that all know before it signs: at no moment does one refuse what another gave out.
    for arguments in [&["key", "rotate", "--stage"][..], &["key", "rotate"]] {
        let output = gateways[1].cli(arguments, "");
        assert_eq!(output.code, 0, "{output:?}");
        for reloaded in &gateways {
            reloaded.reload_with(&reloaded.yaml());
            let token = reloaded.login("alice").access;
            for gateway in &gateways {
                gateway.send(&get("/").bearer(&token)).expect(200);
            }
        }
    }
    assert_ne!(kid(&gateways[2].login("alice").access), kid(&alice.access));

    // Without keys that they share, no start.
    let alone = Settings::new(&origin).store(&url).refused();
    assert!(alone.stderr.contains("auth.master_key"), "{alone:?}");
}

#[test]
fn a_minted_token_passes_until_its_session_ends() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(GUARDED).start();
    gateway.user_add("alice", &["--tier", "pro"]);
    let mut mint = vec!["token", "mint", "--user", "alice", "--ttl", "2h"];
    for claim in ["org=acme", "level=3", r#"teams=["red","blue"]"#] {
        mint.extend(["--claim", claim]);
    }
    let minted = gateway.cli(&mint, "");
    assert_eq!(minted.code, 0, "{minted:?}");
    let token = minted.stdout.trim();
    gateway.send(&get("/").bearer(token)).expect(200);
    let claims = Jwt::parse(token).claims;
    assert_eq!(claims["username"], "alice");
    assert_eq!(claims["tier"], "pro");
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 2 * 3600);
    assert_eq!(claims["org"], "acme");
    assert_eq!(claims["level"], 3);
    assert_eq!(claims["teams"], serde_json::json!(["red", "blue"]));
    let sessions = gateway.cli(&["session", "list", "alice"], "");
    assert!(
        sessions.stdout.contains("portcullis token mint"),
        "{sessions:?}"
    );

    gateway
        .send(&post("/api/v1/logout").bearer(token))
        .expect(200);
    gateway.send(&get("/").bearer(token)).expect(401);

    for arguments in [
        &["token", "mint", "--user", "nobody"][..],
        &["token", "mint", "--user", "alice", "--ttl", "0s"],
        &["token", "mint", "--user", "alice", "--ttl", "5 minutes"],
        &["token", "mint", "--user", "alice", "--claim", "org"],
        &["token", "mint", "--user", "alice", "--claim", "=acme"],
        &[
            "token",
            "mint",
            "--user",
            "alice",
            "--claim",
            "is_superuser=true",
        ],
        &["token", "mint", "--user", "alice", "--claim", "aud=api"],
    ] {
        assert_ne!(gateway.cli(arguments, "").code, 0, "{arguments:?}");
    }
    gateway.cli(&["user", "disable", "alice"], "");
    let disabled = gateway.cli(&["token", "mint", "--user", "alice"], "");
    assert_eq!(disabled.code, 1, "{disabled:?}");
    assert!(disabled.stderr.contains("disabled"), "{disabled:?}");
}

#[test]
fn inspect_tells_what_a_token_says_and_whether_it_holds() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(GUARDED).start();
    let alice = gateway.user("alice", &[]);
    let good = gateway.cli(&["token", "inspect", &alice.access], "");
    assert_eq!(good.code, 0, "{good:?}");
    for said in ["\"alice\"", "\"at+jwt\"", "accepted"] {
        assert!(good.stdout.contains(said), "{said}: {good:?}");
    }
    let piped = gateway.cli(&["token", "inspect"], &format!("{}\n", alice.access));
    assert_eq!((piped.code, piped.stdout), (0, good.stdout));

    let jwt = Jwt::parse(&alice.access);
    let signature = alice.access.rsplit('.').next().unwrap();
    let other = jwt.clone().claim("is_superuser", true).unsigned() + signature;
    let unknown = jwt.clone().header("kid", "k9").unsigned() + signature;
    let none = jwt.clone().header("alg", "none").unsigned();
    for (token, why) in [
        (other.as_str(), "signature"),
        (unknown.as_str(), "no key"),
        (none.as_str(), "algorithm"),
        ("nonsense", "header"),
        ("", "header"),
        ("e30.e30.", "header"),
    ] {
        let output = gateway.cli(&["token", "inspect", "--json"], token);
        assert_eq!(output.code, 1, "{output:?}");
        let told: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(told["accepted"], false);
        let reason = told["reason"].as_str().unwrap();
        assert!(reason.contains(why), "{reason} for {token}");
        assert!(!output.stdout.contains(signature), "{output:?}");
    }

    // A gateway that has not started has no keys, and inspecting makes none.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway.yaml"), gateway.yaml()).unwrap();
    let output = run(
        portcullis(folder.path()).args(["token", "inspect", &alice.access]),
        "",
    );
    assert_eq!(output.code, 1, "{output:?}");
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 1, "only the configuration");
}

#[test]
fn a_hash_is_one_that_the_gateway_takes() {
    let folder = tempfile::tempdir().unwrap();
    let input = format!("{PASSWORD}\n");
    let default = run(portcullis(folder.path()).arg("hash"), &input);
    assert_eq!(default.code, 0, "{default:?}");
    assert!(default.stdout.starts_with("$2b$12$"), "{default:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let empty = run(portcullis(folder.path()).arg("hash"), "\n");
    assert_eq!(empty.code, 1, "{empty:?}");
    let long = run(portcullis(folder.path()).arg("hash"), &"x".repeat(73));
    assert_eq!(long.code, 1, "{long:?}");
    assert!(!long.stderr.contains("xxx"), "{long:?}");
    let missing = run(
        portcullis(folder.path()).args(["hash", "-c", "none.yaml"]),
        &input,
    );
    assert_eq!(missing.code, 1, "{missing:?}");

    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth("password: { hash: argon2id }")
        .start();
    let hashed = gateway.cli(&["hash"], &input);
    assert!(hashed.stdout.starts_with("$argon2id$"), "{hashed:?}");
    let users = gateway.directory().join("users.csv");
    let csv = format!(
        "username,email,password_hash\nalice,a@example.test,\"{}\"\n",
        hashed.stdout.trim()
    );
    fs::write(&users, csv).unwrap();
    let imported = gateway.cli(&["user", "import", users.to_str().unwrap()], "");
    assert_eq!(imported.code, 0, "{imported:?}");
    gateway.login("alice");
}
