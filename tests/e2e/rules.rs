//! Rules of `allow` that go by more than the account: claims and expressions, and what tokens tell for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::client::{get, post};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::Origin;

/// A token of alice's with these further claims.
fn minted(gateway: &Gateway, claims: &[&str]) -> String {
    let mut mint = vec!["token", "mint", "--user", "alice"];
    for claim in claims {
        mint.extend(["--claim", claim]);
    }
    let minted = gateway.cli(&mint, "");
    assert_eq!(minted.code, 0, "{minted:?}");
    minted.stdout.trim().to_owned()
}

#[track_caller]
fn status(gateway: &Gateway, path: &str, token: &str) -> u16 {
    gateway.send(&get(path).bearer(token)).status
}

#[test]
fn claims_of_a_token_decide() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .top("identity: { preset: none }")
        .routes(
            r#"
            - { name: org, path: /org, auth: required, allow: [{ claims: { org: acme, level: 3 } }], upstream: app }
            - { name: admin, path: /admin, auth: required, allow: [{ claims: { "realm_access.roles": admin } }], upstream: app }
            - { name: own, path: "/orgs/{org}/{rest}", auth: required, allow: [{ owner: { path: "{org}", equals: "{claims.org}" } }], upstream: app }
            - { name: mail, path: /mail, auth: required, allow: [{ claims: { email: alice@example.test } }], upstream: app }
            "#,
        )
        .start();
    let alice = gateway.user("alice", &[]);
    for path in ["/org", "/admin", "/orgs/acme/1"] {
        assert_eq!(status(&gateway, path, &alice.access), 403, "{path}");
    }
    let acme = minted(&gateway, &["org=acme", "level=3"]);
    let roles = r#"realm_access={"roles":["user","admin"]}"#;
    let other = minted(&gateway, &["org=other", "level=\"3\"", roles]);
    for (path, with_acme, with_other) in [
        ("/org", 200, 403),
        ("/admin", 403, 200),
        ("/orgs/acme/1", 200, 403),
        ("/orgs/other/1", 403, 200),
        ("/orgs/ACME/1", 403, 403),
        // Servers differ over what this names, so nobody is asked who owns it.
        ("/orgs/%61cme/1", 400, 400),
        ("/orgs/acme;x/1", 400, 400),
    ] {
        assert_eq!(status(&gateway, path, &acme), with_acme, "{path}");
        assert_eq!(status(&gateway, path, &other), with_other, "{path}");
    }
    // The address is in tokens because a rule asks for it.
    assert_eq!(status(&gateway, "/mail", &alice.access), 200);
}

#[test]
fn expressions_decide() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            r#"
            - { name: one, path: "/posts/{id}", auth: required, allow: [{ cel: 'user.tier == "pro" && path.id != "0"' }], upstream: app }
            - { name: reads, prefix: /reads, auth: required, allow: [{ cel: 'request.method in ["GET", "HEAD"] || "editor" in user.roles' }], upstream: app }
            - { name: teams, path: "/teams/{team}", auth: required, allow: [{ cel: 'path.team in claims.teams && claims.level >= 3' }], upstream: app }
            - { name: whole, prefix: /whole, auth: required, allow: [{ cel: 'request.path != "/whole/secret"' }], upstream: app }
            - { name: mail, path: /mail, auth: required, allow: [{ cel: 'user.email.endsWith("@example.test")' }], upstream: app }
            - { name: beta, path: /beta, auth: required, allow: [{ cel: 'request.headers["x-beta"] == "1" && request.ip == "127.0.0.1"' }], upstream: app }
            "#,
        )
        .start();
    let alice = gateway.user("alice", &["--tier", "pro"]);
    let bob = gateway.user("bob", &[]);
    assert_eq!(status(&gateway, "/posts/1", &alice.access), 200);
    assert_eq!(status(&gateway, "/posts/0", &alice.access), 403);
    assert_eq!(status(&gateway, "/posts/1", &bob.access), 403);
    // Another spelling of the number that is kept back.
    for path in ["/posts/%30", "/posts/0;x", "/posts/%2530"] {
        assert_eq!(status(&gateway, path, &alice.access), 400, "{path}");
    }
    assert_eq!(gateway.send(&get("/posts/1")).status, 401);

    assert_eq!(status(&gateway, "/reads/x%2Fy", &bob.access), 200);
    assert_eq!(
        gateway.send(&post("/reads/x").bearer(&bob.access)).status,
        403
    );

    let member = minted(&gateway, &[r#"teams=["red","blue"]"#, "level=3"]);
    for (path, answer) in [
        ("/teams/red", 200),
        ("/teams/green", 403),
        ("/teams/re", 403),
    ] {
        assert_eq!(status(&gateway, path, &member), answer, "{path}");
    }
    for claims in [
        &["level=3"][..],
        &[r#"teams=["red"]"#],
        &[r#"teams=["red"]"#, r#"level="3""#],
        &[r#"teams={"red":1}"#, "level=2"],
        &["teams=red", "level=3"],
        &["teams=null", "level=3"],
    ] {
        let token = minted(&gateway, claims);
        assert_eq!(status(&gateway, "/teams/red", &token), 403, "{claims:?}");
    }

    for (path, answer) in [
        ("/whole/open", 200),
        ("/whole/secret", 403),
        ("/whole/secret?x", 403),
        ("/whole/s%65cret", 400),
        ("/whole//secret", 400),
        ("/whole/./secret", 400),
    ] {
        assert_eq!(status(&gateway, path, &bob.access), answer, "{path}");
    }
    assert_eq!(status(&gateway, "/mail", &bob.access), 200);

    let beta = |value: &str| get("/beta").bearer(&bob.access).header("X-Beta", value);
    assert_eq!(gateway.send(&beta("1")).status, 200);
    assert_eq!(gateway.send(&beta("2")).status, 403);
    let without = gateway.send(&get("/beta").bearer(&bob.access));
    assert_eq!(without.status, 403);
    let why = "cel: `request.headers[\"x-beta\"]` is not there";
    assert_eq!(gateway.log_of(&without)["cause"], why);
}

/// Of the claims that tell of a person, those that a token has.
fn personal(token: &str) -> Vec<&'static str> {
    let payload = token.split('.').nth(1).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let told = ["email", "name", "external_id"].into_iter();
    told.filter(|name| claims.get(name).is_some()).collect()
}

#[test]
fn tokens_tell_of_a_person_what_a_rule_asks_and_no_more() {
    let origin = Origin::start();
    let rule = |rule: &str| {
        let route = "name: one, path: \"/one/{id}\", auth: required, upstream: app";
        format!("- {{ {route}, allow: [{{ {rule} }}] }}")
    };
    let mut gateway = Settings::new(&origin)
        .top("identity: { preset: none }")
        .routes(&rule("tiers: [free]"))
        .start();
    gateway.user_add("alice", &[]);
    let set = [
        "user",
        "set",
        "alice",
        "--external-id",
        "7",
        "--name",
        "Alice",
    ];
    assert_eq!(gateway.cli(&set, "").code, 0);
    let first = gateway.login("alice");
    assert_eq!(personal(&first.access), [""; 0]);
    let look_up = r#"owner: { lookup: "GET /x", field: /by, equals:"#;
    for (asks, told) in [
        (
            r#"cel: 'user.email.endsWith("@example.test")'"#,
            &["email"][..],
        ),
        (r#"cel: '"name" in claims'"#, &["name"]),
        (
            r#"cel: 'has(user.external_id) || claims["email"] == ""'"#,
            &["email", "external_id"],
        ),
        (r#"cel: 'user.username == "alice"'"#, &[]),
        (
            r#"owner: { path: "{id}", equals: "{user.external_id}" }"#,
            &["external_id"],
        ),
        (&format!("{look_up} user.external_id }}"), &["external_id"]),
        (&format!("{look_up} claims.email }}"), &["email"]),
        (&format!("{look_up} user.id }}"), &[]),
    ] {
        gateway.reconfigure(|settings| settings.routes(&rule(asks)));
        assert_eq!(personal(&gateway.login("alice").access), told, "{asks}");
    }
    // One from before the rule is told without it: nobody is let through on a guess.
    let by_email = rule(r#"cel: 'user.email != ""'"#);
    gateway.reconfigure(|settings| settings.routes(&by_email));
    assert_eq!(status(&gateway, "/one/7", &first.access), 403);
    assert_eq!(
        status(&gateway, "/one/7", &gateway.login("alice").access),
        200
    );
}
