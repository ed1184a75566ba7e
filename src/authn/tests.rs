//! Tokens and what becomes of them when an account changes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde_json::{Value, json};

use super::sample::claims;
use super::*;
use crate::config::checked::AuthMode;
use crate::request::Code;
use crate::route::sample::config;

const SECRET: &[u8] = b"an hmac secret of at least 32 bytes";

fn authenticator(changes: &Arc<Changes>) -> Authenticator {
    let keys = VerifyingKeys::new(vec![VerifyingKey {
        kid: "k1".into(),
        algorithm: Algorithm::HS256,
        key: DecodingKey::from_secret(SECRET),
    }]);
    let mut auth = config(Vec::new()).auth;
    auth.audience = vec!["api".into()];
    Authenticator::new(&auth, keys, Arc::clone(changes))
}

fn sign(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
    format!("{message}.{}", signature.unwrap())
}

fn header() -> Value {
    json!({ "alg": "HS256", "typ": "at+jwt", "kid": "k1" })
}

fn token(claims: &Claims) -> String {
    sign(&header(), &serde_json::to_value(claims).unwrap())
}

fn state(claims: &Claims) -> AccountState {
    AccountState {
        id: claims.sub,
        version: claims.av + 1,
        active: true,
        username: "renamed".into(),
        name: "Renamed".into(),
        email: "new@example.com".into(),
        external_id: None,
        tier: "pro".into(),
        roles: vec!["editor".into()],
        is_superuser: true,
    }
}

fn code<T>(outcome: Result<T, crate::request::Refusal>) -> Option<Code> {
    outcome.err().map(|refusal| refusal.code())
}

#[test]
fn a_token_of_ours_is_its_user() {
    let authenticator = authenticator(&Arc::default());
    let token = token(&claims(7));
    for _ in 0..2 {
        let user = authenticator.verify(&token, Expiry::Enforced).unwrap();
        assert_eq!(user.id, claims(7).sub);
    }
}

#[test]
fn headers_that_we_never_wrote_are_refused() {
    let authenticator = authenticator(&Arc::default());
    let changed = |change: &[(&str, Value)]| {
        let mut header = header();
        for (name, value) in change {
            header[*name] = value.clone();
        }
        let token = sign(&header, &serde_json::to_value(claims(7)).unwrap());
        code(authenticator.verify(&token, Expiry::Enforced))
    };
    assert_eq!(changed(&[]), None);
    for change in [
        ("alg", json!("none")),
        ("alg", json!("hs256")),
        ("alg", json!("HS512")),
        ("alg", json!("EdDSA")),
        ("typ", json!("JWT")),
        ("typ", json!(null)),
        ("kid", json!("k2")),
        ("kid", json!("../../etc/passwd")),
        ("kid", json!(1)),
        ("crit", json!(["exp"])),
        ("jku", json!("http://evil.example/jwks.json")),
        ("x5u", json!("http://evil.example/x.pem")),
        ("jwk", json!({ "kty": "oct", "k": "AA" })),
    ] {
        assert_eq!(
            changed(std::slice::from_ref(&change)),
            Some(Code::TokenInvalid),
            "{change:?}"
        );
    }
}

#[test]
fn claims_of_the_wrong_kind_are_refused() {
    let authenticator = authenticator(&Arc::default());
    let changed = |name: &str, value: Option<Value>| {
        let mut all = serde_json::to_value(claims(7)).unwrap();
        match value {
            Some(value) => all[name] = value,
            None => drop(all.as_object_mut().unwrap().remove(name)),
        }
        code(authenticator.verify(&sign(&header(), &all), Expiry::Enforced))
    };
    let invalid = Some(Code::TokenInvalid);
    for name in [
        "exp",
        "iss",
        "aud",
        "sub",
        "sid",
        "av",
        "token_type",
        "is_superuser",
    ] {
        assert_eq!(changed(name, None), invalid, "{name} missing");
    }
    assert_eq!(changed("exp", Some(json!("4000000000"))), invalid);
    assert_eq!(changed("nbf", Some(json!("0"))), invalid);
    assert_eq!(changed("nbf", Some(json!(3_999_999_999_u64))), invalid);
    assert_eq!(changed("iss", Some(json!("http://other"))), invalid);
    assert_eq!(changed("aud", Some(json!(["other"]))), invalid);
    assert_eq!(changed("aud", Some(json!("api"))), invalid);
    assert_eq!(changed("token_type", Some(json!("refresh"))), invalid);
    assert_eq!(changed("username", Some(json!("a\nX-Evil: 1"))), invalid);
    assert_eq!(changed("exp", Some(json!(1000))), Some(Code::TokenExpired));
}

#[test]
fn a_claim_that_stands_twice_is_refused() {
    let authenticator = authenticator(&Arc::default());
    let claims = serde_json::to_string(&claims(7)).unwrap();
    let with = |more: &str| {
        let claims = claims.replacen('{', &format!("{{{more},"), 1);
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", part(&header().to_string()), part(&claims));
        let key = EncodingKey::from_secret(SECRET);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
        let token = format!("{message}.{}", signature.unwrap());
        code(authenticator.verify(&token, Expiry::Enforced))
    };
    assert_eq!(with(r#""org":"acme","team":"red""#), None);
    for twice in [
        r#""is_superuser":true"#,
        r#""org":"acme","org":"acme""#,
        r#""org":"acme","or\u0067":"other""#,
        r#""a":{"b":1,"b":2}"#,
        r#""a":[{"b":{"c":1,"c":2}}]"#,
    ] {
        assert_eq!(with(twice), Some(Code::TokenInvalid), "{twice}");
    }
}

#[test]
fn an_expired_token_is_read_only_where_expiry_is_ignored() {
    let authenticator = authenticator(&Arc::default());
    let mut old = claims(7);
    old.exp = 1000;
    let token = token(&old);
    assert!(authenticator.verify(&token, Expiry::Ignored).is_ok());
    assert_eq!(
        code(authenticator.verify(&token, Expiry::Enforced)),
        Some(Code::TokenExpired)
    );
}

#[test]
fn a_change_to_an_account_acts_on_tokens_already_seen() {
    let changes = Arc::<Changes>::default();
    let authenticator = authenticator(&changes);
    let (seen, unseen) = (
        token(&claims(7)),
        token(&Claims {
            iat: 1,
            ..claims(7)
        }),
    );
    authenticator.verify(&seen, Expiry::Enforced).unwrap();

    changes.account(state(&claims(7)), u64::MAX);
    for token in [&seen, &unseen] {
        let user = authenticator.verify(token, Expiry::Enforced).unwrap();
        assert_eq!((&*user.username, &*user.tier), ("renamed", "pro"));
        assert_eq!(user.told.roles, "editor");
        assert!(user.is_superuser);
    }
    // An older state that arrives late changes nothing.
    let mut late = state(&claims(7));
    (late.version, late.tier) = (1, "free".into());
    changes.account(late, u64::MAX);
    let user = authenticator.verify(&seen, Expiry::Enforced).unwrap();
    assert_eq!(user.tier, "pro");

    let mut gone = state(&claims(7));
    (gone.version, gone.active) = (9, false);
    changes.account(gone, u64::MAX);
    for token in [&seen, &unseen] {
        assert_eq!(
            code(authenticator.verify(token, Expiry::Enforced)),
            Some(Code::TokenRevoked)
        );
    }
}

#[test]
fn an_ended_session_takes_its_tokens_with_it_and_no_others() {
    let changes = Arc::<Changes>::default();
    let authenticator = authenticator(&changes);
    let (mine, other) = (token(&claims(7)), token(&claims(8)));
    authenticator.verify(&mine, Expiry::Enforced).unwrap();
    changes.session_ended(claims(7).sid, 100);
    assert_eq!(
        code(authenticator.verify(&mine, Expiry::Enforced)),
        Some(Code::TokenRevoked)
    );
    assert!(authenticator.verify(&other, Expiry::Enforced).is_ok());
    changes.forget_before(100);
    assert!(changes.has_ended(claims(7).sid));
    changes.forget_before(101);
    assert!(!changes.has_ended(claims(7).sid));
}

#[test]
fn a_token_lives_no_longer_than_its_key_also_when_it_is_known() {
    let key = |kid: &str, secret: &[u8]| VerifyingKey {
        kid: kid.into(),
        algorithm: Algorithm::HS256,
        key: DecodingKey::from_secret(secret),
    };
    let authenticator = authenticator(&Arc::default());
    let mut auth = config(Vec::new()).auth;
    auth.audience = vec!["api".into()];
    let replace = |keys: Vec<VerifyingKey>| {
        authenticator.replace_keys(&auth, VerifyingKeys::new(keys));
    };
    let token = token(&claims(7));
    authenticator.verify(&token, Expiry::Enforced).unwrap();

    replace(vec![key("k2", b"another"), key("k1", SECRET)]);
    authenticator.verify(&token, Expiry::Enforced).unwrap();
    for keys in [
        vec![key("k2", b"another")],
        vec![key("k1", b"another")],
        Vec::new(),
    ] {
        replace(keys);
        for _ in 0..2 {
            assert_eq!(
                code(authenticator.verify(&token, Expiry::Enforced)),
                Some(Code::TokenInvalid)
            );
        }
        replace(vec![key("k1", SECRET)]);
        authenticator.verify(&token, Expiry::Enforced).unwrap();
    }
}

#[tokio::test]
async fn each_mode_asks_for_what_it_says() {
    let authenticator = authenticator(&Arc::default());
    let with = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (AUTHORIZATION, HeaderValue::from_str(line).unwrap()))
            .collect::<HeaderMap>()
    };
    let good = format!("bEARER {}", token(&claims(7)));
    let ask = async |mode, lines: &[&str]| match authenticator.identify(mode, &with(lines)).await {
        Ok(Principal::Anonymous) => "anonymous",
        Ok(Principal::User(_)) => "user",
        Err(refusal) => refusal.code().as_str(),
    };
    use AuthMode::{None, Optional, Required};
    assert_eq!(ask(None, &["Bearer nonsense"]).await, "anonymous");
    assert_eq!(ask(Optional, &[]).await, "anonymous");
    assert_eq!(ask(Required, &[]).await, "token-missing");
    assert_eq!(ask(Required, &[&good]).await, "user");
    assert_eq!(ask(Optional, &[&good]).await, "user");
    for wrong in [
        "Bearer nonsense",
        "Bearer",
        "Basic YTpi",
        "Bearer a.b.c",
        "",
    ] {
        assert_eq!(ask(Optional, &[wrong]).await, "token-invalid", "{wrong}");
    }
    assert_eq!(ask(Required, &[&good, &good]).await, "token-invalid");
}

#[test]
fn a_change_is_remembered_for_as_long_as_the_last_row_about_it_says() {
    let changes = Arc::<Changes>::default();
    let authenticator = authenticator(&changes);
    let old = token(&claims(7));
    // Two rows of the log, read together, come with one state.
    changes.account(state(&claims(7)), 100);
    changes.account(state(&claims(7)), 200);
    changes.forget_before(150);
    let user = authenticator.verify(&old, Expiry::Enforced).unwrap();
    assert_eq!(user.tier, "pro");
    let mut newer = state(&claims(7));
    (newer.version, newer.tier) = (9, "gold".into());
    changes.account(newer, 160);
    changes.forget_before(200);
    let user = authenticator.verify(&old, Expiry::Enforced).unwrap();
    assert_eq!(user.tier, "gold");
    changes.forget_before(201);
    assert!(changes.of_account(claims(7).sub).is_none());
}

#[test]
fn a_listener_is_looked_at_again_when_something_has_changed_or_its_time_is_over() {
    let changes = Arc::<Changes>::default();
    let mut auth = config(Vec::new()).auth;
    auth.leeway = std::time::Duration::from_secs(60);
    let authenticator = Authenticator::new(&auth, VerifyingKeys::default(), Arc::clone(&changes));
    let now = authenticator::now();
    let listens = |expires_at: u64| {
        let claims = Claims {
            exp: expires_at,
            ..claims(7)
        };
        Listener::from(Arc::new(User::new(claims).unwrap()))
    };
    let with_key = |expires_at: u64| {
        let key = ApiKey {
            id: uuid::Uuid::from_u128(1),
            grant: uuid::Uuid::from_u128(2),
            scopes: Vec::new(),
            created_at: 0,
            expires_at: Some(expires_at),
            account: state(&claims(7)),
        };
        Listener::from(Arc::new(User::of_key(key).unwrap()))
    };
    // Clocks of others may differ from ours, and a key's time is ours.
    assert!(authenticator.still_stands(&mut listens(now - 1)));
    assert!(!authenticator.still_stands(&mut listens(now - 61)));
    assert!(authenticator.still_stands(&mut with_key(now + 60)));
    assert!(!authenticator.still_stands(&mut with_key(now)));

    let mut listener = listens(u64::MAX);
    assert!(authenticator.still_stands(&mut listener));
    let renamed = AccountState {
        tier: "free".into(),
        roles: Vec::new(),
        is_superuser: false,
        ..state(&claims(7))
    };
    changes.account(renamed, u64::MAX);
    assert!(authenticator.still_stands(&mut listener));
    assert_eq!(listener.user.username, "renamed");
    for with in [
        |state: &mut AccountState| state.tier = "free".into(),
        |state: &mut AccountState| state.roles.clear(),
        |state: &mut AccountState| state.is_superuser = false,
    ] {
        let changes = Arc::default();
        let authenticator = self::authenticator(&changes);
        let mut promoted = listens(u64::MAX);
        changes.account(state(&claims(7)), u64::MAX);
        assert!(!authenticator.still_stands(&mut promoted));
        let mut less = state(&claims(7));
        with(&mut less);
        changes.account(less, u64::MAX);
        assert!(!authenticator.still_stands(&mut listens(u64::MAX)));
    }
    changes.session_ended(claims(8).sid, u64::MAX);
    assert!(authenticator.still_stands(&mut listener));
    let mut disabled = state(&claims(7));
    (disabled.version, disabled.active) = (9, false);
    changes.account(disabled, u64::MAX);
    assert!(!authenticator.still_stands(&mut listener));
    let mut other = listens(u64::MAX);
    changes.session_ended(claims(7).sid, u64::MAX);
    assert!(!authenticator.still_stands(&mut other));
}
