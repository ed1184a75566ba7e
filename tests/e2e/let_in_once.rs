//! WebSockets and event streams that were let in by rules or keys which a reload replaces.

mod look_ups;
mod slow_store;

use crate::harness::Gate;
use crate::harness::client::{Connection, Request, get, post};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::{Exchange, Origin};
use crate::harness::response::Response;
use crate::harness::websocket::{self, Socket, handshake};

const CAUSE: &str = "the configuration, the signing keys or the tiers were replaced, and the request would be refused now";
const OUTLIVED: &str =
    "the caller's session, token or API key had ended, or its tier or roles were others";
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
fn has_ended(gateway: &Gateway, connection: Connection, response: &Response, what: &str) {
    has_ended_for(gateway, connection, response, CAUSE, what);
}

#[track_caller]
fn has_ended_for(
    gateway: &Gateway,
    mut connection: Connection,
    response: &Response,
    cause: &str,
    what: &str,
) {
    assert_eq!(connection.read_until_closed(), b"", "{what}");
    assert_eq!(gateway.log_of(response)["cause"], cause, "{what}");
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

#[test]
fn what_a_reload_lets_stay_ends_with_the_session_if_the_new_rules_ask_for_one() {
    let gate = Gate::default();
    let origin = backend(&gate);
    let routes = |open: &str, tried: &str, freed: &str, ruled: &str, gone: &str| {
        format!(
            "
             - {{ name: open, prefix: /open, {open}, upstream: app }}
             - {{ name: tried, prefix: /tried, {tried}, upstream: app }}
             - {{ name: freed, prefix: /freed, {freed}, upstream: app }}
             - {{ name: ruled, prefix: /ruled, {ruled}, upstream: app }}
             - {{ name: gone, prefix: /gone, {gone}, upstream: app }}"
        )
    };
    const NONE: &str = "auth: none";
    const REQUIRED: &str = "auth: required";
    const TRIED: &str = "auth: required, shadow: [auth]";
    const RULED: &str = "auth: required, shadow: [auth], allow: [{ tiers: [free] }]";
    let mut gateway = Settings::new(&origin)
        .workers(1)
        .routes(&routes(NONE, TRIED, REQUIRED, TRIED, NONE))
        .start();
    let alice = gateway.user("alice", &[]).access;
    let open = |path: &str| {
        let socket = Socket::open(&gateway, &handshake(path).bearer(&alice));
        let asked = get(path).bearer(&alice).header("Accept", EVENTS);
        let unasked = get(path).bearer(&alice);
        (
            socket,
            [asked, unasked].map(|request| Stream::open(&gateway, &request)),
        )
    };
    let ending = ["/open", "/tried", "/ruled"].map(open);
    let (mut freed, freed_streams) = open("/freed");
    let gone = Socket::open(&gateway, &handshake("/gone"));

    gateway.reconfigure(|settings| {
        settings.routes(&routes(REQUIRED, REQUIRED, NONE, RULED, REQUIRED))
    });
    // By then all have been decided on.
    has_ended(&gateway, gone.connection, &gone.response, "gone");
    gateway
        .send(&post("/api/v1/logout").bearer(&alice))
        .expect(200);
    for (socket, streams) in ending {
        let (connection, response) = (socket.connection, &socket.response);
        has_ended_for(&gateway, connection, response, OUTLIVED, "socket");
        for stream in streams {
            let (connection, response) = (stream.connection, &stream.response);
            has_ended_for(&gateway, connection, response, OUTLIVED, "stream");
        }
    }
    freed.echo("anybody may have it");
    gate.open();
    freed_streams.into_iter().for_each(Stream::goes_on);
}
