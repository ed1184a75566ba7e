//! What is told of requests that nobody sends is what becomes of them when they are sent: requests go to a
//! gateway, and what it did with them is what `test` and `explain` have to say of the same file.

mod cases;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use self::cases::{CASES, Case, ROUTES, TIERS, TOP};
use crate::harness::client::request;
use crate::harness::forge::Jwt;
use crate::harness::gateway::{Gateway, SECRET, Settings};
use crate::harness::origin::{Origin, Received};

/// Who asks, as they show it to the gateway and as they are stated.
struct Caller {
    credential: Option<(&'static str, String)>,
    stated: Value,
}

fn callers(gateway: &Gateway) -> impl Fn(&str) -> Caller {
    let token = |name: &str, options: &[&str]| {
        let token = gateway.user(name, options).access;
        let id = Jwt::parse(&token).claims["sub"].clone();
        let email = format!("{name}@example.test");
        let tier = options.iter().find(|tier| **tier == "pro");
        let tier = tier.copied().unwrap_or("free");
        let is_superuser = options.contains(&"--superuser");
        let stated = json!({
            "user": name, "id": id, "email": email, "tier": tier, "superuser": is_superuser,
        });
        (token, stated)
    };
    let key = |name: &str, stated: &Value| {
        let create = [
            "apikey",
            "create",
            name,
            "--name",
            "k",
            "--scope",
            "posts:write",
            "--json",
        ];
        let made = gateway.cli(&create, "");
        let made: Value = serde_json::from_str(&made.stdout).unwrap();
        let mut stated = stated.clone();
        stated["key"] = json!("api");
        stated["scopes"] = json!(["posts:write"]);
        (made["key"].as_str().unwrap().to_owned(), stated)
    };
    let (alice, alice_stated) = token("alice", &["--tier", "pro"]);
    let (bob, root) = (token("bob", &[]), token("root", &["--superuser"]));
    let (alice_key, root_key) = (key("alice", &alice_stated), key("root", &root.1));
    let alice = Jwt::parse(&alice)
        .claim("roles", json!(["editor"]))
        .claim("scope", "posts:write")
        .claim("org", "acme")
        .claim("level", 3)
        .signed(SECRET.as_bytes());
    let mut alice_stated = alice_stated;
    alice_stated["roles"] = json!(["editor"]);
    alice_stated["scopes"] = json!(["posts:write"]);
    alice_stated["claims"] = json!({ "org": "acme", "level": 3 });
    move |name| {
        let bearer = |token: &str| Some(("Authorization", format!("Bearer {token}")));
        let by_key = |key: &str| Some(("X-API-Key", key.to_owned()));
        let (credential, stated) = match name {
            "alice" => (bearer(&alice), &alice_stated),
            "bob" => (bearer(&bob.0), &bob.1),
            "root" => (bearer(&root.0), &root.1),
            "key" => (by_key(&alice_key.0), &alice_key.1),
            "root-key" => (by_key(&root_key.0), &root_key.1),
            _ => (None, &Value::Null),
        };
        let stated = stated.clone();
        Caller { credential, stated }
    }
}

/// What the gateway did with a request, as a test would expect it, and what it said of the limits in force.
fn served(
    gateway: &Gateway,
    origin: &Origin,
    case: &Case,
    id: &str,
    caller: &Caller,
) -> (Value, Option<String>) {
    let (method, target, _, headers) = case;
    let before = origin.requests().len();
    let mut sent = request(method, target.replace("ID", id));
    for (name, value) in *headers {
        sent = sent.header(name, value);
    }
    if let Some((name, value)) = &caller.credential {
        sent = sent.header(name, value);
    }
    if !headers.iter().any(|(name, _)| *name == "Host") {
        sent = sent.header("Host", "localhost");
    }
    let mut client = gateway.connect();
    client.send(sent.to_bytes());
    let response = match *method {
        "HEAD" => client.read_response_to("HEAD"),
        _ => client.read_response(),
    };
    let log = gateway.log_of(&response);
    let mut expect = json!({ "decision": log["decision"] });
    if log["decision"] == "deny" {
        expect["status"] = log["status"].clone();
        expect["code"] = log["reason"].clone();
    }
    if !log["route"].is_null() {
        expect["route"] = log["route"].clone();
    }
    let mut limits = None;
    let received = origin.requests();
    let is_ahead = |received: &&Received| received.target().starts_with("/api/posts/");
    if let Some(received) = received[before..]
        .iter()
        .find(|received| !is_ahead(received))
    {
        expect["upstream"] = json!("app");
        let target = received.target();
        expect["path"] = json!(target.split('?').next());
        expect["headers"] = told_upstream(received);
        let told = response.header("ratelimit-policy").unwrap_or_default();
        limits = Some(told.to_owned());
    }
    (expect, limits)
}

/// What the upstream got, credentials aside, which no test has.
fn told_upstream(received: &Received) -> Value {
    let mut told = Map::new();
    for name in [
        "host",
        "connection",
        "upgrade",
        "x-user-id",
        "x_user_id",
        "x-user-name",
        "x-user-email",
        "x-user-tier",
        "x-user-roles",
        "x-user-scopes",
        "x-user-superuser",
        "x-auth-method",
        "x-org",
        "x-post",
        "x-draft",
        "x-number",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
    ] {
        told.insert(name.to_owned(), json!(received.header(name)));
    }
    Value::Object(told)
}

#[test]
fn what_is_told_of_a_request_is_what_becomes_of_it() {
    let origin = Origin::with(|exchange| {
        exchange.read_body()?;
        let by = match exchange.request().target().as_str() {
            "/api/posts/7" => r#"{"by":"alice"}"#,
            _ => r#"{"by":null}"#,
        };
        let head = "Content-Type: application/json\r\n";
        exchange.respond(200, head, by.as_bytes())
    });
    let gateway = Settings::new(&origin)
        .auth(&format!(
            "signing: {{ algorithm: HS256, secret: {SECRET} }}"
        ))
        .top(TOP)
        .tiers(TIERS)
        .routes(ROUTES)
        .start();
    let caller = callers(&gateway);
    let id = caller("alice").stated["id"].as_str().unwrap().to_owned();
    let (mut tests, mut failed, mut limited) = (Vec::new(), Vec::new(), BTreeSet::new());
    for case in CASES {
        let (method, target, name, headers) = case;
        let caller = caller(name);
        let (expect, limits) = served(&gateway, &origin, case, &id, &caller);
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)));
        let headers: Map<String, Value> = headers.collect();
        let mut test = json!({
            "name": format!("{method} {target} by {name}"),
            "request": {
                "method": method, "path": target.replace("ID", &id), "headers": headers,
                "ip": "127.0.0.1",
            },
            "owners": { "GET /api/posts/7": "alice", "GET /api/posts/8": "" },
            "expect": expect,
        });
        if !caller.stated.is_null() {
            test["as"] = caller.stated.clone();
        }
        failed.extend(told_by_explain(&gateway, &test, &caller, limits.as_deref()));
        limited.extend(limits);
        tests.push(test);
    }
    let decisions = |decision: &str| {
        let decided = tests
            .iter()
            .filter(|test| test["expect"]["decision"] == decision);
        decided.count()
    };
    assert!(decisions("allow") > 30 && decisions("deny") > 30);
    assert!(limited.len() > 5, "{limited:?}");

    let file = gateway.directory().join("told.test.yaml");
    std::fs::write(file, json!({ "tests": tests }).to_string()).unwrap();
    let output = gateway.cli(&["test", "told.test.yaml", "--json"], "");
    let told: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let all = told["tests"].as_array().unwrap().iter();
    let of_test = all.filter(|test| test["passed"] == false);
    failed.extend(of_test.map(|test| format!("{}: {}", test["name"], test["failures"])));
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(told["passed"], CASES.len());
}

/// Where `explain` says otherwise of whoever shows nothing, or a token, which it checks. An API key it does
/// not look up.
fn told_by_explain(
    gateway: &Gateway,
    test: &Value,
    caller: &Caller,
    limits: Option<&str>,
) -> Vec<String> {
    let credential = caller.credential.as_ref();
    if credential.is_some_and(|(name, _)| *name != "Authorization") {
        return Vec::new();
    }
    let text = |key: &str| test["request"][key].as_str().unwrap().to_owned();
    let mut arguments = vec!["explain".to_owned(), text("method"), text("path")];
    let credential = credential.map(|(name, value)| ((*name).to_owned(), json!(value)));
    let headers = test["request"]["headers"].as_object().unwrap().clone();
    for (name, value) in headers.into_iter().chain(credential) {
        let line = format!("{name}: {}", value.as_str().unwrap());
        arguments.extend(["-H".to_owned(), line]);
    }
    let found = match text("path").as_str() {
        "/edits/8" => "/by=",
        _ => "/by=alice",
    };
    for more in ["--ip", "127.0.0.1", "--lookup", found, "--json"] {
        arguments.push(more.to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = gateway.cli(&arguments, "");
    let told: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let mut expected = test["expect"].clone();
    let mut told = told;
    told["policy"] = json!(limits.map(|_| in_force(&told)));
    expected["policy"] = json!(limits);
    let keys = ["decision", "status", "code", "route", "path", "policy"].into_iter();
    let other = keys.filter(|key| told[key] != expected[key]);
    let other = other.map(|key| {
        let (name, told, expected) = (&test["name"], &told[key], &expected[key]);
        format!("{name}: explain tells {key} {told}, and it was {expected}")
    });
    other.collect()
}

/// The limits that `explain` tells as a response tells them, those by user last.
fn in_force(told: &Value) -> String {
    let limits = told["limits"].as_array().unwrap().iter();
    let limits = limits.filter(|limit| !limit["limit"].is_null() && limit["shadow"] == false);
    let told = limits.map(|limit| {
        let (quota, seconds) = (&limit["limit"], &limit["period"]);
        format!("{};q={quota};w={seconds}", limit["name"])
    });
    told.collect::<Vec<_>>().join(", ")
}
