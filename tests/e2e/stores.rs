//! Stores that are shared, slow, full, stopped and killed: accounts are unreachable then, and what needs
//! none of them goes on.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::harness::client::{get, post, request};
use crate::harness::eventually;
use crate::harness::forge::Jwt;
use crate::harness::gateway::{Gateway, PASSWORD, SECRET, Settings, access_token, refresh_cookie};
use crate::harness::origin::Origin;
use crate::harness::postgres::{self, Cluster};

/// On that store, with the same secret for all and nothing else that they share.
fn on(origin: &Origin, store: &str) -> Settings {
    Settings::new(origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .auth(&format!(
            "signing: {{ algorithm: HS256, secret: {SECRET} }}\n\
             registration: open\n\
             refresh_token: {{ reuse_grace: 1s }}"
        ))
        .store(store)
}

fn register(gateway: &Gateway, name: &str) -> Option<u16> {
    let user = json!({
        "name": name, "username": name, "email": format!("{name}@example.test"),
        "password": PASSWORD,
    });
    let response = post("/api/v1/users").json(&user).try_send(gateway.public);
    response.ok().map(|response| response.status)
}

fn try_login(gateway: &Gateway, name: &str) -> u16 {
    let credentials = json!({ "username": name, "password": PASSWORD });
    gateway
        .send(&post("/api/v1/login").json(&credentials))
        .status
}

#[track_caller]
fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.send(&get("/").bearer(token)).status
}

#[test]
fn gateways_that_start_together_share_one_new_database() {
    let Some(url) = postgres::database() else {
        return;
    };
    let origin = Origin::start();
    let gateways: Vec<Gateway> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| on(&origin, &url).start()))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    let [one, two, three] = &gateways[..] else {
        unreachable!()
    };
    let alice = one.user("alice", &[]);
    for gateway in &gateways {
        assert_eq!(status(gateway, &alice.access), 200);
        assert_eq!(try_login(gateway, "alice"), 200);
    }

    // What is done at one is felt at all.
    let output = two.cli(&["user", "set", "alice", "--tier", "pro"], "");
    assert_eq!(output.code, 0, "{output:?}");
    for gateway in &gateways {
        eventually("the new tier", || {
            let seen = gateway.send(&get("/").bearer(&alice.access)).expect(200);
            let told = origin.last_request().header("x-user-tier");
            (seen.status == 200 && told.as_deref() == Some("pro")).then_some(())
        });
    }
    let request = post("/api/v1/logout").bearer(&alice.access);
    three.send(&request).expect(200);
    for gateway in &gateways {
        eventually("the logout", || {
            (status(gateway, &alice.access) == 401).then_some(())
        });
    }
}

#[test]
fn a_refresh_token_is_one_for_all_gateways() {
    let Some(url) = postgres::database() else {
        return;
    };
    let origin = Origin::start();
    let (one, two) = (on(&origin, &url).start(), on(&origin, &url).start());
    let alice = one.user("alice", &[]);
    let next = refresh_cookie(&two.refresh(&alice.refresh).expect(200)).unwrap();

    // Twenty tabs at two gateways.
    let responses: Vec<_> = std::thread::scope(|scope| {
        let tabs: Vec<_> = (0..20)
            .map(|tab| {
                let gateway = if tab % 2 == 0 { &one } else { &two };
                let next = &next;
                scope.spawn(move || gateway.refresh(next))
            })
            .collect();
        tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
    });
    let mut tokens = HashSet::new();
    let mut sessions = HashSet::new();
    for response in &responses {
        assert_eq!(response.status, 200, "{response:?}");
        tokens.insert(refresh_cookie(response).unwrap());
        let token = Jwt::parse(&access_token(response));
        sessions.insert(token.claims["sid"].to_string());
    }
    assert_eq!(sessions.len(), 1, "one session remains");
    assert_eq!(tokens.len(), 1, "with one current token");

    // A replay at the one ends the session at the other.
    eventually("the end of the grace", || {
        (one.refresh(&alice.refresh).status == 401).then_some(())
    });
    for token in &tokens {
        two.refresh(token).expect(401);
    }
    eventually("the end of the session", || {
        (status(&two, &access_token(&responses[0])) == 401).then_some(())
    });
}

/// An API key and its id.
#[track_caller]
fn api_key(gateway: &Gateway, token: &str) -> (String, String) {
    let request = post("/api/v1/api-keys").bearer(token);
    let made = gateway.send(&request.json(&json!({ "name": "x" })));
    let made = made.expect(201).json();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

#[track_caller]
fn status_of_key(gateway: &Gateway, key: &str) -> u16 {
    gateway.send(&get("/").header("x-api-key", key)).status
}

#[test]
fn an_api_key_is_one_for_all_gateways() {
    let Some(url) = postgres::database() else {
        return;
    };
    let origin = Origin::start();
    let gateways = [on(&origin, &url).start(), on(&origin, &url).start()];
    let alice = gateways[0].user("alice", &[]);
    let (key, id) = api_key(&gateways[0], &alice.access);
    let (other, _) = api_key(&gateways[1], &alice.access);
    for gateway in &gateways {
        assert_eq!(status_of_key(gateway, &key), 200);
        assert_eq!(status_of_key(gateway, &other), 200);
    }
    let path = format!("/api/v1/api-keys/{id}");
    let revoke = request("DELETE", path).bearer(&alice.access);
    gateways[1].send(&revoke).expect(204);
    assert_eq!(status_of_key(&gateways[1], &key), 401);
    eventually("the key's end elsewhere", || {
        (status_of_key(&gateways[0], &key) == 401).then_some(())
    });
    for gateway in &gateways {
        assert_eq!(status_of_key(gateway, &other), 200);
    }
}

/// With an account that is signed in: without the store there are no logins, and all else goes on.
#[track_caller]
fn outage(gateway: &Gateway, begin: impl FnOnce(), end: impl FnOnce()) {
    let alice = gateway.user("alice", &[]);
    let (known, _) = api_key(gateway, &alice.access);
    let (unknown, _) = api_key(gateway, &alice.access);
    assert_eq!(status_of_key(gateway, &known), 200);
    begin();
    let with_unknown = get("/").header("x-api-key", &unknown);
    let response = gateway.send(&with_unknown);
    response.expect_problem(503, "unavailable");
    let credentials = json!({ "username": "alice", "password": PASSWORD });
    let response = gateway.send(&post("/api/v1/login").json(&credentials));
    response.expect_problem(503, "unavailable");
    gateway
        .refresh(&alice.refresh)
        .expect_problem(503, "unavailable");
    for _ in 0..20 {
        assert_eq!(status(gateway, &alice.access), 200);
        assert_eq!(status_of_key(gateway, &known), 200);
    }
    eventually("the word that the store is away", || {
        let ready = get("/readyz").send(gateway.admin).status;
        (ready == 503 && gateway.metric("portcullis_store_up") == 0.0).then_some(())
    });
    end();
    eventually("a login", || {
        (try_login(gateway, "alice") == 200).then_some(())
    });
    gateway.refresh(&alice.refresh).expect(200);
    assert_eq!(status_of_key(gateway, &unknown), 200);
    eventually("the word that it is back", || {
        let ready = get("/readyz").send(gateway.admin).status;
        (ready == 200 && gateway.metric("portcullis_store_up") == 1.0).then_some(())
    });
    let output = gateway.cli(&["user", "disable", "alice"], "");
    assert_eq!(output.code, 0, "{output:?}");
    eventually("what was done since", || {
        (status(gateway, &alice.access) == 401).then_some(())
    });
    for key in [&known, &unknown] {
        assert_eq!(status_of_key(gateway, key), 401);
    }
}

#[test]
fn without_postgresql_requests_go_on_and_accounts_come_back_with_it() {
    let Some(cluster) = Cluster::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let url = cluster.database("gateway");
    let gateway = on(&origin, &url).start();
    outage(
        &gateway,
        || cluster.signal_all("STOP"),
        || cluster.signal_all("CONT"),
    );
}

#[test]
fn a_postgresql_that_is_restarted_is_connected_to_again() {
    let Some(cluster) = Cluster::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let url = cluster.database("gateway");
    let gateway = on(&origin, &url).start();
    let cluster = std::sync::Mutex::new(cluster);
    let end = |cluster: &Cluster| {
        cluster.signal_all("QUIT");
        eventually("the server's end", || {
            (!cluster.sql("gateway", "SELECT 1")).then_some(())
        });
    };
    outage(
        &gateway,
        || end(&cluster.lock().unwrap()),
        || cluster.lock().unwrap().run_again(),
    );
}

#[test]
fn a_full_disk_refuses_accounts_loses_none_and_is_overcome() {
    let origin = Origin::start();
    let gateway = on(&origin, "sqlite:portcullis.db").file_limit(1024).start();
    let alice = gateway.user("alice", &[]);
    let mut made = vec![];
    let refused = (0..2000).any(|number| {
        let name = format!("user{number}");
        match register(&gateway, &name) {
            Some(201) => made.push(name),
            Some(503) => return true,
            other => panic!("{other:?}"),
        }
        false
    });
    assert!(refused && !made.is_empty(), "{} accounts", made.len());
    assert_eq!(status(&gateway, &alice.access), 200);
    assert_eq!(register(&gateway, "late"), Some(503));

    gateway.lift_file_limit();
    eventually("room on the disk", || {
        (register(&gateway, "late") == Some(201)).then_some(())
    });
    gateway.refresh(&alice.refresh).expect(200);
    for name in made.iter().step_by(10).chain(made.last()) {
        let output = gateway.cli(&["user", "show", name], "");
        assert_eq!(output.code, 0, "{name} was lost: {output:?}");
    }
}

#[track_caller]
fn nothing_answered_is_lost(gateway: Gateway) {
    let is_killed = AtomicBool::new(false);
    let made: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (gateway, is_killed) = (&gateway, &is_killed);
                scope.spawn(move || {
                    let mut made = vec![];
                    for number in 0..10_000 {
                        let name = format!("user{client}_{number}");
                        match register(gateway, &name) {
                            Some(201) => made.push(name),
                            _ if is_killed.load(Ordering::SeqCst) => return made,
                            other => panic!("{other:?}"),
                        }
                    }
                    made
                })
            })
            .collect();
        eventually("some accounts", || {
            (gateway.metric("portcullis_http_requests_total{") > 100.0).then_some(())
        });
        is_killed.store(true, Ordering::SeqCst);
        gateway.signal("KILL");
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    assert!(made.len() > 50, "{}", made.len());
    let gateway = gateway.crash_and_restart();
    for name in &made {
        assert_eq!(try_login(&gateway, name), 200, "{name} was lost");
    }
}

#[test]
fn a_registration_that_was_answered_outlives_a_crash() {
    let origin = Origin::start();
    nothing_answered_is_lost(on(&origin, "sqlite:portcullis.db").start());
}

#[test]
fn a_registration_that_was_answered_outlives_a_crash_on_postgresql() {
    let Some(url) = postgres::database() else {
        return;
    };
    let origin = Origin::start();
    nothing_answered_is_lost(on(&origin, &url).start());
}

#[test]
fn a_store_that_can_t_be_reached_ends_the_start_and_keeps_its_password() {
    let origin = Origin::start();
    let output = on(&origin, "postgres://user:hunter2@127.0.0.1:1/app").refused();
    assert_eq!(output.code, 1, "{output:?}");
    let told = &output.stderr;
    assert!(
        told.contains("postgres://127.0.0.1:1/app") && told.contains("`store`"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_copy_of_the_database_opens_nothing() {
    let origin = Origin::start();
    let settings = || {
        Settings::new(&origin)
            .routes("- { name: all, prefix: /, auth: required, upstream: app }")
            .auth("issuer: http://issuer.test")
    };
    let gateway = settings().start();
    let alice = gateway.user("alice", &[]);
    let response = gateway.refresh(&alice.refresh).expect(200);
    let current = refresh_cookie(&response).unwrap();

    let copy = settings().start();
    let mut stolen = vec![];
    let (there, here) = (gateway.directory(), copy.directory());
    let thief = settings().start_on(|directory| {
        for file in ["portcullis.db", "portcullis.db-wal"] {
            stolen.extend(std::fs::read(there.join(file)).unwrap());
            std::fs::copy(there.join(file), directory.join(file)).unwrap();
        }
        // Keys of the thief's own, which is all that a copy leaves to try with.
        let keys = directory.join("keys");
        std::fs::create_dir(&keys).unwrap();
        for key in std::fs::read_dir(here.join("keys")).unwrap() {
            let key = key.unwrap();
            std::fs::copy(key.path(), keys.join(key.file_name())).unwrap();
        }
    });
    let output = thief.cli(&["user", "show", "alice"], "");
    assert_eq!(output.code, 0, "the copy is whole: {output:?}");
    for refresh in [&alice.refresh, &current] {
        thief.refresh(refresh).expect_problem(401, "token-invalid");
    }
    assert_eq!(status(&thief, &alice.access), 401);
    // Nor is there any part of a token in it that could be tried elsewhere.
    let contains = |needle: &[u8]| stolen.windows(needle.len()).any(|part| part == needle);
    for token in [&alice.refresh, &current] {
        let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
        let (_, tag) = bytes.split_at(bytes.len() - 32);
        assert!(!contains(tag) && !contains(&token.as_bytes()[32..]));
    }
    assert!(!contains(PASSWORD.as_bytes()));
    assert!(contains(b"alice@example.test"), "it was looked through");
    gateway.refresh(&current).expect(200);
}
