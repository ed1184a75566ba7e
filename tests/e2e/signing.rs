//! Each signing algorithm, from the key to a request that passes.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use crate::harness::client::get;
use crate::harness::forge::Jwt;
use crate::harness::gateway::{SECRET, Settings};
use crate::harness::origin::Origin;

/// Signs in, passes with the token, and checks the token as a stranger would, by the published keys.
fn round_trip(name: &str, algorithm: Algorithm) {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin)
        .auth(&format!("signing: {{ algorithm: {name} }}"))
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &["--tier", "pro"]);

    gateway.send(&get("/").bearer(&alice.access)).expect(200);
    let token = Jwt::parse(&alice.access);
    assert_eq!(token.header["alg"], name);
    assert_eq!(token.header["typ"], "at+jwt");
    check_claims(&token.claims);

    let published = gateway.send(&get("/.well-known/jwks.json")).expect(200);
    for key in published.json()["keys"].as_array().unwrap() {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(key.get(private), None, "{private} is published");
        }
        assert_eq!(key["alg"], name);
        assert_eq!(key["use"], "sig");
    }
    let keys: JwkSet = serde_json::from_slice(&published.body).unwrap();
    let key = keys.find(token.header["kid"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&["api"]);
    validation.set_issuer(&["http://issuer.test"]);
    let key = DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<Value>(&alice.access, &key, &validation).unwrap();

    // The key outlives the process: a token of before passes after.
    gateway = gateway.restart();
    gateway.send(&get("/").bearer(&alice.access)).expect(200);
}

#[track_caller]
fn check_claims(claims: &Value) {
    assert_eq!(claims["iss"], "http://issuer.test");
    let audience = &claims["aud"];
    assert!(
        *audience == "api" || *audience == serde_json::json!(["api"]),
        "{claims}"
    );
    assert_eq!(claims["token_type"], "access");
    assert_eq!(claims["username"], "alice");
    assert_eq!(claims["tier"], "pro");
    assert_eq!(claims["roles"], serde_json::json!([]));
    assert_eq!(claims["scope"], "");
    assert_eq!(claims["is_superuser"], false);
    let (issued, expires) = (claims["iat"].as_u64(), claims["exp"].as_u64());
    assert_eq!(expires.unwrap() - issued.unwrap(), 30 * 60);
    assert!(claims["av"].is_u64(), "{claims}");
    for id in ["sub", "jti", "sid"] {
        let text = claims[id].as_str().unwrap_or_default();
        assert!(uuid::Uuid::parse_str(text).is_ok(), "{id} in {claims}");
    }
}

#[test]
fn eddsa() {
    round_trip("EdDSA", Algorithm::EdDSA);
}

#[test]
fn es256() {
    round_trip("ES256", Algorithm::ES256);
}

#[test]
fn rs256() {
    round_trip("RS256", Algorithm::RS256);
}

#[test]
fn hs256_publishes_nothing() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth("signing: { algorithm: HS256, secret: \"${SIGNING_SECRET}\" }")
        .environment("SIGNING_SECRET", SECRET)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]);

    gateway.send(&get("/").bearer(&alice.access)).expect(200);
    let token = Jwt::parse(&alice.access);
    assert_eq!(token.header["alg"], "HS256");
    let published = gateway.send(&get("/.well-known/jwks.json")).expect(200);
    assert_eq!(published.json()["keys"], serde_json::json!([]));
    assert!(!published.text().contains(SECRET));

    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&["api"]);
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::decode::<Value>(&alice.access, &key, &validation).unwrap();
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let origin = Origin::start();
    let secrets = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secrets.path(), format!("{SECRET}\n")).unwrap();
    let file = secrets.path().display();
    let gateway = Settings::new(&origin)
        .auth(&format!(
            "signing: {{ algorithm: HS256, secret_file: \"{file}\" }}"
        ))
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]);

    let again = Jwt::parse(&alice.access).signed(SECRET.as_bytes());
    gateway.send(&get("/").bearer(&again)).expect(200);
}

#[test]
#[cfg(unix)]
fn generated_keys_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    gateway.user("alice", &[]);

    let keys = gateway.directory().join("keys");
    let files: Vec<_> = std::fs::read_dir(&keys)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(!files.is_empty());
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", file.path());
    }
}
