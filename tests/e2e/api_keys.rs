//! API keys at the edge: made by the API and the command line, told to the upstream, and gone at once.

use serde_json::{Value, json};

use crate::harness::client::{Request, get, post, request};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::Origin;

const ROUTES: &str = "
    - { name: open, path: /open, auth: none, upstream: app }
    - { name: optional, path: /optional, auth: optional, upstream: app }
    - { name: write, path: /write, auth: required, allow: [{ scopes: [posts:write] }], upstream: app }
    - { name: boss, path: /boss, auth: required, allow: [{ superuser: true }], upstream: app }
    - { name: own, path: '/users/{username}', auth: required, allow: [{ owner: '{username}' }], upstream: app }
    - { name: counted, path: /counted, auth: required, limits: [{ name: few, key: user, rate: 3/d }], upstream: app }
    - { name: all, prefix: /, auth: required, upstream: app }
";

/// A key and its id.
#[track_caller]
fn make(gateway: &Gateway, token: &str, body: &Value) -> (String, String) {
    let request = post("/api/v1/api-keys").bearer(token).json(body);
    let made = gateway.send(&request).expect(201).json();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

fn with(key: &str, path: &str) -> Request {
    get(path).header("x-api-key", key)
}

#[test]
fn the_upstream_is_told_whose_key_it_is() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let ann = gateway
        .user("ann", &["--superuser", "--tier", "pro"])
        .access;
    let body = json!({ "name": "CI", "scopes": ["posts:read", "posts:write"] });
    let (key, id) = make(&gateway, &ann, &body);

    for path in ["/", "/optional", "/write", "/users/ann"] {
        let response = gateway.send(&with(&key, path)).expect(200);
        let told = origin.last_request();
        for (header, value) in [
            ("x-user-name", "ann"),
            ("x-user-tier", "pro"),
            ("x-user-scopes", "posts:read posts:write"),
            ("x-user-superuser", "false"),
            ("x-auth-method", "api_key"),
        ] {
            assert_eq!(told.header(header).as_deref(), Some(value), "{header}");
        }
        let logged = gateway.log_of(&response);
        assert_eq!(logged["auth"], "api_key");
        assert_eq!(logged["session_id"], id);
        assert!(logged["user_id"].is_string());
    }
    let allowed = "portcullis_auth_total{result=\"allowed\",reason=\"\",method=\"api_key\"}";
    assert_eq!(gateway.metric(allowed), 4.0);
    // A key is nobody's superuser, and may do what its scopes say and no more.
    gateway
        .send(&with(&key, "/boss"))
        .expect_problem(403, "forbidden");
    gateway
        .send(&with(&key, "/users/bob"))
        .expect_problem(403, "forbidden");
    let (narrow, _) = make(
        &gateway,
        &ann,
        &json!({ "name": "read", "scopes": ["posts:read"] }),
    );
    gateway
        .send(&with(&narrow, "/write"))
        .expect_problem(403, "forbidden");
    gateway.send(&with(&narrow, "/")).expect(200);
    // Where no credential is read, none counts, and none goes on.
    gateway.send(&with(&key, "/open")).expect(200);
    let told = origin.last_request();
    assert_eq!(told.header("x-user-name"), None);
    assert_eq!(told.header("x-api-key"), None);
    gateway.send(&get("/optional")).expect(200);
    assert_eq!(origin.last_request().header("x-auth-method"), None);
}

#[test]
fn the_key_itself_is_the_credential_of_a_consumer() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(ROUTES)
        .top("identity: { preset: x-consumer }")
        .start();
    let ann = gateway.user("ann", &[]).access;
    let (key, id) = make(&gateway, &ann, &json!({ "name": "CI" }));
    gateway.send(&with(&key, "/")).expect(200);
    let told = origin.last_request();
    assert_eq!(told.header("x-credential-identifier"), Some(id));
    let user = told.header("x-consumer-id");
    gateway.send(&get("/").bearer(&ann)).expect(200);
    assert_eq!(
        origin.last_request().header("x-credential-identifier"),
        user
    );
}

#[test]
fn what_is_no_good_key_is_refused_also_where_none_is_asked_for() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let ann = gateway.user("ann", &[]).access;
    let (key, _) = make(&gateway, &ann, &json!({ "name": "CI" }));
    let mut wrong = key.clone();
    let last = wrong.pop().unwrap();
    wrong.push(if last == 'A' { 'B' } else { 'A' });
    for path in ["/", "/optional"] {
        for bad in [
            &*wrong,
            "rubbish",
            "",
            &key[..key.len() - 1],
            &key.to_uppercase(),
        ] {
            let response = gateway.send(&with(bad, path));
            let response = response.expect_problem(401, "token-invalid");
            assert!(response.header("www-authenticate").is_some());
        }
        let twice = with(&key, path).header("x-api-key", &key);
        gateway
            .connect()
            .exchange(&twice)
            .expect_problem(401, "token-invalid");
        let both = with(&key, path).bearer(&ann);
        gateway.send(&both).expect_problem(401, "token-invalid");
        // A foreign key beside a token identifies nobody; it does not get in the token's way.
        gateway
            .send(&with("foreign", path).bearer(&ann))
            .expect(200);
        assert_eq!(origin.last_request().header("x-api-key"), None);
    }
    let refused =
        "portcullis_auth_total{result=\"refused\",reason=\"token-invalid\",method=\"api_key\"}";
    assert_eq!(gateway.metric(refused), 12.0);
}

#[test]
fn a_limit_by_user_counts_the_account_whatever_it_comes_with() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let ann = gateway.user("ann", &[]).access;
    let (one, _) = make(&gateway, &ann, &json!({ "name": "one" }));
    let (two, _) = make(&gateway, &ann, &json!({ "name": "two" }));
    gateway.send(&with(&one, "/counted")).expect(200);
    gateway.send(&with(&two, "/counted")).expect(200);
    gateway.send(&get("/counted").bearer(&ann)).expect(200);
    for request in [with(&one, "/counted"), get("/counted").bearer(&ann)] {
        gateway.send(&request).expect_problem(429, "rate-limited");
    }
}

#[test]
fn a_limit_by_api_key_counts_each_key_and_all_else_of_the_account_together() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - name: all
              prefix: /
              auth: required
              limits:
                - { name: keys, key: api_key, rate: 2/h, tiers: { pro: { rate: 1/h, burst: 3 } } }
              upstream: app
            ",
        )
        .start();
    let ann = gateway.user("ann", &[]).access;
    let (one, _) = make(&gateway, &ann, &json!({ "name": "one" }));
    let (two, _) = make(&gateway, &ann, &json!({ "name": "two" }));
    for key in [&one, &two] {
        let statuses = [(); 3].map(|()| gateway.send(&with(key, "/")).status);
        assert_eq!(statuses, [200, 200, 429]);
    }
    let again = gateway.login("ann").access;
    let statuses = [&ann, &again, &ann].map(|token| gateway.send(&get("/").bearer(token)).status);
    assert_eq!(statuses, [200, 200, 429]);
    let bob = gateway.user("bob", &["--tier", "pro"]).access;
    let (key, _) = make(&gateway, &bob, &json!({ "name": "three" }));
    let statuses = [(); 4].map(|()| gateway.send(&with(&key, "/")).status);
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[test]
fn the_end_of_a_key_or_its_account_acts_at_once() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let root = gateway.user("root", &["--superuser"]).access;
    let ann = gateway.user("ann", &[]).access;
    let (key, id) = make(
        &gateway,
        &ann,
        &json!({ "name": "CI", "scopes": ["posts:write"] }),
    );
    gateway.send(&with(&key, "/write")).expect(200);
    let api = |method: &str, path: &str, token: &str| {
        request(method, format!("/api/v1{path}")).bearer(token)
    };
    let path = format!("/api-keys/{id}");
    let narrowed = api("PATCH", &path, &ann).json(&json!({ "scopes": [] }));
    gateway.send(&narrowed).expect(200);
    gateway
        .send(&with(&key, "/write"))
        .expect_problem(403, "forbidden");
    gateway
        .send(&api("POST", "/users/ann/disable", &root))
        .expect(200);
    gateway
        .send(&with(&key, "/"))
        .expect_problem(401, "token-revoked");
    gateway
        .send(&api("POST", "/users/ann/enable", &root))
        .expect(200);
    gateway.send(&with(&key, "/")).expect(200);
    let ann = gateway.login("ann").access;
    gateway.send(&api("DELETE", &path, &ann)).expect(204);
    gateway
        .send(&with(&key, "/"))
        .expect_problem(401, "token-revoked");
    let gateway = gateway.restart();
    gateway
        .send(&with(&key, "/"))
        .expect_problem(401, "token-revoked");
}

#[test]
fn keys_from_the_command_line() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    gateway.user_add("ann", &[]);
    let cli = |arguments: &[&str]| {
        let mut all = vec!["apikey"];
        all.extend(arguments);
        gateway.cli(&all, "")
    };
    let made = cli(&[
        "create", "ann", "--name", "CI", "--scope", "a", "--scope", "b", "--json",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    let made: Value = serde_json::from_str(&made.stdout).unwrap();
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!(made["scopes"], json!(["a", "b"]));
    gateway.send(&with(key, "/")).expect(200);
    assert_eq!(
        origin.last_request().header("x-user-scopes").as_deref(),
        Some("a b")
    );

    let text = cli(&["create", "ann", "--name", "short", "--expires", "30d"]);
    assert_eq!(text.code, 0, "{text:?}");
    let other = text
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("key: "))
        .unwrap();
    gateway.send(&with(other, "/")).expect(200);

    let list = cli(&["list", "ann"]);
    assert!(
        list.stdout.contains(id) && list.stdout.contains("short"),
        "{list:?}"
    );
    let list = cli(&["list", "ann", "--json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    for key in [key, other] {
        assert!(
            !list
                .to_string()
                .contains(key.splitn(3, '_').nth(2).unwrap())
        );
    }
    // What was used is noted, in the background.
    eventually("the last use in the list", || {
        let list = cli(&["list", "ann", "--json"]);
        let list: Value = serde_json::from_str(&list.stdout).unwrap();
        let data = list["data"].as_array().unwrap().clone();
        data.iter()
            .all(|key| key["last_used_at"].is_string())
            .then_some(())
    });

    let revoked = cli(&["revoke", id]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    eventually("the revoked key's end", || {
        (gateway.send(&with(key, "/")).status == 401).then_some(())
    });
    gateway.send(&with(other, "/")).expect(200);
    for (arguments, word) in [
        (&["revoke", id][..], "there is no API key"),
        (
            &["create", "nobody", "--name", "x"],
            "there is no account nobody",
        ),
        (&["create", "ann", "--name", ""], "name must"),
        (
            &["create", "ann", "--name", "x", "--scope", "a b"],
            "scopes must",
        ),
        (
            &["create", "ann", "--name", "x", "--expires", "0s"],
            "expires_at must",
        ),
        (&["list", "nobody"], "there is no account nobody"),
    ] {
        let output = cli(arguments);
        assert_eq!(output.code, 1, "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(word), "{arguments:?}: {output:?}");
    }
    let usage = cli(&["create", "ann", "--name", "x", "--expires", "30"]);
    assert_eq!(usage.code, 2, "{usage:?}");
    assert!(usage.stderr.contains("30s"), "{usage:?}");
}

#[test]
fn the_field_has_the_name_that_the_file_gives_it() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(ROUTES)
        .auth("api_keys: { header: Acme_Key }")
        .start();
    let ann = gateway.user("ann", &[]).access;
    let (key, _) = make(&gateway, &ann, &json!({ "name": "CI" }));
    gateway
        .connect()
        .exchange(&get("/").header("ACME_key", &key))
        .expect(200);
    assert_eq!(origin.last_request().header("acme_key"), None);
    gateway
        .send(&with(&key, "/"))
        .expect_problem(401, "token-missing");
    // Not in another spelling either, and none of them goes on.
    let other = get("/optional").header("acme-key", &key);
    gateway.connect().exchange(&other).expect(200);
    let head = String::from_utf8_lossy(&origin.last_request().head).into_owned();
    assert!(!head.contains(&key), "{head}");
}

#[test]
fn switched_off_no_key_is_read_and_the_endpoints_are_the_backends() {
    let origin = Origin::start();
    let mut gateway = Settings::new(&origin)
        .routes(ROUTES)
        .auth("api_keys: { enabled: false }")
        .start();
    let ann = gateway.user("ann", &[]).access;
    gateway
        .send(&with("pck_x", "/"))
        .expect_problem(401, "token-missing");
    gateway.send(&with("pck_x", "/optional")).expect(200);
    assert_eq!(origin.last_request().header("x-api-key"), None);
    gateway
        .send(&get("/api/v1/api-keys").bearer(&ann))
        .expect(200);
    assert_eq!(origin.last_request().target(), "/api/v1/api-keys");
    // Only a restart changes that.
    gateway.reconfigure(|settings| settings.auth("api_keys: { enabled: true }"));
    gateway.says("auth.api_keys");
}

#[test]
fn tokens_are_told_and_ended_by_the_standards() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let ann = gateway.user("ann", &[]);
    // Over the API only superusers may give a key this scope.
    let create = [
        "apikey",
        "create",
        "ann",
        "--name",
        "x",
        "--scope",
        "introspect",
        "--json",
    ];
    let output = gateway.cli(&create, "");
    assert_eq!(output.code, 0, "{output:?}");
    let made: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let asker = made["key"].as_str().unwrap().to_owned();
    let ask = |token: &str| {
        let request = post("/api/v1/introspect").header("x-api-key", &asker);
        let response = gateway.send(&request.form(&[("token", token)])).expect(200);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        response.json()
    };
    for token in [&ann.access, &ann.refresh, &asker] {
        let told = ask(token);
        assert_eq!(
            (&told["active"], &told["username"]),
            (&json!(true), &json!("ann"))
        );
        assert_eq!(told["iss"], "http://issuer.test");
    }
    let revoke = post("/api/v1/revoke").form(&[("token", &ann.refresh)]);
    gateway.send(&revoke).expect(200);
    assert_eq!(ask(&ann.access), json!({ "active": false }));
    gateway
        .send(&get("/").bearer(&ann.access))
        .expect_problem(401, "token-revoked");
    let both = post("/api/v1/introspect")
        .header("x-api-key", &asker)
        .bearer(&ann.access);
    gateway
        .send(&both.form(&[("token", "x")]))
        .expect_problem(401, "token-invalid");
    let revoke = post("/api/v1/revoke").form(&[("token", &asker)]);
    gateway.send(&revoke).expect(200);
    gateway
        .send(&with(&asker, "/"))
        .expect_problem(401, "token-revoked");

    let metadata = get("/.well-known/oauth-authorization-server").header("host", "evil.test");
    let metadata = gateway.connect().exchange(&metadata).expect(200).json();
    assert_eq!(metadata["issuer"], "http://issuer.test");
    assert_eq!(
        metadata["token_endpoint"],
        "http://issuer.test/api/v1/login"
    );
}
