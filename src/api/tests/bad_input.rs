//! What is not right with a request is told, and nothing else happens.

use serde_json::{Value, json};

use super::{Api, FORM, JSON, NOTHING, PASSWORD};
use crate::config::checked::Registration;
use crate::request::Part;

const TEXT: (&str, &str) = ("content-type", "text/plain");
const LOGIN: &str = "/api/v1/login";
const USERS: &str = "/api/v1/users";

#[tokio::test]
async fn each_bad_body_has_its_answer() {
    let api = Api::start_with(|c| c.auth.registration = Registration::Open).await;
    let large = format!(r#"{{"username":"{}"}}"#, "x".repeat(64 * 1024));
    let large_form = format!("username={}", "x".repeat(64 * 1024));
    let deep = "[".repeat(10_000);
    for (path, headers, body, code) in [
        (LOGIN, vec![JSON], "{", "bad-request"),
        (LOGIN, vec![JSON], r#"{"username":"ann""#, "bad-request"),
        (LOGIN, vec![JSON], r#"{"username":"ann"} x"#, "bad-request"),
        (LOGIN, vec![JSON], "username=ann", "bad-request"),
        (LOGIN, vec![JSON], deep.as_str(), "validation-failed"),
        (LOGIN, vec![JSON], "[]", "validation-failed"),
        (LOGIN, vec![JSON], "null", "validation-failed"),
        (LOGIN, vec![JSON], "", "validation-failed"),
        (
            LOGIN,
            vec![JSON],
            r#"{"username":1,"password":"x"}"#,
            "validation-failed",
        ),
        (
            LOGIN,
            vec![JSON],
            r#"{"username":"a","username":"b","password":"x"}"#,
            "validation-failed",
        ),
        (
            LOGIN,
            vec![FORM],
            "username=a&username=b&password=x",
            "validation-failed",
        ),
        (LOGIN, vec![FORM], "username=%ff&password=x", "bad-request"),
        (LOGIN, vec![FORM], "username=ann", "validation-failed"),
        (LOGIN, vec![TEXT], "username=ann", "unsupported-media-type"),
        (LOGIN, vec![], "username=ann", "unsupported-media-type"),
        (
            LOGIN,
            vec![("content-type", "application/jsonx")],
            "{}",
            "unsupported-media-type",
        ),
        (LOGIN, vec![JSON], large.as_str(), "body-too-large"),
        (LOGIN, vec![FORM], large_form.as_str(), "body-too-large"),
        (USERS, vec![JSON], large.as_str(), "body-too-large"),
        (USERS, vec![FORM], "username=bob", "unsupported-media-type"),
        (USERS, vec![], "", "unsupported-media-type"),
        (USERS, vec![JSON], "", "bad-request"),
        (
            "/api/v1/refresh",
            vec![JSON],
            r#"{"refresh_token":7}"#,
            "validation-failed",
        ),
        (
            "/api/v1/refresh",
            vec![JSON],
            r#"{"token":"x"}"#,
            "validation-failed",
        ),
        ("/api/v1/logout", vec![JSON], "{", "bad-request"),
    ] {
        let answer = api.post(path, &headers, body).await;
        let start: String = body.chars().take(40).collect();
        assert_eq!(answer.code(), code, "{path} {headers:?} {start}");
        answer.assert_refused(code);
    }
}

#[tokio::test]
async fn a_content_type_may_carry_parameters() {
    let api = Api::start().await;
    let headers = [("content-type", "Application/JSON; charset=utf-8")];
    let body = json!({ "username": "ann", "password": PASSWORD }).to_string();
    assert_eq!(api.post(LOGIN, &headers, &body).await.status, 200);
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_refused() {
    let api = Api::start().await;
    let request = http::Request::post(LOGIN)
        .header("content-type", "application/json")
        .body(axum::body::Body::from(&b"{\"username\":\"\xff\"}"[..]))
        .unwrap();
    api.send(request).await.assert_refused("bad-request");
}

#[tokio::test]
async fn all_that_is_wrong_with_a_registration_is_told_at_once() {
    let api = Api::start_with(|c| c.auth.registration = Registration::Open).await;
    let good = json!({
        "name": "Bob", "username": "bob", "email": "bob@example.com", "password": PASSWORD
    });
    let wrong = |change: Value| {
        let mut body = good.clone();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for (body, fields) in [
        (json!({}), vec!["name", "username", "email", "password"]),
        (wrong(json!({ "name": "B" })), vec!["name"]),
        (
            wrong(json!({ "name": "B\r\nX-User-Superuser: true" })),
            vec!["name"],
        ),
        (
            wrong(json!({ "username": "Bob", "email": "x" })),
            vec!["username", "email"],
        ),
        (wrong(json!({ "password": "short" })), vec!["password"]),
        (wrong(json!({ "password": "aaaaaaaa" })), vec!["password"]),
        (
            wrong(json!({ "password": format!("Aa1!{}", "x".repeat(69)) })),
            vec!["password"],
        ),
        (
            wrong(json!({ "email": null, "name": 3 })),
            vec!["name", "email"],
        ),
        (
            wrong(json!({ "is_superuser": true, "tier": "pro" })),
            vec!["is_superuser", "tier"],
        ),
    ] {
        let answer = api.post_json(USERS, body.clone()).await;
        answer.assert_refused("validation-failed");
        let refusal = answer.refusal.unwrap();
        let told: Vec<&str> = refusal.fields().iter().map(|f| f.field.as_ref()).collect();
        assert_eq!(told, fields, "{body}");
        assert!(
            !format!("{refusal:?}").contains("short"),
            "no password is repeated"
        );
    }
    let answer = api.login("bob", PASSWORD).await;
    answer.assert_refused("credentials-invalid");
}

#[tokio::test]
async fn an_authorization_that_is_no_bearer_token_is_invalid() {
    let api = Api::start().await;
    for value in ["", "Bearer", "Basic eDp5", "Token x", "Bearer "] {
        let request = http::Request::get("/api/v1/users/me").header("authorization", value);
        let request = request.body(axum::body::Body::empty()).unwrap();
        api.send(request).await.assert_refused("token-invalid");
    }
    let (access, _) = api.sign_in("ann").await;
    let request = http::Request::get("/api/v1/users/me")
        .header("authorization", format!("bearer {access}"))
        .header("authorization", "Bearer other");
    let request = request.body(axum::body::Body::empty()).unwrap();
    api.send(request).await.assert_refused("token-invalid");
    let request = http::Request::get("/api/v1/users/me");
    let request = request.body(axum::body::Body::empty()).unwrap();
    api.send(request).await.assert_refused("token-missing");
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_not_laid_to_the_body() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    for target in [
        "/users?page=0",
        "/users?page=1&page=2",
        "/users?pages=2",
        "/tiers?items_per_page=x",
        "/audit?limit=0",
    ] {
        let answer = api.call("GET", target, &root, NOTHING).await;
        answer.assert_refused("validation-failed");
        let refusal = answer.refusal.unwrap();
        assert_eq!(refusal.part(), Part::Query, "{target}");
        assert!(refusal.detail().contains("query"), "{target}: {refusal:?}");
    }
    let login = json!({ "username": "ann", "password": PASSWORD });
    let answer = api.post_json("/api/v1/login?delivery=mail", login).await;
    answer.assert_refused("validation-failed");
    assert_eq!(answer.refusal.unwrap().part(), Part::Query);
}

#[tokio::test]
async fn a_delivery_that_is_unknown_is_refused() {
    let api = Api::start().await;
    let body = json!({ "username": "ann", "password": PASSWORD, "delivery": "mail" });
    api.post_json(LOGIN, body)
        .await
        .assert_refused("validation-failed");
}
