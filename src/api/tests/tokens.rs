//! What a token stands for, its end by whoever holds it, and what clients may know beforehand.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Request;
use serde_json::{Value, json};

use super::super::Payer;
use super::{Answer, Api, FORM, NOTHING};

async fn make(api: &Api, token: &str, body: Value) -> String {
    let made = api.call("POST", "/api-keys", token, body).await.expect(201);
    made.json()["key"].as_str().unwrap().to_owned()
}

async fn introspect(api: &Api, by: (&str, &str), token: &str) -> Answer {
    let body = format!("token={token}&token_type_hint=whatever");
    api.post("/api/v1/introspect", &[FORM, by], &body).await
}

async fn revoke(api: &Api, token: &str) -> Answer {
    let body = format!("token={token}&token_type_hint=refresh_token&unknown=1");
    api.post("/api/v1/revoke", &[FORM], &body).await
}

#[tokio::test]
async fn what_every_kind_of_token_stands_for() {
    let api = Api::start().await;
    let (ann, cookie) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let refresh = cookie.replace("refresh_token=", "");
    let body = json!({ "name": "CI", "scopes": ["a", "b"] });
    let forever = make(&api, &ann, body).await;
    let body = json!({ "name": "CI", "expires_at": "2027-01-15T09:00:00Z" });
    let expiring = make(&api, &ann, body).await;
    let root = format!("Bearer {root}");
    let by = ("authorization", root.as_str());
    let me = api.me(&ann).await.json();
    let told = async |token: &str| introspect(&api, by, token).await.expect(200).json();
    let common = |more: Value| {
        let mut told = json!({
            "active": true,
            "sub": me["id"],
            "username": "ann",
            "scope": "",
            "iss": "http://localhost:8080",
            "aud": ["api"],
            "iat": 1_800_000_000,
        });
        for (member, value) in more.as_object().unwrap() {
            told[member] = value.clone();
        }
        told
    };
    let expected = common(json!({ "token_type": "bearer", "exp": 1_800_001_800 }));
    assert_eq!(told(&ann).await, expected);
    let expected = common(json!({ "token_type": "refresh_token", "exp": 1_800_604_800 }));
    assert_eq!(told(&refresh).await, expected);
    let expected = common(json!({ "token_type": "api_key", "scope": "a b" }));
    assert_eq!(told(&forever).await, expected);
    let expected = common(json!({ "token_type": "api_key", "exp": 1_800_003_600 }));
    assert_eq!(told(&expiring).await, expected);

    // The account as it is now.
    let body = json!({ "username": "anna" });
    api.call("PATCH", "/users/me", &ann, body).await.expect(200);
    for token in [&ann, &refresh, &forever] {
        assert_eq!(told(token).await["username"], "anna");
    }
    // Asking uses nothing up: the refresh token still works, and the used one does not.
    let next = api.refresh(&cookie).await.expect(200).cookie();
    let inactive = json!({ "active": false });
    assert_eq!(told(&refresh).await, inactive);
    assert_eq!(
        told(&next.replace("refresh_token=", "")).await["active"],
        true
    );
    for rubbish in ["", "x", "a.b.c", "pck_x_y", &forever[..forever.len() - 1]] {
        assert_eq!(told(rubbish).await, inactive, "{rubbish}");
    }
}

#[tokio::test]
async fn what_can_t_be_used_any_more_is_not_active() {
    let api = Api::start().await;
    let (ann, cookie) = api.sign_in("ann").await;
    let refresh = cookie.replace("refresh_token=", "");
    let body = json!({ "name": "CI", "expires_at": "2027-01-15T08:10:00Z" });
    let expiring = make(&api, &ann, body).await;
    let forever = make(&api, &ann, json!({ "name": "CI" })).await;
    api.clock.advance(Duration::from_secs(3600));
    let (root, _) = api.sign_in("root").await;
    let bearer = format!("Bearer {root}");
    let by = ("authorization", bearer.as_str());
    let is_active = async |token: &str| {
        introspect(&api, by, token).await.expect(200).json()["active"] == json!(true)
    };
    assert!(!is_active(&ann).await);
    assert!(!is_active(&expiring).await);
    assert!(is_active(&refresh).await && is_active(&forever).await);
    let (again, _) = api.sign_in("ann").await;
    assert!(is_active(&again).await);
    api.call("POST", "/users/ann/disable", &root, NOTHING)
        .await
        .expect(200);
    for token in [&again, &refresh, &forever] {
        assert!(!is_active(token).await);
    }
}

#[tokio::test]
async fn only_superusers_and_keys_for_it_may_ask() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let body = json!({ "name": "x", "scopes": ["introspect"] });
    let fit = make(&api, &root, body).await;
    let body = json!({ "name": "x", "scopes": ["introspection", "x"] });
    let unfit = make(&api, &ann, body).await;
    let of_root = make(&api, &root, json!({ "name": "x" })).await;
    for (by, status) in [
        (("authorization", format!("Bearer {root}")), 200),
        (("x-api-key", fit), 200),
        (("authorization", format!("Bearer {ann}")), 403),
        (("x-api-key", unfit), 403),
        (("x-api-key", of_root), 403),
        (("x-api-key", "x".into()), 401),
        (("accept", "x".into()), 401),
    ] {
        let answer = introspect(&api, (by.0, &by.1), &ann).await;
        assert_eq!(answer.status, status, "{by:?}: {answer:?}");
    }
    let bearer = format!("Bearer {root}");
    let headers = [FORM, ("authorization", bearer.as_str())];
    let without = api.post("/api/v1/introspect", &headers, "").await;
    without.assert_refused("validation-failed");
}

#[tokio::test]
async fn keys_that_may_ask_end_with_their_owners_rank() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let rank = async |is: bool| {
        let body = json!({ "is_superuser": is });
        let put = api.call("PUT", "/users/ann/superuser", &root, body);
        put.await.expect(200);
    };
    rank(true).await;
    let lent = make(
        &api,
        &ann,
        json!({ "name": "x", "scopes": ["a", "introspect"] }),
    )
    .await;
    let own = make(
        &api,
        &ann,
        json!({ "name": "y", "scopes": ["introspection"] }),
    )
    .await;
    let by = ("x-api-key", lent.as_str());
    introspect(&api, by, &root).await.expect(200);
    rank(false).await;
    introspect(&api, by, &root).await.expect(401);
    rank(true).await;
    introspect(&api, by, &root).await.expect(401);
    introspect(&api, ("x-api-key", &own), &root)
        .await
        .expect(403);
}

#[tokio::test]
async fn whoever_holds_a_token_ends_it() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let (ann, cookie) = api.sign_in("ann").await;
    revoke(&api, &ann).await.expect(200);
    api.me(&ann).await.assert_refused("token-revoked");
    api.refresh(&cookie).await.assert_refused("token-revoked");

    let (ann, cookie) = api.sign_in("ann").await;
    revoke(&api, &cookie.replace("refresh_token=", ""))
        .await
        .expect(200);
    api.me(&ann).await.assert_refused("token-revoked");

    let (ann, cookie) = api.sign_in("ann").await;
    let key = make(&api, &ann, json!({ "name": "CI" })).await;
    assert!(api.keys.verify(&key).await.is_ok());
    revoke(&api, &key).await.expect(200);
    assert!(api.keys.verify(&key).await.is_err());
    api.me(&ann).await.expect(200);
    let trail = api.call("GET", "/audit?action=api-key.revoke", &root, NOTHING);
    let trail = trail.await.expect(200).json();
    assert_eq!(
        trail["data"][0]["by"]["username"], "ann",
        "the holder is the user"
    );

    // An expired token still ends its session.
    api.clock.advance(Duration::from_secs(3600));
    revoke(&api, &ann).await.expect(200);
    api.refresh(&cookie).await.assert_refused("token-revoked");
}

#[tokio::test]
async fn ending_what_is_not_there_is_fine() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let key = make(&api, &ann, json!({ "name": "CI" })).await;
    let mut other = key.clone();
    other.pop();
    for token in ["", "x", "a.b.c", "pck_x_y", &other, &format!("{other}_")] {
        let answer = revoke(&api, token).await.expect(200);
        assert_eq!(answer.body, b"{}");
    }
    assert!(api.keys.verify(&key).await.is_ok(), "nothing else ended");
    let without = api.post("/api/v1/revoke", &[FORM], "").await;
    without.assert_refused("validation-failed");
}

#[tokio::test]
async fn who_asks_pays_by_account_and_who_revokes_by_address() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let (ann, _) = api.sign_in("ann").await;
    let body = json!({ "name": "x", "scopes": ["introspect"] });
    let key = make(&api, &root, body).await;
    let id = async |token: &str| {
        let me = api.me(token).await.expect(200).json();
        me["id"].as_str().unwrap().parse().unwrap()
    };
    let (root_id, ann_id) = (id(&root).await, id(&ann).await);
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let ask = async |(name, value): (&str, String)| introspect(&api, (name, &value), "x").await;

    api.is_admitting.store(false, Ordering::SeqCst);
    revoke(&api, "x").await.assert_refused("rate-limited");
    *api.turned_away.lock().unwrap() = vec![Payer::Account(root_id), Payer::Account(ann_id)];
    ask(bearer(&root)).await.expect(200);
    ask(("x-api-key", key.clone())).await.expect(200);
    // Who may not ask is charged like whoever calls anything else.
    ask(bearer(&ann)).await.assert_refused("rate-limited");
    *api.turned_away.lock().unwrap() = vec![Payer::Introspection(root_id)];
    ask(bearer(&root)).await.assert_refused("rate-limited");
    ask(("x-api-key", key)).await.assert_refused("rate-limited");
    ask(bearer(&ann)).await.assert_refused("forbidden");
}

#[tokio::test]
async fn an_oauth_client_gets_along_with_what_the_metadata_says() {
    let api = Api::start_with(|config| {
        config.auth.issuer = "https://id.example.com/realm".into();
    })
    .await;
    let request = Request::get("/.well-known/oauth-authorization-server")
        .header("host", "evil.example")
        .body(axum::body::Body::empty());
    let answer = api.send(request.unwrap()).await.expect(200);
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    let told = answer.json();
    assert_eq!(
        told,
        json!({
            "issuer": "https://id.example.com/realm",
            "token_endpoint": "https://id.example.com/api/v1/login",
            "token_endpoint_auth_methods_supported": ["none"],
            "grant_types_supported": ["password", "refresh_token"],
            "response_types_supported": [],
            "jwks_uri": "https://id.example.com/.well-known/jwks.json",
            "introspection_endpoint": "https://id.example.com/api/v1/introspect",
            "introspection_endpoint_auth_methods_supported": ["Bearer"],
            "revocation_endpoint": "https://id.example.com/api/v1/revoke",
            "revocation_endpoint_auth_methods_supported": ["none"],
        })
    );
    // Both grants at the one token endpoint, with members that nobody here knows.
    let path = told["token_endpoint"].as_str().unwrap();
    let path = path.strip_prefix("https://id.example.com").unwrap();
    let password = "grant_type=password&username=ann&password=Aa1%21aaaa&delivery=body\
                    &client_id=app&scope=openid";
    let granted = api.post(path, &[FORM], password).await.expect(200).json();
    let refresh = granted["refresh_token"].as_str().unwrap();
    let body = format!("grant_type=refresh_token&refresh_token={refresh}&client_id=app");
    let granted = api.post(path, &[FORM], &body).await.expect(200).json();
    assert_eq!(granted["token_type"], "bearer");
    let refresh = granted["refresh_token"].as_str().unwrap();
    let body = format!("grant_type=refresh_token&refresh_token={refresh}&client_id=app");
    api.post("/api/v1/refresh", &[FORM], &body)
        .await
        .expect(200);
    for wrong in ["grant_type=refresh_token", "grant_type=client_credentials"] {
        let refused = api.post(path, &[FORM], wrong).await;
        refused.assert_refused("validation-failed");
    }
}
