//! Upstreams that are away, slow, rude or out of step.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::harness::client::{get, post, request};
use crate::harness::gateway::{Settings, free_address};
use crate::harness::origin::Origin;
use crate::harness::{Gate, eventually};

#[test]
fn an_upstream_that_refuses_connections_is_a_502() {
    let nobody = free_address();
    let gateway = Settings::toward(&format!("http://{nobody}")).start();

    let mut client = gateway.connect();
    for _ in 0..3 {
        let response = client
            .exchange(&get("/"))
            .expect_problem(502, "upstream-unreachable");
        let told = format!("{response:?}");
        assert!(
            !told.contains(&nobody.port().to_string()),
            "it tells of the inside: {told}"
        );
    }
}

#[test]
fn an_upstream_comes_back_without_a_reload() {
    let address = free_address();
    let gateway = Settings::toward(&format!("http://{address}")).start();
    gateway
        .send(&get("/"))
        .expect_problem(502, "upstream-unreachable");

    let listener = std::net::TcpListener::bind(address).unwrap();
    let origin = Origin::on(listener, |exchange| exchange.respond(200, "", b"back"));

    eventually("the upstream's return", || {
        (gateway.send(&get("/")).status == 200).then_some(())
    });
    drop(origin);
}

#[test]
#[cfg(target_os = "linux")]
fn an_upstream_that_does_not_accept_is_given_up() {
    // Linux drops the SYN of a connection that finds the queue of the not yet accepted full.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
    }
    let gateway = Settings::toward(&format!("http://{address}"))
        .upstream("connect_timeout: 300ms")
        .start();

    gateway
        .send(&get("/"))
        .expect_problem(502, "upstream-unreachable");
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_a_504() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            if exchange.request().target() == "/slow" {
                gate.pass();
                return exchange.respond(200, "", b"too late");
            }
            exchange.respond(200, "", b"in time")
        })
    };
    let gateway = Settings::new(&origin)
        .upstream("response_timeout: 300ms")
        .start();

    let mut client = gateway.connect();
    client
        .exchange(&get("/slow"))
        .expect_problem(504, "upstream-timeout");
    gate.open();
    // The late answer must not be taken for the answer to another request.
    for _ in 0..5 {
        assert_eq!(client.exchange(&get("/")).expect(200).body, b"in time");
    }
    for received in origin.requests() {
        assert!(
            received.target() == "/slow" || received.connection > 0,
            "{received:?}"
        );
    }
}

#[test]
fn a_routes_timeout_goes_before_the_upstreams() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            gate.pass();
            exchange.respond(200, "", b"")
        })
    };
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: none, upstream: app, timeout: 200ms }")
        .start();

    gateway
        .send(&get("/"))
        .expect_problem(504, "upstream-timeout");
    gate.open();
}

#[test]
fn the_timeout_is_for_the_head_and_never_cuts_a_stream() {
    let origin = Origin::with(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
        // The stall itself is what is tested.
        std::thread::sleep(Duration::from_millis(600));
        exchange.send("half")
    });
    let gateway = Settings::new(&origin)
        .upstream("response_timeout: 200ms")
        .start();

    assert_eq!(gateway.send(&get("/")).expect(200).body, b"halfhalf");
}

#[test]
fn an_upstream_that_hangs_up_is_a_502_and_is_asked_once() {
    let origin = Origin::with(|exchange| exchange.close());
    let gateway = Settings::new(&origin).start();

    gateway
        .send(&get("/"))
        .expect_problem(502, "upstream-unreachable");

    assert_eq!(
        origin.requests().len(),
        1,
        "a fresh connection's failure is no stale one's"
    );
}

/// Answers the first request of each connection and hangs up on the second.
fn stale_after_one() -> Origin {
    Origin::with(|exchange| {
        exchange.read_body()?;
        if exchange.request().nth > 0 {
            return exchange.close();
        }
        exchange.respond(200, "", b"ok")
    })
}

#[test]
fn a_stale_pooled_connection_is_retried_once_where_that_is_safe() {
    let origin = stale_after_one();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    for method in ["GET", "GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        client.exchange(&request(method, "/")).expect(200);
    }
    // The first request needs one connection, each later one a stale and a fresh one.
    assert_eq!(origin.requests().len(), 1 + 2 * 5);
    assert_eq!(origin.connections(), 6);
}

#[test]
fn what_may_have_acted_is_not_sent_twice() {
    let origin = stale_after_one();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.exchange(&get("/")).expect(200);
    let posted = client.exchange(&post("/pay").body("text/plain", "100"));
    posted.expect_problem(502, "upstream-unreachable");
    let pays = origin
        .requests()
        .iter()
        .filter(|r| r.target() == "/pay")
        .count();
    assert_eq!(pays, 1);

    let mut client = gateway.connect();
    client.exchange(&get("/")).expect(200);
    client.exchange(&post("/pay2"));
    let pays = origin
        .requests()
        .iter()
        .filter(|r| r.target() == "/pay2")
        .count();
    assert_eq!(pays, 1);
}

#[test]
fn a_retry_is_not_retried() {
    let stopped = Arc::new(AtomicBool::new(false));
    let origin = {
        let stopped = Arc::clone(&stopped);
        Origin::with(move |exchange| {
            if stopped.load(Ordering::SeqCst) {
                return exchange.close();
            }
            exchange.respond(200, "", b"ok")
        })
    };
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.exchange(&get("/")).expect(200);
    stopped.store(true, Ordering::SeqCst);
    client
        .exchange(&get("/"))
        .expect_problem(502, "upstream-unreachable");

    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn a_pool_full_of_stale_connections_costs_no_request() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    for _ in 0..3 {
        let mut clients: Vec<_> = (0..12).map(|_| gateway.connect()).collect();
        for client in &mut clients {
            client.send(get("/").to_bytes());
        }
        for client in &mut clients {
            client.read_response().expect(200);
        }
        origin.close_connections();
        for client in &mut clients {
            client.exchange(&get("/")).expect(200);
        }
    }
}

#[test]
fn a_body_cut_short_upstream_is_cut_short_for_the_client() {
    for head in [
        "Content-Length: 100\r\n\r\nonly this",
        "Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        "Transfer-Encoding: chunked\r\n\r\n64\r\nonly this",
    ] {
        let origin = Origin::with(move |exchange| {
            if exchange.request().target() == "/whole" {
                return exchange.respond(200, "", b"whole");
            }
            exchange.send(format!("HTTP/1.1 200 OK\r\n{head}"))?;
            exchange.close()
        });
        let gateway = Settings::new(&origin).start();

        let mut client = gateway.connect();
        client.send(get("/").to_bytes());
        let outcome = client.try_read_response_to("GET");
        assert!(outcome.is_err(), "{head:?} passed for whole: {outcome:?}");
        gateway.still_serves("/whole");
    }
}

#[test]
fn an_answer_that_is_no_http_is_a_502() {
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "\0\0\0\0",
        "HTTP/1.1 200",
    ] {
        let origin = Origin::with(move |exchange| {
            exchange.send(answer)?;
            exchange.half_close()?;
            exchange.wait_for_close()
        });
        let gateway = Settings::new(&origin).start();

        let response = gateway.send(&get("/"));
        assert_eq!(response.status, 502, "{answer:?}: {response:?}");
        response.expect_problem(502, "upstream-unreachable");
    }
}

#[test]
fn a_response_head_of_any_length_is_not_swallowed() {
    let origin = Origin::with(|exchange| {
        let filler = "x".repeat(8 * 1024 * 1024);
        exchange.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Filler: {filler}\r\n\r\n"
        ))
    });
    let gateway = Settings::new(&origin).start();

    gateway
        .send(&get("/"))
        .expect_problem(502, "upstream-unreachable");
    get("/healthz").send(gateway.admin).expect(200);
}

#[test]
fn two_framings_in_an_answer_never_reach_the_client() {
    let origin = Origin::with(|exchange| {
        exchange.send(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n",
        )
    });
    let gateway = Settings::new(&origin).start();

    let response = gateway.send(&get("/"));
    if response.status == 200 {
        assert_eq!(response.body, b"hello");
        assert_eq!(response.header("content-length"), None);
    } else {
        response.expect_problem(502, "upstream-unreachable");
    }
}

#[test]
fn bytes_after_a_response_are_not_the_next_one() {
    let origin = Origin::with(|exchange| {
        exchange.send(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\
             HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        )
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    for _ in 0..6 {
        let response = client.exchange(&get("/"));
        assert_ne!(response.body, b"forged", "the answer of another request");
    }
}

#[test]
fn an_upgrade_is_not_taken_for_an_answer() {
    let origin = Origin::with(|exchange| {
        exchange.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        )?;
        exchange.half_close()?;
        exchange.wait_for_close()
    });
    let gateway = Settings::new(&origin).start();

    let response = gateway.send(&get("/"));
    assert_eq!(response.status, 502, "{response:?}");
}

#[test]
fn an_answer_before_the_upload_s_end_does_not_hold_up_the_next_request() {
    let origin = Origin::with(|exchange| exchange.respond(200, "", b"early"));
    let gateway = Settings::new(&origin).start();

    let mut uploading = gateway.connect();
    uploading.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx");
    assert_eq!(uploading.read_response().body, b"early");
    // The first client has not sent the rest, and never will.
    // Connections stay open, so that every worker gets some.
    let mut others: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    for other in &mut others {
        assert_eq!(other.exchange(&get("/")).status, 200);
    }
    drop(uploading);
}

#[test]
fn a_get_keeps_its_chunked_body() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    let mut client = gateway.connect();
    client.send(
        "GET /search HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nquery\r\n0\r\n\r\n",
    );
    let answer = client.read_response();
    assert_eq!(answer.status, 200);
    assert_eq!(origin.only_request().body, b"query");
}
