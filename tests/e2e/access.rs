//! Who may pass: `auth` and `allow` of a route.

use serde_json::json;

use crate::harness::client::get;
use crate::harness::forge::Jwt;
use crate::harness::gateway::{Gateway, SECRET, Settings};
use crate::harness::origin::Origin;

/// The status of a GET with a bearer token.
#[track_caller]
fn status(gateway: &Gateway, path: &str, token: &str) -> u16 {
    gateway.send(&get(path).bearer(token)).status
}

#[test]
fn a_required_token_is_asked_for_as_the_standard_says() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]);

    let missing = gateway.send(&get("/")).expect_problem(401, "token-missing");
    let challenge = missing.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer realm="), "{challenge}");
    // RFC 6750, section 3.1: no error code where no token was sent.
    assert!(!challenge.contains("error="), "{challenge}");

    let invalid = gateway
        .send(&get("/").bearer("rubbish"))
        .expect_problem(401, "token-invalid");
    let challenge = invalid.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");

    assert_eq!(origin.requests().len(), 0);
    assert_eq!(status(&gateway, "/", &alice.access), 200);
}

#[test]
fn odd_credentials_are_no_token() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]);
    let token = &alice.access;

    for value in [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {token}"),
        format!("Bearer{token}"),
        token.clone(),
        format!("Bearer {token} {token}"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer {token}="),
        format!("Bearer {}", &token[..token.len() - 1]),
    ] {
        let response = gateway.send(&get("/").header("authorization", &value));
        assert!(
            matches!(response.status, 400 | 401),
            "{value}: {response:?}"
        );
    }
    let twice = get("/").bearer(token).bearer(token);
    let response = gateway.connect().exchange(&twice);
    assert!(matches!(response.status, 400 | 401), "{response:?}");
    let beside = get(format!("/?access_token={token}"));
    gateway.send(&beside).expect_problem(401, "token-missing");
    assert_eq!(origin.requests().len(), 0);

    // RFC 9110, section 11.1: the scheme's name has no case.
    for scheme in ["bearer", "BEARER"] {
        let value = format!("{scheme} {token}");
        gateway
            .send(&get("/").header("authorization", &value))
            .expect(200);
    }
}

#[test]
fn an_optional_token_may_be_absent_but_not_wrong() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: optional, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]);

    gateway.send(&get("/")).expect(200);
    assert_eq!(origin.last_request().header("x-user-name"), None);
    gateway.send(&get("/").bearer(&alice.access)).expect(200);
    assert_eq!(
        origin.last_request().header("x-user-name").as_deref(),
        Some("alice")
    );
    gateway
        .send(&get("/").bearer("rubbish"))
        .expect_problem(401, "token-invalid");
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_public_route_reads_no_token() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    let alice = gateway.user("alice", &[]);

    for token in ["rubbish", &alice.access] {
        gateway.send(&get("/").bearer(token)).expect(200);
        assert_eq!(origin.last_request().header("x-user-name"), None);
    }
}

#[test]
fn an_expired_token_is_told_from_an_invalid_one() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth(&format!(
            "signing: {{ algorithm: HS256, secret: {SECRET} }}\nleeway: 0s"
        ))
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]);

    let token = Jwt::parse(&alice.access);
    let issued = token.claims["iat"].as_u64().unwrap();
    let expired = token
        .claim("iat", issued - 100)
        .claim("exp", issued - 50)
        .signed(SECRET.as_bytes());
    gateway
        .send(&get("/").bearer(&expired))
        .expect_problem(401, "token-expired");
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_token_stops_when_it_expires() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth("access_token: { ttl: 1s }\nleeway: 0s")
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    gateway.user_add("alice", &[]);
    let alice = gateway.login("alice");

    // Whether it was used before or not, and so whether it is remembered or not.
    crate::harness::eventually("the token's end", || {
        (status(&gateway, "/", &alice.access) == 401).then_some(())
    });
    gateway
        .send(&get("/").bearer(&alice.access))
        .expect_problem(401, "token-expired");
}

#[test]
fn only_superusers_pass_where_that_is_asked() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: admin
              prefix: /
              auth: required
              allow: [ { superuser: true } ]
              upstream: app
            ",
        )
        .start();
    let alice = gateway.user("alice", &["--tier", "enterprise"]);
    let boss = gateway.user("boss", &["--superuser"]);

    gateway
        .send(&get("/").bearer(&alice.access))
        .expect_problem(403, "forbidden");
    gateway.send(&get("/")).expect_problem(401, "token-missing");
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(status(&gateway, "/", &boss.access), 200);
}

#[test]
fn tiers_pass_by_name_or_by_rank() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: only-pro, prefix: /only, auth: required, allow: [ { tiers: [pro] } ], upstream: app }
            - { name: from-pro, prefix: /from, auth: required, allow: [ { min_tier: pro } ], upstream: app }
            ",
        )
        .start();
    let sessions = ["free", "pro", "enterprise"]
        .map(|tier| gateway.user(&format!("u_{tier}"), &["--tier", tier]).access);

    let only = sessions
        .each_ref()
        .map(|token| status(&gateway, "/only", token));
    assert_eq!(only, [403, 200, 403]);
    let from = sessions
        .each_ref()
        .map(|token| status(&gateway, "/from", token));
    assert_eq!(from, [403, 200, 200]);
}

#[test]
fn roles_and_scopes_of_the_token_count() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth(&format!(
            "signing: {{ algorithm: HS256, secret: {SECRET} }}"
        ))
        .routes(
            "
            - name: roles
              prefix: /roles
              auth: required
              allow: [ { roles: [editor, chief] } ]
              upstream: app
            - name: scopes
              prefix: /scopes
              auth: required
              allow: [ { scopes: [\"posts:read\", \"posts:write\"] } ]
              upstream: app
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]);
    let token = Jwt::parse(&alice.access);
    let with = |name: &str, value: serde_json::Value| {
        token.clone().claim(name, value).signed(SECRET.as_bytes())
    };

    assert_eq!(status(&gateway, "/roles", &alice.access), 403);
    assert_eq!(
        status(&gateway, "/roles", &with("roles", json!(["reader"]))),
        403
    );
    // One of the roles is enough.
    assert_eq!(
        status(
            &gateway,
            "/roles",
            &with("roles", json!(["reader", "chief"]))
        ),
        200
    );
    let told = origin.last_request().header("x-user-roles");
    assert_eq!(told.as_deref(), Some("reader,chief"));

    assert_eq!(status(&gateway, "/scopes", &alice.access), 403);
    // Every scope is needed.
    assert_eq!(
        status(&gateway, "/scopes", &with("scope", json!("posts:read"))),
        403
    );
    let both = with("scope", json!("posts:write posts:read"));
    assert_eq!(status(&gateway, "/scopes", &both), 200);
}

#[test]
fn an_owner_passes_on_what_is_theirs() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: by-name
              path: \"/users/{username}/posts/{id}\"
              auth: required
              allow: [ { owner: \"{username}\" }, { superuser: true } ]
              upstream: app
            - name: by-id
              path: \"/accounts/{id}\"
              auth: required
              allow: [ { owner: { path: \"{id}\", equals: \"{user.id}\" } } ]
              upstream: app
            ",
        )
        .start();
    let alice = gateway.user("alice", &[]).access;
    let bob = gateway.user("bob", &[]).access;
    let boss = gateway.user("boss", &["--superuser"]).access;
    let me = gateway.send(&get("/api/v1/users/me").bearer(&alice)).json();
    let account = format!("/accounts/{}", me["id"].as_str().unwrap());

    assert_eq!(status(&gateway, "/users/alice/posts/1", &alice), 200);
    assert_eq!(status(&gateway, "/users/alice/posts/1", &boss), 200);
    assert_eq!(status(&gateway, &account, &alice), 200);
    let admitted = origin.requests().len();

    for path in [
        "/users/alice/posts/1",
        "/users/%61lice/posts/1",
        "/users/ALICE/posts/1",
        "/users/bob%2f..%2falice/posts/1",
        "/users/alice;bob/posts/1",
        &account,
    ] {
        let status = status(&gateway, path, &bob);
        assert!(matches!(status, 400 | 403 | 404), "{path}: {status}");
    }
    assert_eq!(origin.requests().len(), admitted);
}

#[test]
fn alternatives_are_or_and_the_keys_of_one_are_and() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: mixed
              path: \"/users/{username}\"
              auth: required
              allow:
                - { owner: \"{username}\", tiers: [pro] }
                - { superuser: true, min_tier: enterprise }
              upstream: app
            ",
        )
        .start();
    let pro = gateway.user("pro_user", &["--tier", "pro"]).access;
    let free = gateway.user("free_user", &[]).access;
    let boss = gateway.user("boss", &["--superuser"]).access;
    let chief = gateway
        .user("chief", &["--superuser", "--tier", "enterprise"])
        .access;

    assert_eq!(status(&gateway, "/users/pro_user", &pro), 200);
    assert_eq!(status(&gateway, "/users/free_user", &pro), 403);
    assert_eq!(status(&gateway, "/users/free_user", &free), 403);
    assert_eq!(status(&gateway, "/users/pro_user", &boss), 403);
    assert_eq!(status(&gateway, "/users/pro_user", &chief), 200);
}

#[test]
fn an_anonymous_caller_meets_the_rules_as_nobody() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: optional
              path: \"/users/{username}\"
              auth: optional
              allow: [ { owner: \"{username}\" }, { tiers: [free] } ]
              upstream: app
            ",
        )
        .start();

    let response = gateway.send(&get("/users/alice"));
    assert!(matches!(response.status, 401 | 403), "{response:?}");
    assert_eq!(origin.requests().len(), 0);
}
