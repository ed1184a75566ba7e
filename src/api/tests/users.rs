//! Accounts after they were made: changes by their owners and by superusers, and how tokens that are
//! about feel them.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Api, PASSWORD};
use crate::config::checked::UsernameReuse;

const NEW_PASSWORD: &str = "Bb2?bbbb";

fn fields(answer: &Answer) -> Vec<&str> {
    answer.assert_refused("validation-failed");
    let fields = answer.refusal.as_ref().unwrap().fields().iter();
    fields.map(|error| error.field.as_ref()).collect()
}

#[tokio::test]
async fn an_owner_changes_the_profile_and_tokens_feel_it() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let image = "https://img.example/ann.png";
    let change = json!({ "name": "Ann Lee", "username": "ann_lee", "profile_image_url": image });
    let changed = api
        .call("PATCH", "/users/me", &ann, change)
        .await
        .expect(200);
    let user = changed.json();
    assert_eq!(
        (&user["name"], &user["username"], &user["profile_image_url"]),
        (&json!("Ann Lee"), &json!("ann_lee"), &json!(image))
    );
    assert_eq!(user["updated_at"], "2027-01-15T08:00:00Z");
    assert_eq!(api.me(&ann).await.expect(200).json(), user);

    // The old token speaks for the new name and no longer for the old one.
    let own = api.call("GET", "/users/ann_lee", &ann, Value::Null).await;
    assert_eq!(own.expect(200).json(), user);
    let old = api.call("GET", "/users/ann", &ann, Value::Null).await;
    old.assert_refused("forbidden");

    let change = json!({ "profile_image_url": null });
    let user = api.call("PATCH", "/users/ann_lee", &ann, change).await;
    assert_eq!(user.expect(200).json()["profile_image_url"], json!(null));
    api.login("ann", PASSWORD)
        .await
        .assert_refused("credentials-invalid");
    api.login("ann_lee", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_name_once_in_use_is_its_first_users_for_good() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let rename = |name: &str| json!({ "username": name });
    api.call("PATCH", "/users/me", &ann, rename("anna"))
        .await
        .expect(200);
    for taken in ["ann", "anna"] {
        let answer = api.call("PATCH", "/users/me", &root, rename(taken)).await;
        answer.assert_refused("conflict");
    }
    api.call("PATCH", "/users/me", &ann, rename("ann"))
        .await
        .expect(200);

    api.call("DELETE", "/users/ann?purge=true", &root, Value::Null)
        .await
        .expect(204);
    for taken in ["ann", "anna"] {
        let body = json!({
            "name": "Ann", "username": taken, "email": "ann@example.com", "password": PASSWORD
        });
        let answer = api.call("POST", "/users", &root, body).await;
        answer.assert_refused("conflict");
    }
}

#[tokio::test]
async fn a_new_email_wants_the_password_and_is_nobody_elses() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let change = json!({ "email": "new@example.com" });
    let answer = api.call("PATCH", "/users/me", &ann, change).await;
    assert_eq!(fields(&answer), ["current_password"]);
    let change = json!({ "email": "new@example.com", "current_password": "Aa1!aaab" });
    let answer = api.call("PATCH", "/users/ann", &ann, change).await;
    assert_eq!(fields(&answer), ["current_password"]);
    let change = json!({ "email": "ROOT@example.com", "current_password": PASSWORD });
    let answer = api.call("PATCH", "/users/me", &ann, change).await;
    answer.assert_refused("conflict");
    let change = json!({ "email": "new@example.com", "current_password": PASSWORD });
    let answer = api.call("PATCH", "/users/me", &ann, change).await;
    assert_eq!(answer.expect(200).json()["email"], "new@example.com");
    api.login("NEW@example.com", PASSWORD).await.expect(200);
    api.login("ann@example.com", PASSWORD)
        .await
        .assert_refused("credentials-invalid");

    // The same one again changes nothing, so it wants nothing.
    let change = json!({ "email": "new@example.com", "name": "Ann" });
    api.call("PATCH", "/users/me", &ann, change)
        .await
        .expect(200);
    // A superuser has other ways into the account anyway.
    let (root, _) = api.sign_in("root").await;
    let change = json!({ "email": "ann@example.com", "external_id": "17" });
    let answer = api.call("PATCH", "/users/ann", &root, change).await;
    assert_eq!(answer.expect(200).json()["external_id"], "17");
    let answer = api
        .call(
            "PATCH",
            "/users/root",
            &root,
            json!({ "external_id": "17" }),
        )
        .await;
    answer.assert_refused("conflict");
    let answer = api
        .call(
            "PATCH",
            "/users/root",
            &root,
            json!({ "email": "r@example.com" }),
        )
        .await;
    assert_eq!(fields(&answer), ["current_password"]);
}

#[tokio::test]
async fn a_profile_is_checked_whole() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    let change = json!({
        "name": "A", "username": "me", "profile_image_url": "javascript:x", "email": "nowhere"
    });
    let answer = api.call("PATCH", "/users/me", &ann, change).await;
    assert_eq!(
        fields(&answer),
        ["username", "name", "email", "profile_image_url"]
    );
    for (change, field) in [
        (json!({ "is_superuser": true }), "is_superuser"),
        (json!({ "tier": "pro" }), "tier"),
        (json!({ "password": "x" }), "password"),
        (json!({ "external_id": "1" }), "external_id"),
        (json!({ "name": 5 }), "name"),
        (json!({ "profile_image_url": 5 }), "profile_image_url"),
    ] {
        let answer = api.call("PATCH", "/users/me", &ann, change).await;
        assert_eq!(fields(&answer), [field]);
    }
    let before = api.me(&ann).await.json();
    let answer = api.call("PATCH", "/users/me", &ann, json!({})).await;
    assert_eq!(answer.expect(200).json(), before, "nothing was changed");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let api = Api::start().await;
    let (here, cookie) = api.sign_in("ann").await;
    let (there, other_cookie) = api.sign_in("ann").await;
    let change =
        |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    let path = "/users/me/password";
    for (body, field) in [
        (change("Aa1!aaab", NEW_PASSWORD), "current_password"),
        (change(PASSWORD, "short"), "new_password"),
        (json!({ "new_password": NEW_PASSWORD }), "current_password"),
    ] {
        let answer = api.call("POST", path, &here, body).await;
        assert_eq!(fields(&answer), [field]);
    }
    api.call("POST", path, &here, change(PASSWORD, NEW_PASSWORD))
        .await
        .expect(200);
    assert_eq!(api.me(&here).await.status, StatusCode::OK);
    api.me(&there).await.assert_refused("token-revoked");
    api.refresh(&cookie).await.expect(200);
    api.refresh(&other_cookie)
        .await
        .assert_refused("token-revoked");
    api.login("ann", PASSWORD)
        .await
        .assert_refused("credentials-invalid");
    api.login("ann", NEW_PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_deleted_account_is_out_at_once_and_can_come_back() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let (ann, cookie) = api.sign_in("ann").await;
    api.call("DELETE", "/users/me?purge=true", &ann, Value::Null)
        .await
        .assert_refused("forbidden");
    api.call("DELETE", "/users/me", &ann, Value::Null)
        .await
        .expect(204);
    api.me(&ann).await.assert_refused("token-revoked");
    api.refresh(&cookie).await.assert_refused("token-revoked");
    api.login("ann", PASSWORD)
        .await
        .assert_refused("credentials-invalid");

    let user = api.call("GET", "/users/ann", &root, Value::Null).await;
    assert_eq!(
        user.expect(200).json()["deleted_at"],
        "2027-01-15T08:00:00Z"
    );
    api.call("PATCH", "/users/ann", &root, json!({ "name": "Ann" }))
        .await
        .assert_refused("conflict");
    api.call("DELETE", "/users/ann", &root, Value::Null)
        .await
        .expect(204);
    let user = api.call("POST", "/users/ann/restore", &root, Value::Null);
    assert_eq!(user.await.expect(200).json()["deleted_at"], json!(null));
    api.me(&ann).await.assert_refused("token-revoked");
    api.sign_in("ann").await;
}

#[tokio::test]
async fn a_purge_ends_the_victims_sessions_and_not_the_admins() {
    let api = Api::start().await;
    let (root, root_cookie) = api.sign_in("root").await;
    let (ann, cookie) = api.sign_in("ann").await;
    api.call("DELETE", "/users/ann?purge=yes", &root, Value::Null)
        .await
        .assert_refused("validation-failed");
    api.call("DELETE", "/users/ann?purge=true", &root, Value::Null)
        .await
        .expect(204);
    api.me(&ann).await.assert_refused("token-revoked");
    api.refresh(&cookie).await.assert_refused("token-revoked");
    api.call("GET", "/users/ann", &root, Value::Null)
        .await
        .assert_refused("not-found");
    assert_eq!(api.me(&root).await.status, StatusCode::OK);
    api.refresh(&root_cookie).await.expect(200);
}

#[tokio::test]
async fn superusers_set_what_owners_cannot() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let eve = json!({
        "name": "Eve", "username": "eve", "email": "eve@example.com", "password": PASSWORD
    });
    api.call("POST", "/users", &root, eve).await.expect(201);
    let (eve, _) = api.sign_in("eve").await;
    for (method, path, body, member, value) in [
        (
            "PUT",
            "tier",
            json!({ "tier": "pro" }),
            "tier",
            json!("pro"),
        ),
        (
            "PUT",
            "roles",
            json!({ "roles": ["editor", "x:y"] }),
            "roles",
            json!(["editor", "x:y"]),
        ),
        (
            "PUT",
            "superuser",
            json!({ "is_superuser": true }),
            "is_superuser",
            json!(true),
        ),
        (
            "PUT",
            "superuser",
            json!({ "is_superuser": false }),
            "is_superuser",
            json!(false),
        ),
        ("POST", "disable", Value::Null, "is_active", json!(false)),
        ("POST", "enable", Value::Null, "is_active", json!(true)),
        (
            "POST",
            "password",
            json!({ "new_password": NEW_PASSWORD }),
            "username",
            json!("ann"),
        ),
    ] {
        let path = format!("/users/ann/{path}");
        let by_eve = api.call(method, &path, &eve, body.clone()).await;
        by_eve.assert_refused("forbidden");
        let user = api
            .call(method, &path, &root, body.clone())
            .await
            .expect(200);
        assert_eq!(user.json()[member], value, "{path}");
        let unknown = api
            .call(method, &path.replace("ann", "bob"), &root, body)
            .await;
        unknown.assert_refused("not-found");
    }
    api.login("ann", NEW_PASSWORD).await.expect(200);
    for (path, body, field) in [
        ("tier", json!({ "tier": "gold" }), "tier"),
        ("tier", json!({}), "tier"),
        ("roles", json!({ "roles": ["a,b"] }), "roles"),
        ("roles", json!({ "roles": "editor" }), "roles"),
        ("roles", json!({ "roles": [1] }), "roles"),
        (
            "superuser",
            json!({ "is_superuser": "true" }),
            "is_superuser",
        ),
    ] {
        let answer = api
            .call("PUT", &format!("/users/ann/{path}"), &root, body)
            .await;
        assert_eq!(fields(&answer), [field]);
    }
}

#[tokio::test]
async fn a_superusers_power_ends_with_the_flag() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let (ann, _) = api.sign_in("ann").await;
    let flag = |is: bool| json!({ "is_superuser": is });
    api.call("PUT", "/users/ann/superuser", &root, flag(true))
        .await
        .expect(200);
    api.call("PUT", "/users/root/superuser", &ann, flag(false))
        .await
        .expect(200);
    api.call("GET", "/users", &root, Value::Null)
        .await
        .assert_refused("forbidden");
}

#[tokio::test]
async fn the_last_superuser_stays() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let attempts = [
        (
            "PUT",
            "/users/root/superuser",
            json!({ "is_superuser": false }),
        ),
        ("POST", "/users/root/disable", Value::Null),
        ("DELETE", "/users/root", Value::Null),
        ("DELETE", "/users/me", Value::Null),
        ("DELETE", "/users/me?purge=true", Value::Null),
    ];
    for (method, path, body) in attempts.clone() {
        let answer = api.call(method, path, &root, body).await;
        answer.assert_refused("conflict");
    }
    // One who can't sign in does not count.
    api.call(
        "PUT",
        "/users/ann/superuser",
        &root,
        json!({ "is_superuser": true }),
    )
    .await
    .expect(200);
    api.call("POST", "/users/ann/disable", &root, Value::Null)
        .await
        .expect(200);
    for (method, path, body) in attempts {
        let answer = api.call(method, path, &root, body).await;
        answer.assert_refused("conflict");
    }
    api.call("POST", "/users/ann/enable", &root, Value::Null)
        .await
        .expect(200);
    api.call("DELETE", "/users/me", &root, Value::Null)
        .await
        .expect(204);
}

#[tokio::test]
async fn strangers_learn_nothing_of_other_accounts() {
    let api = Api::start().await;
    let (ann, _) = api.sign_in("ann").await;
    for (method, body) in [
        ("GET", Value::Null),
        ("PATCH", json!({ "name": "Root" })),
        ("DELETE", Value::Null),
    ] {
        let refused = [
            api.call(method, "/users/root", &ann, body.clone()).await,
            api.call(method, "/users/nobody", &ann, body.clone()).await,
        ]
        .map(|answer| {
            answer.assert_refused("forbidden");
            format!("{:?}", answer.refusal)
        });
        assert_eq!(refused[0], refused[1]);
    }
    let answer = api.call("GET", "/users/%ff", &ann, Value::Null).await;
    answer.assert_refused("not-found");
}

#[tokio::test]
async fn accounts_are_listed_in_pages() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    for number in 0..12 {
        let body = json!({
            "name": "Bob", "username": format!("bob{number:02}"),
            "email": format!("x.{number:02}@Example.com"), "password": PASSWORD,
        });
        api.call("POST", "/users", &root, body).await.expect(201);
    }
    api.call("DELETE", "/users/bob05", &root, Value::Null)
        .await
        .expect(204);
    let tier = json!({ "tier": "pro" });
    api.call("PUT", "/users/bob07/tier", &root, tier)
        .await
        .expect(200);
    for (query, names, total, has_more) in [
        (
            "?items_per_page=3",
            &["ann", "bob00", "bob01"][..],
            13,
            true,
        ),
        ("?items_per_page=3&page=5", &["root"], 13, false),
        ("?page=9", &[], 13, false),
        ("?q=BOB1", &["bob10", "bob11"], 2, false),
        ("?q=x.0&items_per_page=2", &["bob00", "bob01"], 9, true),
        ("?q=x.05%40example.com", &[], 0, false),
        ("?deleted=true", &["bob05"], 1, false),
        ("?deleted=true&q=ann", &[], 0, false),
        ("?tier=pro", &["bob07"], 1, false),
        ("?tier=pro&q=bob1", &[], 0, false),
        ("?q=%25", &[], 0, false),
    ] {
        let path = format!("/users{query}");
        let answer = api.call("GET", &path, &root, Value::Null);
        let page = answer.await.expect(200).json();
        let data = page["data"].as_array().unwrap().iter();
        let found: Vec<&str> = data.map(|u| u["username"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{query}");
        assert_eq!(page["total_count"], total, "{query}");
        assert_eq!(page["has_more"], has_more, "{query}");
    }
    // From link to link, whichever way they are sorted.
    for (query, expected) in [
        ("?items_per_page=5", 13),
        ("?q=x.&items_per_page=4&tier=free", 10),
    ] {
        let (mut query, mut names) = (query.to_owned(), Vec::new());
        loop {
            let path = format!("/users{query}");
            let answer = api.call("GET", &path, &root, Value::Null);
            let answer = answer.await.expect(200);
            let page = answer.json();
            let data = page["data"].as_array().unwrap().iter();
            names.extend(data.map(|u| u["username"].as_str().unwrap().to_owned()));
            assert_eq!(page["total_count"], expected);
            let link = answer
                .headers
                .get("link")
                .map(|link| link.to_str().unwrap());
            assert_eq!(page["has_more"], link.is_some(), "{query}");
            let Some(link) = link else { break };
            let next = link
                .strip_prefix('<')
                .unwrap()
                .strip_suffix(">; rel=\"next\"");
            query = next.unwrap().to_owned();
            assert!(!query.contains("page=1"), "{query}");
        }
        assert_eq!(names.len(), expected, "{names:?}");
        assert!(
            names.is_sorted() && !names.contains(&"bob05".to_owned()),
            "{names:?}"
        );
    }
    let answer = api.call("GET", "/users?items_per_page=1000", &root, Value::Null);
    let page = answer.await.expect(200).json();
    assert_eq!(
        (&page["items_per_page"], &page["page"]),
        (&json!(100), &json!(1))
    );
    for (query, field) in [
        ("?page=0", "page"),
        ("?items_per_page=x", "items_per_page"),
        ("?deleted=maybe", "deleted"),
        ("?page=2&after=ann", "after"),
        ("?pgae=2", "pgae"),
    ] {
        let path = format!("/users{query}");
        let answer = api.call("GET", &path, &root, Value::Null);
        assert_eq!(fields(&answer.await), [field], "{query}");
    }
    let (ann, _) = api.sign_in("ann").await;
    api.call("GET", "/users", &ann, Value::Null)
        .await
        .assert_refused("forbidden");
}

async fn register(api: &Api, root: &str, username: &str) -> Answer {
    let email = format!("{username}.new@example.com");
    let new = json!({ "name": "New", "username": username, "email": email, "password": PASSWORD });
    api.call("POST", "/users", root, new).await
}

#[tokio::test]
async fn a_name_is_given_to_somebody_else_after_the_time_that_is_set() {
    let reuse = UsernameReuse::After(Duration::from_secs(3600));
    let api = Api::start_with(|config| config.auth.username_reuse = reuse).await;
    let (root, _) = api.sign_in("root").await;
    let rename = json!({ "username": "ann2" });
    api.call("PATCH", "/users/ann", &root, rename.clone())
        .await
        .expect(200);
    register(&api, &root, "bob").await.expect(201);
    api.call("DELETE", "/users/bob?purge=true", &root, Value::Null)
        .await
        .expect(204);
    api.clock.advance(Duration::from_millis(3_599_999));
    let (root, _) = api.sign_in("root").await;
    for name in ["ann", "bob", "ann2"] {
        register(&api, &root, name).await.assert_refused("conflict");
    }
    // The name's own account may have it back, and then its time begins anew.
    let back = json!({ "username": "ann" });
    api.call("PATCH", "/users/ann2", &root, back)
        .await
        .expect(200);
    api.call("PATCH", "/users/ann", &root, rename)
        .await
        .expect(200);
    api.clock.advance(Duration::from_millis(1));
    register(&api, &root, "ann")
        .await
        .assert_refused("conflict");
    register(&api, &root, "bob").await.expect(201);
    api.clock.advance(Duration::from_secs(3600));
    let (root, _) = api.sign_in("root").await;
    register(&api, &root, "ann").await.expect(201);
    register(&api, &root, "ann2")
        .await
        .assert_refused("conflict");
}

#[tokio::test]
async fn accounts_are_counted_whatever_becomes_of_them() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    for name in ["bob", "cat", "dan"] {
        register(&api, &root, name).await.expect(201);
    }
    let steps = [
        ("PUT", "/users/bob/tier", json!({ "tier": "pro" })),
        ("PATCH", "/users/bob", json!({ "name": "Bob" })),
        ("DELETE", "/users/cat", Value::Null),
        ("DELETE", "/users/dan", Value::Null),
        ("POST", "/users/dan/restore", Value::Null),
        ("PUT", "/users/bob/tier", json!({ "tier": "free" })),
        ("PUT", "/users/dan/tier", json!({ "tier": "pro" })),
        ("DELETE", "/users/cat?purge=true", Value::Null),
        ("DELETE", "/users/dan?purge=true", Value::Null),
    ];
    for (method, path, body) in steps {
        let answer = api.call(method, path, &root, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        for deleted in ["false", "true"] {
            for tier in ["", "&tier=free", "&tier=pro", "&tier=none"] {
                let list = format!("/users?items_per_page=100&deleted={deleted}{tier}");
                let listed = api.call("GET", &list, &root, Value::Null).await.json();
                let there = listed["data"].as_array().unwrap().len();
                assert_eq!(listed["total_count"], there, "{path}: {list}");
            }
        }
    }
}
