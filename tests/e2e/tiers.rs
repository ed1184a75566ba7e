//! Tiers and limit rules of the store, from the API or the command line to the next request.

use serde_json::{Value, json};

use crate::harness::client::{Request, get, request};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, PASSWORD, Settings};
use crate::harness::origin::Origin;
use crate::harness::response::Response;

const TIERS: &str = "free: { rank: 0 }\npro: { rank: 1 }";

fn gateway(origin: &Origin, routes: &str) -> Gateway {
    let gateway = Settings::new(origin).tiers(TIERS).routes(routes).start();
    gateway.user_add("root", &["--superuser"]);
    gateway
}

fn api(method: &str, path: &str, token: &str) -> Request {
    request(method, format!("/api/v1{path}")).bearer(token)
}

/// So many at once, and then none for a day.
fn rule(name: &str, place: (&str, &str), burst: u32) -> Value {
    json!({ "name": name, place.0: place.1, "limit": 1, "period": 86_400, "burst": burst })
}

#[track_caller]
fn post(gateway: &Gateway, root: &str, path: &str, body: &Value) -> Value {
    gateway
        .send(&api("POST", path, root).json(body))
        .expect(201)
        .json()
}

/// How many of twelve requests pass.
#[track_caller]
fn passes(gateway: &Gateway, path: &str, token: &str) -> usize {
    let ask = |_: &i32| gateway.send(&get(path).bearer(token)).status == 200;
    (0..12).filter(ask).count()
}

#[test]
fn a_rule_acts_at_once_on_tokens_already_issued() {
    let origin = Origin::start();
    let routes = "
        - { name: limited, prefix: /limited, auth: required, upstream: app,
            limits: [{ name: calls, rate: 1/d, burst: 4 }] }
        - { name: free, prefix: /free, auth: required, limits: [], upstream: app }
        - { name: all, prefix: /, auth: required, upstream: app }
    ";
    let gateway = gateway(&origin, routes);
    let root = gateway.login("root").access;
    let ann = gateway.user("ann", &["--tier", "pro"]).access;
    let bob = gateway.user("bob", &[]).access;

    // It replaces the limit of its name, and what was used stays used.
    assert_eq!(passes(&gateway, "/limited", &ann), 4);
    let made = post(
        &gateway,
        &root,
        "/tiers/pro/limits",
        &rule("calls", ("route", "limited"), 7),
    );
    assert_eq!(passes(&gateway, "/limited", &ann), 3);
    assert_eq!(passes(&gateway, "/limited", &bob), 4);

    // It adds to `limits: []`, by route and by path.
    assert_eq!(passes(&gateway, "/free/a", &ann), 12);
    post(
        &gateway,
        &root,
        "/tiers/pro/limits",
        &rule("more", ("route", "free"), 5),
    );
    assert_eq!(passes(&gateway, "/free/a", &ann), 5);
    assert_eq!(passes(&gateway, "/free/a", &bob), 12);
    post(
        &gateway,
        &root,
        "/tiers/free/limits",
        &rule("x", ("path", "/free/{id}"), 2),
    );
    assert_eq!(passes(&gateway, "/free/a", &bob), 2);
    assert_eq!(passes(&gateway, "/free/%61", &bob), 0);
    assert_eq!(passes(&gateway, "/free/a/b", &bob), 12);

    // The client is told of it, and it goes as it came.
    let refused = gateway.send(&get("/limited").bearer(&ann));
    let problem = refused.expect_problem(429, "rate-limited");
    assert_eq!(problem.json()["policy"], "calls");
    let at = format!("/tiers/pro/limits/{}", made["id"]);
    let more = json!({ "burst": 9 });
    gateway
        .send(&api("PATCH", &at, &root).json(&more))
        .expect(200);
    assert_eq!(passes(&gateway, "/limited", &ann), 2);
    gateway.send(&api("DELETE", &at, &root)).expect(204);
    assert_eq!(passes(&gateway, "/limited", &ann), 0);
}

#[test]
fn a_tier_of_the_store_has_rate_and_rank_and_outlives_a_restart() {
    let origin = Origin::start();
    let routes = "
        - { name: pro, prefix: /pro, auth: required, allow: [{ min_tier: pro }], upstream: app, limits: [] }
        - { name: all, prefix: /, auth: required, upstream: app }
    ";
    let mut gateway = gateway(&origin, routes);
    let root = gateway.login("root").access;
    let ann = gateway.user("ann", &[]).access;
    let gold = json!({ "name": "gold", "rank": 1, "rate": "1/d", "burst": 3 });
    post(&gateway, &root, "/tiers", &gold);
    gateway
        .send(&get("/pro").bearer(&ann))
        .expect_problem(403, "forbidden");

    let set = json!({ "tier": "gold" });
    gateway
        .send(&api("PUT", "/users/ann/tier", &root).json(&set))
        .expect(200);
    gateway.send(&get("/pro").bearer(&ann)).expect(200);
    assert_eq!(
        origin.last_request().header("x-user-tier").as_deref(),
        Some("gold")
    );
    assert_eq!(passes(&gateway, "/", &ann), 3);

    // Its rank and its rate act at once.
    let change = json!({ "rank": 0, "burst": 5 });
    gateway
        .send(&api("PATCH", "/tiers/gold", &root).json(&change))
        .expect(200);
    gateway
        .send(&get("/pro").bearer(&ann))
        .expect_problem(403, "forbidden");
    assert_eq!(passes(&gateway, "/", &ann), 2);

    for (method, path) in [("DELETE", "/tiers/gold"), ("DELETE", "/tiers/pro")] {
        gateway
            .send(&api(method, path, &root))
            .expect_problem(409, "conflict");
    }
    gateway
        .send(&api("GET", "/tiers/none", &ann))
        .expect_problem(404, "not-found");

    gateway = gateway.restart();
    // Somebody who has used up nothing: that may be remembered.
    let bob = gateway.user("bob", &[]).access;
    gateway
        .send(&api("PUT", "/users/bob/tier", &root).json(&set))
        .expect(200);
    assert_eq!(passes(&gateway, "/", &bob), 5);
}

#[test]
fn what_the_command_line_changes_acts_within_a_second_or_so() {
    let origin = Origin::start();
    let routes = "- { name: all, prefix: /, auth: required, limits: [], upstream: app }";
    let gateway = gateway(&origin, routes);
    let tier = |arguments: &[&str]| {
        let arguments = [&["tier"], arguments, &["--json"]].concat();
        let output = gateway.cli(&arguments, "");
        assert_eq!(output.code, 0, "{output:?}");
        serde_json::from_str::<Value>(&output.stdout).unwrap()
    };
    let added = tier(&["add", "gold", "--rank", "2", "--rate", "10/min"]);
    assert_eq!(
        (&added["rank"], &added["source"]),
        (&json!(2), &json!("store"))
    );
    let ann = gateway.user("ann", &["--tier", "gold"]).access;
    let policy = |response: &Response| response.header("ratelimit-policy").map(str::to_owned);
    let ask = || gateway.send(&get("/").bearer(&ann)).expect(200);
    assert_eq!(policy(&ask()), None);
    let rule = tier(&[
        "limit", "add", "gold", "calls", "--route", "all", "--limit", "500", "--period", "60",
    ]);
    eventually("the rule", || {
        (policy(&ask()).as_deref() == Some("\"calls\";q=500;w=60")).then_some(())
    });
    let id = rule["id"].to_string();
    tier(&["limit", "set", "gold", &id, "--limit", "600"]);
    eventually("the change", || {
        (policy(&ask()).as_deref() == Some("\"calls\";q=600;w=60")).then_some(())
    });
    assert_eq!(tier(&["limit", "list", "gold"])["data"][0]["limit"], 600);
    tier(&["limit", "delete", "gold", &id]);
    eventually("the end", || policy(&ask()).is_none().then_some(()));

    let text = gateway.cli(&["tier", "list"], "").stdout;
    assert!(
        text.contains("10/min") && text.contains("unlimited"),
        "{text}"
    );
    tier(&["set", "gold", "--rate", "unlimited"]);
    let refused = gateway.cli(&["tier", "delete", "gold"], "");
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("accounts have this tier"),
        "{refused:?}"
    );
    let refused = gateway.cli(&["tier", "set", "pro", "--rank", "3"], "");
    assert!(refused.stderr.contains("gateway.yaml"), "{refused:?}");
    gateway.cli(&["user", "set", "ann", "--tier", "free"], "");
    tier(&["delete", "gold"]);
    let bad = gateway.cli(&["tier", "add", "a b", "--rate", "x"], "");
    assert!(
        bad.stderr.contains("name must") && bad.stderr.contains("rate is not taken: "),
        "{bad:?}"
    );
    // Nothing could ever ask for them by their path.
    for name in [".", ".."] {
        let bad = gateway.cli(&["tier", "add", name], "");
        assert!(bad.code == 1 && bad.stderr.contains("name must"), "{bad:?}");
    }
}

#[test]
fn the_file_wins_over_the_store_and_says_so() {
    let origin = Origin::start();
    let routes = "- { name: all, prefix: /, auth: required, upstream: app }";
    let mut gateway = gateway(&origin, routes);
    let root = gateway.login("root").access;
    let gold = json!({ "name": "gold", "rate": "1/d", "burst": 3 });
    post(&gateway, &root, "/tiers", &gold);
    post(
        &gateway,
        &root,
        "/tiers/pro/limits",
        &rule("x", ("route", "all"), 2),
    );
    let ann = gateway.user("ann", &["--tier", "gold"]).access;
    assert_eq!(passes(&gateway, "/", &ann), 3);
    gateway.reconfigure(|settings| {
        let tiers = format!("{TIERS}\ngold: {{ rate: 1/d, burst: 6 }}");
        let routes = "- { name: other, prefix: /, auth: required, upstream: app }";
        settings.tiers(&tiers).routes(routes)
    });
    assert_eq!(passes(&gateway, "/", &ann), 3);
    gateway.says("the tier `gold` is in the file and in the store");
    gateway.says("for the route `all`");
    let change = api("PATCH", "/tiers/gold", &root).json(&json!({ "rank": 1 }));
    gateway.send(&change).expect_problem(409, "conflict");
}

#[test]
fn a_client_of_the_fastapi_boilerplate_need_not_notice() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .tiers(TIERS)
        .auth("compat: [fastapi-boilerplate]\nregistration: open")
        .routes("- { name: all, prefix: /, auth: required, limits: [], upstream: app }")
        .start();
    gateway.user_add("root", &["--superuser"]);
    let root = gateway.login("root").access;
    let new = json!({
        "name": "User Userson", "username": "userson",
        "email": "user.userson@example.com", "password": PASSWORD
    });
    let register = || gateway.send(&request("POST", "/api/v1/user").json(&new));
    register().expect(201);
    let again = register().expect(422);
    assert_eq!(again.header("content-type"), Some("application/json"));
    assert_eq!(again.json(), json!({ "detail": "Username not available" }));
    let user = gateway.login("userson").access;
    let me = gateway
        .send(&api("GET", "/user/me/", &user))
        .expect(200)
        .json();
    assert_eq!(me["username"], "userson");
    let nobody = gateway
        .send(&request("GET", "/api/v1/user/me/"))
        .expect(401);
    assert_eq!(
        nobody.json(),
        json!({ "detail": "User not authenticated." })
    );
    assert!(nobody.header("www-authenticate").is_some());
    let bad = json!({ "tier_id": "one" });
    let bad = gateway
        .send(&api("PATCH", "/user/userson/tier", &root).json(&bad))
        .expect(422);
    assert_eq!(bad.json()["detail"][0]["loc"], json!(["body", "tier_id"]));

    // Its rate limits hold on the backend's paths, at once.
    let gold = post(&gateway, &root, "/tier", &json!({ "name": "gold" }));
    let tier = json!({ "tier_id": gold["id"] });
    gateway
        .send(&api("PATCH", "/user/userson/tier", &root).json(&tier))
        .expect(200);
    assert_eq!(passes(&gateway, "/api/v1/tasks", &user), 12);
    let limit =
        json!({ "path": "/api/v1/tasks", "limit": 4, "period": 86_400, "name": "tasks:4:86400" });
    post(&gateway, &root, "/tier/gold/rate_limit", &limit);
    assert_eq!(passes(&gateway, "/api/v1/tasks", &user), 4);
    assert_eq!(passes(&gateway, "/api/v1/other", &user), 12);
    let told = gateway
        .send(&api("GET", "/user/userson/rate_limits", &root))
        .expect(200)
        .json();
    assert_eq!(told["tier_rate_limits"][0]["path"], "api_v1_tasks");
}
