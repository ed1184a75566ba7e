//! Tiers of the file and of the store, and their limit rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Answer, Api, NOTHING};
use crate::accounts::Accounts;
use crate::config::RuleScope;
use crate::config::checked::{Config, Limit, LimitKey, Pattern, Route};
use crate::route::sample;

/// A route `app` with a limit by address, `by-ip`, and one that says nothing.
fn with_routes(config: &mut Config) {
    let by_ip = Limit {
        name: "by-ip".into(),
        key: LimitKey::Ip,
        rate: None,
        tiers: Default::default(),
        cost: std::num::NonZeroU32::MIN,
        mode: crate::config::checked::Mode::Enforce,
    };
    let route = |name: &str, limits| Route {
        name: name.into(),
        limits,
        ..sample::route(Pattern::Prefix(vec![name.into()]))
    };
    config.routes = vec![route("app", Some(vec![by_ip])), route("silent", None)];
}

async fn api() -> (Api, String, String) {
    let api = Api::start_with(with_routes).await;
    let (root, _) = api.sign_in("root").await;
    let (ann, _) = api.sign_in("ann").await;
    (api, root, ann)
}

fn fields(answer: &Answer) -> Vec<&str> {
    answer.assert_refused("validation-failed");
    let fields = answer.refusal.as_ref().unwrap().fields().iter();
    fields.map(|error| error.field.as_ref()).collect()
}

fn names(list: &Value) -> Vec<&str> {
    let data = list["data"].as_array().unwrap().iter();
    data.map(|item| item["name"].as_str().unwrap()).collect()
}

async fn add_gold(api: &Api, root: &str) -> Value {
    let gold = json!({ "name": "gold", "rank": 5, "rate": "100/min" });
    let made = api.call("POST", "/tiers", root, gold).await;
    made.expect(201).json()
}

#[tokio::test]
async fn tiers_of_the_file_and_of_the_store_are_listed_together() {
    let (api, root, ann) = api().await;
    let gold = add_gold(&api, &root).await;
    assert_eq!(gold["source"], "store");
    assert_eq!(
        (&gold["rate"], &gold["burst"]),
        (&json!("100/min"), &json!(100))
    );
    let list = api
        .call("GET", "/tiers", &ann, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(names(&list), ["free", "gold", "pro"]);
    assert_eq!(list["data"][0]["source"], "file");
    assert_eq!(list["data"][0]["rate"], Value::Null);
    assert_eq!(list["data"][1], gold);
    assert_eq!(
        (&list["total_count"], &list["has_more"]),
        (&json!(3), &json!(false))
    );
    let page = "/tiers?page=2&items_per_page=2";
    let page = api
        .call("GET", page, &ann, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (names(&page), &page["has_more"]),
        (vec!["pro"], &json!(false))
    );
    let one = api
        .call("GET", "/tiers/gold", &ann, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(one, gold);
    let of_file = api
        .call("GET", "/tiers/pro", &ann, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(of_file["rank"], 1);
}

#[tokio::test]
async fn a_tier_s_number_stays_and_is_never_given_again() {
    let (api, root, ann) = api().await;
    let ids = async || -> Vec<i64> {
        let list = api
            .call("GET", "/tiers", &ann, NOTHING)
            .await
            .expect(200)
            .json();
        let data = list["data"].as_array().unwrap().clone();
        data.iter()
            .map(|tier| tier["id"].as_i64().unwrap())
            .collect()
    };
    let before = ids().await;
    let gold = add_gold(&api, &root).await;
    api.call("DELETE", "/tiers/gold", &root, NOTHING)
        .await
        .expect(204);
    assert_eq!(ids().await, before);
    let again = add_gold(&api, &root).await;
    assert!(again["id"].as_i64() > gold["id"].as_i64());
}

#[tokio::test]
async fn a_change_leaves_what_it_does_not_name() {
    let (api, root, ann) = api().await;
    add_gold(&api, &root).await;
    let patch = async |body: Value| {
        let answer = api.call("PATCH", "/tiers/gold", &root, body).await;
        answer.expect(200).json()
    };
    let changed = patch(json!({ "rank": 7 })).await;
    assert_eq!(
        (&changed["rank"], &changed["rate"]),
        (&json!(7), &json!("100/min"))
    );
    let changed = patch(json!({ "burst": 9 })).await;
    assert_eq!(
        (&changed["burst"], &changed["rate"]),
        (&json!(9), &json!("100/min"))
    );
    let changed = patch(json!({ "rate": null })).await;
    assert_eq!(
        (&changed["burst"], &changed["rate"]),
        (&Value::Null, &Value::Null)
    );
    let renamed = patch(json!({ "name": "platinum" })).await;
    assert_eq!(
        (&renamed["name"], &renamed["id"]),
        (&json!("platinum"), &changed["id"])
    );
    api.call("GET", "/tiers/gold", &ann, NOTHING)
        .await
        .assert_refused("not-found");
}

#[tokio::test]
async fn only_superusers_write_and_only_the_signed_in_read() {
    let (api, _, ann) = api().await;
    for (method, path) in [
        ("POST", "/tiers"),
        ("PATCH", "/tiers/pro"),
        ("DELETE", "/tiers/pro"),
        ("POST", "/tiers/pro/limits"),
        ("PATCH", "/tiers/pro/limits/1"),
        ("DELETE", "/tiers/pro/limits/1"),
    ] {
        let answer = api.call(method, path, &ann, json!({})).await;
        answer.assert_refused("forbidden");
    }
    for path in [
        "/tiers",
        "/tiers/pro",
        "/tiers/pro/limits",
        "/tiers/pro/limits/1",
    ] {
        let request = http::Request::get(format!("/api/v1{path}"));
        let answer = api.send(request.body(Default::default()).unwrap()).await;
        answer.assert_refused("token-missing");
    }
}

#[tokio::test]
async fn a_tier_of_the_file_is_changed_in_the_file() {
    let (api, root, _) = api().await;
    for (method, path, body) in [
        ("PATCH", "/tiers/pro", json!({ "rank": 7 })),
        ("DELETE", "/tiers/pro", NOTHING),
        ("POST", "/tiers", json!({ "name": "pro" })),
    ] {
        let answer = api.call(method, path, &root, body).await;
        answer.assert_refused("conflict");
    }
    add_gold(&api, &root).await;
    let again = api
        .call("POST", "/tiers", &root, json!({ "name": "gold" }))
        .await;
    again.assert_refused("conflict");
    let rename = json!({ "name": "pro" });
    let renamed = api.call("PATCH", "/tiers/gold", &root, rename).await;
    renamed.assert_refused("conflict");
}

#[tokio::test]
async fn a_tier_that_an_account_has_stays() {
    let (api, root, _) = api().await;
    add_gold(&api, &root).await;
    let tier = |name: &str| json!({ "tier": name });
    let set = api
        .call("PUT", "/users/ann/tier", &root, tier("gold"))
        .await;
    assert_eq!(set.expect(200).json()["tier"], "gold");
    let delete = async || api.call("DELETE", "/tiers/gold", &root, NOTHING).await;
    delete().await.assert_refused("conflict");
    let rename = json!({ "name": "platinum" });
    let renamed = api.call("PATCH", "/tiers/gold", &root, rename).await;
    renamed.assert_refused("conflict");
    // A deleted account may come back.
    api.call("DELETE", "/users/ann", &root, NOTHING)
        .await
        .expect(204);
    delete().await.assert_refused("conflict");
    api.call("DELETE", "/users/ann?purge=true", &root, NOTHING)
        .await
        .expect(204);
    delete().await.expect(204);
    delete().await.assert_refused("not-found");
    let set = api
        .call("PUT", "/users/root/tier", &root, tier("gold"))
        .await;
    assert_eq!(fields(&set), ["tier"]);
}

#[tokio::test]
async fn everything_wrong_with_a_tier_is_told_at_once() {
    let (api, root, _) = api().await;
    let bad = json!({ "name": "a b", "rank": "1", "rate": "fast", "burst": 0, "color": "red" });
    let answer = api.call("POST", "/tiers", &root, bad).await;
    assert_eq!(fields(&answer), ["rank", "name", "rate", "burst", "color"]);
    // They would be no segments of a path.
    for name in [".", ".."] {
        let answer = api.call("POST", "/tiers", &root, json!({ "name": name }));
        assert_eq!(fields(&answer.await), ["name"], "{name}");
    }
    let empty = api.call("POST", "/tiers", &root, json!({})).await;
    assert_eq!(fields(&empty), ["name"]);
    add_gold(&api, &root).await;
    let bad = json!({ "rate": "0/s", "rank": -1 });
    let answer = api.call("PATCH", "/tiers/gold", &root, bad).await;
    assert_eq!(fields(&answer), ["rank", "rate"]);
}

#[tokio::test]
async fn rules_are_made_changed_and_deleted() {
    let (api, root, ann) = api().await;
    let rule = json!({ "name": "writes", "route": "silent", "limit": 5, "period": 60 });
    let made = api.call("POST", "/tiers/pro/limits", &root, rule).await;
    let made = made.expect(201).json();
    assert_eq!(
        (&made["tier"], &made["route"], &made["path"], &made["burst"]),
        (&json!("pro"), &json!("silent"), &Value::Null, &json!(5))
    );
    let at = format!("/tiers/pro/limits/{}", made["id"]);
    let read = api.call("GET", &at, &ann, NOTHING).await;
    assert_eq!(read.expect(200).json(), made);
    let change = json!({ "path": "/users/{name}", "method": "POST", "burst": 2 });
    let changed = api
        .call("PATCH", &at, &root, change)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&changed["route"], &changed["path"], &changed["method"]),
        (&Value::Null, &json!("/users/{name}"), &json!("POST"))
    );
    assert_eq!(
        (&changed["limit"], &changed["burst"]),
        (&json!(5), &json!(2))
    );
    let list = api.call("GET", "/tiers/pro/limits", &ann, NOTHING).await;
    assert_eq!(list.expect(200).json()["data"], json!([changed]));
    // It is a rule of that tier and of no other.
    let elsewhere = at.replace("pro", "free");
    for method in ["GET", "DELETE"] {
        let answer = api.call(method, &elsewhere, &root, NOTHING).await;
        answer.assert_refused("not-found");
    }
    api.call("DELETE", &at, &root, NOTHING).await.expect(204);
    for (method, body) in [("GET", NOTHING), ("PATCH", json!({})), ("DELETE", NOTHING)] {
        let answer = api.call(method, &at, &root, body).await;
        answer.assert_refused("not-found");
    }
}

#[tokio::test]
async fn a_name_is_given_once_in_a_place() {
    let (api, root, _) = api().await;
    let rule = |place: &str| json!({ "name": "writes", "path": place, "limit": 5, "period": 60 });
    let post = async |body: Value| api.call("POST", "/tiers/pro/limits", &root, body).await;
    post(rule("/a")).await.expect(201);
    post(rule("/a")).await.assert_refused("conflict");
    let other = post(rule("/b")).await.expect(201).json();
    let at = format!("/tiers/pro/limits/{}", other["id"]);
    let moved = api.call("PATCH", &at, &root, json!({ "path": "/a" })).await;
    moved.assert_refused("conflict");
    let moved = api
        .call(
            "PATCH",
            &at,
            &root,
            json!({ "path": "/a", "method": "GET" }),
        )
        .await;
    moved.expect(200);
    let elsewhere = api
        .call("POST", "/tiers/free/limits", &root, rule("/a"))
        .await;
    elsewhere.expect(201);
}

#[tokio::test]
async fn everything_wrong_with_a_rule_is_told_at_once() {
    let (api, root, _) = api().await;
    let post = async |tier: &str, body: Value| {
        let path = format!("/tiers/{tier}/limits");
        api.call("POST", &path, &root, body).await
    };
    let bad =
        json!({ "name": "", "route": "gone", "limit": 0, "period": 1.5, "burst": -1, "x": 1 });
    let answer = post("pro", bad).await;
    assert_eq!(
        fields(&answer),
        ["period", "name", "route", "limit", "burst", "x"]
    );
    let both = json!({ "name": "a", "route": "app", "path": "/a", "limit": 1, "period": 1 });
    assert_eq!(fields(&post("pro", both).await), ["path"]);
    let early = json!({ "name": "by-ip", "route": "app", "limit": 1, "period": 1 });
    assert_eq!(fields(&post("pro", early).await), ["name"]);
    let good = json!({ "name": "a", "route": "app", "limit": 1, "period": 1 });
    post("gone", good).await.assert_refused("not-found");
}

#[tokio::test]
async fn a_tier_s_rules_go_with_it_and_follow_its_name() {
    let (api, root, _) = api().await;
    add_gold(&api, &root).await;
    let rule = json!({ "name": "a", "route": "app", "limit": 1, "period": 1 });
    let post = api.call("POST", "/tiers/gold/limits", &root, rule).await;
    post.expect(201);
    let rename = json!({ "name": "platinum" });
    api.call("PATCH", "/tiers/gold", &root, rename)
        .await
        .expect(200);
    let path = "/tiers/platinum/limits";
    let list = api
        .call("GET", path, &root, NOTHING)
        .await
        .expect(200)
        .json();
    assert_eq!(list["data"][0]["tier"], "platinum");
    assert_eq!(api.accounts.plans().rules[0].tier, "platinum");
    api.call("DELETE", "/tiers/platinum", &root, NOTHING)
        .await
        .expect(204);
    assert_eq!(*api.accounts.plans(), Default::default());
    api.call("GET", path, &root, NOTHING)
        .await
        .assert_refused("not-found");
}

#[tokio::test]
async fn a_change_is_published_before_it_is_answered() {
    let (api, root, _) = api().await;
    let heard = Arc::new(AtomicUsize::new(0));
    let hear = Arc::clone(&heard);
    api.accounts.on_plans(Box::new(move || {
        hear.fetch_add(1, Ordering::SeqCst);
    }));
    add_gold(&api, &root).await;
    assert_eq!(heard.load(Ordering::SeqCst), 1);
    assert_eq!(api.accounts.plans().tiers["gold"].rank, 5);
    let rule = json!({ "name": "a", "path": "/x", "limit": 3, "period": 1 });
    let made = api.call("POST", "/tiers/pro/limits", &root, rule).await;
    let id = made.expect(201).json()["id"].clone();
    assert_eq!(heard.load(Ordering::SeqCst), 2);
    let rules = &api.accounts.plans().rules;
    assert!(matches!(
        &rules[0].scope,
        RuleScope::Path { method: None, .. }
    ));
    let at = format!("/tiers/pro/limits/{id}");
    api.call("PATCH", &at, &root, json!({ "limit": 4 }))
        .await
        .expect(200);
    assert_eq!(api.accounts.plans().rules[0].rate.count.get(), 4);
    // What changes nothing is not told.
    api.call("PATCH", &at, &root, json!({ "limit": 4 }))
        .await
        .expect(200);
    assert_eq!(heard.load(Ordering::SeqCst), 3);
    api.call("DELETE", &at, &root, NOTHING).await.expect(204);
    assert!(api.accounts.plans().rules.is_empty());
}

#[tokio::test]
async fn tiers_and_rules_survive_a_restart() {
    let (api, root, _) = api().await;
    add_gold(&api, &root).await;
    let rule = json!({ "name": "a", "route": "app", "limit": 3, "period": 1 });
    let made = api.call("POST", "/tiers/gold/limits", &root, rule).await;
    made.expect(201);
    let before = api.accounts.plans();
    let accounts = Accounts::open_with(&api.config, Arc::default(), api.clock.clock());
    assert_eq!(accounts.await.unwrap().plans(), before);
    assert_eq!(before.rules.len(), 1);
}

#[tokio::test]
async fn every_change_of_tiers_is_written_down() {
    let (api, root, _) = api().await;
    add_gold(&api, &root).await;
    api.call("PATCH", "/tiers/gold", &root, json!({ "rank": 6 }))
        .await
        .expect(200);
    let rule = json!({ "name": "a", "path": "/x", "method": "GET", "limit": 3, "period": 1 });
    let made = api.call("POST", "/tiers/gold/limits", &root, rule).await;
    let at = format!("/tiers/gold/limits/{}", made.expect(201).json()["id"]);
    api.call("PATCH", &at, &root, json!({ "limit": 4 }))
        .await
        .expect(200);
    api.call("DELETE", &at, &root, NOTHING).await.expect(204);
    api.call("DELETE", "/tiers/gold", &root, NOTHING)
        .await
        .expect(204);
    let trail = api
        .call("GET", "/audit?limit=6&by=root", &root, NOTHING)
        .await;
    let trail = trail.expect(200).json()["data"].as_array().unwrap().clone();
    let actions: Vec<_> = trail
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "tier.delete",
            "tier.limit.delete",
            "tier.limit.update",
            "tier.limit.create",
            "tier.update",
            "tier.create",
        ]
    );
    assert_eq!(trail[4]["details"]["rank"], json!({ "from": 5, "to": 6 }));
    assert_eq!(trail[3]["details"]["on"], "GET /x");
    assert!(trail.iter().all(|entry| entry["details"]["tier"] == "gold"));
}
