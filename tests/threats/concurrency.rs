//! Caps on requests under way: none is passed, and no end of a request leaves its place taken.

use std::io;
use std::sync::Mutex;

use crate::harness::client::{Connection, Request, get};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::{Exchange, Origin};
use crate::harness::websocket::{self, Socket, handshake};
use crate::harness::{Gate, eventually};

const ROUTES: &str = "
    - name: capped
      prefix: /capped
      auth: none
      limits: []
      concurrency: { key: ip, max: 2 }
      upstream: app
    - { name: all, prefix: /, auth: none, upstream: app }
";

/// Takes all places, sees that nobody else gets one, and gives them back.
fn both_are_free(gateway: &Gateway, what: &str) {
    both_are_free_of(gateway, &get("/capped"), &get("/capped/stream"), what);
}

fn both_are_free_of(gateway: &Gateway, request: &Request, stream: &Request, what: &str) {
    let mut streams: Vec<_> = (0..2)
        .map(|_| {
            eventually(what, || {
                let mut client = gateway.connect();
                client.send(stream.to_bytes());
                let (status, _) = client.read_head().unwrap();
                (status == 200).then_some(client)
            })
        })
        .collect();
    gateway
        .send(request)
        .expect_problem(429, "too-many-concurrent");
    streams.clear();
    eventually(what, || (gateway.send(request).status == 200).then_some(()));
    eventually("nothing under way", || {
        (gateway.metric("portcullis_http_requests_in_flight") == 0.0).then_some(())
    });
}

/// Answers `/capped`; `/capped/stream` never ends its answer, `/capped/silent` nothing
/// at all, `/capped/reset` breaks off before the answer and `/capped/torn` within it.
fn origin() -> Origin {
    Origin::with(|exchange| match exchange.request().target().as_str() {
        "/capped/stream" => {
            exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")?;
            exchange.wait_for_close()
        }
        "/capped/silent" => exchange.wait_for_close(),
        "/capped/reset" => exchange.close(),
        "/capped/torn" => {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")?;
            exchange.close()
        }
        _ => {
            exchange.read_body()?;
            exchange.respond(200, "", b"")
        }
    })
}

fn begin(gateway: &Gateway, path: &str) -> Connection {
    let mut client = gateway.connect();
    client.send(get(path).to_bytes());
    client
}

#[test]
fn concurrency_leak() {
    let origin = origin();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    both_are_free(&gateway, "at the beginning");

    for _ in 0..20 {
        gateway.send(&get("/capped")).expect(200);
        gateway.send(&get("/capped/reset")).expect(502);
    }
    both_are_free(&gateway, "after answers and failures");

    for n in 1..=5 {
        let seen = origin.requests().len();
        let one = begin(&gateway, "/capped/silent");
        let other = begin(&gateway, "/capped/silent");
        origin.wait_for(seen + 2);
        gateway
            .send(&get("/capped"))
            .expect_problem(429, "too-many-concurrent");
        drop((one, other));
        both_are_free(
            &gateway,
            &format!("clients that left before an answer, {n}"),
        );
    }

    for _ in 0..5 {
        let mut client = begin(&gateway, "/capped/torn");
        assert_eq!(client.read_head().unwrap().0, 200);
        client.read_until_closed();
    }
    both_are_free(&gateway, "upstreams that broke off within an answer");

    // What follows a request keeps the HTTP library from reading on, and so from seeing the end.
    for _ in 0..2 {
        let mut client = gateway.connect();
        client.send("GET /capped/stream HTTP/1.1\r\nHost: a\r\n\r\nX");
        assert_eq!(client.read_head().unwrap().0, 200);
    }
    both_are_free(&gateway, "clients that left a byte behind their request");

    // An upload that is never finished.
    for _ in 0..5 {
        let mut client = gateway.connect();
        client.send("POST /capped HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome");
    }
    both_are_free(&gateway, "clients that left within an upload");

    let mut client = gateway.connect();
    for _ in 0..10 {
        client.exchange(&get("/capped")).expect(200);
    }
    both_are_free(&gateway, "a connection that goes on");
    gateway.still_serves("/");
}

const ASKING: &str = r#"
    - name: asking
      path: "/asking/{id}"
      auth: required
      allow: [{ owner: { lookup: "GET /owners/{id}", field: /by, equals: "{user.username}" } }]
      limits: [{ name: few, key: user, rate: 3/d, tiers: { pro: unlimited } }]
      concurrency: { key: ip, max: 2 }
      upstream: app
    - { name: all, prefix: /, auth: none, upstream: app }
"#;

/// Whoever has a place and is refused after all, or leaves while an upstream is asked, gives it back.
#[test]
fn concurrency_leak_by_a_refusal() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| match exchange.request().target().as_str() {
            "/owners/silent" => exchange.wait_for_close(),
            "/owners/held" => {
                gate.pass();
                exchange.respond(200, "", br#"{"by":"bob"}"#)
            }
            "/owners/mallory" => exchange.respond(200, "", br#"{"by":"mallory"}"#),
            "/asking/stream" => {
                exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")?;
                exchange.wait_for_close()
            }
            _ => exchange.respond(200, "", br#"{"by":"bob"}"#),
        })
    };
    let gateway = Settings::new(&origin).routes(ASKING).start();
    let (alice, bob) = (
        gateway.user("alice", &[]).access,
        gateway.user("bob", &["--tier", "pro"]).access,
    );
    let asks = |id: &str, token: &str| get(format!("/asking/{id}")).bearer(token);
    let free = |what: &str| {
        let (request, stream) = (asks("1", &bob), asks("stream", &bob));
        both_are_free_of(&gateway, &request, &stream, what);
    };
    free("at the beginning");
    for _ in 0..5 {
        gateway
            .send(&asks("mallory", &bob))
            .expect_problem(403, "forbidden");
    }
    free("after an upstream said no");
    let statuses = [(); 8].map(|()| gateway.send(&asks("1", &alice)).status);
    assert_eq!(statuses, [403, 403, 403, 429, 429, 429, 429, 429]);
    free("after a limit said no");
    gateway
        .send(&asks("silent", &bob))
        .expect_problem(403, "forbidden");
    free("after an upstream said nothing");
    let seen = origin.requests().len();
    let clients = [(); 2].map(|()| {
        let mut client = gateway.connect();
        client.send(asks("held", &bob).to_bytes());
        client
    });
    origin.wait_for(seen + 1);
    drop(clients);
    free("after clients left while an upstream was asked");
    gate.open();

    let taken = "portcullis_limit_decisions_total{policy=\"concurrency\",tier=\"pro\",decision=\"allowed\"}";
    assert!(gateway.metric(taken) > 0.0);
    gateway.still_serves("/");
}

#[test]
fn concurrency_leak_by_a_drain() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")?;
            gate.pass();
            exchange.send("0\r\n\r\n")
        })
    };
    let mut gateway = Settings::new(&origin).routes(ROUTES).start();
    let mut clients = [begin(&gateway, "/capped"), begin(&gateway, "/capped")];
    for client in &mut clients {
        assert_eq!(client.read_head().unwrap().0, 200);
    }
    gateway.signal("TERM");
    eventually("the end of accepting", || {
        Connection::try_open(gateway.public).is_err().then_some(())
    });
    assert!(gateway.is_running(), "it did not wait");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read_exact(11).unwrap(), b"1\r\nx\r\n0\r\n\r\n");
    }
    assert!(gateway.wait_for_exit().success());
}

#[test]
fn concurrency_leak_by_a_websocket() {
    /// How an origin that has switched goes on.
    fn go_on(exchange: &mut Exchange, gate: &Gate) -> io::Result<()> {
        match exchange.request().target().as_str() {
            "/capped/reset" => {
                websocket::switch(exchange)?;
                assert_eq!(exchange.read_exact(1)?, b"x");
                exchange.reset()
            }
            "/capped/closes" => {
                websocket::switch(exchange)?;
                assert_eq!(exchange.read_exact(1)?, b"x");
                exchange.close()
            }
            "/capped/silent" => {
                websocket::switch(exchange)?;
                // It hears that the client has ended, and does not care.
                exchange.read_to_end()?;
                gate.pass();
                exchange.close()
            }
            _ if exchange.request().header("upgrade").is_some() => websocket::echo(exchange),
            _ => exchange.respond(200, "", b"plain"),
        }
    }
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| go_on(exchange, &gate))
    };
    let gateway = Settings::new(&origin)
        .routes(
            "- { name: capped, prefix: /capped, auth: none, concurrency: { key: ip, max: 1 }, upstream: app }\n\
             - { name: all, prefix: /, auth: none, upstream: app }",
        )
        .start();
    let is_taken = |by: &Request| {
        let refused = gateway.connect().exchange(by);
        refused.expect_problem(429, "too-many-concurrent");
    };
    let is_free = |after: &str| {
        eventually(&format!("a place {after}"), || {
            (gateway.send(&get("/capped")).status == 200).then_some(())
        });
    };
    let open = |target: &str| {
        let socket = Socket::open(&gateway, &handshake(target));
        is_taken(&handshake("/capped"));
        is_taken(&get("/capped"));
        socket
    };
    let mut socket = open("/capped/x");
    socket.echo("x");
    socket.close();
    is_free("after a close by the book");
    drop(open("/capped/x"));
    is_free("after a client that left");
    for target in ["/capped/reset", "/capped/closes"] {
        let mut socket = open(target);
        socket.connection.send("x");
        assert_eq!(socket.connection.read_until_closed(), b"");
        drop(socket);
        is_free(target);
    }
    let mut socket = open("/capped/silent");
    socket.connection.half_close();
    // The client holds its end open, and the upstream does not answer.
    assert_eq!(socket.connection.read_until_closed(), b"");
    is_free("after an end that nobody answered");
    gate.open();
    let line = gateway.log_of(&socket.response);
    assert!(line["cause"].as_str().unwrap().contains("5s"), "{line}");
    for _ in 0..20 {
        let refused = gateway
            .connect()
            .exchange(&handshake("/capped/x").header("Content-Length", "1"));
        assert_eq!(refused.status, 400);
    }
    is_free("after handshakes that were refused");
}

#[test]
fn concurrency_bypass() {
    let origin = origin();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    // Many at once, over connections of their own: two are served to their end, whoever they are.
    let open = Mutex::new(Vec::new());
    let refused = Mutex::new(0);
    std::thread::scope(|scope| {
        for n in 0..24 {
            let (open, refused, gateway) = (&open, &refused, &gateway);
            scope.spawn(move || {
                let forged = format!("198.51.100.{n}");
                let mut client = gateway.connect();
                client.send(
                    get("/capped/stream")
                        .header("x-forwarded-for", &forged)
                        .to_bytes(),
                );
                match client.read_head().unwrap().0 {
                    200 => open.lock().unwrap().push(client),
                    429 => *refused.lock().unwrap() += 1,
                    other => panic!("{other}"),
                }
            });
        }
    });
    assert_eq!(open.lock().unwrap().len(), 2);
    assert_eq!(*refused.lock().unwrap(), 22);
    let counted =
        "portcullis_limit_decisions_total{policy=\"concurrency\",tier=\"\",decision=\"refused\"}";
    assert_eq!(gateway.metric(counted), 22.0);
    gateway.still_serves("/");
}
