//! Accounts of another application: they sign in by its table and are mirrored.

use serde_json::json;

use super::{Answer, Api, FORM, NOTHING, PASSWORD};
use crate::accounts::testing::{Application, QUERY, application_for, users_of};
use crate::accounts::{Accounts, By, Edit, Key, LastSuperuser, Users};
use crate::authn::Found;

/// Of [`PASSWORD`], as Django makes it.
const DJANGO: &str = "pbkdf2_sha256$1000$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=";

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

/// With the members `ann` (1) and `root` (2), a superuser.
async fn start() -> (Api, Application, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let application = application_for(module_path!(), folder.path());
    application.member(1, "ann", &hash(PASSWORD));
    application.member(2, "root", &hash(PASSWORD));
    application.set(2, "is_admin = TRUE");
    let users = users_of(&application, QUERY);
    let api = Api::start_with(|config| config.auth.users = Some(users)).await;
    (api, application, folder)
}

async fn id_of(api: &Api, token: &str) -> String {
    let me = api.me(token).await.expect(200).json();
    me["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_signed_out(answer: &Answer) {
    answer.assert_refused("token-revoked");
}

#[tokio::test]
async fn a_member_signs_in_by_name_or_address_and_is_always_the_same() {
    let (api, application, _folder) = start().await;
    let (token, _) = api.sign_in("ann").await;
    let me = api.me(&token).await.expect(200).json();
    for (member, value) in [
        ("external_id", json!("1")),
        ("username", json!("ann")),
        ("name", json!("The ann")),
        ("email", json!("ann@example.com")),
        ("tier", json!("pro")),
        ("roles", json!(["editor"])),
        ("is_superuser", json!(false)),
        ("is_active", json!(true)),
        ("updated_at", json!(null)),
    ] {
        assert_eq!(me[member], value, "{member}");
    }
    let (again, _) = api.sign_in("ann@example.com").await;
    assert_eq!(api.me(&again).await.json(), me, "nothing was written anew");
    application.set(
        1,
        "username = 'Ann.Lee-9', email = NULL, roles = NULL, full_name = NULL, plan = NULL",
    );
    let (renamed, _) = api.sign_in("Ann.Lee-9").await;
    let now = api.me(&renamed).await.expect(200).json();
    assert_eq!(now["id"], me["id"]);
    assert_eq!(
        (&now["username"], &now["name"]),
        (&json!("Ann.Lee-9"), &json!("Ann.Lee-9"))
    );
    assert_eq!((&now["email"], &now["roles"]), (&json!(null), &json!([])));
    assert_eq!(now["tier"], "free", "auth.default_tier");
    assert_eq!(
        api.me(&token).await.json()["username"],
        "Ann.Lee-9",
        "older tokens too"
    );
}

#[tokio::test]
async fn hashes_of_each_kind_match_and_stay_as_they_are() {
    let (api, application, _folder) = start().await;
    let argon2 = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AbQ6vR8U0RqFbSJQ3J5Z4A";
    for (hash, status) in [(DJANGO, 200), (argon2, 401), ("plain", 401), ("", 401)] {
        application.set(1, &format!("password_hash = '{hash}'"));
        assert_eq!(api.login("ann", PASSWORD).await.status, status, "{hash}");
        api.clock.advance(std::time::Duration::from_secs(86_400));
    }
    application.set(1, &format!("password_hash = '{DJANGO}'"));
    for _ in 0..2 {
        api.login("ann", PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn whoever_can_not_sign_in_hears_one_answer() {
    let (api, application, _folder) = start().await;
    for (id, name) in [
        (3, "off"),
        (4, "sso"),
        (5, "twin"),
        (6, "odd"),
        (7, "gold"),
        (8, "~me"),
    ] {
        application.member(id, name, &hash(PASSWORD));
    }
    application.set(3, "disabled_at = '2026-01-01 00:00:00'");
    application.set(4, "password_hash = NULL");
    application.set(5, "username = 'ann@example.com'");
    application.set(6, "roles = '{}'");
    application.set(7, "plan = 'gold'");
    for name in ["nobody", "off", "sso", "odd", "gold", "~me", "", "a\0b"] {
        let answer = api.login(name, PASSWORD).await;
        answer.assert_refused("credentials-invalid");
    }
    // The address of one member is the name of another.
    for (name, password) in [("ann@example.com", PASSWORD), ("ann", "wrong")] {
        if password == "wrong" {
            api.login("ann", PASSWORD).await.expect(200);
        }
        let answer = api.login(name, password).await;
        answer.assert_refused("credentials-invalid");
    }
    api.login("twin@example.com", PASSWORD).await.expect(200);
    // Told of the one who has a mirror, of nobody else.
    let (root, _) = api.sign_in("root").await;
    let trail = api.call(
        "GET",
        "/audit?action=login.failure&limit=100",
        &root,
        NOTHING,
    );
    let trail = trail.await.expect(200).json();
    let entries = trail["data"].as_array().unwrap();
    let told: Vec<_> = entries
        .iter()
        .filter(|entry| !entry["user"].is_null())
        .collect();
    assert_eq!((entries.len(), told.len()), (10, 1), "{trail}");
    assert_eq!(told[0]["user"]["username"], "ann");
}

#[tokio::test]
async fn guesses_are_counted_by_whom_they_are_about() {
    let (api, _application, _folder) = start().await;
    for name in ["ann", "ann@example.com", "ann", "ann@example.com", "ann"] {
        api.login(name, "wrong")
            .await
            .assert_refused("credentials-invalid");
    }
    for name in ["ann", "ann@example.com"] {
        api.login(name, PASSWORD)
            .await
            .assert_refused("too-many-attempts");
    }
    api.login("root", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_refresh_takes_over_what_has_changed() {
    let (api, application, _folder) = start().await;
    let (token, cookie) = api.sign_in("ann").await;
    let id = id_of(&api, &token).await;
    application.set(
        1,
        "plan = 'free', roles = 'a,b', is_admin = TRUE, email = 'ann@example.org'",
    );
    assert_eq!(
        api.me(&token).await.json()["tier"],
        "pro",
        "not read before"
    );
    let fresh = api.refresh(&cookie).await.expect(200);
    for token in [token, fresh.access_token()] {
        let me = api.me(&token).await.expect(200).json();
        assert_eq!(me["id"], *id);
        assert_eq!(
            (&me["tier"], &me["roles"]),
            (&json!("free"), &json!(["a", "b"]))
        );
        assert_eq!(
            (&me["email"], &me["is_superuser"]),
            (&json!("ann@example.org"), &json!(true))
        );
    }
    // Renamed, and found by the address that stayed.
    application.set(1, "username = 'anna'");
    let fresh = api.refresh(&fresh.cookie()).await.expect(200);
    let token = fresh.access_token();
    assert_eq!(api.me(&token).await.json()["username"], "anna");
    let trail = api
        .call("GET", "/audit?user=ann&action=user.update", &token, NOTHING)
        .await;
    let trail = trail.expect(200).json();
    let newest = &trail["data"][0];
    assert_eq!(
        (&newest["via"], &newest["by"]),
        (&json!("application"), &json!(null))
    );
    assert_eq!(
        newest["details"]["username"],
        json!({ "from": "ann", "to": "anna" })
    );
    assert_eq!(trail["data"][1]["details"]["email"], "changed");
}

#[tokio::test]
async fn a_refresh_ends_the_sessions_of_who_is_gone_or_has_another_password() {
    let (api, application, _folder) = start().await;
    let other_hash = format!("password_hash = '{}'", hash("Bb2!bbbb"));
    let same_password = format!("password_hash = '{}'", hash(PASSWORD));
    for change in [
        "disabled_at = '2026-01-01 00:00:00'",
        "id = 99",
        "password_hash = NULL",
        "plan = 'gold'",
        &other_hash,
        &same_password,
        "username = 'new', email = 'new@example.com'",
    ] {
        let name = "ann";
        let (token, cookie) = api.sign_in(name).await;
        let (elsewhere, _) = api.sign_in(name).await;
        api.me(&token).await.expect(200);
        application.set(1, change);
        assert_signed_out(&api.refresh(&cookie).await);
        assert_signed_out(&api.me(&token).await);
        assert_signed_out(&api.me(&elsewhere).await);
        application.run("DELETE FROM members WHERE id <> 2");
        application.member(1, "ann", &hash(PASSWORD));
    }
    // By a login too, without a refresh.
    let (token, _) = api.sign_in("ann").await;
    application.set(1, &other_hash);
    api.login("ann", "Bb2!bbbb").await.expect(200);
    assert_signed_out(&api.me(&token).await);
}

#[tokio::test]
async fn a_name_given_to_somebody_else_is_theirs_and_the_account_is_another() {
    let (api, application, _folder) = start().await;
    let (old, cookie) = api.sign_in("ann").await;
    let old_id = id_of(&api, &old).await;
    application.set(1, "username = 'anna'");
    application.member(3, "ann", &hash("Bb2!bbbb"));
    application.set(3, "email = 'third@example.com'");
    let new = api
        .login("ann", "Bb2!bbbb")
        .await
        .expect(200)
        .access_token();
    let new_id = id_of(&api, &new).await;
    assert_ne!(new_id, old_id);
    // At no time do two tokens speak for one name.
    assert_signed_out(&api.me(&old).await);
    assert_signed_out(&api.refresh(&cookie).await);
    let (anna, _) = api.sign_in("anna").await;
    assert_eq!(id_of(&api, &anna).await, old_id);
    assert_eq!(api.me(&anna).await.json()["email"], "ann@example.com");
    // Back again, and past each other in one go.
    application.set(3, "username = 'x'");
    application.set(1, "username = 'ann'");
    application.set(3, "username = 'anna'");
    let (ann, _) = api.sign_in("ann").await;
    assert_eq!(id_of(&api, &ann).await, old_id);
    let anna = api
        .login("anna", "Bb2!bbbb")
        .await
        .expect(200)
        .access_token();
    assert_eq!(id_of(&api, &anna).await, new_id);
    // Whose the name is now is found by it, and whose it was by what the trail says of them.
    let (root, _) = api.sign_in("root").await;
    let trail = api
        .call("GET", "/audit?user=ann&limit=100", &root, NOTHING)
        .await;
    let trail = trail.expect(200).json();
    let entries = trail["data"].as_array().unwrap();
    assert!(
        entries.iter().all(|entry| entry["user"]["id"] == *old_id),
        "{trail}"
    );
    let nameless = format!("~{old_id}");
    assert!(
        entries
            .iter()
            .any(|entry| entry["details"]["username"]["to"] == *nameless)
    );
}

#[tokio::test]
async fn an_address_given_to_somebody_else_is_theirs() {
    let (api, application, _folder) = start().await;
    let (ann, _) = api.sign_in("ann").await;
    application.member(3, "bob", &hash(PASSWORD));
    application.run("UPDATE members SET email = 'shared@example.com'");
    for name in ["bob", "ann", "bob"] {
        let (token, _) = api.sign_in(name).await;
        assert_eq!(api.me(&token).await.json()["email"], "shared@example.com");
    }
    let (root, _) = api.sign_in("root").await;
    api.call("POST", "/users/ann/disable", &root, NOTHING)
        .await
        .expect(200);
    assert_signed_out(&api.me(&ann).await);
    for query in ["?q=shared@", "?q=ann", "?q=bob"] {
        let found = api
            .call("GET", &format!("/users{query}"), &root, NOTHING)
            .await;
        assert_eq!(found.expect(200).json()["total_count"], 1, "{query}");
    }
}

#[tokio::test]
async fn what_the_application_keeps_is_changed_by_it_alone() {
    let (api, _application, _folder) = start().await;
    let (ann, _) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let new = json!({ "name": "Bob", "username": "bob", "email": "bob@example.com", "password": PASSWORD });
    let passwords = json!({ "current_password": PASSWORD, "new_password": "Bb2!bbbb" });
    let email = json!({ "email": "x@example.com", "current_password": PASSWORD });
    for (method, path, token, body) in [
        ("POST", "/users", &root, new),
        ("PATCH", "/users/me", &ann, json!({ "name": "Anna" })),
        ("PATCH", "/users/me", &ann, email),
        ("PATCH", "/users/ann", &root, json!({ "external_id": "9" })),
        ("POST", "/users/me/password", &ann, passwords),
        (
            "POST",
            "/users/ann/password",
            &root,
            json!({ "new_password": "Bb2!bbbb" }),
        ),
        ("PUT", "/users/ann/tier", &root, json!({ "tier": "free" })),
        ("PUT", "/users/ann/roles", &root, json!({ "roles": [] })),
        (
            "PUT",
            "/users/ann/superuser",
            &root,
            json!({ "is_superuser": true }),
        ),
        ("DELETE", "/users/me", &ann, NOTHING),
        ("DELETE", "/users/ann", &root, NOTHING),
    ] {
        let answer = api.call(method, path, token, body).await;
        answer.assert_refused("conflict");
        let refusal = answer.refusal.as_ref().unwrap();
        assert!(
            refusal.detail().contains("kept by the application"),
            "{method} {path}"
        );
    }
    api.me(&ann).await.expect(200);
    api.login("ann", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn what_is_the_gateways_own_still_works() {
    let (api, _application, _folder) = start().await;
    let (ann, cookie) = api.sign_in("ann").await;
    let (root, _) = api.sign_in("root").await;
    let listed = api
        .call("GET", "/users", &root, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(listed["total_count"], 2);
    let sessions = api.call("GET", "/users/ann/sessions", &root, NOTHING).await;
    assert_eq!(
        sessions.expect(200).json()["data"].as_array().map(Vec::len),
        Some(1)
    );
    api.call("POST", "/users/ann/disable", &root, NOTHING)
        .await
        .expect(200);
    assert_signed_out(&api.me(&ann).await);
    assert_signed_out(&api.refresh(&cookie).await);
    api.login("ann", PASSWORD)
        .await
        .assert_refused("credentials-invalid");
    api.call("POST", "/users/ann/enable", &root, NOTHING)
        .await
        .expect(200);
    let (again, _) = api.sign_in("ann").await;
    let before = id_of(&api, &again).await;
    api.call("DELETE", "/users/ann/sessions", &root, NOTHING)
        .await
        .expect(204);
    assert_signed_out(&api.me(&again).await);
    // A mirror that is removed is made anew, as another account.
    api.call("DELETE", "/users/ann?purge=true", &root, NOTHING)
        .await
        .expect(204);
    let (anew, _) = api.sign_in("ann").await;
    assert_ne!(id_of(&api, &anew).await, before);
}

#[tokio::test]
async fn without_the_table_nobody_signs_in_and_no_session_ends() {
    let (api, application, _folder) = start().await;
    let (token, cookie) = api.sign_in("ann").await;
    application.run("ALTER TABLE members RENAME TO gone");
    api.login("ann", PASSWORD)
        .await
        .assert_refused("unavailable");
    api.login("nobody", PASSWORD)
        .await
        .assert_refused("unavailable");
    api.refresh(&cookie).await.assert_refused("unavailable");
    assert!(api.accounts.store_up(), "the gateway's own is another");
    assert_eq!(api.accounts.members_up().await, Some(false));
    api.me(&token).await.expect(200);
    application.run("ALTER TABLE gone RENAME TO members");
    assert_eq!(api.accounts.members_up().await, Some(true));
    api.refresh(&cookie).await.expect(200);
}

#[tokio::test]
async fn an_account_that_was_here_with_that_external_id_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let application = application_for(module_path!(), folder.path());
    application.member(1, "ann", &hash("Bb2!bbbb"));
    application.member(2, "root", &hash("Bb2!bbbb"));
    let api = Api::start().await;
    let (own, own_cookie) = api.sign_in("ann").await;
    let (_, root_cookie) = api.sign_in("root").await;
    let before = id_of(&api, &own).await;
    let mut config = api.config.clone();
    let edit = Edit {
        external_id: Some(Some("1".into())),
        ..Edit::default()
    };
    let users = Users::open(&config).await.unwrap();
    let (key, by) = (Key::Username("ann"), By::command_line());
    users
        .edit(key, &edit, LastSuperuser::Stays, &by)
        .await
        .unwrap();
    config.auth.users = Some(users_of(&application, QUERY));
    let accounts = Accounts::open_with(&config, std::sync::Arc::default(), api.clock.clock());
    let api = api.with(accounts.await.unwrap());
    // A session that began with a password of the gateway's own goes on no more.
    assert_signed_out(&api.refresh(&own_cookie).await);
    assert_signed_out(&api.refresh(&root_cookie).await);
    api.login("ann", PASSWORD)
        .await
        .assert_refused("credentials-invalid");
    let token = api
        .login("ann", "Bb2!bbbb")
        .await
        .expect(200)
        .access_token();
    assert_eq!(id_of(&api, &token).await, before);
    // The one without is somebody else than the application's of that name.
    let token = api
        .login("root", "Bb2!bbbb")
        .await
        .expect(200)
        .access_token();
    let root = api.me(&token).await.json();
    assert_eq!(
        (&root["external_id"], &root["is_superuser"]),
        (&json!("2"), &json!(false))
    );
}

#[tokio::test]
async fn many_who_sign_in_at_once_for_the_first_time_are_one_account() {
    let (api, _application, _folder) = start().await;
    let logins = (0..8).map(|_| api.login("ann", PASSWORD));
    let mut ids = std::collections::HashSet::new();
    let mut answers = Vec::new();
    let mut logins: Vec<_> = logins.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        logins.retain_mut(|login| match login.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        match logins.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    for answer in answers {
        ids.insert(id_of(&api, &answer.expect(200).access_token()).await);
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn an_api_key_lives_no_longer_than_its_owner_in_the_table() {
    let (api, application, _folder) = start().await;
    let (token, _) = api.sign_in("ann").await;
    let body = json!({ "name": "CI" });
    let made = api.call("POST", "/api-keys", &token, body).await.json();
    let key = made["key"].as_str().unwrap().to_owned();
    let account = |found: Found| match found {
        Found::Key(key) => key.account,
        _ => panic!("the key is gone"),
    };
    let found = api.accounts.look_up_key(&key).await.unwrap();
    assert_eq!(account(found).tier, "pro");
    application.set(1, "plan = 'free'");
    let found = api.accounts.look_up_key(&key).await.unwrap();
    assert_eq!(account(found).tier, "free");
    application.set(1, "disabled_at = CURRENT_TIMESTAMP");
    let found = api.accounts.look_up_key(&key).await.unwrap();
    assert!(matches!(found, Found::Ended));
}

#[tokio::test]
async fn a_key_that_a_superuser_lent_introspection_ends_with_the_application_s_word() {
    let (api, application, _folder) = start().await;
    let (token, cookie) = api.sign_in("root").await;
    let made = async |token: &str, scope: &str| {
        let body = json!({ "name": scope, "scopes": [scope] });
        let made = api.call("POST", "/api-keys", token, body).await.expect(201);
        made.json()["key"].as_str().unwrap().to_owned()
    };
    let ask = async |key: &str| {
        let form = format!("token={token}");
        let by = ("x-api-key", key);
        api.post("/api/v1/introspect", &[FORM, by], &form).await
    };
    let (lent, other) = (made(&token, "introspect").await, made(&token, "read").await);
    ask(&lent).await.expect(200);
    application.set(2, "is_admin = FALSE");
    api.refresh(&cookie).await.expect(200);
    ask(&lent).await.expect(401);
    ask(&other).await.expect(403);
    let found = api.accounts.look_up_key(&other).await.unwrap();
    assert!(matches!(found, Found::Key(_)), "it lends nothing");

    // Also when the key's own look-up is the first to notice.
    application.set(2, "is_admin = TRUE");
    let (token, _) = api.sign_in("root").await;
    let lent = made(&token, "introspect").await;
    application.set(2, "is_admin = FALSE");
    let found = api.accounts.look_up_key(&lent).await.unwrap();
    assert!(matches!(found, Found::Ended));
}
