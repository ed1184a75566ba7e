//! Keys: made, told once, changed, revoked, and what becomes of them with their account.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Api, JSON, NOTHING};
use crate::accounts::{By, Key};

/// A key of `ann` and its id.
async fn make(api: &Api, token: &str, body: Value) -> (String, String) {
    let made = api.call("POST", "/api-keys", token, body).await.expect(201);
    let made = made.json();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

/// What the data plane says of a key.
async fn asked(api: &Api, key: &str) -> &'static str {
    match api.keys.verify(key).await {
        Ok(_) => "user",
        Err(refusal) => refusal.code().as_str(),
    }
}

#[tokio::test]
async fn a_key_is_told_once() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let body = json!({
        "name": "CI",
        "scopes": ["posts:write", "posts:read"],
        "expires_at": "2027-02-15T08:00:00+01:00",
    });
    let made = api.call("POST", "/api-keys", &ann, body).await.expect(201);
    let made = made.json();
    let key = made["key"].as_str().unwrap();
    let prefix = made["prefix"].as_str().unwrap();
    assert!(key.starts_with(&format!("{prefix}_")), "{made}");
    assert_eq!(key.len(), prefix.len() + 1 + 43);
    assert_eq!(
        prefix.replace("pck_", ""),
        made["id"].as_str().unwrap().replace('-', "")
    );
    assert_eq!(made["scopes"], json!(["posts:write", "posts:read"]));
    assert_eq!(made["created_at"], "2027-01-15T08:00:00Z");
    assert_eq!(made["expires_at"], "2027-02-15T07:00:00Z");
    assert_eq!(made["last_used_at"], Value::Null);

    let user = api.keys.verify(key).await.unwrap();
    assert_eq!(user.scopes, ["posts:write", "posts:read"]);
    assert_eq!(user.username, "ann");
    let list = api
        .call("GET", "/api-keys", &ann, NOTHING)
        .await
        .expect(200);
    let mut told = made.clone();
    told.as_object_mut().unwrap().remove("key");
    assert_eq!(list.json(), json!({ "data": [told] }));
    let secret = key.splitn(3, '_').nth(2).unwrap();
    assert!(!String::from_utf8_lossy(&list.body).contains(secret));
}

#[tokio::test]
async fn the_store_has_no_key() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (key, _) = make(&api, &ann, json!({ "name": "CI" })).await;
    let secret = &key[key.len() - 43..];
    for entry in std::fs::read_dir(api.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let is_there = bytes.windows(43).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{}", path.display());
        }
    }
    // One character of the secret, or of the id, makes it another key.
    for at in [10, key.len() - 20] {
        let mut other = key.clone().into_bytes();
        other[at] = if other[at] == b'0' { b'1' } else { b'0' };
        let other = String::from_utf8(other).unwrap();
        assert_eq!(asked(&api, &other).await, "token-invalid");
    }
    assert_eq!(asked(&api, &key).await, "user");
}

#[tokio::test]
async fn a_key_of_a_superuser_is_none() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let (key, _) = make(&api, &root, json!({ "name": "CI" })).await;
    assert!(!api.keys.verify(&key).await.unwrap().is_superuser);
    // Nor after a change to the account.
    let body = json!({ "name": "The new root" });
    api.call("PATCH", "/users/me", &root, body)
        .await
        .expect(200);
    let user = api.keys.verify(&key).await.unwrap();
    assert_eq!(user.name.as_deref(), Some("The new root"));
    assert!(!user.is_superuser);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_key_is_told_at_once() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let wrong = [
        (json!({}), &["name"][..]),
        (json!({ "name": "" }), &["name"]),
        (json!({ "name": "x".repeat(61) }), &["name"]),
        (json!({ "name": "a\u{7}" }), &["name"]),
        (
            json!({ "name": 1, "scopes": "a", "expires_at": 5 }),
            &["name", "scopes", "expires_at"],
        ),
        (json!({ "name": "x", "scopes": ["a b"] }), &["scopes"]),
        (json!({ "name": "x", "scopes": ["a", "a"] }), &["scopes"]),
        (json!({ "name": "x", "scopes": ["a\"b"] }), &["scopes"]),
        (
            json!({ "name": "x", "expires_at": "tomorrow" }),
            &["expires_at"],
        ),
        (
            json!({ "name": "x", "expires_at": "2027-01-15T08:00:00Z" }),
            &["expires_at"],
        ),
        (
            json!({ "name": "x", "expires_at": "1999-01-15T08:00:00Z" }),
            &["expires_at"],
        ),
        (
            json!({ "name": "x", "is_superuser": true }),
            &["is_superuser"],
        ),
    ];
    let (_, id) = make(&api, &ann, json!({ "name": "CI" })).await;
    for (body, fields) in wrong {
        let made = api.call("POST", "/api-keys", &ann, body.clone()).await;
        made.assert_refused("validation-failed");
        let told = made.refusal.unwrap();
        let told: Vec<&str> = told.fields().iter().map(|error| &*error.field).collect();
        assert_eq!(told, fields, "{body}");
        if body != json!({}) {
            let changed = api
                .call("PATCH", &format!("/api-keys/{id}"), &ann, body)
                .await;
            changed.assert_refused("validation-failed");
        }
    }
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_keys() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let mut id = String::new();
    for n in 0..100 {
        (_, id) = make(&api, &ann, json!({ "name": format!("key {n}") })).await;
    }
    let body = json!({ "name": "one more" });
    let refused = api.call("POST", "/api-keys", &ann, body.clone()).await;
    refused.assert_refused("conflict");
    let path = format!("/api-keys/{id}");
    api.call("DELETE", &path, &ann, NOTHING).await.expect(204);
    make(&api, &ann, body).await;
    let (root, _) = api.sign_in("root").await;
    make(&api, &root, json!({ "name": "somebody else's" })).await;
}

#[tokio::test]
async fn a_change_acts_on_a_key_in_use() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (key, id) = make(&api, &ann, json!({ "name": "CI", "scopes": ["a", "b"] })).await;
    assert_eq!(api.keys.verify(&key).await.unwrap().scopes, ["a", "b"]);
    let path = format!("/api-keys/{id}");
    let body = json!({ "scopes": ["a"], "expires_at": "2096-01-01T00:00:00Z" });
    let changed = api.call("PATCH", &path, &ann, body).await.expect(200);
    assert_eq!(changed.json()["name"], "CI");
    let user = api.keys.verify(&key).await.unwrap();
    assert_eq!(user.scopes, ["a"]);
    assert_eq!(user.expires_at, 3_976_214_400);
    let body = json!({ "name": "Deploy", "expires_at": null });
    let changed = api.call("PATCH", &path, &ann, body).await.expect(200);
    assert_eq!(changed.json()["name"], "Deploy");
    assert_eq!(changed.json()["expires_at"], Value::Null);
    assert_eq!(api.keys.verify(&key).await.unwrap().expires_at, u64::MAX);
}

#[tokio::test]
async fn a_revoked_key_ends_at_once_for_good() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (key, id) = make(&api, &ann, json!({ "name": "CI" })).await;
    let (other, _) = make(&api, &ann, json!({ "name": "other" })).await;
    assert_eq!(asked(&api, &key).await, "user");
    let path = format!("/api-keys/{id}");
    api.call("DELETE", &path, &ann, NOTHING).await.expect(204);
    assert_eq!(asked(&api, &key).await, "token-revoked");
    assert_eq!(asked(&api, &other).await, "user");
    for method in ["DELETE", "PATCH"] {
        let body = if method == "PATCH" {
            json!({ "name": "x" })
        } else {
            NOTHING
        };
        let again = api.call(method, &path, &ann, body).await;
        again.assert_refused("not-found");
    }
    let list = api
        .call("GET", "/api-keys", &ann, NOTHING)
        .await
        .expect(200);
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn keys_are_their_owner_s_alone() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let (key, id) = make(&api, &ann, json!({ "name": "CI" })).await;
    let path = format!("/api-keys/{id}");
    let list = api
        .call("GET", "/api-keys", &root, NOTHING)
        .await
        .expect(200);
    assert_eq!(list.json()["data"], json!([]));
    for (method, body) in [("PATCH", json!({ "name": "x" })), ("DELETE", NOTHING)] {
        let answer = api.call(method, &path, &root, body).await;
        answer.assert_refused("not-found");
    }
    assert_eq!(asked(&api, &key).await, "user");
}

#[tokio::test]
async fn a_key_opens_no_endpoint_that_needs_a_token() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let body = json!({ "name": "CI", "scopes": ["introspect"] });
    let (key, id) = make(&api, &root, body).await;
    for (method, path) in [
        ("GET", "/users/me"),
        ("DELETE", "/users/me"),
        ("GET", "/users"),
        ("GET", "/audit"),
        ("GET", "/sessions"),
        ("GET", "/api-keys"),
        ("POST", "/api-keys"),
        ("DELETE", &format!("/api-keys/{id}")),
        ("POST", "/logout-all"),
        ("POST", "/users/ann/disable"),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(JSON.0, JSON.1)
            .header("x-api-key", &key);
        let body = axum::body::Body::from("{\"name\": \"x\"}");
        let answer = api.send(request.body(body).unwrap()).await;
        answer.assert_refused("token-missing");
        // Nor as if it were a token.
        api.call(method, path, &key, NOTHING)
            .await
            .assert_refused("token-invalid");
    }
}

#[tokio::test]
async fn keys_go_the_way_of_their_account() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let (key, _) = make(&api, &ann, json!({ "name": "CI" })).await;
    let (unseen, _) = make(&api, &ann, json!({ "name": "other" })).await;
    assert_eq!(asked(&api, &key).await, "user");
    let by = By::command_line();
    for (stop, start) in [("disable", "enable"), ("delete", "restore")] {
        let (method, path) = match stop {
            "delete" => ("DELETE", "/users/ann".to_owned()),
            verb => ("POST", format!("/users/ann/{verb}")),
        };
        api.call(method, &path, &root, NOTHING).await;
        assert_eq!(asked(&api, &key).await, "token-revoked", "{stop}");
        let path = format!("/users/ann/{start}");
        api.call("POST", &path, &root, NOTHING).await.expect(200);
        assert_eq!(asked(&api, &key).await, "user", "{start}");
    }
    let body = json!({ "tier": "pro" });
    api.call("PUT", "/users/ann/tier", &root, body)
        .await
        .expect(200);
    assert_eq!(api.keys.verify(&key).await.unwrap().tier, "pro");

    let purged = api.accounts.purge(Key::Username("ann"), &by).await;
    purged.unwrap();
    for key in [&key, &unseen] {
        assert_eq!(asked(&api, key).await, "token-invalid");
    }
}

#[tokio::test]
async fn a_deleted_account_gets_no_key() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    api.call("DELETE", "/users/me", &ann, NOTHING)
        .await
        .expect(204);
    let new = crate::accounts::NewKey {
        name: "CI".into(),
        scopes: vec![],
        expires_at: None,
    };
    let users = api.accounts.users();
    let by = By::command_line();
    let made = users.add_key(Key::Username("ann"), new.clone(), &by).await;
    assert!(made.unwrap_err().to_string().contains("restore"));
    let made = users.add_key(Key::Username("nobody"), new, &by).await;
    assert!(made.is_err());
}

#[tokio::test]
async fn the_last_use_is_noted_about_once_a_minute() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (key, _) = make(&api, &ann, json!({ "name": "CI" })).await;
    let noted = async || {
        api.accounts.note_key_uses().await;
        let list = api
            .call("GET", "/api-keys", &ann, NOTHING)
            .await
            .expect(200);
        list.json()["data"][0]["last_used_at"].clone()
    };
    assert_eq!(noted().await, Value::Null);
    let id = api.keys.verify(&key).await.unwrap().key.unwrap();
    assert_eq!(noted().await, "2027-01-15T08:00:00Z");
    api.clock.advance(Duration::from_secs(59));
    api.accounts.key_was_used(id);
    assert_eq!(
        noted().await,
        "2027-01-15T08:00:00Z",
        "written at most once a minute"
    );
    api.clock.advance(Duration::from_secs(1));
    api.accounts.key_was_used(id);
    assert_eq!(noted().await, "2027-01-15T08:01:00Z");
}

#[tokio::test]
async fn what_is_done_with_keys_is_in_the_trail_without_them() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let (key, id) = make(&api, &ann, json!({ "name": "CI", "scopes": ["a"] })).await;
    let path = format!("/api-keys/{id}");
    let body = json!({ "scopes": [] });
    api.call("PATCH", &path, &ann, body).await.expect(200);
    // Nothing changes, and nothing is told.
    let body = json!({ "scopes": [] });
    api.call("PATCH", &path, &ann, body).await.expect(200);
    api.call("DELETE", &path, &ann, NOTHING).await.expect(204);
    let trail = api.call("GET", "/audit?user=ann&limit=3", &root, NOTHING);
    let trail = trail.await.expect(200);
    let actions: Vec<Value> = trail.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert_eq!(entry["details"]["key"], json!(id));
            assert_eq!(entry["by"]["username"], "ann");
            entry["action"].clone()
        })
        .collect();
    assert_eq!(
        actions,
        ["api-key.revoke", "api-key.update", "api-key.create"]
    );
    let secret = key.splitn(3, '_').nth(2).unwrap();
    assert!(!String::from_utf8_lossy(&trail.body).contains(secret));
    let filtered = api.call("GET", "/audit?action=api-key.create", &root, NOTHING);
    assert_eq!(
        filtered.await.expect(200).json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn without_api_keys_their_endpoints_are_the_routes_own() {
    let api = Api::start_with(|config| config.auth.api_keys.enabled = false).await;
    let (ann, _) = api.sign_in("ann").await;
    for (method, path) in [("GET", "/api-keys"), ("POST", "/api-keys")] {
        let answer = api.call(method, path, &ann, NOTHING).await;
        answer.assert_refused("not-found");
    }
    let taken = crate::api::endpoints(&api.config.auth);
    assert!(
        !taken.iter().any(|path| path.contains("api-keys")),
        "{taken:?}"
    );
}

#[tokio::test]
async fn only_superusers_give_a_key_the_gateway_s_own_scope() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let (_, id) = make(&api, &ann, json!({ "name": "CI" })).await;
    let scopes = json!({ "name": "CI", "scopes": ["read", "introspect"] });
    for (method, path) in [("POST", "/api-keys"), ("PATCH", &format!("/api-keys/{id}"))] {
        let refused = api.call(method, path, &ann, scopes.clone()).await;
        refused.assert_refused("validation-failed");
    }
    make(&api, &root, scopes).await;
}
