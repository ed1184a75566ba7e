//! What a connection carries that has become a WebSocket, how long, and what it costs meanwhile.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use crate::harness::client::{Connection, get};
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;
use crate::harness::websocket::{self, Socket, handshake};
use crate::harness::{DEADLINE, Gate, eventually};

const MIB: usize = 1024 * 1024;

/// Echoes to whoever asks for a WebSocket.
fn echoing() -> Origin {
    Origin::with(|exchange| match exchange.request().header("upgrade") {
        Some(_) => websocket::echo(exchange),
        None => exchange.respond(200, "", b"plain"),
    })
}

#[test]
fn a_large_message_goes_both_ways() {
    let origin = echoing();
    let gateway = Settings::new(&origin).start();
    let mut socket = Socket::open(&gateway, &handshake("/"));
    let message: Vec<u8> = (0..10 * MIB).map(|n| (n % 251) as u8).collect();
    socket.send(&message);
    assert!(socket.receive().unwrap() == message);
    socket.close();
}

#[test]
fn a_side_that_does_not_read_holds_the_other_back() {
    /// More than the buffers of all sockets on the way hold.
    const LARGE: usize = 192 * MIB;
    let gate = Gate::default();
    let (sent, report) = mpsc::channel();
    let (origin, sent) = (gate.clone(), Mutex::new(sent));
    let origin = Origin::with(move |exchange| {
        websocket::switch(exchange)?;
        let patience = Duration::from_millis(500);
        let blocked_at = exchange.send_until_blocked(LARGE, patience)?;
        let _ = sent.lock().unwrap().send(blocked_at);
        origin.pass();
        let mut left = LARGE;
        while left > 0 {
            left -= exchange.read_exact(MIB.min(left))?.len();
        }
        let rest = exchange.send_until_blocked(LARGE - blocked_at, DEADLINE)?;
        assert_eq!(blocked_at + rest, LARGE);
        exchange.half_close()
    });
    let gateway = Settings::new(&origin).start();
    let mut client = Socket::open(&gateway, &handshake("/")).connection;
    let buffered = report.recv_timeout(DEADLINE).unwrap();
    assert!(buffered < LARGE / 2, "{buffered} bytes went nowhere");
    let patience = Duration::from_millis(500);
    let buffered = client.send_until_blocked(LARGE, patience).unwrap();
    assert!(buffered < LARGE / 2, "{buffered} bytes went nowhere");
    gate.open();
    let left = LARGE - buffered;
    assert_eq!(client.send_until_blocked(left, DEADLINE).unwrap(), left);
    let mut left = LARGE;
    while left > 0 {
        left -= client.read_exact(MIB.min(left)).unwrap().len();
    }
    assert_eq!(client.read_until_closed(), b"");
    #[cfg(target_os = "linux")]
    assert!(gateway.peak_memory() < 128 * MIB as u64);
}

#[test]
fn a_side_that_has_said_all_can_still_listen() {
    let origin = Origin::with(|exchange| {
        websocket::switch(exchange)?;
        match exchange.request().target().as_str() {
            "/client-first" => {
                let all = exchange.read_to_end()?;
                exchange.send([b"got ", all.as_slice()].concat())?;
                exchange.close()
            }
            _ => {
                exchange.send("bye")?;
                exchange.half_close()?;
                assert_eq!(exchange.read_to_end()?, b"and good night");
                exchange.close()
            }
        }
    });
    let gateway = Settings::new(&origin).start();
    let mut client = Socket::open(&gateway, &handshake("/client-first")).connection;
    client.send("everything");
    client.half_close();
    assert_eq!(client.read_to_end().unwrap(), b"got everything");
    let mut client = Socket::open(&gateway, &handshake("/upstream-first")).connection;
    assert_eq!(client.read_to_end().unwrap(), b"bye");
    client.send("and good night");
    client.half_close();
    eventually("the tunnel's end", || {
        (gateway.metric("portcullis_http_requests_in_flight") == 0.0).then_some(())
    });
}

#[test]
fn bytes_right_behind_the_answer_are_of_the_tunnel() {
    let origin = Origin::with(|exchange| {
        let first = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: upgrade\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        exchange.send(first)?;
        exchange.close()
    });
    let gateway = Settings::new(&origin).start();
    let mut client = gateway.connect();
    let response = client.exchange(&handshake("/")).expect(101);
    assert_eq!(response.header("content-length"), None);
    assert_eq!(client.read_to_end().unwrap(), b"HTTP/1.1 200 OK\r\n\r\n");
}

#[test]
fn a_drain_waits_for_a_socket_and_its_grace_ends_it() {
    let origin = echoing();
    let mut gateway = Settings::new(&origin).start();
    let mut socket = Socket::open(&gateway, &handshake("/"));
    gateway.signal("TERM");
    eventually("the end of accepting", || {
        Connection::try_open(gateway.public).is_err().then_some(())
    });
    socket.echo("still here");
    assert!(gateway.is_running());
    socket.close();
    assert_eq!(gateway.wait_for_exit().code(), Some(0));

    let mut gateway = Settings::new(&origin).shutdown_grace("300ms").start();
    let mut socket = Socket::open(&gateway, &handshake("/"));
    socket.echo("hello");
    gateway.signal("TERM");
    assert_eq!(socket.connection.read_until_closed(), b"");
    assert_eq!(gateway.wait_for_exit().code(), Some(0));
    // What was cut is logged as well.
    let line = gateway.log_of(&socket.response);
    assert_eq!(
        (&line["status"], &line["decision"]),
        (&101.into(), &"allow".into())
    );
    let cause = "the gateway stopped, and the time for what was under way was over";
    assert_eq!(line["cause"], cause);
}

#[test]
fn a_handshake_during_a_drain_ends_as_it_began_and_none_begins() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| match exchange.request().header("upgrade") {
            Some(_) => {
                gate.pass();
                websocket::echo(exchange)
            }
            None => exchange.respond(200, "", b"plain"),
        })
    };
    let mut gateway = Settings::new(&origin).start();
    let mut under_way = gateway.connect();
    under_way.send(handshake("/").to_bytes());
    origin.wait_for(1);
    let mut late = gateway.connect();
    let bytes = handshake("/").to_bytes();
    let (half, rest) = bytes.split_at(bytes.len() / 2);
    late.send(half);
    // On every worker some; they are closed as the others are told to finish.
    let mut unused: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    for client in &mut unused {
        client.exchange(&get("/plain")).expect(200);
    }
    gateway.signal("TERM");
    for client in &mut unused {
        assert_eq!(client.read_until_closed(), b"");
    }

    late.send(rest);
    let refused = late.read_response();
    assert_eq!(refused.header("connection"), Some("close"));
    refused.expect_problem(503, "unavailable");
    assert_eq!(late.read_until_closed(), b"");
    gate.open();
    let response = under_way.read_response().expect(101);
    assert_eq!(response.header("connection"), Some("upgrade"));
    let mut socket = Socket {
        connection: under_way,
        response,
    };
    socket.echo("still here");
    socket.close();
    assert_eq!(gateway.wait_for_exit().code(), Some(0));
}

#[test]
fn a_socket_outlives_a_reload() {
    let origin = echoing();
    let mut gateway = Settings::new(&origin).start();
    let mut socket = Socket::open(&gateway, &handshake("/"));
    gateway.reconfigure(|settings| {
        let routes = "- { name: other, prefix: /, auth: none, timeout: 1s, upstream: app }";
        settings.routes(routes)
    });
    socket.echo("still here");
    socket.close();
}
