//! `explain`, `test`, `diff`, `import openapi` and `backtest`: what is said of a policy without serving
//! by it.

use std::path::Path;

use serde_json::Value;

use crate::harness::gateway::{Output, portcullis, run};

const POLICY: &str = r#"version: 1
listen: [{ address: 127.0.0.1:8080 }]
store: sqlite:portcullis.db
tiers:
  free: { rank: 0, rate: 100/min }
  pro: { rank: 1, rate: 100/s, burst: 200 }
anonymous: { rate: 60/min }
identity: { assertion: { header: X-Proof } }
upstreams:
  app: { targets: [http://127.0.0.1:8000] }
routes:
  - { name: health, path: /healthz, methods: [GET], auth: none, upstream: app }
  - name: own-posts
    path: /users/{username}/posts/{id}
    methods: [PATCH, DELETE]
    auth: required
    allow: [{ owner: "{username}" }, { superuser: true }, { tiers: [pro], roles: [editor] }]
    limits: [{ name: writes, key: user, rate: 30/min, burst: 10, tiers: { pro: 300/min } }]
    upstream: app
  - { name: orgs, path: "/orgs/{org}", auth: required, allow: [{ owner: { path: "{org}", equals: "{claims.org}" }, claims: { level: 3 } }], upstream: app }
  - { name: drafts, path: "/drafts/{id}", auth: required, allow: [{ cel: 'user.tier == "pro" && claims.level >= 3' }], upstream: app }
  - { name: edits, path: "/edits/{id}", auth: required, allow: [{ superuser: true }, { owner: { lookup: "GET /api/posts/{id}", field: /by/0, equals: "{user.username}" } }], upstream: app }
  - { name: reports, prefix: /reports, hosts: [r.example.com], auth: optional, upstream: app }
  - { name: files, prefix: /files, auth: none, upstream: app, cors: { origins: [https://app.test] }, concurrency: { key: ip, max: 7 }, rewrite: { strip_prefix: /files, set_prefix: /v2, host: upstream }, security_headers: standard, response_headers: { remove: [Server, X-Frame-Options], set: { X-Shelf: "{request.path}" } } }
  - { name: everything-else, prefix: /, auth: required, upstream: app }
"#;

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

fn cli(dir: &Path, arguments: &[&str]) -> Output {
    run(portcullis(dir).args(arguments), "")
}

/// What `explain` says in JSON of a request under [`POLICY`], and its exit code.
fn explain(arguments: &[&str]) -> (i32, Value) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "gateway.yaml", POLICY);
    let all = [&["explain", "--json"], arguments].concat();
    let output = cli(dir.path(), &all);
    let json = serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert!(
        !dir.path().join("portcullis.db").exists(),
        "it has no effect"
    );
    (output.code, json)
}

#[test]
fn a_request_that_passes_is_explained_to_its_last_header() {
    let (code, told) = explain(&[
        "DELETE",
        "/users/alice/posts/1?x=1",
        "-H",
        "X-User-Id: forged",
        "-H",
        "Accept: */*",
        "--as",
        "user=alice,tier=pro",
    ]);
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(told["decision"], "allow");
    assert_eq!(told["route"], "own-posts");
    assert_eq!(told["canonical_path"], "/users/alice/posts/1");
    assert_eq!(told["identity"]["username"], "alice");
    assert_eq!(told["rules"][0]["holds"], true);
    assert_eq!(told["rules"][1]["holds"], false);
    assert_eq!(told["upstream"], "app");
    assert_eq!(told["path"], "/users/alice/posts/1");
    let url = "http://127.0.0.1:8000/users/alice/posts/1?x=1";
    assert_eq!(told["upstream_urls"][0], url);
    assert_eq!(told["limits"][0]["name"], "writes");
    assert_eq!(told["limits"][0]["rate"], "300/min");
    assert_eq!(told["limits"].as_array().unwrap().len(), 1);
    assert_eq!(told["headers"]["removed"], serde_json::json!(["x-user-id"]));
    let added = told["headers"]["added"].to_string();
    for header in [
        "x-user-name",
        "alice",
        "x-user-tier",
        "x-forwarded-for",
        "192.0.2.1",
        "x-proof",
    ] {
        assert!(added.contains(header), "{header}: {added}");
    }
    assert!(
        !added.contains("forged") && !added.contains("accept"),
        "{added}"
    );
    let near = told["near"].to_string();
    assert!(
        near.contains("everything-else") && near.contains("tighter"),
        "{near}"
    );
}

#[test]
fn an_address_is_told_as_the_gateway_tells_it() {
    let (code, told) = explain(&["GET", "/files/a", "--ip", "::ffff:192.0.2.7"]);
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(told["request"]["client_ip"], "192.0.2.7");
    assert_eq!(added(&told["headers"])["x-forwarded-for"], "192.0.2.7");
}

#[test]
fn what_the_upstream_is_asked_for_instead_is_told() {
    let (code, told) = explain(&["GET", "/files/a%2Fb?x=/files"]);
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(told["path"], "/v2/a%2Fb");
    let url = "http://127.0.0.1:8000/v2/a%2Fb?x=/files";
    assert_eq!(told["upstream_urls"][0], url);
}

#[test]
fn the_cap_on_requests_under_way_is_told() {
    let (_, told) = explain(&["GET", "/files/a"]);
    let cap = serde_json::json!({ "key": "ip 192.0.2.1", "max": 7, "shadow": false });
    assert_eq!(told["concurrency"], cap);
    let (_, told) = explain(&["GET", "/reports", "-H", "Host: r.example.com"]);
    assert_eq!(told["concurrency"], Value::Null);
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "gateway.yaml", POLICY);
    let text = cli(dir.path(), &["explain", "GET", "/files/a"]).stdout;
    assert!(
        text.contains("limit     concurrency: 7 at once for ip 192.0.2.1\n"),
        "{text}"
    );
    let shadow = POLICY.replace("max: 7 }", "max: 7 }, shadow: [limits]");
    write(dir.path(), "gateway.yaml", &shadow);
    let text = cli(dir.path(), &["explain", "GET", "/files/a"]).stdout;
    assert!(
        text.contains("limit     concurrency: 7 at once for ip 192.0.2.1, in shadow\n"),
        "{text}"
    );
}

#[test]
fn a_preflight_is_told_as_one() {
    let (code, told) = explain(&[
        "OPTIONS",
        "/files/x",
        "-H",
        "Origin: https://app.test",
        "-H",
        "Access-Control-Request-Method: GET",
    ]);
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(told["served_by"], "cors");
    assert_eq!(told["route"], "files");
    assert_eq!(told["upstream"], Value::Null);
    let response = added(&told["response"]);
    assert_eq!(response["access-control-allow-origin"], "https://app.test");
    assert_eq!(response["access-control-allow-methods"], "GET");
    assert_eq!(response["vary"], "origin");
    assert_eq!(response["x-frame-options"], "DENY");
}

/// Names and values of what is added.
fn added(told: &Value) -> Value {
    let lines = told["added"].as_array().unwrap().iter();
    let lines = lines.map(|line| {
        let name = line["name"].as_str().unwrap();
        (name.to_owned(), line["value"].clone())
    });
    Value::Object(lines.collect())
}

#[test]
fn what_the_file_says_in_responses_is_told() {
    let from = |target, page| explain(&["GET", target, "-H", &format!("Origin: {page}")]).1;
    let told = from("/files/x", "https://app.test");
    let response = added(&told["response"]);
    let removed = serde_json::json!(["server", "access-control-*"]);
    assert_eq!(told["response"]["removed"], removed);
    assert_eq!(response["x-shelf"], "/files/x");
    assert_eq!(response["x-frame-options"], "DENY");
    assert_eq!(response["strict-transport-security"], Value::Null);
    assert_eq!(response["access-control-allow-origin"], "https://app.test");
    let told = from("/files/x", "https://evil.test");
    let response = added(&told["response"]);
    assert_eq!(response["vary"], "origin");
    assert_eq!(response["access-control-allow-origin"], Value::Null);
    // A refusal has all but what is done to the upstream's response.
    let told = from("/files/../files/x", "https://app.test");
    assert_eq!(told["decision"], "deny");
    let response = added(&told["response"]);
    assert_eq!(response["access-control-allow-origin"], "https://app.test");
    assert_eq!(response["x-frame-options"], "DENY");
    assert_eq!(response["x-shelf"], Value::Null);
    let told = from("/healthz", "https://app.test");
    assert_eq!(
        told["response"],
        serde_json::json!({ "removed": [], "added": [] })
    );
}

#[test]
fn a_refusal_says_which_key_of_which_rule_failed() {
    let (code, told) = explain(&["PATCH", "/users/bob/posts/1", "--as", "user=alice,tier=pro"]);
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(told["decision"], "deny");
    assert_eq!(told["status"], 403);
    assert_eq!(told["code"], "forbidden");
    assert_eq!(told["stage"], "authz");
    assert_eq!(told["upstream"], Value::Null);
    assert_eq!(told["rules"][0]["fails"], "owner");
    assert!(told["rules"][0]["why"].as_str().unwrap().contains("`bob`"));
    assert_eq!(told["rules"][1]["fails"], "superuser");
    assert_eq!(told["rules"][2]["fails"], "roles", "the tier is right");
}

#[test]
fn an_expression_is_shown_with_what_came_of_it() {
    let explain = |caller: &str| explain(&["GET", "/drafts/1", "--as", caller]);
    let (code, told) = explain("user=alice,tier=free");
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(told["rules"][0]["fails"], "cel");
    let source = r#"cel: 'user.tier == "pro" && claims.level >= 3'"#;
    assert_eq!(
        told["rules"][0]["why"],
        format!("{source}, and it is false")
    );
    assert_eq!(told["rules"][0]["rule"], format!("{{ {source} }}"));
    let (code, told) = explain("user=alice,tier=pro");
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(
        told["rules"][0]["why"],
        format!("{source}, which has no value: `claims[\"level\"]` is not there")
    );
    let claims = "user=alice,tier=pro,claims.level=3";
    let (code, told) = explain(claims);
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(told["rules"][0]["holds"], true);
}

#[test]
fn no_upstream_is_asked_and_its_answer_may_be_stated() {
    let explain =
        |more: &[&str]| explain(&[&["GET", "/edits/7", "--as", "user=alice"], more].concat());
    let rule = "owner: /by/0 of GET /api/posts/{id} = user.username";
    let (code, told) = explain(&[]);
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(told["code"], "forbidden");
    assert_eq!(told["rules"][1]["rule"], format!("{{ {rule} }}"));
    assert_eq!(told["rules"][1]["fails"], "owner");
    let why = "GET /api/posts/7 was not asked, and what it has at `/by/0` is not stated";
    let why = format!("{rule}, which has no value: {why}");
    assert_eq!(told["rules"][1]["why"], why);
    let (code, told) = explain(&["--lookup", "/by/0=bob"]);
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(
        told["rules"][1]["why"],
        format!("{rule}, and it is another")
    );
    let (code, told) = explain(&["--lookup", "/by/1=alice"]);
    assert_eq!((code, &told["rules"][1]["why"]), (3, &Value::from(why)));
    let (code, told) = explain(&["--lookup", "/by/0=alice"]);
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(told["rules"][1]["holds"], true);
    for bad in ["by", "by=alice", "/by~=alice"] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "gateway.yaml", POLICY);
        let output = cli(dir.path(), &["explain", "GET", "/edits/7", "--lookup", bad]);
        assert_eq!(output.code, 2, "{bad}: {output:?}");
    }
}

#[test]
fn every_stage_can_refuse() {
    for (arguments, code, stage) in [
        (&["GET", "/x"][..], "token-missing", "authn"),
        (
            &["GET", "/x", "--as", "anonymous"],
            "token-missing",
            "authn",
        ),
        (&["GET", "/x", "--token", "a.b.c"], "token-invalid", "authn"),
        (
            &["GET", "/x", "-H", "Authorization: Basic eA=="],
            "token-invalid",
            "authn",
        ),
        (
            &["GET", "/users/bob/..;/../healthz"],
            "ambiguous-path",
            "route",
        ),
        (&["GET", "/%zz"], "bad-request", "route"),
        (&["GET", "/files/../files/x"], "ambiguous-path", "forward"),
        (
            &[
                "OPTIONS",
                "/files/x",
                "-H",
                "Origin: https://evil.test",
                "-H",
                "Access-Control-Request-Method: GET",
            ],
            "forbidden",
            "cors",
        ),
        (&["TRACE", "/x"], "method-not-allowed", "ingress"),
        (&["get", "/x"], "bad-request", "ingress"),
    ] {
        let (exit, told) = explain(arguments);
        assert_eq!(exit, 3, "{arguments:?}: {told:#}");
        assert_eq!(told["code"], code, "{arguments:?}: {told:#}");
        assert_eq!(told["stage"], stage, "{arguments:?}: {told:#}");
    }
}

#[test]
fn hosts_and_the_auth_api_are_told_apart() {
    let (code, told) = explain(&["GET", "http://r.example.com/reports/1"]);
    assert_eq!((code, &told["route"]), (0, &Value::from("reports")));
    assert_eq!(told["limits"][0]["name"], "anonymous");
    assert_eq!(told["limits"][0]["key"], "ip 192.0.2.1");
    let (code, told) = explain(&["GET", "/reports/1", "--as", "user=a"]);
    assert_eq!((code, &told["route"]), (0, &Value::from("everything-else")));
    let near = told["near"].to_string();
    assert!(
        near.contains("reports") && near.contains("other hosts"),
        "{near}"
    );
    let (code, told) = explain(&["POST", "/api/v1/login"]);
    assert_eq!((code, &told["served_by"]), (0, &Value::from("auth-api")));
    for (method, path, caller, refused) in [
        ("GET", "/api/v1/login", "anonymous", "method-not-allowed"),
        ("GET", "/api/v1/users/me", "anonymous", "token-missing"),
        ("GET", "/api/v1/users/me", "user=a,key=api", "token-missing"),
        ("GET", "/api/v1/users/me", "user=a", ""),
        ("HEAD", "/api/v1/users/me", "user=a", ""),
        ("GET", "/api/v1/users/a", "user=a", ""),
        ("GET", "/api/v1/users/b", "user=a", "forbidden"),
        ("GET", "/api/v1/users/b", "user=a,superuser", ""),
        ("GET", "/api/v1/users", "user=a", "forbidden"),
        ("GET", "/api/v1/users", "user=a,superuser", ""),
        ("POST", "/api/v1/introspect", "anonymous", "token-missing"),
        ("POST", "/api/v1/introspect", "user=a,key=api", "forbidden"),
        (
            "POST",
            "/api/v1/introspect",
            "user=a,key=api,scopes=introspect",
            "",
        ),
        ("POST", "/api/v1/logout", "anonymous", ""),
        ("GET", "/.well-known/jwks.json", "anonymous", ""),
    ] {
        let (code, told) = explain(&[method, path, "--as", caller]);
        let expected = match refused {
            "" => (0, Value::Null, Value::from("auth-api")),
            code => (3, Value::from(code), Value::Null),
        };
        let told = (code, told["code"].clone(), told["served_by"].clone());
        assert_eq!(told, expected, "{method} {path} by {caller}");
    }
    let (_, told) = explain(&["GET", "/healthz", "--as", "user=a"]);
    assert_eq!(
        told["identity"]["anonymous"], true,
        "auth: none reads no one"
    );
}

#[test]
fn where_api_keys_are_not_read_whoever_has_one_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let off = format!("auth: {{ api_keys: {{ enabled: false }} }}\n{POLICY}");
    write(dir.path(), "gateway.yaml", &off);
    let explain = |path, caller| {
        let output = cli(dir.path(), &["explain", "GET", path, "--as", caller]);
        (output.code, output.stdout)
    };
    assert_eq!(explain("/", "user=a").0, 0);
    let (code, text) = explain("/", "user=a,key=api");
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("401 token-missing"), "{text}");
    let note = "note      no API key is read: `auth.api_keys.enabled` is false\n";
    assert!(text.contains(note), "{text}");
    let (code, text) = explain("http://r.example.com/reports", "user=a,key=api");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("caller    anonymous\n"), "{text}");
}

#[test]
fn what_can_be_no_api_key_is_refused_without_a_look_up() {
    let key = format!("X-API-Key: pck_{}_{}", "0".repeat(32), "a".repeat(43));
    let caller = ["GET", "/orgs/a", "-H"];
    let explain_with = |more: &[&str]| explain(&[&caller, more].concat());
    for refused in [
        &["X-API-Key: abc"][..],
        &["X-API-Key: abc", "-H", key.as_str()],
    ] {
        let (code, told) = explain_with(refused);
        assert_eq!(code, 3, "{told}");
        assert_eq!(told["code"], "token-invalid", "{told}");
        assert_eq!(told["stage"], "authn", "{told}");
    }
    let (code, told) = explain(&["GET", "/healthz", "-H", "X-API-Key: abc"]);
    assert_eq!(code, 0, "{told}");
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "gateway.yaml", POLICY);
    let looked_up = cli(dir.path(), &[&["explain"], &caller[..], &[&key]].concat());
    assert_eq!(looked_up.code, 2, "{looked_up:?}");
    assert!(looked_up.stderr.contains("looked up"), "{looked_up:?}");
}

#[test]
fn a_host_among_a_test_s_headers_is_its_host() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "gateway.yaml", POLICY);
    let test = "tests: [{ name: a, request: { path: /reports, headers: { Host: r.example.com } }, \
                expect: { decision: allow, route: reports } }]\n";
    write(dir.path(), "a.test.yaml", test);
    let output = cli(dir.path(), &["test"]);
    assert_eq!(output.stdout, "1 passed, 0 failed\n", "{output:?}");
    let twice = ["-H", "Host: r.example.com", "-H", "Host: r.example.com"];
    let (code, told) = explain(&[&["GET", "/reports"][..], &twice].concat());
    assert_eq!((code, &told["code"]), (3, &Value::from("bad-request")));
}

#[test]
fn people_are_told_the_same_and_bad_usage_is_2() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "gateway.yaml", POLICY);
    let output = cli(dir.path(), &["explain", "GET", "/healthz/x"]);
    assert_eq!(output.code, 3, "{output:?}");
    for line in [
        "refused by authn: 401 token-missing",
        "everything-else",
        "not health: its path is another",
    ] {
        assert!(
            output.stdout.contains(line),
            "{line} in:\n{}",
            output.stdout
        );
    }
    for arguments in [
        &["explain", "GET"][..],
        &["explain", "GET", "no-slash"],
        &["explain", "G T", "/"],
        &["explain", "GET", "/", "-H", "no colon"],
        &["explain", "GET", "/", "--as", "usr=alice"],
        &["explain", "GET", "/", "--as", "user=a", "--token", "t"],
    ] {
        let output = cli(dir.path(), arguments);
        assert_eq!(output.code, 2, "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
    write(dir.path(), "gateway.yaml", "version: 2\n");
    assert_eq!(cli(dir.path(), &["explain", "GET", "/"]).code, 1);
}

#[test]
fn a_token_is_checked_by_the_gateway_s_keys() {
    let origin = crate::harness::origin::Origin::start();
    let gateway = crate::harness::gateway::Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let alice = gateway.user("alice", &[]);
    let output = gateway.cli(&["explain", "GET", "/x", "--token", &alice.access], "");
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("alice, tier free"), "{output:?}");
    assert!(
        !output.stdout.contains(&alice.access),
        "no token is printed"
    );
}

#[test]
fn to_look_at_a_token_makes_no_store_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    let auth = "auth: { master_key: a-key-of-the-master-with-more-than-32-bytes-9x }";
    write(dir.path(), "gateway.yaml", &format!("{auth}\n{POLICY}"));
    let output = cli(dir.path(), &["explain", "GET", "/x", "--token", "a.b.c"]);
    assert_eq!(output.code, 1, "{output:?}");
    let said = "portcullis.db: it is not there; the first start of the gateway makes it";
    assert!(output.stderr.contains(said), "{output:?}");
    let found: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(found, ["gateway.yaml"]);
}

const TESTS: &str = r#"tests:
  - name: a stranger cannot delete
    request: { method: DELETE, path: /users/bob/posts/1 }
    as: { user: alice, tier: free }
    expect: { decision: deny, status: 403, code: forbidden, route: own-posts, limit: writes }
  - name: the owner can
    request: { method: DELETE, path: /users/alice/posts/1, headers: { X-User-Id: forged } }
    as: { user: alice, tier: pro }
    expect:
      decision: allow
      upstream: app
      path: /users/alice/posts/1
      headers: { X-User-Name: alice, X-User-Email: null }
      limit: { name: writes, rate: 300/min }
  - name: a claim is as good as a name
    request: { path: /orgs/acme, ip: 10.0.0.1 }
    as: { user: bob, claims: { org: acme, level: 3 } }
    expect: { decision: allow, route: orgs }
  - name: of another organisation it is not
    request: { path: /orgs/acme }
    as: { user: bob, claims: { org: other, level: 3 } }
    expect: { decision: deny, code: forbidden }
  - name: an expression asks for a claim
    request: { path: /drafts/1 }
    as: { user: bob, tier: pro, claims: { level: 3 } }
    expect: { decision: allow, route: drafts }
  - name: and lets nobody pass who has none
    request: { path: /drafts/1 }
    as: { user: bob, tier: pro }
    expect: { decision: deny, code: forbidden }
  - name: an author edits
    request: { path: /edits/7 }
    as: { user: bob }
    owners: { "GET /api/posts/7": bob, "GET /api/posts/8": carol }
    expect: { decision: allow, route: edits }
  - name: nobody else does
    request: { path: /edits/7 }
    as: { user: bob }
    owners: { "GET /api/posts/7": carol, "GET /api/posts/8": bob }
    expect: { decision: deny, code: forbidden }
  - name: health is public
    request: { path: /healthz }
    as: anonymous
    expect: { decision: allow, route: health }
"#;

#[test]
fn tests_beside_the_file_and_in_it_are_run() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "gateway.yaml", &format!("{POLICY}{TESTS}"));
    let output = cli(dir.path(), &["test"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "9 passed, 0 failed\n"),
        "{output:?}"
    );
    write(
        dir.path(),
        "more.test.yaml",
        &TESTS.replace("/users/alice/", "/users/carol/"),
    );
    let output = cli(dir.path(), &["test"]);
    assert_eq!(output.code, 1, "{output:?}");
    for part in [
        "more.test.yaml:6: the owner can: expected decision allow, found deny",
        "refused by authz: 403 forbidden",
        "the path has `carol`",
        "17 passed, 1 failed\n",
    ] {
        assert!(
            output.stdout.contains(part),
            "{part} in:\n{}",
            output.stdout
        );
    }
    let output = cli(dir.path(), &["test", "--json", "more.test.yaml"]);
    assert_eq!(output.code, 1, "{output:?}");
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (json["passed"].as_u64(), json["failed"].as_u64()),
        (Some(8), Some(1))
    );
    assert_eq!(json["tests"][1]["explanation"]["code"], "forbidden");
}

#[test]
fn no_test_uses_up_what_another_is_held_to() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "gateway.yaml",
        &POLICY.replace("rate: 60/min", "rate: 1/d"),
    );
    let test = "- { name: one, request: { method: GET, path: /reports, host: r.example.com }, \
                expect: { decision: allow, limit: { name: anonymous, rate: 1/d } } }\n";
    let tests = format!("tests:\n{}", test.repeat(5));
    write(dir.path(), "a.test.yaml", &tests);
    let output = cli(dir.path(), &["test"]);
    assert_eq!(output.stdout, "5 passed, 0 failed\n", "{output:?}");
}

#[test]
fn each_expectation_can_fail() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "gateway.yaml", POLICY);
    for (expect, said) in [
        ("decision: deny", "expected decision deny, found allow"),
        ("status: 403", "expected status 403, found none"),
        ("code: forbidden", "expected code forbidden, found none"),
        (
            "route: own-posts",
            "expected route own-posts, found everything-else",
        ),
        ("path: /y", "expected path /y, found /x"),
        (
            "headers: { X-User-Name: bob }",
            "expected header x-user-name `bob`, found `alice`",
        ),
        (
            "headers: { X-User-Name: null }",
            "expected header x-user-name nothing, found `alice`",
        ),
        (
            "headers: { X-None: a }",
            "expected header x-none `a`, found nothing",
        ),
        ("limit: writes", "expected limit writes, found tier"),
        (
            "limit: { name: tier, rate: 1/s }",
            "expected limit tier of 1/s, found 100/min",
        ),
    ] {
        let test = format!(
            "tests: [{{ name: one, request: {{ path: /x }}, as: {{ user: alice }}, expect: {{ {expect} }} }}]\n"
        );
        write(dir.path(), "a.test.yaml", &test);
        let output = cli(dir.path(), &["test"]);
        assert_eq!(output.code, 1, "{expect}: {output:?}");
        assert!(output.stdout.contains(said), "{said} in:\n{output:?}");
    }
}

#[test]
fn tests_that_test_nothing_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "gateway.yaml", POLICY);
    let output = cli(dir.path(), &["test"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("there are no tests"), "{output:?}");
    assert_eq!(cli(dir.path(), &["test", "none.test.yaml"]).code, 1);
    let one = |request: &str, rest: &str| {
        format!("tests: [{{ name: a, request: {{ {request} }}, {rest} }}]\n")
    };
    for (file, said) in [
        ("tests: []\n".to_owned(), "this list is empty"),
        ("test: []\n".to_owned(), "did you mean `tests`?"),
        (one("path: /", "expect: {}"), "this expects nothing"),
        (
            one("path: /", "expect: { decison: deny }"),
            "did you mean `decision`?",
        ),
        (
            one("path: /", "expect: { route: own-post }"),
            "did you mean `own-posts`?",
        ),
        (
            one("path: /", "expect: { decision: allow, status: 200 }"),
            "the upstream's to choose",
        ),
        (
            one("path: x", "expect: { decision: deny }"),
            "begins with `/`",
        ),
        (
            one("path: /", "as: { usr: a }, expect: { decision: deny }"),
            "did you mean `user`?",
        ),
        (
            one("path: /", "as: nobody, expect: { decision: deny }"),
            "anonymous",
        ),
        (
            one("path: /, ip: home", "expect: { decision: deny }"),
            "an address such as",
        ),
    ] {
        write(dir.path(), "a.test.yaml", &file);
        let output = cli(dir.path(), &["test"]);
        assert_eq!(output.code, 1, "{file}: {output:?}");
        assert!(
            output.stderr.contains(said),
            "{said} for {file}: {output:?}"
        );
        assert!(output.stderr.contains("a.test.yaml:1:"), "{output:?}");
    }
}
