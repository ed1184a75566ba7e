//! Refresh tokens that are repeated, raced or stolen; logout in every state; calls from elsewhere.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::{Api, JSON, PASSWORD};
use crate::accounts::{By, Edit, Key, LastSuperuser};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_refreshes_at_once_with_one_token_leave_one_session() {
    let api = std::sync::Arc::new(Api::start().await);
    let (_, cookie) = api.sign_in("ann").await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (api, cookie) = (std::sync::Arc::clone(&api), cookie.clone());
            tokio::spawn(async move { api.refresh(&cookie).await })
        })
        .collect();
    let mut current = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(api.me(&answer.access_token()).await.status, StatusCode::OK);
        current.push(answer.cookie());
    }
    current.dedup();
    assert_eq!(current.len(), 1, "all got the one current token");
    assert_eq!(api.refresh(&current[0]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_used_token_gives_the_current_one_within_the_grace() {
    let api = Api::start().await;
    let (_, first) = api.sign_in("ann").await;
    let second = api.refresh(&first).await.cookie();
    api.clock.advance(Duration::from_secs(9));
    let repeated = api.refresh(&first).await;
    assert_eq!(repeated.cookie(), second);
    let left = repeated.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(left.contains("Max-Age=604791"), "not slid: {left}");
    let third = api.refresh(&second).await.cookie();
    assert_eq!(
        api.refresh(&first).await.cookie(),
        third,
        "the current one, not the next"
    );
}

#[tokio::test]
async fn a_used_token_after_the_grace_ends_the_session_for_all() {
    let api = Api::start().await;
    let (_, stolen) = api.sign_in("ann").await;
    let owner = api.refresh(&stolen).await;
    api.clock.advance(Duration::from_millis(10_001));
    api.refresh(&stolen).await.assert_refused("token-revoked");
    api.refresh(&owner.cookie())
        .await
        .assert_refused("token-revoked");
    api.me(&owner.access_token())
        .await
        .assert_refused("token-revoked");
    let (again, _) = api.sign_in("ann").await;
    assert_eq!(api.me(&again).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_slides_with_use_and_expires_without() {
    let api = Api::start().await;
    let (_, mut cookie) = api.sign_in("ann").await;
    for _ in 0..3 {
        api.clock.advance(Duration::from_secs(6 * 86_400));
        cookie = api.refresh(&cookie).await.cookie();
    }
    api.clock.advance(Duration::from_secs(7 * 86_400));
    api.refresh(&cookie).await.assert_refused("token-expired");
}

#[tokio::test]
async fn what_is_not_a_refresh_token_is_told_so() {
    let api = Api::start().await;
    let (access, cookie) = api.sign_in("ann").await;
    api.post("/api/v1/refresh", &[], "")
        .await
        .assert_refused("token-missing");
    api.post("/api/v1/refresh", &[JSON], "")
        .await
        .assert_refused("token-missing");
    let mut forged = cookie.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'B' } else { 'A' });
    let as_refresh = format!("refresh_token={access}");
    for cookie in ["refresh_token=x", &forged, &as_refresh] {
        api.refresh(cookie).await.assert_refused("token-invalid");
    }
    let token = cookie.strip_prefix("refresh_token=").unwrap();
    api.me(token).await.assert_refused("token-invalid");
    // A planted second cookie does not lock the owner out.
    let both = format!("refresh_token=planted; {cookie}");
    assert_eq!(api.refresh(&both).await.status, StatusCode::OK);
}

#[tokio::test]
async fn logout_works_with_an_expired_access_token_and_twice() {
    let api = Api::start().await;
    let (access, cookie) = api.sign_in("ann").await;
    api.clock.advance(Duration::from_secs(3600));
    api.me(&access).await.assert_refused("token-expired");
    let bearer = format!("Bearer {access}");
    for _ in 0..2 {
        let headers = [("authorization", bearer.as_str())];
        let answer = api.post("/api/v1/logout", &headers, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    api.refresh(&cookie).await.assert_refused("token-revoked");
}

#[tokio::test]
async fn logout_works_with_nothing_and_with_rubbish() {
    let api = Api::start().await;
    for headers in [
        vec![],
        vec![JSON],
        vec![("authorization", "Bearer x")],
        vec![("authorization", "Basic eDp5")],
        vec![("cookie", "refresh_token=x")],
    ] {
        let answer = api.post("/api/v1/logout", &headers, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{headers:?}: {answer:?}");
    }
    let body = json!({ "refresh_token": "x" });
    assert_eq!(
        api.post_json("/api/v1/logout", body).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn unknown_wrong_and_disabled_are_one_answer() {
    let api = Api::start().await;
    let disabled = Edit {
        is_active: Some(false),
        ..Edit::default()
    };
    let (key, by) = (Key::Username("root"), By::command_line());
    let users = api.accounts.users();
    users
        .edit(key, &disabled, LastSuperuser::MayGo, &by)
        .await
        .unwrap();
    let told = |answer: super::Answer| {
        answer.assert_refused("credentials-invalid");
        let refusal = answer.refusal.unwrap();
        format!("{:?} {:?} {refusal:?}", answer.status, answer.headers)
    };
    let wrong = told(api.login("ann", "Aa1!aaab").await);
    let long = "x".repeat(100);
    for (username, password) in [
        ("nobody", PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("root", PASSWORD),
        ("root@example.com", "Aa1!aaab"),
        ("ann", long.as_str()),
        ("nobody", long.as_str()),
        ("ANN", PASSWORD),
        ("", ""),
        ("ann' OR '1'='1", PASSWORD),
    ] {
        assert_eq!(
            told(api.login(username, password).await),
            wrong,
            "{username}"
        );
    }
}

#[tokio::test]
async fn calls_by_cookie_from_another_site_are_refused() {
    let api = Api::start().await;
    let (access, cookie) = api.sign_in("ann").await;
    for path in ["/api/v1/refresh", "/api/v1/logout"] {
        for (name, value) in [
            ("origin", "https://evil.test"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let headers = [("cookie", cookie.as_str()), (name, value)];
            api.post(path, &headers, "")
                .await
                .assert_refused("forbidden");
        }
    }
    assert_eq!(
        api.me(&access).await.status,
        StatusCode::OK,
        "nothing happened"
    );
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", "http://localhost:8080"),
    ];
    let answer = api.post("/api/v1/refresh", &headers, "").await;
    assert_eq!(answer.status, StatusCode::OK);

    // A token in the body is no ambient authority: any page that has it may use it.
    let token = answer.cookie().replace("refresh_token=", "");
    let body = json!({ "refresh_token": token }).to_string();
    let headers = [JSON, ("origin", "https://app.elsewhere.test")];
    let answer = api.post("/api/v1/refresh", &headers, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}
