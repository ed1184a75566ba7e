//! Tokens that were forged, bent or meant for something else.

use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis::config::{KeyAlgorithm, PrivateKey};
use serde_json::{Value, json};

use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::forge::{Jwt, base64url, rsa_public_key_files, sign, unbase64};
use crate::harness::gateway::{Gateway, SECRET, Settings};
use crate::harness::origin::Origin;

fn signing(origin: &Origin, algorithm: &str) -> Settings {
    let secret = match algorithm {
        "HS256" => format!(", secret: {SECRET}"),
        _ => String::new(),
    };
    Settings::new(origin)
        .auth(&format!(
            "signing: {{ algorithm: {algorithm}{secret} }}\nleeway: 0s"
        ))
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
}

#[track_caller]
fn refused(gateway: &Gateway, what: &str, token: &str) {
    let response = gateway.connect().exchange(&get("/").bearer(token));
    assert_eq!(response.status, 401, "{what}: {response:?}");
    assert!(
        response.header("www-authenticate").is_some(),
        "{what}: {response:?}"
    );
}

#[track_caller]
fn accepted(gateway: &Gateway, what: &str, token: &str) {
    let response = gateway.connect().exchange(&get("/").bearer(token));
    assert_eq!(response.status, 200, "{what}: {response:?}");
}

#[test]
fn alg_confusion() {
    for algorithm in ["RS256", "EdDSA", "ES256", "HS256"] {
        let origin = Origin::start();
        let gateway = signing(&origin, algorithm).start();
        let alice = gateway.user("alice", &[]);
        let token = Jwt::parse(&alice.access);
        let signature = alice.access.rsplit('.').next().unwrap();
        accepted(&gateway, algorithm, &alice.access);
        let served = origin.requests().len();

        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let forged = token.clone().header("alg", alg);
            refused(&gateway, alg, &forged.unsigned());
            refused(&gateway, alg, &format!("{}{signature}", forged.unsigned()));
            refused(&gateway, alg, forged.unsigned().trim_end_matches('.'));
        }
        refused(&gateway, "no signature", &token.unsigned());
        for other in [
            "HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "EdDSA",
        ] {
            if other != algorithm {
                let renamed = token.clone().header("alg", other).unsigned() + signature;
                refused(&gateway, &format!("{other} for {algorithm}"), &renamed);
            }
        }
        let lower = algorithm.to_lowercase();
        refused(
            &gateway,
            &lower,
            &(token.clone().header("alg", lower.as_str()).unsigned() + signature),
        );
        refused(
            &gateway,
            "no alg",
            &(token.clone().without_header("alg").unsigned() + signature),
        );
        for key in [&b""[..], b"secret", b"null", b"\0", algorithm.as_bytes()] {
            refused(
                &gateway,
                "a guessed secret",
                &token.clone().header("alg", "HS256").signed(key),
            );
        }
        assert_eq!(
            origin.requests().len(),
            served,
            "a forged token reached the origin"
        );
        gateway.still_serves("/");
    }

    // The public key in every form in which it lies about, as if it were a shared secret.
    let origin = Origin::start();
    let gateway = signing(&origin, "RS256").start();
    let alice = gateway.user("alice", &[]);
    let published = gateway.send(&get("/.well-known/jwks.json")).expect(200);
    let keys = published.json();
    let key = &keys["keys"][0];
    let forged = Jwt::parse(&alice.access)
        .header("alg", "HS256")
        .claim("is_superuser", true);
    for secret in rsa_public_key_files(key) {
        refused(
            &gateway,
            "the public key as a secret",
            &forged.signed(&secret),
        );
        let without_kid = forged.clone().without_header("kid");
        refused(
            &gateway,
            "the public key as a secret",
            &without_kid.signed(&secret),
        );
    }
    refused(
        &gateway,
        "the JWK as a secret",
        &forged.signed(key.to_string().as_bytes()),
    );
    refused(
        &gateway,
        "the JWKS as a secret",
        &forged.signed(&published.body),
    );

    // With the real secret at hand, only the header is wrong.
    let origin = Origin::start();
    let gateway = signing(&origin, "HS256").start();
    let alice = gateway.user("alice", &[]);
    let token = Jwt::parse(&alice.access);
    accepted(&gateway, "as issued", &token.signed(SECRET.as_bytes()));
    for kid in [
        "../../../../dev/null",
        "/dev/null",
        "' OR 1=1 --",
        "' UNION SELECT 'x",
        "http://127.0.0.1:1/jwks.json",
        "unknown",
        "",
        "$(id)",
        "%00",
    ] {
        let forged = token.clone().header("kid", kid);
        refused(&gateway, kid, &forged.signed(SECRET.as_bytes()));
        refused(&gateway, kid, &forged.signed(b""));
    }
    refused(
        &gateway,
        "a kid that is no string",
        &token.clone().header("kid", 7).signed(SECRET.as_bytes()),
    );
    let own_key = json!({ "kty": "oct", "alg": "HS256", "k": base64url("attacker") });
    for (name, value) in [
        ("jwk", own_key.clone()),
        ("jku", json!("http://127.0.0.1:1/jwks.json")),
        ("x5u", json!("http://127.0.0.1:1/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let forged = token.clone().header(name, value);
        refused(&gateway, name, &forged.signed(b"attacker"));
        let mut forged = forged.without_header("kid");
        refused(&gateway, name, &forged.signed(b"attacker"));
        forged.header["kid"] = json!("attacker");
        refused(&gateway, name, &forged.signed(b"attacker"));
    }
    // RFC 7515, section 4.1.11: an extension that is critical and not understood.
    for crit in [
        json!(["b64"]),
        json!(["x-unknown"]),
        json!([]),
        json!("b64"),
    ] {
        let forged = token
            .clone()
            .header("crit", crit)
            .header("x-unknown", 1)
            .header("b64", false);
        refused(&gateway, "crit", &forged.signed(SECRET.as_bytes()));
    }
    gateway.still_serves("/");
}

#[test]
fn alg_confusion_between_keys() {
    let folder = tempfile::tempdir().unwrap();
    let made = [
        ("a", KeyAlgorithm::Rs256),
        ("b", KeyAlgorithm::EdDsa),
        ("c", KeyAlgorithm::EdDsa),
    ];
    let made = made.map(|(kid, algorithm)| {
        let key = PrivateKey::generate(algorithm).unwrap();
        let file = folder.path().join(format!("{kid}.pem"));
        std::fs::write(&file, key.to_pem()).unwrap();
        let encoding = match algorithm {
            KeyAlgorithm::Rs256 => EncodingKey::from_rsa_pem(&key.to_pem()).unwrap(),
            _ => EncodingKey::from_ed_pem(&key.to_pem()).unwrap(),
        };
        let algorithm = algorithm.as_str().parse::<Algorithm>().unwrap();
        (
            kid,
            algorithm,
            encoding,
            format!("{{ kid: {kid}, file: {file:?} }}"),
        )
    });
    let items: Vec<&str> = made.iter().map(|key| key.3.as_str()).collect();
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .auth(&format!("signing: {{ keys: [{}] }}", items.join(", ")))
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]);
    let claims = Jwt::parse(&alice.access).claims;
    for (kid, algorithm, key, _) in &made {
        for (named, said, ..) in &made {
            let header = json!({ "alg": said, "typ": "at+jwt", "kid": named });
            let part = |value: &Value| base64url(value.to_string());
            let message = format!("{}.{}", part(&header), part(&claims));
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, *algorithm);
            let token = format!("{message}.{}", signature.unwrap());
            let what = format!("{kid} for {named}");
            match kid == named {
                true => accepted(&gateway, &what, &token),
                false => refused(&gateway, &what, &token),
            }
            // What the key's own algorithm is called changes nothing about the other's id.
            let own = json!({ "alg": algorithm, "typ": "at+jwt", "kid": named });
            let message = format!("{}.{}", part(&own), part(&claims));
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, *algorithm);
            if kid != named {
                refused(
                    &gateway,
                    &what,
                    &format!("{message}.{}", signature.unwrap()),
                );
            }
        }
    }
    // The public half of one as a secret, under the id of another.
    let published = gateway.send(&get("/.well-known/jwks.json")).expect(200);
    let keys = published.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 3);
    for secret in rsa_public_key_files(&keys["keys"][0]) {
        for kid in ["a", "b"] {
            let forged = Jwt::parse(&alice.access)
                .header("alg", "HS256")
                .header("kid", kid);
            refused(&gateway, kid, &forged.signed(&secret));
        }
    }
}

/// The JSON text of an object, with one member's text put in by hand.
fn with_member(object: &Value, text: &str) -> String {
    let mut json = object.to_string();
    json.pop();
    format!("{json},{text}}}")
}

#[test]
fn exp_as_string() {
    let origin = Origin::start();
    let gateway = signing(&origin, "HS256").start();
    let alice = gateway.user("alice", &[]);
    let token = Jwt::parse(&alice.access);
    let now = token.claims["iat"].as_i64().unwrap();
    let later = now + 1000;
    accepted(&gateway, "as issued", &token.signed(SECRET.as_bytes()));
    let served = origin.requests().len();

    for (name, value) in [
        ("exp", json!(later.to_string())),
        ("exp", json!("never")),
        ("exp", json!(null)),
        ("exp", json!(true)),
        ("exp", json!([later])),
        ("exp", json!({ "$gt": 0 })),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", json!(now - 10)),
        ("nbf", json!(later.to_string())),
        ("nbf", json!([])),
        ("nbf", json!(later)),
        ("aud", json!("somebody-else")),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("aud", json!({ "api": true })),
        ("aud", json!(7)),
        ("iss", json!("http://other.test")),
        ("iss", json!("http://issuer.test/")),
        ("iss", json!(["http://issuer.test"])),
        ("iss", json!(null)),
        ("sub", json!(null)),
        ("sub", json!(1)),
        ("sub", json!("alice")),
        ("sid", json!("x")),
        ("av", json!("1")),
        ("av", json!(-1)),
        ("is_superuser", json!("true")),
        ("roles", json!("admin")),
    ] {
        let forged = token.clone().claim(name, value.clone());
        refused(
            &gateway,
            &format!("{name}: {value}"),
            &forged.signed(SECRET.as_bytes()),
        );
    }
    for name in ["exp", "iss", "aud", "sub", "sid", "av", "token_type"] {
        let forged = token.clone().without_claim(name);
        refused(
            &gateway,
            &format!("no {name}"),
            &forged.signed(SECRET.as_bytes()),
        );
    }
    let header = token.header.to_string();
    for (name, text) in [
        ("exp", format!("\"exp\":{later}")),
        (
            "sub",
            "\"sub\":\"00000000-0000-0000-0000-000000000001\"".to_owned(),
        ),
        ("is_superuser", "\"is_superuser\":true".to_owned()),
        ("token_type", "\"token_type\":\"access\"".to_owned()),
    ] {
        let claims = with_member(&token.claims, &text);
        refused(
            &gateway,
            &format!("{name} twice"),
            &sign(&header, &claims, SECRET.as_bytes()),
        );
    }
    for claims in ["", "null", "[]", "\"x\"", "7", "{}", "{", "\u{feff}{}"] {
        refused(&gateway, claims, &sign(&header, claims, SECRET.as_bytes()));
    }
    for odd in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "eyJ.eyJ.x",
        "é.é.é",
    ] {
        let mut client = gateway.connect();
        client.send(get("/").bearer(odd).to_bytes());
        let response = client.read_response();
        assert!(
            matches!(response.status, 400 | 401),
            "{odd:?}: {response:?}"
        );
    }
    let deep = "[".repeat(100_000);
    let deep = sign(&header, &deep[..5000], SECRET.as_bytes());
    refused(&gateway, "deeply nested claims", &deep);
    assert_eq!(
        origin.requests().len(),
        served,
        "a bent token reached the origin"
    );

    // Numbers with a fraction are times too (RFC 7519, section 2); either answer is right, a crash is not.
    let fraction = token.clone().claim("exp", later as f64 + 0.5);
    gateway
        .connect()
        .exchange(&get("/").bearer(&fraction.signed(SECRET.as_bytes())));
    accepted(&gateway, "as issued, at the end", &alice.access);
    gateway.still_serves("/");
}

#[test]
fn token_type_confusion() {
    let origin = Origin::start();
    let gateway = signing(&origin, "HS256").start();
    let alice = gateway.user("alice", &[]);
    let token = Jwt::parse(&alice.access);

    refused(
        &gateway,
        "a refresh token as an access token",
        &alice.refresh,
    );
    for kind in [
        json!("refresh"),
        json!("id"),
        json!("assertion"),
        json!("Access"),
        json!("access "),
        json!(null),
        json!(["access"]),
        json!(true),
    ] {
        let forged = token.clone().claim("token_type", kind.clone());
        refused(
            &gateway,
            &kind.to_string(),
            &forged.signed(SECRET.as_bytes()),
        );
    }
    for typ in ["JWT", "id+jwt", "refresh+jwt", "rt+jwt", "at", ""] {
        let forged = token.clone().header("typ", typ);
        refused(&gateway, typ, &forged.signed(SECRET.as_bytes()));
    }
    refused(
        &gateway,
        "no typ",
        &token
            .clone()
            .without_header("typ")
            .signed(SECRET.as_bytes()),
    );

    for not_refresh in [
        alice.access.as_str(),
        &token.signed(SECRET.as_bytes()),
        "rubbish",
    ] {
        let response = gateway.refresh(not_refresh);
        assert_eq!(response.status, 401, "{response:?}");
    }
    gateway.refresh(&alice.refresh).expect(200);
    accepted(&gateway, "the access token", &alice.access);
    gateway.still_serves("/");
}

/// An assertion has a good signature, and its upstream may be called what the tokens are for.
#[test]
fn token_type_confusion_by_assertion() {
    for algorithm in ["EdDSA", "ES256", "RS256"] {
        let origin = Origin::start();
        let gateway = Settings::new(&origin)
            .auth(&format!(
                "signing: {{ algorithm: {algorithm} }}\naudience: [app]"
            ))
            .top("identity: { assertion: {} }")
            .routes("- { name: all, prefix: /, auth: required, upstream: app }")
            .start();
        let alice = gateway.user("alice", &["--superuser"]);
        accepted(&gateway, "the access token", &alice.access);
        let assertion = origin.last_request().header("x-portcullis-assertion");
        let assertion = assertion.unwrap();
        assert_eq!(Jwt::parse(&assertion).claims["aud"], "app");
        refused(&gateway, "an assertion as an access token", &assertion);
        let response = gateway.send(&get("/api/v1/users/me").bearer(&assertion));
        response.expect_problem(401, "token-invalid");
        assert_eq!(gateway.refresh(&assertion).status, 401);
        // Under the header of an access token its signature is another's.
        let access: Vec<&str> = alice.access.split('.').collect();
        let parts: Vec<&str> = assertion.split('.').collect();
        for forged in [
            [access[0], parts[1], parts[2]],
            [parts[0], access[1], parts[2]],
        ] {
            refused(&gateway, "half an assertion", &forged.join("."));
        }
        gateway.still_serves("/");
    }
}

#[test]
fn verify_cache_key() {
    let origin = Origin::start();
    let gateway = signing(&origin, "HS256").start();
    let alice = gateway.user("alice", &[]);
    let bob = gateway.user("bob", &[]);
    let token = Jwt::parse(&alice.access);
    // Remembered by every worker.
    for _ in 0..16 {
        accepted(&gateway, "alice", &alice.access);
        accepted(&gateway, "bob", &bob.access);
    }

    let parts: Vec<&str> = alice.access.split('.').collect();
    let others: Vec<&str> = bob.access.split('.').collect();
    for (what, forged) in [
        ("another's claims", [parts[0], others[1], parts[2]]),
        ("another's signature", [parts[0], parts[1], others[2]]),
        ("another's claims and signature", [parts[0], others[1], ""]),
        ("no signature", [parts[0], parts[1], ""]),
    ] {
        refused(&gateway, what, &forged.join("."));
    }
    // Every single bit of the signature counts.
    let signature = unbase64(parts[2]);
    for at in [0, signature.len() / 2, signature.len() - 1] {
        let mut bent = signature.clone();
        bent[at] ^= 1;
        refused(
            &gateway,
            "a bent signature",
            &format!("{}.{}.{}", parts[0], parts[1], base64url(bent)),
        );
    }
    let cut = &parts[2][..parts[2].len() - 2];
    refused(
        &gateway,
        "a shorter signature",
        &format!("{}.{}.{cut}", parts[0], parts[1]),
    );
    refused(&gateway, "a longer token", &format!("{}A", alice.access));
    refused(&gateway, "padding", &format!("{}=", alice.access));
    let promoted = token.clone().claim("is_superuser", true).unsigned() + parts[2];
    refused(&gateway, "claims under an old signature", &promoted);

    // Who the origin is told is who the token says, however often both were seen.
    for _ in 0..8 {
        for (session, name) in [(&alice, "alice"), (&bob, "bob")] {
            accepted(&gateway, name, &session.access);
            assert_eq!(
                origin.last_request().header("x-user-name").as_deref(),
                Some(name)
            );
        }
    }

    // Expiry is looked at on every hit.
    let soon = token.claims["iat"].as_u64().unwrap() + 2;
    let short = token.claim("exp", soon).signed(SECRET.as_bytes());
    let first = gateway.connect().exchange(&get("/").bearer(&short));
    assert!(matches!(first.status, 200 | 401), "{first:?}");
    eventually("the end of a remembered token", || {
        let response = gateway.send(&get("/").bearer(&short));
        (response.status == 401).then_some(())
    });
    refused(&gateway, "an expired token", &short);
    gateway.still_serves("/");
}

#[test]
fn weak_secret() {
    let origin = Origin::start();
    for secret in [
        "",
        "secret",
        "0123456789012345678901234567890",
        "your-256-bit-secret",
        "a-string-secret-at-least-256-bits-long",
    ] {
        let output = Settings::new(&origin)
            .auth(&format!(
                "signing: {{ algorithm: HS256, secret: \"{secret}\" }}"
            ))
            .refused();
        let text = format!("{}{}", output.stdout, output.stderr);
        assert!(text.contains("secret"), "{secret}: {text}");
        assert!(
            secret.len() < 10 || !output.stdout.contains(secret),
            "{output:?}"
        );
    }
    let output = Settings::new(&origin)
        .auth("signing: { algorithm: HS256 }")
        .refused();
    assert!(output.stderr.contains("secret"), "{output:?}");
    let output = Settings::new(&origin)
        .auth("signing: { algorithm: none }")
        .refused();
    assert!(output.stderr.contains("none"), "{output:?}");

    let gateway = signing(&origin, "HS256").start();
    gateway.still_serves("/");
}
