//! Where an account is signed in, and how that ends.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Api, NOTHING};

async fn sessions(api: &Api, path: &str, token: &str) -> Vec<Value> {
    let answer = api.call("GET", path, token, NOTHING).await.expect(200);
    answer.json()["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn sessions_are_told_to_their_owner_the_last_used_first() {
    let api = Api::start().await;
    api.sign_in("root").await;
    let (first, cookie) = api.sign_in("ann").await;
    api.clock.advance(Duration::from_secs(60));
    api.sign_in("ann").await;
    api.clock.advance(Duration::from_secs(60));
    api.refresh(&cookie).await.expect(200);

    let list = sessions(&api, "/sessions", &first).await;
    assert_eq!(list.len(), 2, "nobody else's: {list:?}");
    assert_eq!(list[0]["current"], json!(true));
    assert_eq!(list[0]["created_at"], "2027-01-15T08:00:00Z");
    assert_eq!(list[0]["last_used_at"], "2027-01-15T08:02:00Z");
    assert_eq!(list[0]["expires_at"], "2027-01-22T08:02:00Z");
    assert_eq!(list[0]["ip"], "192.0.2.7");
    assert_eq!(list[1]["current"], json!(false));
    assert_eq!(list[1]["created_at"], "2027-01-15T08:01:00Z");
    assert_eq!(
        list[1].as_object().unwrap().len(),
        7,
        "no counter, no token"
    );
}

#[tokio::test]
async fn one_session_is_ended_by_its_owner_alone() {
    let api = Api::start().await;
    let (here, _) = api.sign_in("ann").await;
    let (there, cookie) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let list = sessions(&api, "/sessions", &here).await;
    let other = list.iter().find(|s| s["current"] == json!(false)).unwrap();
    let path = format!("/sessions/{}", other["id"].as_str().unwrap());

    api.call("DELETE", &path, &root, NOTHING)
        .await
        .assert_refused("not-found");
    api.me(&there).await.expect(200);
    api.call("DELETE", &path, &here, NOTHING).await.expect(204);
    api.me(&there).await.assert_refused("token-revoked");
    api.refresh(&cookie).await.assert_refused("token-revoked");
    api.me(&here).await.expect(200);
    assert_eq!(sessions(&api, "/sessions", &here).await.len(), 1);
    for path in [&path, "/sessions/x", "/sessions/%ff"] {
        let again = api.call("DELETE", path, &here, NOTHING).await;
        again.assert_refused("not-found");
    }
}

#[tokio::test]
async fn all_sessions_end_or_all_but_this_one() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let (here, cookie) = api.sign_in("ann").await;
    let (there, _) = api.sign_in("ann").await;
    let answer = api
        .call("POST", "/logout-all?keep_current=true", &here, NOTHING)
        .await
        .expect(200);
    assert!(!answer.headers.contains_key("set-cookie"));
    api.me(&there).await.assert_refused("token-revoked");
    api.me(&here).await.expect(200);
    api.call("POST", "/logout-all?keep=true", &here, NOTHING)
        .await
        .assert_refused("validation-failed");

    let (there, _) = api.sign_in("ann").await;
    let answer = api
        .call("POST", "/logout-all", &here, NOTHING)
        .await
        .expect(200);
    let cleared = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cleared.contains("Max-Age=0"), "{cleared}");
    for token in [&here, &there] {
        api.me(token).await.assert_refused("token-revoked");
    }
    api.refresh(&cookie).await.assert_refused("token-revoked");
    api.me(&root).await.expect(200);
}

#[tokio::test]
async fn superusers_see_and_end_the_sessions_of_others() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let (ann, _) = api.sign_in("ann").await;
    let path = "/users/ann/sessions";
    for method in ["GET", "DELETE"] {
        let answer = api.call(method, path, &ann, NOTHING).await;
        answer.assert_refused("forbidden");
        let unknown = api
            .call(method, "/users/bob/sessions", &root, NOTHING)
            .await;
        unknown.assert_refused("not-found");
    }
    assert_eq!(sessions(&api, path, &root).await.len(), 1);
    api.call("DELETE", path, &root, NOTHING).await.expect(204);
    assert!(sessions(&api, path, &root).await.is_empty());
    api.me(&ann).await.assert_refused("token-revoked");
    api.me(&root).await.expect(200);
}
