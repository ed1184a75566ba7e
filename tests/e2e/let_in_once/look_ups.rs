//! Streams of routes whose rules ask the upstream who owns what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{OUTLIVED, has_ended, has_ended_for, unasked};
use crate::harness::client::{get, post};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::{Exchange, Origin};
use crate::harness::websocket::{self, Socket, handshake};
use crate::harness::{Gate, eventually};

const POSTS: &str = "- { name: posts, path: '/posts/{id}', auth: required, allow: [{ owner: { lookup: \"GET /api/{id}\", field: /by, equals: \"{user.username}\" } }], upstream: app }";

/// The same and one more, so that a reload has something to take.
fn posts_and_more() -> String {
    format!("{POSTS}\n- {{ name: more, prefix: /more, auth: none, upstream: app }}")
}

/// What an upstream answers to look-ups that it does not answer with `alice`, by the post.
type Says = Arc<Mutex<BTreeMap<&'static str, (u16, &'static str)>>>;

#[test]
fn a_reload_ends_no_stream_about_which_the_upstream_could_not_be_asked() {
    let says = Says::default();
    let answers = Arc::clone(&says);
    let origin = Origin::with(move |exchange: &mut Exchange| {
        if exchange.request().header("upgrade").is_some() {
            return websocket::echo(exchange);
        }
        let target = exchange.request().target();
        let said = answers.lock().unwrap().get(target.as_str()).copied();
        let (status, body) = said.unwrap_or((200, r#"{"by":"alice"}"#));
        exchange.respond(
            status,
            "Content-Type: application/json\r\n",
            body.as_bytes(),
        )
    });
    let mut gateway = Settings::new(&origin).routes(POSTS).start();
    let alice = gateway.user("alice", &[]).access;
    let open = |path: &str| Socket::open(&gateway, &handshake(path).bearer(&alice));
    let (mut unknown, gone) = (open("/posts/1"), open("/posts/2"));
    unknown.echo("its owner is known");
    *says.lock().unwrap() = [("/api/1", (500, "")), ("/api/2", (404, ""))].into();
    let asked = || {
        let mut received = origin.requests();
        received.retain(|received| received.target() == "/api/1");
        received.len()
    };
    let before = asked();

    gateway.reconfigure(|settings| settings.routes(&posts_and_more()));
    has_ended(&gateway, gone.connection, &gone.response, "gone");
    eventually("it is asked again", || {
        (asked() >= before + 2).then_some(())
    });
    unknown.echo("nobody can tell");
    *says.lock().unwrap() = [("/api/1", (200, r#"{"by":"bob"}"#))].into();
    has_ended(&gateway, unknown.connection, &unknown.response, "bob's");
}

#[test]
fn a_reload_asks_of_few_streams_at_a_time() {
    const SOCKETS: usize = 60;
    const AT_ONCE: usize = 16;
    /// For how long a look-up waits for its answer. When it is given up, the origin does not know.
    const PATIENCE: Duration = Duration::from_secs(2);
    #[derive(Default)]
    struct Count {
        is_held: bool,
        now: usize,
        most: usize,
        all: usize,
    }
    let gate = Gate::default();
    let count = Arc::new(Mutex::new(Count::default()));
    let (behind, counted) = (gate.clone(), Arc::clone(&count));
    let origin = Origin::with(move |exchange: &mut Exchange| {
        if exchange.request().header("upgrade").is_some() {
            return websocket::echo(exchange);
        }
        let is_held = {
            let mut count = counted.lock().unwrap();
            count.now += 1;
            count.most = count.most.max(count.now);
            count.is_held
        };
        if is_held {
            behind.pass();
        }
        {
            let mut count = counted.lock().unwrap();
            count.now -= 1;
            count.all += 1;
        }
        let body = br#"{"by":"alice"}"#;
        exchange.respond(200, "Content-Type: application/json\r\n", body)
    });
    let mut gateway = Settings::new(&origin).routes(POSTS).start();
    let alice = gateway.user("alice", &[]).access;
    let open = |id| Socket::open(&gateway, &handshake(&format!("/posts/{id}")).bearer(&alice));
    let mut sockets: Vec<_> = (0..SOCKETS).map(open).collect();
    *count.lock().unwrap() = Count {
        is_held: true,
        ..Count::default()
    };

    let begun = Instant::now();
    gateway.reconfigure(|settings| settings.routes(&posts_and_more()));
    eventually("so many are asked about", || {
        (count.lock().unwrap().now >= AT_ONCE).then_some(())
    });
    let most = count.lock().unwrap().most;
    // Else some may have been given up, and others asked about in their place.
    if begun.elapsed() < PATIENCE {
        assert_eq!(most, AT_ONCE);
    }
    gate.open();
    eventually("the others are, too", || {
        (count.lock().unwrap().all >= SOCKETS).then_some(())
    });
    for socket in &mut sockets {
        socket.echo("still here");
    }
}

/// Echoes to WebSockets, and says that all is alice's, where the path is held once the gate is open. Below `/later/`
/// there are events that do not end.
fn holding(gate: &Gate, held: &'static str) -> Origin {
    let gate = gate.clone();
    Origin::with(move |exchange: &mut Exchange| {
        if exchange.request().header("upgrade").is_some() {
            return websocket::echo(exchange);
        }
        let target = exchange.request().target();
        if target.starts_with("/later/") {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")?;
            exchange.send("Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")?;
            return exchange.wait_for_close();
        }
        if target.starts_with(held) {
            gate.pass();
        }
        let body = br#"{"by":"alice"}"#;
        exchange.respond(200, "Content-Type: application/json\r\n", body)
    })
}

/// How often an origin was asked who owns what.
fn asked(origin: &Origin, path: &str) -> usize {
    let received = origin.requests();
    let about = |target: String| target.starts_with(path);
    received.iter().filter(|r| about(r.target())).count()
}

/// Who listens to what ends with the session: by then the worker has looked through all that it has.
#[track_caller]
fn has_looked(gateway: &Gateway) {
    let token = gateway.login("marker").access;
    let marker = Socket::open(gateway, &handshake("/marker").bearer(&token));
    gateway
        .send(&post("/api/v1/logout").bearer(&token))
        .expect(200);
    let (connection, response) = (marker.connection, &marker.response);
    has_ended_for(gateway, connection, response, OUTLIVED, "marker");
}

const MARKER: &str = "- { name: marker, prefix: /marker, auth: required, upstream: app }";

#[test]
fn rules_that_are_no_longer_in_force_end_nothing() {
    const SOCKETS: usize = 4;
    let gate = Gate::default();
    let origin = holding(&gate, "/api/held/");
    // Nothing says whose a post is there.
    let tightened = POSTS
        .replace("/api/{id}", "/api/held/{id}")
        .replace("/by", "/none");
    let reverted = format!("{POSTS}\n{MARKER}");
    let mut gateway = Settings::new(&origin).routes(POSTS).start();
    let alice = gateway.user("alice", &[]).access;
    let open = |id| Socket::open(&gateway, &handshake(&format!("/posts/{id}")).bearer(&alice));
    let mut sockets: Vec<_> = (0..SOCKETS).map(open).collect();
    let asked_before = asked(&origin, "/api/");

    gateway.reconfigure(|settings| settings.routes(&tightened));
    eventually("all are asked about", || {
        (asked(&origin, "/api/held/") >= SOCKETS).then_some(())
    });
    gateway.reconfigure(|settings| settings.routes(&reverted));
    gate.open();
    eventually("all are asked about again", || {
        let again = asked(&origin, "/api/") - asked(&origin, "/api/held/");
        (again >= asked_before + SOCKETS).then_some(())
    });
    for socket in &mut sockets {
        socket.echo("still here");
    }
}

#[test]
fn rules_in_force_wait_for_no_look_up_of_older_ones() {
    let gate = Gate::default();
    let origin = holding(&gate, "/api/held/");
    let held = POSTS.replace("/api/{id}", "/api/held/{id}");
    let denied = held.replace(
        "auth: required",
        "auth: required, ip: { deny: [127.0.0.0/8] }",
    );
    let mut gateway = Settings::new(&origin).routes(POSTS).start();
    let alice = gateway.user("alice", &[]).access;
    let open = |id| Socket::open(&gateway, &handshake(&format!("/posts/{id}")).bearer(&alice));
    let sockets: Vec<_> = (0..40).map(open).collect();
    gateway.reconfigure(|settings| settings.routes(&held));
    eventually("one is asked about", || {
        (asked(&origin, "/api/held/") > 0).then_some(())
    });
    gateway.reconfigure(|settings| settings.routes(&denied));
    for socket in sockets {
        has_ended(&gateway, socket.connection, &socket.response, "denied");
    }
    gate.open();
}

#[test]
fn an_upstream_that_hangs_delays_no_decision_on_streams_of_another() {
    let gate = Gate::default();
    let (origin, other) = (holding(&gate, "/api/held/"), holding(&gate, "/none"));
    let of_other = "- { name: notes, path: '/notes/{id}', auth: required, allow: [{ owner: { lookup: \"GET /api/{id}\", field: /by, equals: \"{user.username}\" } }], upstream: other }";
    let held = POSTS.replace("/api/{id}", "/api/held/{id}");
    let mut gateway = Settings::new(&origin)
        .more_upstreams(&format!("other:\n  targets: [ \"{}\" ]", other.url()))
        .routes(&format!("{POSTS}\n{of_other}"))
        .start();
    let alice = gateway.user("alice", &[]).access;
    let open = |path: String| Socket::open(&gateway, &handshake(&path).bearer(&alice));
    let mut hanging: Vec<_> = (0..60).map(|id| open(format!("/posts/{id}"))).collect();
    let refused: Vec<_> = (0..4).map(|id| open(format!("/notes/{id}"))).collect();
    let of_nobody = of_other.replace("/by", "/none");
    gateway.reconfigure(|settings| settings.routes(&format!("{held}\n{of_nobody}")));
    for socket in refused {
        has_ended(&gateway, socket.connection, &socket.response, "refused");
    }
    for socket in &mut hanging {
        socket.echo("nobody can tell");
    }
    gate.open();
}

#[test]
fn nobody_is_asked_about_what_is_refused_or_let_stay_anyway() {
    const LATER: &str = "- { name: later, path: '/later/{id}', headers: { X-Beta: \"1\" }, auth: required, allow: [{ owner: { lookup: \"GET /api/later/{id}\", field: /by, equals: \"{user.username}\" } }], upstream: app }";
    let gate = Gate::default();
    let origin = holding(&gate, "/none");
    let rest = "- { name: rest, prefix: /, auth: none, upstream: app }";
    let before = format!("{MARKER}\n{POSTS}\n{rest}");
    let tried = POSTS.replace("auth: required", "auth: required, shadow: [allow]");
    let denied = rest.replace("auth: none", "auth: none, ip: { deny: [127.0.0.0/8] }");
    let mut gateway = Settings::new(&origin).workers(1).routes(&before).start();
    let alice = gateway.user("alice", &[]).access;
    gateway.user_add("marker", &[]);
    let mut stays = Socket::open(&gateway, &handshake("/posts/1").bearer(&alice));
    let before = asked(&origin, "/api/");
    let ends = unasked(&gateway, vec![get("/later/1").bearer(&alice)]);

    gateway.reconfigure(|settings| settings.routes(&[MARKER, &tried, LATER, &denied].join("\n")));
    for stream in ends {
        has_ended(&gateway, stream.connection, &stream.response, "denied");
    }
    has_looked(&gateway);
    has_looked(&gateway);
    stays.echo("still here");
    assert_eq!(asked(&origin, "/api/"), before);
}

#[test]
fn of_what_changes_in_the_store_only_a_tiers_rank_has_streams_decided_on_anew() {
    let gate = Gate::default();
    let origin = holding(&gate, "/none");
    let ranked = "- { name: ranked, prefix: /ranked, auth: required, allow: [{ min_tier: pro }], upstream: app }";
    let gateway = Settings::new(&origin)
        .workers(1)
        .routes(&[MARKER, POSTS, ranked].join("\n"))
        .start();
    let tier = |arguments: &[&str]| {
        let output = gateway.cli(&[&["tier"], arguments].concat(), "");
        assert_eq!(output.code, 0, "{output:?}");
    };
    tier(&["add", "gold", "--rank", "1"]);
    let alice = gateway.user("alice", &["--tier", "gold"]).access;
    gateway.user_add("marker", &[]);
    eventually("the rank", || {
        (gateway.send(&get("/ranked").bearer(&alice)).status == 200).then_some(())
    });
    let mut posts = Socket::open(&gateway, &handshake("/posts/1").bearer(&alice));
    let ranked = Socket::open(&gateway, &handshake("/ranked").bearer(&alice));
    // Until no answer is remembered that would save a look-up.
    for _ in 0..5 {
        has_looked(&gateway);
    }
    let before = asked(&origin, "/api/");

    let limit = "limit add gold calls --route posts --limit 500 --period 60";
    tier(&limit.split(' ').collect::<Vec<_>>());
    eventually("the rule", || {
        let response = gateway.send(&get("/posts/none").bearer(&alice));
        response.header("ratelimit-policy").is_some().then_some(())
    });
    let by_requests = asked(&origin, "/api/none");
    has_looked(&gateway);
    has_looked(&gateway);
    assert_eq!(asked(&origin, "/api/") - by_requests, before);

    tier(&["set", "gold", "--rank", "0"]);
    has_ended(&gateway, ranked.connection, &ranked.response, "rank");
    eventually("it is asked about again", || {
        (asked(&origin, "/api/1") > before).then_some(())
    });
    posts.echo("still here");
}
