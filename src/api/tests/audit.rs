//! The audit trail: who did what to whom, and never a secret.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Api, NOTHING, PASSWORD};

async fn trail(api: &Api, query: &str, token: &str) -> Vec<Value> {
    let answer = api
        .call("GET", &format!("/audit{query}"), token, NOTHING)
        .await;
    answer.expect(200).json()["data"]
        .as_array()
        .unwrap()
        .clone()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_change_and_every_login_is_written_down() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    api.login("ann", "Typo1!aaaa").await.expect(401);
    api.login("MyPassw0rd!", "x").await.expect(401);
    let (ann, cookie) = api.sign_in("ann").await;
    let change = json!({
        "username": "anna", "name": "Anna", "email": "anna@example.com", "current_password": PASSWORD
    });
    api.call("PATCH", "/users/me", &ann, change)
        .await
        .expect(200);
    let tier = json!({ "tier": "pro" });
    api.call("PUT", "/users/anna/tier", &root, tier)
        .await
        .expect(200);
    api.refresh(&cookie).await.expect(200);
    api.clock.advance(Duration::from_secs(11));
    api.refresh(&cookie).await.expect(401);
    let (ann, _) = api.sign_in("anna").await;
    let passwords = json!({ "current_password": PASSWORD, "new_password": "Bb2?bbbb" });
    api.call("POST", "/users/me/password", &ann, passwords)
        .await
        .expect(200);
    for (method, path) in [
        ("POST", "/users/anna/disable"),
        ("POST", "/users/anna/enable"),
        ("DELETE", "/users/anna/sessions"),
        ("DELETE", "/users/anna"),
        ("POST", "/users/anna/restore"),
        ("DELETE", "/users/anna?purge=true"),
    ] {
        api.call(method, path, &root, NOTHING).await;
    }

    let entries = trail(&api, "?user=anna", &root).await;
    assert_eq!(
        actions(&entries),
        [
            "user.purge",
            "user.restore",
            "user.delete",
            "session.end-all",
            "user.enable",
            "user.disable",
            "user.password",
            "login.success",
            "refresh.reuse",
            "user.update",
            "user.update",
            "login.success",
            "login.failure",
            "user.create",
        ]
    );
    assert_eq!(
        trail(&api, "?user=ann", &root).await,
        entries,
        "by an old name"
    );
    let tier = &entries[9];
    assert_eq!(tier["by"]["username"], "root");
    assert_eq!(tier["user"]["username"], "anna");
    assert_eq!(
        (&tier["ip"], &tier["via"]),
        (&json!("192.0.2.7"), &json!("api"))
    );
    assert_eq!(tier["at"], "2027-01-15T08:00:00Z");
    assert_eq!(
        tier["details"],
        json!({ "tier": { "from": "free", "to": "pro" } })
    );
    let own = &entries[10];
    assert_eq!(own["by"]["username"], "ann", "the name of that time");
    assert_eq!(
        own["details"],
        json!({ "username": { "from": "ann", "to": "anna" }, "name": "changed", "email": "changed" })
    );
    assert_eq!(entries[13]["via"], "command-line");

    let by_root = trail(&api, "?by=root&action=user.update", &root).await;
    assert_eq!(by_root, std::slice::from_ref(tier));
    let failures = trail(&api, "?action=login.failure", &root).await;
    assert_eq!(failures[0]["user"], json!(null));
    assert_eq!(failures[1]["user"]["username"], "ann");
    let text = json!(trail(&api, "", &root).await).to_string();
    for secret in [
        "Typo1!aaaa",
        "MyPassw0rd!",
        PASSWORD,
        "Bb2?bbbb",
        "$2b$",
        "anna@",
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn the_trail_is_read_in_pages_from_a_time_on() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    for _ in 0..4 {
        api.clock.advance(Duration::from_secs(60));
        api.sign_in("ann").await;
    }
    let all = trail(&api, "", &root).await;
    assert_eq!(all.len(), 7);
    let mut pages = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let answer = api
            .call("GET", &format!("/audit{query}"), &root, NOTHING)
            .await;
        let answer = answer.expect(200);
        let page = answer.json();
        let link = answer
            .headers
            .get("link")
            .map(|link| link.to_str().unwrap());
        let told = page["next"].as_i64();
        let told = told.map(|next| format!("<?limit=3&before={next}>; rel=\"next\""));
        assert_eq!(link, told.as_deref());
        pages.extend(page["data"].as_array().unwrap().clone());
        assert_eq!(page["has_more"].as_bool().unwrap(), !page["next"].is_null());
        match page["next"].as_i64() {
            Some(next) => query = format!("?limit=3&before={next}"),
            None => break,
        }
    }
    assert_eq!(pages, all);
    let since = trail(&api, "?since=2027-01-15T09:03:00%2B01:00", &root).await;
    assert_eq!(since, all[..2]);
    assert!(
        trail(&api, "?since=2028-01-01T00:00:00Z", &root)
            .await
            .is_empty()
    );
    assert!(trail(&api, "?user=nobody", &root).await.is_empty());

    for query in [
        "?since=yesterday",
        "?action=eat",
        "?before=0",
        "?limit=x",
        "?usr=ann",
    ] {
        let answer = api
            .call("GET", &format!("/audit{query}"), &root, NOTHING)
            .await;
        answer.assert_refused("validation-failed");
    }
    let (ann, _) = api.sign_in("ann").await;
    api.call("GET", "/audit", &ann, NOTHING)
        .await
        .assert_refused("forbidden");
}
