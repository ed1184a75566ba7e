//! WebSocket handshakes: which there are, how they pass the stages, and what an upstream may answer.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::client::{Connection, get, request};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::Origin;
use crate::harness::response::Response;
use crate::harness::websocket::{self, Socket, handshake};

/// Echoes on every path but `/plain`, to whatever asks for it.
fn echoing() -> Origin {
    Origin::with(|exchange| {
        let request = exchange.request();
        if request.target() == "/plain" || request.header("upgrade").is_none() {
            return exchange.respond(200, "X-Origin: plain\r\n", b"plain");
        }
        websocket::echo(exchange)
    })
}

const ROUTES: &str = "
    - { name: guarded, prefix: /guarded, auth: required, upstream: app }
    - name: told
      prefix: /told
      auth: none
      security_headers: standard
      response_headers: { set: { X-Told: yes }, remove: [X-Origin] }
      request_headers: { set: { X-Of-The-Route: told } }
      upstream: app
    - { name: all, prefix: /, auth: none, upstream: app }
";

/// The log's line of a request that has ended.
#[track_caller]
fn logged(gateway: &Gateway, response: &Response) -> Value {
    let line = gateway.log_of(response);
    let of_it = gateway.stdout();
    let id = response.header("x-request-id").unwrap();
    assert_eq!(of_it.iter().filter(|line| line.contains(id)).count(), 1);
    line
}

fn is_logged(gateway: &Gateway, response: &Response) -> bool {
    let id = response.header("x-request-id").unwrap();
    gateway.stdout().iter().any(|line| line.contains(id))
}

#[test]
fn messages_go_both_ways_and_the_upstream_knows_who_is_calling() {
    let origin = echoing();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let token = gateway.user("alice", &[]).access;

    let mut socket = Socket::open(
        &gateway,
        &handshake("/guarded/chat?room=1")
            .bearer(&token)
            .header("X-User-Name", "root")
            .header("Sec-WebSocket-Protocol", "chat")
            .header("Sec-WebSocket-Extensions", "permessage-deflate"),
    );
    for message in ["", "one", "two", &"long ".repeat(40_000)] {
        socket.echo(message);
    }
    let received = origin.only_request();
    assert_eq!(received.line(), "GET /guarded/chat?room=1 HTTP/1.1");
    for (name, value) in [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("x-user-name", "alice"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(received.header(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(received.header("authorization"), None);
    let response = &socket.response;
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        assert_eq!(response.header(name), Some(value), "{response:?}");
    }
    assert_eq!(response.header("x-origin"), Some("yes"));
    assert_eq!(response.header("content-length"), None);
    assert!(!is_logged(&gateway, response), "before it has ended");
    assert_eq!(gateway.metric("portcullis_http_requests_in_flight"), 1.0);

    let response = response.clone();
    socket.close();
    let line = logged(&gateway, &response);
    assert_eq!(line["status"], 101);
    assert_eq!(line["decision"], "allow");
    assert_eq!(line["route"], "guarded");
    assert_eq!(line["path"], "/guarded/chat");
    // The long message and the frames around it; the client's are masked.
    let bytes = |name: &str| line[name].as_u64().unwrap();
    assert!((200_000..201_000).contains(&bytes("bytes_out")), "{line}");
    assert_eq!(bytes("bytes_in"), bytes("bytes_out") + 5 * 4, "{line}");
    assert_eq!(line.get("cause"), None, "{line}");
    assert_eq!(line["websocket"], true, "{line}");
    let counted = r#"portcullis_http_requests_total{route="guarded",method="GET",code="101"}"#;
    assert_eq!(gateway.metric(counted), 1.0);
    assert_eq!(gateway.metric("portcullis_http_requests_in_flight"), 0.0);
}

#[test]
fn who_may_not_pass_gets_no_socket() {
    let origin = echoing();
    let gateway = Settings::new(&origin).routes(ROUTES).start();

    let mut client = gateway.connect();
    let refused = client.exchange(&handshake("/guarded"));
    assert_eq!(refused.header("connection"), Some("close"));
    refused.expect_problem(401, "token-missing");
    assert_eq!(client.read_until_closed(), b"");
    let mut client = gateway.connect();
    let refused = client.exchange(&handshake("/guarded").bearer("nonsense"));
    refused.expect_problem(401, "token-invalid");
    assert!(origin.requests().is_empty());
}

#[test]
fn what_a_route_says_of_headers_holds_for_a_socket() {
    let origin = echoing();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let mut socket = Socket::open(&gateway, &handshake("/told"));
    socket.echo("hello");
    let response = &socket.response;
    assert_eq!(response.header("x-told"), Some("yes"));
    assert_eq!(response.header("x-origin"), None);
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    let received = origin.only_request();
    assert_eq!(received.header("x-of-the-route").as_deref(), Some("told"));
}

#[test]
fn whatever_is_no_handshake_goes_on_as_an_ordinary_request() {
    let origin = echoing();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let other = |method: &str, connection: &str, upgrade: &str| {
        let other = request(method, "/x").header("Connection", connection);
        other.header("Upgrade", upgrade)
    };
    for ordinary in [
        other("GET", "Upgrade", "h2c"),
        other("GET", "Upgrade", "websocket, h2c"),
        other("GET", "Upgrade", "tcp"),
        other("GET", "keep-alive", "websocket"),
        other("GET", "close, Upgrade", "websocket"),
        other("POST", "Upgrade", "websocket").body("text/plain", "x"),
        other("GET", "Upgrade", "h2c").body("text/plain", "x"),
    ] {
        let response = gateway.connect().exchange(&ordinary).expect(200);
        assert_eq!(response.body, b"plain", "{ordinary:?}");
        let received = origin.last_request();
        assert_eq!(received.header("upgrade"), None, "{received:?}");
        assert_eq!(received.header("connection"), None, "{received:?}");
    }
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let answer = String::from_utf8(client.read_until_closed()).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    assert_eq!(origin.last_request().header("upgrade"), None);
    // The endpoints of the gateway itself speak no WebSocket.
    let mut client = gateway.connect();
    let response = client.exchange(&handshake("/.well-known/jwks.json"));
    assert_eq!(response.expect(200).header("upgrade"), None);
    let mut client = Connection::open(gateway.admin);
    let host = gateway.admin.to_string();
    let response = client.exchange(&handshake("/healthz").header("Host", &host));
    assert_eq!(response.expect(200).header("upgrade"), None);
}

#[test]
fn a_handshake_with_a_body_is_refused() {
    let origin = echoing();
    let gateway = Settings::new(&origin).start();
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut client = gateway.connect();
        client.send(format!(
            "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{body}"
        ));
        let refused = client.read_response();
        assert_eq!(gateway.log_of(&refused)["websocket"], true, "{body}");
        refused.expect_problem(400, "bad-request");
        assert_eq!(client.read_until_closed(), b"");
    }
    assert!(origin.requests().is_empty());
    let empty = handshake("/x").header("Content-Length", "0");
    Socket::open(&gateway, &empty).echo("hello");
}

#[test]
fn an_upstream_that_refuses_is_heard() {
    let origin = Origin::with(|exchange| match exchange.request().target().as_str() {
        "/no" => exchange.respond(403, "X-Why: because\r\n", b"not you"),
        "/long" => {
            exchange.send("HTTP/1.1 426 Upgrade Required\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for _ in 0..100 {
                exchange.send(format!("2000\r\n{}\r\n", "x".repeat(0x2000)))?;
            }
            exchange.send("0\r\n\r\n")
        }
        _ => exchange.respond(200, "", b"plain"),
    });
    let gateway = Settings::new(&origin).start();
    let ask = |target: &str| {
        let mut client = gateway.connect();
        let response = client.exchange(&handshake(target));
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(client.read_until_closed(), b"");
        response
    };
    let refused = ask("/no").expect(403);
    assert_eq!(refused.body, b"not you");
    assert_eq!(refused.header("x-why"), Some("because"));
    assert_eq!(ask("/long").expect(426).body.len(), 100 * 0x2000);
    assert_eq!(ask("/").expect(200).body, b"plain");
    // Each went out on a connection of its own, which nobody else has got.
    assert_eq!(origin.connections(), 3);
    gateway.send(&get("/")).expect(200);
    assert_eq!(origin.connections(), 4);
    eventually("the end of the handshakes' connections", || {
        (origin.open_connections() == 1).then_some(())
    });
}

/// All that an upstream can answer in place of a good 101.
const WRONG: [&str; 8] = [
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket, x\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
     Transfer-Encoding: gzip\r\n\r\n",
    "bytes before any answer",
];

#[test]
fn a_wrong_answer_is_none() {
    let origin = Origin::with(|exchange| {
        let target = exchange.request().target();
        let Ok(nth) = target.trim_start_matches('/').parse::<usize>() else {
            return exchange.respond(200, "", b"plain");
        };
        exchange.send(WRONG[nth])?;
        exchange.send("of the tunnel")?;
        exchange.half_close()?;
        exchange.wait_for_close()
    });
    let gateway = Settings::new(&origin).start();
    for (nth, wrong) in WRONG.iter().enumerate() {
        let mut client = gateway.connect();
        let response = client.exchange(&handshake(&format!("/{nth}")));
        assert_eq!(response.status, 502, "{wrong}");
        response.expect_problem(502, "upstream-unreachable");
        assert_eq!(client.read_until_closed(), b"", "{wrong}");
    }
    gateway.still_serves("/");
    eventually("the end of the others' connections", || {
        (origin.open_connections() <= 1).then_some(())
    });
}

#[test]
fn an_upstream_that_does_not_answer_is_given_up() {
    let origin = Origin::with(|exchange| exchange.wait_for_close());
    let gateway = Settings::new(&origin)
        .upstream("response_timeout: 200ms")
        .start();
    let response = gateway.connect().exchange(&handshake("/"));
    response.expect_problem(504, "upstream-timeout");
    let origin = Origin::with(|exchange| exchange.reset());
    let gateway = Settings::new(&origin).start();
    let response = gateway.connect().exchange(&handshake("/"));
    response.expect_problem(502, "upstream-unreachable");
    // It may have been at work already, so nobody asks it twice.
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_connection_that_has_served_requests_can_become_a_socket() {
    let origin = echoing();
    let gateway = Settings::new(&origin).start();
    let mut client = gateway.connect();
    client.exchange(&get("/plain")).expect(200);
    // One that is refused with its body unread must not make the tunnel throw bytes away.
    let post = request("POST", "/api/v1/login").body("text/plain", "x");
    client.exchange(&post);
    client.exchange(&get("/plain")).expect(200);
    client.send(handshake("/").to_bytes());
    assert_eq!(client.read_head().unwrap().0, 101);
    let mut socket = Socket {
        connection: client,
        response: gateway.send(&get("/plain")),
    };
    socket.echo("hello");
    socket.close();
}

#[test]
fn the_time_of_a_socket_is_its_handshake_s() {
    const LIFE: Duration = Duration::from_millis(100);
    let origin = echoing();
    let gateway = Settings::new(&origin).routes(ROUTES).start();
    let mut socket = Socket::open(&gateway, &handshake("/told"));
    let opened = Instant::now();
    while opened.elapsed() < LIFE {
        socket.echo("hello");
    }
    let response = socket.response.clone();
    socket.close();
    let all = logged(&gateway, &response)["duration_ms"].as_f64().unwrap();
    let metric = r#"portcullis_http_request_duration_seconds_sum{route="told"}"#;
    let handshake = gateway.metric(metric) * 1000.0;
    // The log has its whole life, which was that much longer, less what the figures are rounded by.
    assert!(all - handshake > 99.0, "{all} - {handshake}");
}
