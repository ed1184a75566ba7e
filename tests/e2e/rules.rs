//! Rules of `allow` that go by more than the account: claims, expressions and owners that are looked up.

use crate::harness::client::get;
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
