//! A user from registration to logout, and who may do what.

use std::sync::atomic::Ordering;

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;

use super::{Api, FORM, PASSWORD};
use crate::api::{endpoints, openapi};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

use crate::config::checked::{Delivery, Registration};

#[tokio::test]
async fn a_user_is_made_signs_in_refreshes_and_signs_out() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let body = json!({
        "name": "Bob B", "username": "bob", "email": "Bob@Example.com", "password": PASSWORD
    });
    let bearer = format!("Bearer {root}");
    let headers = [super::JSON, ("authorization", bearer.as_str())];
    let made = api.post("/api/v1/users", &headers, &body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.headers["cache-control"], "no-store");
    let bob = made.json();
    for (member, value) in [
        ("name", json!("Bob B")),
        ("username", json!("bob")),
        ("email", json!("Bob@Example.com")),
        ("external_id", json!(null)),
        ("profile_image_url", json!(null)),
        ("tier", json!("free")),
        ("roles", json!([])),
        ("is_superuser", json!(false)),
        ("is_active", json!(true)),
        ("created_at", json!("2027-01-15T08:00:00Z")),
        ("updated_at", json!(null)),
        ("deleted_at", json!(null)),
    ] {
        assert_eq!(bob[member], value, "{member}");
    }
    assert!(uuid::Uuid::parse_str(bob["id"].as_str().unwrap()).is_ok());
    assert_eq!(
        bob.as_object().unwrap().len(),
        13,
        "no password, no hash: {bob}"
    );

    let answer = api.login("bOB@example.com", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let members = answer.json();
    assert_eq!(
        (&members["token_type"], &members["expires_in"]),
        (&json!("bearer"), &json!(1800))
    );
    assert_eq!(
        members.as_object().unwrap().len(),
        3,
        "the refresh token is in the cookie alone"
    );
    let set = answer.headers["set-cookie"].to_str().unwrap();
    for attribute in [
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/api/v1",
        "Max-Age=604800",
    ] {
        assert!(
            set.split("; ").any(|part| part == attribute),
            "{attribute} in {set}"
        );
    }
    assert_eq!(api.me(&answer.access_token()).await.json(), bob);

    let refreshed = api.refresh(&answer.cookie()).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{refreshed:?}");
    assert_ne!(refreshed.cookie(), answer.cookie());
    assert_ne!(refreshed.access_token(), answer.access_token());
    assert_eq!(api.me(&refreshed.access_token()).await.json(), bob);

    let cookie = refreshed.cookie();
    let out = api.post("/api/v1/logout", &[("cookie", &cookie)], "").await;
    assert_eq!(out.status, StatusCode::OK);
    assert!(
        out.headers["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    for token in [answer.access_token(), refreshed.access_token()] {
        api.me(&token).await.assert_refused("token-revoked");
    }
    api.refresh(&cookie).await.assert_refused("token-revoked");
    assert_eq!(
        api.me(&root).await.status,
        StatusCode::OK,
        "other sessions go on"
    );
}

#[tokio::test]
async fn registration_is_for_superusers_unless_it_is_open() {
    let body = json!({
        "name": "Bob", "username": "bob", "email": "bob@example.com", "password": PASSWORD
    });
    let closed = Api::start().await;
    let answer = closed.post_json("/api/v1/users", body.clone()).await;
    answer.assert_refused("token-missing");
    let (ann, _) = closed.sign_in("ann").await;
    let bearer = format!("Bearer {ann}");
    let headers = [super::JSON, ("authorization", bearer.as_str())];
    let answer = closed
        .post("/api/v1/users", &headers, &body.to_string())
        .await;
    answer.assert_refused("forbidden");

    let mut open = Api::start_with(|c| c.auth.registration = Registration::Open).await;
    let answer = open.post_json("/api/v1/users", body.clone()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.json()["is_superuser"], false);
    for (username, email) in [("bob", "b@example.com"), ("bob2", "BOB@example.COM")] {
        let mut again = body.clone();
        again["username"] = json!(username);
        again["email"] = json!(email);
        open.post_json("/api/v1/users", again)
            .await
            .assert_refused("conflict");
    }

    // A reload may close it.
    open.accounts.reload(&closed.config);
    open.document = openapi(&closed.config.auth);
    open.post_json("/api/v1/users", body)
        .await
        .assert_refused("token-missing");
}

#[tokio::test]
async fn login_takes_the_oauth2_password_form() {
    let api = Api::start().await;
    for form in [
        "username=ann&password=Aa1%21aaaa",
        "grant_type=password&username=ann%40example.com&password=Aa1%21aaaa&scope=&client_id=x",
    ] {
        let answer = api.post("/api/v1/login", &[FORM], form).await;
        assert_eq!(answer.status, StatusCode::OK, "{form}: {answer:?}");
    }
    let form = "grant_type=client_credentials&username=ann&password=Aa1%21aaaa";
    let answer = api.post("/api/v1/login", &[FORM], form).await;
    answer.assert_refused("validation-failed");
}

#[tokio::test]
async fn the_refresh_token_comes_in_the_body_when_asked_for() {
    let api = Api::start().await;
    let body = json!({ "username": "ann", "password": PASSWORD, "delivery": "body" });
    let in_query = "/api/v1/login?delivery=body";
    let answers = [
        api.post_json("/api/v1/login", body.clone()).await,
        api.post(in_query, &[FORM], "username=ann&password=Aa1%21aaaa")
            .await,
        Api::start_with(|c| c.auth.refresh_token.delivery = Delivery::Body)
            .await
            .login("ann", PASSWORD)
            .await,
    ];
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert!(!answer.headers.contains_key("set-cookie"));
        assert!(answer.json()["refresh_token"].is_string());
    }
    let token = answers[0].json()["refresh_token"].clone();
    let refreshed = api
        .post_json("/api/v1/refresh", json!({ "refresh_token": token }))
        .await;
    assert!(
        !refreshed.headers.contains_key("set-cookie"),
        "the way it came"
    );
    let token = refreshed.json()["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let form = format!("refresh_token={token}");
    let refreshed = api.post("/api/v1/refresh", &[FORM], &form).await;
    let token = refreshed.json()["refresh_token"].clone();
    let out = api
        .post_json("/api/v1/logout", json!({ "refresh_token": token }))
        .await;
    assert_eq!(out.status, StatusCode::OK);
    api.me(&refreshed.access_token())
        .await
        .assert_refused("token-revoked");
}

#[tokio::test]
async fn keys_are_published_and_may_be_cached() {
    let api = Api::start().await;
    let request = Request::get("/.well-known/jwks.json")
        .body(Body::empty())
        .unwrap();
    let answer = api.send(request).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    assert_eq!(answer.json(), api.accounts.jwks());
}

#[tokio::test]
async fn every_endpoint_is_listed_and_names_its_methods() {
    let api = Api::start().await;
    for path in endpoints(&api.config.auth) {
        let path = path.replace("{username}", "ann").replace("{id}", NIL);
        let request = Request::options(&path).body(Body::empty()).unwrap();
        let answer = api.send(request).await;
        answer.assert_refused("method-not-allowed");
        let refusal = answer.refusal.unwrap();
        let mut headers = refusal.headers().iter();
        let (_, allow) = headers.find(|(name, _)| name == "allow").unwrap();
        // What is named is taken: it is answered by something else than a refusal of the method.
        for method in allow.to_str().unwrap().split(", ") {
            let request = Request::builder().method(method).uri(&path);
            let answer = api.send(request.body(Body::empty()).unwrap()).await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert_ne!(answer.code(), "not-found", "{method} {path}");
        }
        // And what is not named is not.
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if !allow
                .to_str()
                .unwrap()
                .split(", ")
                .any(|known| known == method)
            {
                let request = Request::builder().method(method).uri(&path);
                let answer = api.send(request.body(Body::empty()).unwrap()).await;
                answer.assert_refused("method-not-allowed");
            }
        }
    }
    let request = Request::get("/api/v1/other").body(Body::empty()).unwrap();
    api.send(request).await.assert_refused("not-found");
}

#[tokio::test]
async fn calls_without_credentials_are_charged_to_their_address() {
    let api = Api::start_with(|c| c.auth.registration = Registration::Open).await;
    let (ann, _) = api.sign_in("ann").await;
    api.is_admitting.store(false, Ordering::SeqCst);
    for path in [
        "/login",
        "/refresh",
        "/logout",
        "/users",
        "/logout-all",
        "/revoke",
    ] {
        let answer = api.post_json(&format!("/api/v1{path}"), json!({})).await;
        answer.assert_refused("rate-limited");
    }
    assert_eq!(api.me(&ann).await.status, StatusCode::OK);
}
