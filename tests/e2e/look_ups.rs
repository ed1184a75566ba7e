//! Owners that the upstream knows: what it is asked, and what becomes of the answer.

use std::sync::{Arc, Mutex};

use crate::harness::client::{Request, get, request};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::{Exchange, Origin, Received};

/// `/posts/NAME-…` is NAME's, and the rest is answered as its name says.
fn blog(exchange: &mut Exchange) -> std::io::Result<()> {
    exchange.read_body()?;
    let (method, target) = (exchange.request().method(), exchange.request().target());
    let post = target.strip_prefix("/api/posts/").unwrap_or_default();
    if method != "GET" || post.is_empty() {
        return exchange.respond(200, "", b"done");
    }
    let answer = |text: &str| (200, text.to_owned());
    let (status, body) = match post {
        "gone" => (404, r#"{"author":{"name":"alice"}}"#.to_owned()),
        "moved" => (302, r#"{"author":{"name":"alice"}}"#.to_owned()),
        "broken" => (500, String::new()),
        "page" => answer("<p>alice</p>"),
        "nobody" => answer(r#"{"author":null}"#),
        "list" => answer(r#"{"author":{"name":["alice"]}}"#),
        "twice" => answer(r#"{"author":{"name":"alice"},"author":{"name":"bob"}}"#),
        "large" => {
            let filler = "x".repeat(65_536);
            answer(&format!(
                r#"{{"author":{{"name":"alice"}},"x":"{filler}"}}"#
            ))
        }
        "hang" => return exchange.wait_for_close(),
        "shut" => return exchange.close(),
        _ => {
            let name = post.split('-').next().unwrap_or_default();
            answer(&format!(
                r#"{{"id":1,"author":{{"name":"{name}","no":7}}}}"#
            ))
        }
    };
    let head = "Content-Type: application/json\r\n";
    exchange.respond(status, head, body.as_bytes())
}

const RULES: &str = r#"
    - name: posts
      path: /posts/{id}
      methods: [PATCH]
      auth: required
      allow:
        - owner: { lookup: "GET /api/posts/{id}", field: /author/name, equals: "{user.username}" }
        - superuser: true
      limits: []
      upstream: app
    - name: numbers
      path: /numbers/{id}
      auth: required
      allow: [{ owner: { lookup: "GET /api/posts/{id}", field: /author/no, equals: "{user.external_id}" } }]
      limits: []
      upstream: app
    - name: drafts
      path: /drafts/{id}
      auth: required
      allow: [{ tiers: [pro], owner: { lookup: "GET /api/posts/{id}", field: /author/name, equals: "{user.username}" } }]
      upstream: app
    - { name: rest, prefix: /, auth: none, upstream: app }
"#;

fn patch(id: &str, token: &str) -> Request {
    request("PATCH", format!("/posts/{id}"))
        .bearer(token)
        .header("Cookie", "session=1")
        .header("X-User-Name", "mallory")
        .header("Accept", "text/plain")
        .json(&serde_json::json!({ "author": { "name": "bob" } }))
}

fn look_ups(origin: &Origin) -> Vec<Received> {
    let mut all = origin.requests();
    all.retain(|received| received.target().starts_with("/api/"));
    all
}

/// The cause in the log of a request that is refused.
#[track_caller]
fn cause(gateway: &Gateway, request: &Request) -> String {
    let response = gateway.send(request);
    assert_eq!(response.status, 403, "{response:?}");
    assert_eq!(response.json()["code"], "forbidden");
    assert!(!response.text().contains("api/posts"), "{response:?}");
    let cause = gateway.log_of(&response)["cause"].clone();
    cause.as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_upstream_says_who_owns_what() {
    let origin = Origin::with(blog);
    let gateway = Settings::new(&origin).routes(RULES).start();
    let alice = gateway.user("alice", &[]);
    let bob = gateway.user("bob", &[]);
    let root = gateway.user("root", &["--superuser"]);
    assert_eq!(gateway.send(&patch("alice-1", &alice.access)).status, 200);
    let received = origin.requests();
    let [asked, sent] = received.as_slice() else {
        panic!("{received:#?}");
    };
    assert_eq!(asked.line(), "GET /api/posts/alice-1 HTTP/1.1");
    let mut headers = asked.headers();
    headers.sort();
    let own = [
        ("accept".to_owned(), "application/json".to_owned()),
        ("host".to_owned(), sent.header("host").unwrap_or_default()),
    ];
    assert_eq!(headers, own);
    assert_eq!(sent.line(), "PATCH /posts/alice-1 HTTP/1.1");
    assert_eq!(sent.header("x-user-name").as_deref(), Some("alice"));

    assert_eq!(cause(&gateway, &patch("alice-1", &bob.access)), "");
    assert_eq!(gateway.send(&patch("bob-1", &bob.access)).status, 200);
    // Another rule is enough, and nobody is asked then.
    let before = look_ups(&origin).len();
    assert_eq!(gateway.send(&patch("alice-2", &root.access)).status, 200);
    let without = request("PATCH", "/posts/alice-3");
    assert_eq!(gateway.send(&without).status, 401);
    let draft = get("/drafts/alice-4").bearer(&alice.access);
    assert_eq!(gateway.send(&draft).status, 403, "the tier is another");
    assert_eq!(look_ups(&origin).len(), before);
}

/// A backend of several sites, each with its own posts under the same paths.
#[test]
fn a_look_up_asks_the_site_that_the_request_is_for() {
    let origin = Origin::with(|exchange| {
        exchange.read_body()?;
        let name = match exchange.request().header("host").as_deref() {
            Some("one.test") => "alice",
            Some("two.test") => "bob",
            _ => "nobody",
        };
        exchange.respond(200, "", format!(r#"{{"by":"{name}"}}"#).as_bytes())
    });
    let rule = "auth: required, allow: [{ owner: { lookup: \"GET /posts/{id}\", field: /by, equals: \"{user.username}\" } }], limits: []";
    let gateway = Settings::new(&origin)
        .routes(&format!(
            "
            - {{ name: kept, path: \"/kept/{{id}}\", {rule}, upstream: app }}
            - {{ name: named, path: \"/named/{{id}}\", {rule}, rewrite: {{ host: one.test }}, upstream: app }}
            - {{ name: own, path: \"/own/{{id}}\", {rule}, rewrite: {{ host: upstream }}, upstream: app }}
            "
        ))
        .start();
    let [alice, bob, nobody] = ["alice", "bob", "nobody"].map(|name| gateway.user(name, &[]));
    let ask = |path: &str, host: &str, token: &str| {
        let mut client = gateway.connect();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        client.read_response().status
    };
    // One after the other, so that no answer of one site is remembered for another.
    for (path, host, owner) in [
        ("/kept/1", "one.test", &alice),
        ("/kept/1", "two.test", &bob),
        ("/kept/1", "three.test", &nobody),
        ("/named/1", "two.test", &alice),
        ("/own/1", "two.test", &nobody),
    ] {
        for user in [&alice, &bob, &nobody] {
            let expected = if std::ptr::eq(user, owner) { 200 } else { 403 };
            let status = ask(path, host, &user.access);
            assert_eq!(status, expected, "{path} of {host}");
        }
    }
}

#[test]
fn numbers_are_compared_as_text() {
    let origin = Origin::with(blog);
    let gateway = Settings::new(&origin).routes(RULES).start();
    for (name, id, status) in [
        ("seven", "7", 200),
        ("padded", "07", 403),
        ("other", "8", 403),
    ] {
        gateway.user_add(name, &[]);
        let set = gateway.cli(&["user", "set", name, "--external-id", id], "");
        assert_eq!(set.code, 0, "{set:?}");
        let user = gateway.login(name);
        let response = gateway.send(&get("/numbers/alice-1").bearer(&user.access));
        assert_eq!(response.status, status, "{id}");
    }
    let nobody = gateway.user("nobody", &[]);
    let response = gateway.send(&get("/numbers/alice-1").bearer(&nobody.access));
    assert_eq!(response.status, 403);
}

#[test]
fn without_an_answer_nobody_owns_it() {
    let origin = Origin::with(blog);
    let gateway = Settings::new(&origin).routes(RULES).start();
    let alice = gateway.user("alice", &[]);
    for (id, why) in [
        ("gone", "was answered with 404"),
        ("moved", "was answered with 302"),
        ("broken", "was answered with 500"),
        ("page", "was answered with no JSON"),
        ("twice", "was answered with no JSON"),
        ("nobody", "was answered without `/author/name`"),
        (
            "list",
            "was answered with neither text nor a whole number at `/author/name`",
        ),
        ("large", "was not answered whole"),
        ("shut", "failed: "),
        ("hang", "was not answered in time"),
    ] {
        let told = cause(&gateway, &patch(id, &alice.access));
        assert!(
            told.starts_with(&format!("owner: GET /api/posts/{id} {why}")),
            "{told}"
        );
        let sent = origin.requests();
        assert!(sent.iter().all(|one| one.method() == "GET"), "{id}");
    }
    gateway.still_serves("/");
}

#[test]
fn an_upstream_that_is_away_owns_nothing() {
    let gateway = Settings::toward("http://127.0.0.1:1").routes(RULES).start();
    let alice = gateway.user("alice", &[]);
    let told = cause(&gateway, &patch("alice-1", &alice.access));
    let failed = "owner: GET /api/posts/alice-1 failed: ";
    assert!(told.starts_with(failed), "{told}");
}

#[test]
fn answers_are_remembered_for_a_while_and_no_longer() {
    let owner = Arc::new(Mutex::new("alice"));
    let origin = Origin::with({
        let owner = Arc::clone(&owner);
        move |exchange| {
            exchange.read_body()?;
            let owner = *owner.lock().unwrap();
            let body = format!(r#"{{"author":{{"name":"{owner}"}}}}"#);
            exchange.respond(200, "", body.as_bytes())
        }
    });
    let gateway = Settings::new(&origin).routes(RULES).start();
    let alice = gateway.user("alice", &[]);
    for _ in 0..50 {
        assert_eq!(gateway.send(&patch("1", &alice.access)).status, 200);
    }
    assert!(look_ups(&origin).len() < 25);
    *owner.lock().unwrap() = "bob";
    eventually("the new owner is known", || {
        (gateway.send(&patch("1", &alice.access)).status == 403).then_some(())
    });
}

#[test]
fn look_ups_take_no_turn_of_requests() {
    let origins = [Origin::with(blog), Origin::with(blog)];
    let [one, other] = &origins;
    let gateway = Settings::new(one)
        .more_upstreams(&format!(
            "pair: {{ targets: [\"{}\", \"{}\"] }}",
            one.url(),
            other.url()
        ))
        .routes(&RULES.replace("upstream: app", "upstream: pair"))
        .start();
    let alice = gateway.user("alice", &[]);
    // On one connection, so on one worker.
    let mut client = gateway.connect();
    for nth in 0..8 {
        let post = patch(&format!("alice-{nth}"), &alice.access);
        client.exchange(&post).expect(200);
    }
    for origin in &origins {
        let asked = look_ups(origin).len();
        assert_eq!((asked, origin.requests().len() - asked), (4, 4));
    }
}

#[test]
fn what_is_asked_for_a_user_counts_for_its_limits() {
    let origin = Origin::with(blog);
    let gateway = Settings::new(&origin)
        .routes(
            r#"
            - name: posts
              path: /posts/{id}
              auth: required
              allow: [{ owner: { lookup: "GET /api/posts/{id}", field: /author/name, equals: "{user.username}" } }]
              limits: [{ name: few, key: user, rate: 3/d }]
              upstream: app
            "#,
        )
        .start();
    for (name, expected) in [
        ("alice", [200, 200, 200, 429, 429]),
        ("bob", [403, 403, 403, 429, 429]),
    ] {
        let user = gateway.user(name, &[]);
        let before = look_ups(&origin).len();
        let statuses = (0..5).map(|nth| {
            let post = get(format!("/posts/alice-{name}-{nth}")).bearer(&user.access);
            gateway.send(&post).status
        });
        assert_eq!(statuses.collect::<Vec<_>>(), expected, "{name}");
        assert_eq!(look_ups(&origin).len() - before, 3, "{name}");
    }
}
