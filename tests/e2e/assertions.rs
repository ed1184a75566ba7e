//! The signed word of the gateway on who calls, as an upstream would check it.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode_header};
use serde_json::{Value, json};

use crate::harness::client::{get, post};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::Origin;

const HEADER: &str = "x-portcullis-assertion";
const ROUTES: &str = "
- { name: open, prefix: /open, auth: none, upstream: app }
- { name: other, prefix: /other, auth: required, upstream: other }
- { name: bare, prefix: /bare, auth: required, upstream: app, request_headers: { remove: [X-Portcullis-Assertion] } }
- { name: rest, prefix: /, auth: optional, upstream: app }
";

const ONE: &str = "- { name: all, prefix: /, auth: required, upstream: app }";

/// The claims of an assertion for this upstream.
#[track_caller]
fn checked(gateway: &Gateway, assertion: &str, upstream: &str) -> Value {
    let published = gateway.send(&get("/.well-known/jwks.json")).expect(200);
    let keys: JwkSet = serde_json::from_slice(&published.body).unwrap();
    let header = decode_header(assertion).unwrap();
    assert_eq!(header.typ.as_deref(), Some("portcullis-assertion+jwt"));
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[upstream]);
    validation.set_issuer(&["http://issuer.test"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let key = DecodingKey::from_jwk(key).unwrap();
    let decoded = jsonwebtoken::decode::<Value>(assertion, &key, &validation);
    decoded.unwrap().claims
}

#[test]
fn an_upstream_can_check_who_calls() {
    for algorithm in ["EdDSA", "ES256", "RS256"] {
        let origin = Origin::start();
        let mut gateway = Settings::new(&origin)
            .auth(&format!("signing: {{ algorithm: {algorithm} }}"))
            .top("identity: { assertion: { ttl: 40s } }")
            .more_upstreams(&format!("other: {{ targets: ['{}'] }}", origin.url()))
            .routes(ROUTES)
            .start();
        let alice = gateway.user("alice", &["--tier", "pro"]).access;
        let sent = |target: &str| {
            let request = get(target).header("X_Portcullis_Assertion", "forged");
            let request = request.header("X-Portcullis-Assertion", "forged");
            gateway
                .connect()
                .exchange(&request.bearer(&alice))
                .expect(200);
            let received = origin.last_request();
            assert!(!String::from_utf8_lossy(&received.head).contains("forged"));
            received.header(HEADER)
        };
        let assertion = sent("/").unwrap();
        let claims = checked(&gateway, &assertion, "app");
        let (iat, exp) = (
            claims["iat"].as_u64().unwrap(),
            claims["exp"].as_u64().unwrap(),
        );
        assert_eq!(exp, iat + 40);
        let expected = json!({
            "iss": "http://issuer.test", "sub": origin.last_request().header("x-user-id"), "aud": "app",
            "exp": exp, "iat": iat, "username": "alice", "tier": "pro", "roles": [], "scope": "",
        });
        assert_eq!(claims, expected);
        assert_eq!(
            checked(&gateway, &sent("/other").unwrap(), "other")["aud"],
            "other"
        );
        assert_eq!(sent("/open"), None);
        assert_eq!(sent("/bare"), None);
        gateway.send(&get("/")).expect(200);
        assert_eq!(origin.last_request().header(HEADER), None);

        // The account as it is now, not as it was when the last one was signed.
        let output = gateway.cli(&["user", "set", "alice", "--tier", "free"], "");
        assert_eq!(output.code, 0, "{output:?}");
        crate::harness::eventually("the new tier", || {
            let claims = checked(&gateway, &sent("/").unwrap(), "app");
            (claims["tier"] == "free").then_some(())
        });

        // Another name, and none at all, after a reload.
        gateway.reconfigure(|s| s.top("identity: { assertion: { header: X-Proof } }"));
        gateway.send(&get("/").bearer(&alice)).expect(200);
        let received = origin.last_request();
        let claims = checked(&gateway, &received.header("x-proof").unwrap(), "app");
        assert_eq!(
            claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
            60
        );
        assert_eq!(received.header(HEADER), None);
        gateway.reconfigure(|s| s.top(""));
        gateway.send(&get("/").bearer(&alice)).expect(200);
        assert_eq!(origin.last_request().header("x-proof"), None);
    }
}

#[test]
fn after_a_rotation_the_new_key_signs_assertions() {
    let origin = Origin::start();
    let settings = Settings::new(&origin).top("identity: { assertion: {} }");
    let gateway = settings.routes(ONE).start();
    let alice = gateway.user("alice", &[]).access;
    let kid = || {
        gateway.send(&get("/").bearer(&alice)).expect(200);
        let assertion = origin.last_request().header(HEADER).unwrap();
        checked(&gateway, &assertion, "app");
        decode_header(&assertion).unwrap().kid
    };
    let before = kid();
    assert_eq!(gateway.cli(&["key", "rotate"], "").code, 0);
    gateway.reload_with(&gateway.yaml());
    assert_ne!(kid(), before);
}

#[test]
fn an_api_key_is_told_with_its_scopes() {
    let origin = Origin::start();
    let settings = Settings::new(&origin).top("identity: { assertion: {} }");
    let gateway = settings.routes(ONE).start();
    let alice = gateway.user("alice", &[]).access;
    let body = json!({ "name": "ci", "scopes": ["posts:read", "posts:write"] });
    let made = gateway.send(&post("/api/v1/api-keys").bearer(&alice).json(&body));
    let key = made.expect(201).json()["key"].as_str().unwrap().to_owned();
    gateway
        .send(&get("/").header("X-API-Key", &key))
        .expect(200);
    let assertion = origin.last_request().header(HEADER).unwrap();
    let claims = checked(&gateway, &assertion, "app");
    assert_eq!(claims["username"], "alice");
    assert_eq!(claims["scope"], "posts:read posts:write");
}
