//! Guesses at passwords are slowed down, whoever is guessed at, and nobody is locked out from afar.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Answer, Api, PASSWORD};
use crate::accounts::Accounts;

const HERE: [u8; 4] = [192, 0, 2, 7];
const ELSEWHERE: [u8; 4] = [198, 51, 100, 1];
const WRONG: &str = "Aa1!wrong";

fn retry_after(answer: &Answer) -> u64 {
    answer.assert_refused("too-many-attempts");
    let mut headers = answer.refusal.as_ref().unwrap().headers().iter();
    let (_, value) = headers.find(|(name, _)| name == "retry-after").unwrap();
    value.to_str().unwrap().parse().unwrap()
}

async fn fail(api: &Api, from: [u8; 4], username: &str, times: u32) {
    for _ in 0..times {
        let answer = api.login_from(from, username, WRONG).await;
        answer.assert_refused("credentials-invalid");
    }
}

#[tokio::test]
async fn five_failures_lock_and_each_lock_is_longer() {
    let api = Api::start().await;
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        fail(&api, HERE, "ann", 5).await;
        let locked = api.login("ann", PASSWORD).await;
        assert_eq!(retry_after(&locked), minutes * 60);
        // Attempts while locked are not counted: they make it no longer.
        for _ in 0..10 {
            api.login("ann", WRONG)
                .await
                .assert_refused("too-many-attempts");
        }
        api.clock.advance(Duration::from_secs(minutes * 60 - 1));
        assert_eq!(retry_after(&api.login("ann", PASSWORD).await), 1);
        api.clock.advance(Duration::from_secs(1));
    }
    api.login("ann", PASSWORD).await.expect(200);
    // Signing in clears it: the next lock is a first one.
    fail(&api, HERE, "ann", 5).await;
    assert_eq!(retry_after(&api.login("ann", PASSWORD).await), 60);
}

#[tokio::test]
async fn failures_that_are_far_apart_or_cleared_by_a_success_do_not_lock() {
    let api = Api::start().await;
    for _ in 0..3 {
        fail(&api, HERE, "ann", 4).await;
        api.clock.advance(Duration::from_secs(60));
    }
    for _ in 0..3 {
        fail(&api, HERE, "ann", 4).await;
        api.login("ann", PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn lockout_as_weapon() {
    let api = Api::start().await;
    fail(&api, ELSEWHERE, "ann", 5).await;
    let there = api.login_from(ELSEWHERE, "ann", PASSWORD).await;
    retry_after(&there);
    api.login_from(HERE, "ann", PASSWORD).await.expect(200);
    api.login_from(ELSEWHERE, "root", PASSWORD)
        .await
        .expect(200);
    // From many addresses it takes ten times as many.
    for host in 2..11 {
        fail(&api, [198, 51, 100, host], "ann", 5).await;
    }
    retry_after(&api.login_from(HERE, "ann", PASSWORD).await);
}

#[tokio::test]
async fn an_address_is_locked_at_twenty_times_whomever_it_guesses_at() {
    let api = Api::start().await;
    for number in 0..20 {
        fail(&api, ELSEWHERE, &format!("user{number}"), 5).await;
    }
    retry_after(&api.login_from(ELSEWHERE, "ann", PASSWORD).await);
    api.login_from(HERE, "ann", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn known_and_unknown_names_lock_alike_and_name_and_email_are_one() {
    let api = Api::start().await;
    let told = async |name: &str, other: &str| {
        let mut told = Vec::new();
        for name in [name, name, other, name, other, name] {
            let answer = api.login(name, WRONG).await;
            told.push(format!("{:?} {:?}", answer.status, answer.refusal));
        }
        told
    };
    let known = told("ann", "ANN@example.com").await;
    assert!(known[5].contains("TooManyAttempts"), "{known:?}");
    assert_eq!(known, told("nobody", "Nobody ").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_guesses_at_once_are_no_more_than_five() {
    let api = Arc::new(Api::start().await);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let api = Arc::clone(&api);
            tokio::spawn(async move { api.login("ann", WRONG).await.code() })
        })
        .collect();
    let mut tried = 0;
    for call in calls {
        match call.await.unwrap() {
            "credentials-invalid" => tried += 1,
            code => assert_eq!(code, "too-many-attempts"),
        }
    }
    assert_eq!(tried, 5);
}

#[tokio::test]
async fn a_stolen_token_is_no_way_around_the_lock() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let body = json!({ "current_password": WRONG, "new_password": "Bb2?bbbb" });
    let path = "/users/me/password";
    for _ in 0..5 {
        let answer = api.call("POST", path, &ann, body.clone()).await;
        answer.assert_refused("validation-failed");
    }
    retry_after(&api.call("POST", path, &ann, body).await);
    let body = json!({ "email": "x@example.com", "current_password": PASSWORD });
    retry_after(&api.call("PATCH", "/users/me", &ann, body).await);
    retry_after(&api.login("ann", PASSWORD).await);
    api.login_from(ELSEWHERE, "ann", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_lock_survives_a_restart_and_is_swept_when_it_means_nothing() {
    let mut api = Api::start().await;
    for name in ["ann", "nobody"] {
        fail(&api, HERE, name, 5).await;
    }
    let again = Accounts::open_with(&api.config, Arc::default(), api.clock.clock()).await;
    api = api.with(again.unwrap());
    for name in ["ann", "nobody"] {
        retry_after(&api.login(name, PASSWORD).await);
    }
    // A reload takes new numbers.
    api.config.auth.lockout.failures = NonZeroU32::MIN;
    api.accounts.reload(&api.config);
    fail(&api, HERE, "root", 1).await;
    retry_after(&api.login("root", PASSWORD).await);
}
