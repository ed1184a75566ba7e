//! The policies under examples/: they hold, their tests pass, and one of them is served.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::client::{get, post, request};
use crate::harness::gateway::{Settings, portcullis, run};
use crate::harness::origin::Origin;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The folders that have a gateway.yaml.
fn policies() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = folders
        .filter(|path| path.join("gateway.yaml").is_file())
        .collect();
    folders.sort();
    folders
}

#[test]
fn every_example_holds_and_passes_its_tests() {
    let names = ["admin-tool", "blog", "public-api", "saas"];
    assert_eq!(policies(), names.map(|name| folder().join(name)));
    for example in policies() {
        let checked = run(portcullis(&example).arg("check"), "");
        assert_eq!(checked.code, 0, "{checked:?}");
        assert_eq!(checked.stderr, "", "{}", example.display());

        let tested = run(portcullis(&example).arg("test"), "");
        assert_eq!(tested.code, 0, "{tested:?}");
        let passed = tested.stdout.split_once(" passed, 0 failed");
        let passed = passed.and_then(|(passed, _)| passed.trim().parse::<usize>().ok());
        assert!(passed.is_some_and(|passed| passed > 8), "{tested:?}");
    }
}

#[test]
fn every_route_of_an_example_is_named_by_one_of_its_tests() {
    for example in policies() {
        let read = |name| std::fs::read_to_string(example.join(name)).unwrap();
        let (file, tests) = (read("gateway.yaml"), read("gateway.test.yaml"));
        let routes = file.split("\nroutes:").nth(1).unwrap();
        let names: Vec<&str> = routes
            .lines()
            .filter_map(|line| line.strip_prefix("  - name: ")?.split_whitespace().next())
            .collect();
        assert!(names.len() > 3, "{names:?}");
        for name in names {
            let expected = [format!("route: {name} "), format!("route: {name},")];
            let is_tested = expected.iter().any(|words| tests.contains(words));
            assert!(is_tested, "{name} of {}", example.display());
        }
    }
}

/// Answers as a blog does whose posts are all by one author.
fn blog(author: Arc<Mutex<Value>>) -> Origin {
    Origin::with(move |exchange| {
        exchange.read_body()?;
        let post = json!({ "title": "A post", "author_id": *author.lock().unwrap() });
        exchange.respond(
            200,
            "Content-Type: application/json\r\n",
            post.to_string().as_bytes(),
        )
    })
}

#[test]
fn the_blog_is_served_as_its_file_says() {
    let author = Arc::new(Mutex::new(Value::Null));
    let origin = blog(Arc::clone(&author));
    let file = std::fs::read_to_string(folder().join("blog/gateway.yaml")).unwrap();
    let gateway = Settings::new(&origin).whole(&file).start();
    let anna = gateway.user("anna", &["--tier", "author"]);
    let bert = gateway.user("bert", &["--tier", "author"]);
    let rita = gateway.user("rita", &[]);

    gateway.send(&get("/posts")).expect(200);
    let read = get("/posts/1").bearer(&rita.access);
    gateway.send(&read).expect(200);
    let received = origin.last_request();
    assert_eq!(received.header("x-user-name").as_deref(), Some("rita"));
    assert_eq!(received.header("x-user-tier").as_deref(), Some("reader"));
    assert_eq!(received.header("authorization"), None);

    let new_post = || post("/posts").header("Content-Length", "0");
    gateway.send(&new_post()).expect(401);
    gateway.send(&new_post().bearer(&rita.access)).expect(403);
    for left in ["2", "1", "0"] {
        let response = gateway.send(&new_post().bearer(&anna.access)).expect(200);
        assert_eq!(response.header("x-ratelimit-remaining"), Some(left));
    }
    gateway.send(&new_post().bearer(&anna.access)).expect(429);

    let me = get("/api/v1/users/me").bearer(&anna.access);
    *author.lock().unwrap() = gateway.send(&me).expect(200).json()["id"].clone();
    for (session, status) in [(&anna, 200), (&bert, 403)] {
        let delete = request("DELETE", "/posts/1").bearer(&session.access);
        gateway.send(&delete).expect(status);
    }

    let preflight = request("OPTIONS", "/posts/1/comments")
        .header("Origin", "https://blog.example.com")
        .header("Access-Control-Request-Method", "POST");
    let response = gateway.send(&preflight).expect(204);
    let allowed = response.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://blog.example.com"));
    gateway.send(&get("/metrics")).expect(404);
}

/// Its tokens are those of logins, with nothing in them but what accounts have.
#[test]
fn the_saas_is_served_to_those_who_sign_in() {
    let origin = Origin::start();
    let file = std::fs::read_to_string(folder().join("saas/gateway.yaml")).unwrap();
    let billing = file.replace("http://127.0.0.1:8001", &origin.url());
    assert_ne!(file, billing);
    let gateway = Settings::new(&origin).whole(&billing).start();
    let customer = |name: &str, tier: &str, roles: &str| {
        gateway.user_add(name, &["--tier", tier]);
        let set = gateway.cli(&["user", "set", name, "--roles", roles], "");
        assert_eq!(set.code, 0, "{set:?}");
        gateway.login(name)
    };
    let alice = customer("alice", "team", "member:acme");
    let adam = customer("adam", "team", "member:acme,admin:acme");
    let fred = customer("fred", "free", "member:acme");
    let bob = customer("bob", "team", "member:globex,admin:globex");
    let sue = gateway.user("sue", &["--superuser"]);
    let nobody = gateway.user("nobody", &[]);
    let (get, post) = ("GET", "POST");
    for (who, method, path, status) in [
        (&alice, get, "/orgs/acme/projects/1", 200),
        (&fred, get, "/orgs/acme/projects/1", 200),
        (&sue, get, "/orgs/acme/projects/1", 200),
        (&bob, get, "/orgs/acme/projects/1", 403),
        (&nobody, get, "/orgs/acme/projects/1", 403),
        (&bob, get, "/orgs/globex/projects/1", 200),
        (&alice, get, "/orgs/acme/reports/2026", 200),
        (&fred, get, "/orgs/acme/reports/2026", 403),
        (&adam, post, "/orgs/acme/members/dave", 200),
        (&alice, post, "/orgs/acme/members/dave", 403),
        (&bob, post, "/orgs/acme/members/dave", 403),
        (&adam, get, "/orgs/acme/billing/invoices", 200),
        (&alice, get, "/orgs/acme/billing/invoices", 403),
        // Who belongs to `member:acme` does not belong to `acme`.
        (&alice, get, "/orgs/member:acme/projects/1", 403),
    ] {
        let request = request(method, path)
            .header("Content-Length", "0")
            .header("X-Tenant", "forged")
            .bearer(&who.access);
        let response = gateway.send(&request);
        assert_eq!(response.status, status, "{method} {path}: {response:?}");
        if status == 200 {
            let told = origin.last_request().header("x-tenant");
            let tenant = path.split('/').nth(2);
            assert_eq!(told.as_deref(), tenant, "{path}");
        }
    }
    let billed = origin.requests();
    let billed = billed.iter().map(|received| received.target());
    assert!(
        billed
            .into_iter()
            .any(|to| to == "/v2/accounts/acme/billing/invoices")
    );
}
