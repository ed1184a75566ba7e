//! WebSockets and event streams that were let in by rules or keys which a reload replaces.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::client::{Connection, Request, get};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::{Exchange, Origin};
use crate::harness::response::Response;
use crate::harness::websocket::{self, Socket, handshake};
use crate::harness::{Gate, eventually};

const CAUSE: &str =
    "the configuration or the signing keys were replaced, and the request would be refused now";
const EVENTS: &str = "text/event-stream";

/// Echoes to WebSockets, and answers all else with events, the second of which waits for the gate. Posts are alice's.
fn backend(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::with(move |exchange: &mut Exchange| {
        if exchange.request().header("upgrade").is_some() {
            return websocket::echo(exchange);
        }
        if exchange.request().target().starts_with("/api/") {
            let body = br#"{"by":"alice"}"#;
            return exchange.respond(200, "Content-Type: application/json\r\n", body);
        }
        exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")?;
        exchange.send("Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")?;
        gate.pass();
        exchange.send("9\r\ndata: 2\n\n\r\n0\r\n\r\n")
    })
}

/// Whoever listens to events.
struct Stream {
    connection: Connection,
    response: Response,
}

impl Stream {
    #[track_caller]
    fn open(gateway: &Gateway, request: &Request) -> Stream {
        let mut connection = gateway.connect();
        connection.send(request.to_bytes());
        let (status, headers) = connection.read_head().unwrap();
        assert_eq!(connection.read_exact(14).unwrap(), b"9\r\ndata: 1\n\n\r\n");
        let response = Response {
            status,
            headers,
            body: Vec::new(),
            trailers: Vec::new(),
            interim: Vec::new(),
        };
        Stream {
            connection,
            response: response.expect(200),
        }
    }

    #[track_caller]
    fn goes_on(mut self) {
        let rest = self.connection.read_exact(14 + 5).unwrap();
        assert_eq!(rest, b"9\r\ndata: 2\n\n\r\n0\r\n\r\n");
    }
}

/// The gateway has closed it, and says why.
#[track_caller]
fn has_ended(gateway: &Gateway, mut connection: Connection, response: &Response, what: &str) {
    assert_eq!(connection.read_until_closed(), b"", "{what}");
    assert_eq!(gateway.log_of(response)["cause"], CAUSE, "{what}");
}

#[test]
fn a_token_of_a_retired_key_keeps_no_stream_open() {
    let gate = Gate::default();
    let origin = backend(&gate);
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: required, upstream: app }")
        .start();
    let old = gateway.user("alice", &[]).access;
    let key = gateway.cli(&["key", "list", "--json"], "").stdout;
    let key: serde_json::Value = serde_json::from_str(&key).unwrap();
    let key = key["data"][0]["kid"].as_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = gateway.cli(arguments, "");
        assert_eq!(output.code, 0, "{output:?}");
        gateway.reload_with(&gateway.yaml());
    };
    let open = |token: &str| {
        let socket = Socket::open(&gateway, &handshake("/").bearer(token));
        let asking = get("/events").bearer(token);
        let asked = Stream::open(&gateway, &asking.clone().header("Accept", EVENTS));
        (socket, [asked, Stream::open(&gateway, &asking)])
    };
    let (mut socket, streams) = open(&old);
    run(&["key", "rotate"]);
    let new = gateway.login("alice").access;
    let (mut later, later_streams) = open(&new);
    socket.echo("the old key still verifies");

    run(&["key", "retire", key]);
    gateway.send(&get("/").bearer(&old)).expect(401);
    has_ended(&gateway, socket.connection, &socket.response, "socket");
    for stream in streams {
        has_ended(&gateway, stream.connection, &stream.response, "stream");
    }
    later.echo("its own key is still there");
    gate.open();
    later_streams.into_iter().for_each(Stream::goes_on);
}

#[test]
fn a_reload_ends_what_it_would_refuse_and_nothing_else() {
    const OWNED: &str = "auth: required, allow: [{ owner: { lookup: \"GET /api/{id}\", field: /by, equals: \"{user.username}\" } }]";
    let gate = Gate::default();
    let origin = backend(&gate);
    let routes = |changing: &[(&str, &str)]| {
        let mut yaml = String::new();
        for (name, guard) in changing {
            let label = name.replace('/', "-");
            yaml += &format!("- {{ name: {label}, prefix: /{name}, {guard}, upstream: app }}\n");
        }
        yaml + &format!(
            "- {{ name: posts, path: '/posts/{{id}}', {OWNED}, upstream: app }}\n\
             - {{ name: rest, prefix: /, auth: optional, upstream: app }}"
        )
    };
    let before = [
        ("address", "auth: none"),
        ("identity", "auth: none"),
        ("roles", "auth: required"),
        ("listed", "auth: required, allow: [{ tiers: [free] }]"),
        ("wider", "auth: required, allow: [{ tiers: [free] }]"),
        ("host", "auth: none"),
    ];
    let after = [
        ("address", "auth: none, ip: { deny: [127.0.0.0/8] }"),
        ("identity", "auth: required"),
        ("roles", "auth: required, allow: [{ roles: [editor] }]"),
        ("listed", "auth: required, allow: [{ tiers: [pro] }]"),
        ("wider", "auth: optional"),
        ("host", "hosts: [elsewhere.test], auth: none"),
        // Tighter than the route that took it.
        ("rest/below", "auth: required, allow: [{ superuser: true }]"),
    ];
    let mut gateway = Settings::new(&origin).routes(&routes(&before)).start();
    let alice = gateway.user("alice", &[]).access;
    let ending = ["/address", "/identity", "/roles", "/listed", "/rest/below"];
    let staying = ["/wider", "/posts/1", "/rest", "/host"];
    let known = |path: &str| !matches!(path, "/address" | "/identity" | "/host");
    let by = |request: Request, path: &str| match known(path) {
        true => request.bearer(&alice),
        false => request,
    };
    let socket = |path: &str| {
        let mut socket = Socket::open(&gateway, &by(handshake(path), path));
        socket.echo("hello");
        socket
    };
    let stream = |path: &str| {
        let request = by(get(path), path).header("Accept", EVENTS);
        Stream::open(&gateway, &request)
    };
    let ended: Vec<_> = ending
        .iter()
        .map(|path| (path, socket(path), stream(path)))
        .collect();
    let others: Vec<_> = staying
        .iter()
        .map(|path| (socket(path), stream(path)))
        .collect();
    // Not asked for as such, so that not all of the head was kept.
    let unasked = |path: &&str| Stream::open(&gateway, &by(get(*path), path));
    let unasked_ended: Vec<_> = ending.iter().map(unasked).collect();
    let unasked_others: Vec<_> = staying.iter().map(unasked).collect();

    gateway.reconfigure(|settings| settings.routes(&routes(&after)));
    for (path, socket, stream) in ended {
        has_ended(&gateway, socket.connection, &socket.response, path);
        has_ended(&gateway, stream.connection, &stream.response, path);
    }
    for (path, stream) in ending.iter().zip(unasked_ended) {
        has_ended(&gateway, stream.connection, &stream.response, path);
    }
    gate.open();
    for (mut socket, stream) in others {
        socket.echo("still here");
        socket.close();
        stream.goes_on();
    }
    unasked_others.into_iter().for_each(Stream::goes_on);
}

/// Streams that nobody has asked for as such, by their paths.
fn unasked(gateway: &Gateway, requests: Vec<Request>) -> Vec<Stream> {
    let open = |request: &Request| Stream::open(gateway, request);
    requests.iter().map(open).collect()
}

#[test]
fn of_streams_that_were_not_asked_for_those_end_that_would_be_refused() {
    let gate = Gate::default();
    let origin = backend(&gate);
    let before = r#"
        - { name: ranked, prefix: /ranked, auth: required, allow: [{ min_tier: pro }], upstream: app }
        - { name: behind, prefix: /behind, auth: none, ip: { allow: [10.0.0.0/8] }, upstream: app }
        - { name: beta, prefix: /beta, headers: { X-Beta: "1" }, auth: none, upstream: app }
        - { name: alpha, prefix: /beta, auth: required, allow: [{ superuser: true }], upstream: app }
        - { name: team, prefix: /team, auth: required, allow: [{ cel: "request.headers['x-team'] == 'a'" }], upstream: app }
        - { name: wider, prefix: /wider, auth: required, allow: [{ tiers: [free] }], upstream: app }
        - { name: tried, prefix: /tried, auth: none, limits: [{ name: few, key: route, rate: 9/h }], shadow: [limits], upstream: app }
    "#;
    let after = before
        .replace(
            "allow: [{ tiers: [free] }]",
            "allow: [{ tiers: [free, pro] }]",
        )
        .replace("shadow: [limits], ", "");
    let mut gateway = Settings::new(&origin)
        .top("trusted_proxies: [127.0.0.0/8]")
        .tiers("free: { rank: 1 }\npro: { rank: 1 }")
        .routes(before)
        .start();
    let alice = gateway.user("alice", &[]).access;
    let key = gateway.cli(&["apikey", "create", "alice", "--name", "ci", "--json"], "");
    let key: serde_json::Value = serde_json::from_str(&key.stdout).unwrap();
    let key = key["key"].as_str().unwrap();
    let ending = vec![
        get("/ranked").bearer(&alice),
        get("/ranked").header("X-API-Key", key),
        get("/behind").header("X-Forwarded-For", "10.1.2.3"),
    ];
    let staying = vec![
        get("/beta").header("X-Beta", "1"),
        get("/team").header("X-Team", "a").header("X-API-Key", key),
        get("/wider").bearer(&alice),
        get("/tried"),
    ];
    let (ending, staying) = (unasked(&gateway, ending), unasked(&gateway, staying));

    gateway.reconfigure(|settings| {
        let settings = settings.tiers("free: { rank: 0 }\npro: { rank: 1 }");
        settings
            .top("trusted_proxies: [10.9.0.0/16]")
            .routes(&after)
    });
    for stream in ending {
        has_ended(&gateway, stream.connection, &stream.response, "refused");
    }
    gate.open();
    staying.into_iter().for_each(Stream::goes_on);
}

/// Headers that no file named when the streams began are not known of those that were not asked for.
#[test]
fn where_a_header_decides_that_was_not_kept_every_route_that_may_take_it_counts() {
    let gate = Gate::default();
    let origin = backend(&gate);
    let routes = |below: &str, tried: &str, new: &str| {
        format!(
            "
             {new}
             - {{ name: below, prefix: /a/below, auth: none, {below} upstream: app }}
             - {{ name: a, prefix: /a, auth: optional, upstream: app }}
             - {{ name: ranked, prefix: /ranked, auth: required, allow: [{{ min_tier: pro }}], upstream: app }}
             - {{ name: tried, prefix: /tried, auth: none, limits: [{{ name: few, key: route, rate: 9/h }}], {tried} upstream: app }}
             - {{ name: rest, prefix: /, auth: none, upstream: app }}"
        )
    };
    const NEW: &str = r#"
             - { name: guarded, prefix: /guarded, headers: { X-Beta: "1" }, auth: required, upstream: app }
             - { name: second, prefix: /second, headers: { X-Beta: "1", X-Gamma: "1" }, auth: none, upstream: app }
             - { name: behind, prefix: /second, headers: { X-Gamma: "1" }, auth: required, upstream: app }
             - { name: written, prefix: /written, methods: [POST], headers: { X-Beta: "1" }, auth: required, upstream: app }
             - { name: ruled, prefix: /ruled, auth: optional, allow: [{ cel: '!("x-team" in request.headers)' }], upstream: app }
             - { name: tried-rule, prefix: /shadow, auth: optional, allow: [{ cel: '"x-team" in request.headers' }], shadow: [allow], upstream: app }
             - { name: only, prefix: /only, headers: { X-Beta: "1" }, auth: none, upstream: app }
             - { name: not-else, prefix: /only, auth: none, ip: { deny: [127.0.0.0/8] }, upstream: app }"#;
    let many = |prefix: &str, count: usize| {
        let route = |n: usize| {
            format!(
                "\n             - {{ name: {prefix}-{n}, prefix: /{prefix}, headers: {{ X-Beta: '{n}' }}, auth: none, upstream: app }}"
            )
        };
        (0..count).map(route).collect::<String>()
    };
    let new = NEW.to_owned() + &many("some", 16) + &many("many", 17);
    let mut gateway = Settings::new(&origin)
        .tiers("free: { rank: 1 }\npro: { rank: 1 }")
        .routes(&routes("", "shadow: [limits],", ""))
        .start();
    let alice = gateway.user("alice", &[]).access;
    let ending = vec![
        get("/ranked").bearer(&alice),
        get("/guarded").header("X-Beta", "1"),
        get("/guarded"),
        get("/second"),
        get("/ruled").header("X-Team", "a"),
        get("/only").header("X-Beta", "1"),
        get("/many"),
    ];
    let staying = vec![
        get("/a/below/1"),
        get("/a"),
        get("/tried"),
        get("/elsewhere"),
        get("/guarded").bearer(&alice),
        get("/guarded").header("Accept", EVENTS),
        get("/written"),
        get("/shadow"),
        get("/some"),
    ];
    let (ending, staying) = (unasked(&gateway, ending), unasked(&gateway, staying));
    gateway.reconfigure(|settings| {
        let settings = settings.tiers("free: { rank: 0 }\npro: { rank: 1 }");
        settings.routes(&routes("headers: { X-Beta: \"1\" },", "", &new))
    });
    for (at, stream) in ending.into_iter().enumerate() {
        let what = format!("refused: {at}");
        has_ended(&gateway, stream.connection, &stream.response, &what);
    }
    gate.open();
    staying.into_iter().for_each(Stream::goes_on);
}

#[test]
fn a_route_that_is_gone_has_no_streams() {
    let gate = Gate::default();
    let origin = backend(&gate);
    let mut gateway = Settings::new(&origin)
        .routes("- { name: gone, prefix: /gone, auth: none, upstream: app }\n- { name: kept, prefix: /kept, auth: none, upstream: app }")
        .start();
    let socket = Socket::open(&gateway, &handshake("/gone"));
    let stream = Stream::open(&gateway, &get("/gone"));
    let mut kept = Socket::open(&gateway, &handshake("/kept"));
    gateway.reconfigure(|settings| {
        settings.routes("- { name: kept, prefix: /kept, auth: none, upstream: app }")
    });
    has_ended(&gateway, socket.connection, &socket.response, "socket");
    has_ended(&gateway, stream.connection, &stream.response, "stream");
    kept.echo("still here");
    gate.open();
}

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
    // Of each of two workers.
    const AT_ONCE: usize = 2 * 16;
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
