//! The paths of the FastAPI boilerplate, with its members, answers and refusals.

use serde_json::{Value, json};

use super::{Answer, Api, NOTHING, PASSWORD};
use crate::api::{compat_paths, endpoints};
use crate::config::checked::{Compat, Group, Registration};
use crate::request::Shape;

async fn api() -> (Api, String, String) {
    let api = Api::start_with(|config| {
        config.auth.compat = vec![Compat::FastapiBoilerplate];
        config.auth.registration = Registration::Open;
    })
    .await;
    let (root, _) = api.sign_in("root").await;
    let (ann, _) = api.sign_in("ann").await;
    (api, root, ann)
}

impl Answer {
    /// It is refused with `{"detail": …}`, or will be once the gateway has written it.
    #[track_caller]
    fn expect_detail(&self, status: u16, detail: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let refusal = self.refusal.as_ref().unwrap();
        assert_eq!(refusal.code().status(), status);
        assert_eq!((refusal.shape(), refusal.detail()), (Shape::Detail, detail));
        assert!(self.body.is_empty());
    }

    #[track_caller]
    fn expect_fields(&self, fields: &[&str]) {
        assert_eq!(self.status, 422, "{self:?}");
        let refusal = self.refusal.as_ref().unwrap();
        assert_eq!(refusal.shape(), Shape::Detail);
        let wrong: Vec<_> = refusal.fields().iter().map(|error| &*error.field).collect();
        assert_eq!(wrong, fields);
    }
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

const USER: [&str; 6] = [
    "email",
    "id",
    "name",
    "profile_image_url",
    "tier_id",
    "username",
];

fn new_user(username: &str) -> Value {
    json!({
        "name": "User Userson", "username": username,
        "email": format!("{username}@example.org"), "password": PASSWORD,
    })
}

#[tokio::test]
async fn users_are_made_read_changed_and_deleted() {
    let (api, root, _) = api().await;
    let made = api
        .post_json("/api/v1/user", new_user("bob"))
        .await
        .expect(201)
        .json();
    assert_eq!(members(&made), USER);
    assert_eq!(made["profile_image_url"], "https://profileimageurl.com");
    assert!(made["tier_id"].is_i64() && made["id"].is_string());
    let (bob, _) = api.sign_in("bob").await;
    let me = api
        .call("GET", "/user/me/", &bob, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(me, made);
    let named = api
        .call("GET", "/user/bob", &root, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(named, made);

    let change = json!({ "name": "Bobby", "username": "bobby" });
    let changed = api
        .call("PATCH", "/user/bob", &bob, change)
        .await
        .expect(200);
    assert_eq!(changed.json(), json!({ "message": "User updated" }));
    let me = api
        .call("GET", "/user/me/", &bob, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&me["name"], &me["username"]),
        (&json!("Bobby"), &json!("bobby"))
    );

    let deleted = api
        .call("DELETE", "/user/bobby", &bob, NOTHING)
        .await
        .expect(200);
    assert_eq!(deleted.json(), json!({ "message": "User deleted" }));
    api.call("GET", "/user/me/", &bob, NOTHING)
        .await
        .expect_detail(401, "User not authenticated.");
    for (method, path) in [("GET", "/user/bobby"), ("DELETE", "/user/bobby")] {
        let answer = api.call(method, path, &root, NOTHING).await;
        answer.expect_detail(404, "User not found");
    }
    let purged = api
        .call("DELETE", "/db_user/bobby", &root, NOTHING)
        .await
        .expect(200);
    assert_eq!(
        purged.json(),
        json!({ "message": "User deleted from the database" })
    );
    let purged = api.call("DELETE", "/db_user/bobby", &root, NOTHING).await;
    purged.expect_detail(404, "User not found");
}

#[tokio::test]
async fn an_id_of_the_application_behind_is_the_id() {
    let (api, root, ann) = api().await;
    let set = json!({ "external_id": "42" });
    api.call("PATCH", "/users/ann", &root, set)
        .await
        .expect(200);
    let me = api
        .call("GET", "/user/me/", &ann, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(me["id"], 42);
}

#[tokio::test]
async fn refusals_are_the_boilerplate_s() {
    let (api, root, ann) = api().await;
    let post = async |body: Value| api.post_json("/api/v1/user", body).await;
    let mut same_email = new_user("bob");
    same_email["email"] = json!("ANN@example.com");
    post(same_email)
        .await
        .expect_detail(422, "Email is already registered");
    post(new_user("ann"))
        .await
        .expect_detail(422, "Username not available");
    post(json!({ "name": "X", "age": 3 }))
        .await
        .expect_fields(&["username", "email", "password", "age"]);
    let taken = json!({ "username": "root" });
    let taken = api.call("PATCH", "/user/ann", &ann, taken).await;
    taken.expect_detail(422, "Username not available");

    let forbidden = "You do not have enough privileges.";
    for (method, path, body) in [
        ("GET", "/user/root", NOTHING),
        ("PATCH", "/user/root", json!({ "name": "Mallory" })),
        ("DELETE", "/user/root", NOTHING),
        ("DELETE", "/db_user/root", NOTHING),
        ("GET", "/user/ann/rate_limits", NOTHING),
        ("GET", "/user/root/tier", NOTHING),
        ("PATCH", "/user/ann/tier", json!({ "tier_id": 1 })),
        ("POST", "/tier", json!({ "name": "gold" })),
        ("PATCH", "/tier/pro", json!({ "name": "gold" })),
        ("DELETE", "/tier/pro", NOTHING),
        ("POST", "/tier/pro/rate_limit", json!({})),
        ("PATCH", "/tier/pro/rate_limit/1", json!({})),
        ("DELETE", "/tier/pro/rate_limit/1", NOTHING),
    ] {
        let answer = api.call(method, path, &ann, body).await;
        answer.expect_detail(403, forbidden);
    }
    let request = http::Request::get("/api/v1/user/me/");
    let answer = api.send(request.body(Default::default()).unwrap()).await;
    answer.expect_detail(401, "User not authenticated.");
    let answer = api.call("PUT", "/tier", &root, NOTHING).await;
    answer.expect_detail(405, "Method Not Allowed");
}

#[tokio::test]
async fn a_user_has_a_tier_by_its_number() {
    let (api, root, ann) = api().await;
    let gold = api
        .call("POST", "/tier", &root, json!({ "name": "gold" }))
        .await;
    let gold = gold.expect(201).json();
    assert_eq!(members(&gold), ["created_at", "id", "name"]);
    let set = json!({ "tier_id": gold["id"] });
    let answer = api
        .call("PATCH", "/user/ann/tier", &root, set)
        .await
        .expect(200);
    assert_eq!(
        answer.json(),
        json!({ "message": "User The ann Tier updated" })
    );
    let told = api
        .call("GET", "/user/ann/tier", &ann, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&told["tier_id"], &told["tier_name"]),
        (&gold["id"], &json!("gold"))
    );
    assert_eq!(told["tier_created_at"], gold["created_at"]);
    let list = api
        .call("GET", "/users", &root, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(list["data"][0]["tier_id"], gold["id"]);
    let none = json!({ "tier_id": 4711 });
    let answer = api.call("PATCH", "/user/ann/tier", &root, none).await;
    answer.expect_detail(404, "Tier not found");
    let answer = api.call("PATCH", "/user/ann/tier", &root, json!({})).await;
    answer.expect_fields(&["tier_id"]);
    let set = json!({ "tier_id": gold["id"] });
    let answer = api.call("PATCH", "/user/nobody/tier", &root, set).await;
    answer.expect_detail(404, "User not found");
}

#[tokio::test]
async fn tiers_are_made_renamed_and_deleted() {
    let (api, root, ann) = api().await;
    api.call("POST", "/tier", &root, json!({ "name": "gold" }))
        .await
        .expect(201);
    let again = api
        .call("POST", "/tier", &root, json!({ "name": "gold" }))
        .await;
    again.expect_detail(422, "Tier Name not available");
    let renamed = api
        .call("PATCH", "/tier/gold", &root, json!({ "name": "max" }))
        .await;
    assert_eq!(
        renamed.expect(200).json(),
        json!({ "message": "Tier updated" })
    );
    let tier = api
        .call("GET", "/tier/max", &ann, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(tier["name"], "max");
    let list = api
        .call("GET", "/tiers", &ann, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(list["total_count"], 3);
    for member in ["id", "name", "created_at"] {
        assert!(!list["data"][0][member].is_null(), "{member}");
    }
    let deleted = api
        .call("DELETE", "/tier/max", &root, NOTHING)
        .await
        .expect(200);
    assert_eq!(deleted.json(), json!({ "message": "Tier deleted" }));
    let gone = api.call("GET", "/tier/max", &ann, NOTHING).await;
    gone.expect_detail(404, "Tier not found");
    // Of the file.
    let answer = api.call("DELETE", "/tier/pro", &root, NOTHING).await;
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn rate_limits_are_rules_by_path() {
    let (api, root, ann) = api().await;
    let limit = json!({ "path": "/api/v1/tasks/task", "limit": 5, "period": 60, "name": "api_v1_tasks:5:60" });
    let made = api
        .call("POST", "/tier/free/rate_limit", &root, limit.clone())
        .await;
    let made = made.expect(201).json();
    assert_eq!(
        members(&made),
        ["id", "limit", "name", "path", "period", "tier_id"]
    );
    assert_eq!(
        (&made["path"], &made["name"]),
        (&json!("api_v1_tasks_task"), &limit["name"])
    );
    let rule = &api.accounts.plans().rules[0];
    assert_eq!((rule.tier.as_str(), rule.rate.count.get()), ("free", 5));

    let again = api.call("POST", "/tier/pro/rate_limit", &root, limit).await;
    again.expect_detail(422, "Rate Limit Name not available");
    let unnamed = json!({ "path": "users", "limit": 3, "period": 10 });
    let unnamed = api
        .call("POST", "/tier/free/rate_limit", &root, unnamed)
        .await;
    assert_eq!(unnamed.expect(201).json()["name"], "users:3:10");
    let bad = api
        .call(
            "POST",
            "/tier/free/rate_limit",
            &root,
            json!({ "limit": 0, "x": 1 }),
        )
        .await;
    bad.expect_fields(&["path", "limit", "period", "x"]);

    let page = "/tier/free/rate_limits?page=1&items_per_page=1";
    let page = api
        .call("GET", page, &ann, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&page["data"], &page["has_more"]),
        (&json!([made]), &json!(true))
    );
    let at = format!("/tier/free/rate_limit/{}", made["id"]);
    let one = api.call("GET", &at, &ann, NOTHING).await.expect(200).json();
    assert_eq!(one, made);
    let change = json!({ "limit": 7, "path": made["path"], "name": made["name"] });
    let changed = api.call("PATCH", &at, &root, change).await.expect(200);
    assert_eq!(changed.json(), json!({ "message": "Rate Limit updated" }));
    let one = api.call("GET", &at, &ann, NOTHING).await.expect(200).json();
    assert_eq!((&one["limit"], &one["path"]), (&json!(7), &made["path"]));
    let told = api
        .call("GET", "/user/ann/rate_limits", &root, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(told["username"], "ann");
    assert_eq!(told["tier_rate_limits"][0]["limit"], 7);
    assert!(told["tier_rate_limits"][0]["created_at"].is_string());
    let deleted = api.call("DELETE", &at, &root, NOTHING).await.expect(200);
    assert_eq!(deleted.json(), json!({ "message": "Rate Limit deleted" }));
    for path in [at.as_str(), "/tier/free/rate_limit/x"] {
        let gone = api.call("GET", path, &ann, NOTHING).await;
        gone.expect_detail(404, "Rate Limit not found");
    }
    let gone = api
        .call("GET", "/tier/gone/rate_limits", &ann, NOTHING)
        .await;
    gone.expect_detail(404, "Tier not found");
}

#[tokio::test]
async fn without_compat_the_paths_are_the_backend_s() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let served = endpoints(&api.config.auth);
    let mut auth = api.config.auth.clone();
    auth.compat = vec![Compat::FastapiBoilerplate];
    let paths = compat_paths(&auth);
    assert_eq!(paths.len(), 11);
    assert!(paths.iter().all(|path| endpoints(&auth).contains(path)));
    for path in paths {
        assert!(!served.contains(&path), "{path}");
        let path = path.strip_prefix("/api/v1").unwrap();
        let answer = api.call("GET", path, &root, NOTHING).await;
        answer.assert_refused("not-found");
    }
    let list = api
        .call("GET", "/users", &root, NOTHING)
        .await
        .expect(200)
        .json();
    assert!(list["data"][0].get("tier_id").is_none());
}

#[tokio::test]
async fn a_group_that_is_not_served_takes_its_paths_along() {
    let mut auth = Api::start().await.config.auth;
    auth.compat = vec![Compat::FastapiBoilerplate];
    auth.serve = vec![Group::Users];
    let paths = compat_paths(&auth);
    assert!(paths.contains(&"/api/v1/user/me/".to_owned()));
    assert!(!paths.contains(&"/api/v1/tier".to_owned()));
}
