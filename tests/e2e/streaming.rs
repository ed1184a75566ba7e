//! Bodies stream in both directions: nothing waits for the whole, nothing keeps the whole.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use crate::harness::client::get;
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;
use crate::harness::{DEADLINE, Gate};

const MIB: usize = 1024 * 1024;

/// More than any buffer along the way, sockets included, may hold.
const LARGE: usize = 192 * MIB;

/// What the process may take for its own purposes and a few connections' buffers, in a debug build.
#[cfg(target_os = "linux")]
const MEMORY_CAP: u64 = 128 * MIB as u64;

#[test]
fn the_response_begins_before_it_is_complete() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")?;
            exchange.send("Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")?;
            gate.pass();
            exchange.send("9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        })
    };
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send(get("/events").to_bytes());
    let (status, _) = client.read_head().unwrap();
    assert_eq!(status, 200);
    assert_eq!(client.read_exact(14).unwrap(), b"9\r\ndata: 1\n\n\r\n");
    gate.open();
    let rest = client.read_exact(14 + 5).unwrap();
    assert_eq!(rest, b"9\r\ndata: 2\n\n\r\n0\r\n\r\n");
}

#[test]
fn the_request_reaches_the_origin_before_it_is_complete() {
    let (first, arrived) = mpsc::channel();
    let first = Mutex::new(first);
    let origin = Origin::with(move |exchange| {
        if let Some(part) = exchange.read_some()? {
            let _ = first.lock().unwrap().send(part);
        }
        let mut length = 0;
        while let Some(part) = exchange.read_some()? {
            length += part.len();
        }
        exchange.respond(200, "", length.to_string().as_bytes())
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    assert_eq!(arrived.recv_timeout(DEADLINE).unwrap(), b"12345");
    client.send("67890");
    assert_eq!(client.read_response().expect(200).body, b"5");
}

#[test]
fn an_answer_before_the_end_of_the_upload_is_passed_on() {
    let origin = Origin::with(|exchange| {
        if exchange.request().method() == "GET" {
            return exchange.respond(200, "", b"");
        }
        exchange.respond(413, "Connection: close\r\n", b"too much")?;
        exchange.half_close()?;
        exchange.wait_for_close()
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome");
    assert_eq!(client.read_response().expect(413).body, b"too much");
    gateway.still_serves("/");
}

#[test]
fn a_large_download_to_a_slow_reader_holds_the_origin_back() {
    let (sent, report) = mpsc::channel();
    let sent = Mutex::new(sent);
    let origin = Origin::with(move |exchange| {
        exchange.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"
        ))?;
        // The client does not read yet, so all that goes out now sits in buffers.
        let blocked_at = exchange.send_until_blocked(LARGE, Duration::from_millis(500))?;
        let _ = sent.lock().unwrap().send(blocked_at);
        let rest = exchange.send_until_blocked(LARGE - blocked_at, DEADLINE)?;
        assert_eq!(blocked_at + rest, LARGE);
        Ok(())
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send(get("/large").to_bytes());
    let (status, _) = client.read_head().unwrap();
    assert_eq!(status, 200);
    let buffered = report.recv_timeout(DEADLINE).unwrap();
    assert!(buffered < LARGE / 2, "{buffered} bytes went nowhere");

    let mut left = LARGE;
    while left > 0 {
        left -= client.read_exact(MIB.min(left)).unwrap().len();
    }
    #[cfg(target_os = "linux")]
    assert!(
        gateway.peak_memory() < MEMORY_CAP,
        "{} bytes at the peak",
        gateway.peak_memory()
    );
}

#[test]
fn a_large_upload_to_a_slow_origin_holds_the_client_back() {
    let gate = Gate::default();
    let origin = {
        let gate = gate.clone();
        Origin::with(move |exchange| {
            gate.pass();
            let mut length = 0;
            while let Some(part) = exchange.read_some()? {
                length += part.len();
            }
            exchange.respond(200, "", length.to_string().as_bytes())
        })
    };
    let gateway = Settings::new(&origin)
        .routes("- { name: all, prefix: /, auth: none, upstream: app, max_body: 1GiB }")
        .start();

    let mut client = gateway.connect();
    client.send(format!(
        "POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n"
    ));
    let blocked_at = client
        .send_until_blocked(LARGE, Duration::from_millis(500))
        .unwrap();
    assert!(blocked_at < LARGE / 2, "{blocked_at} bytes went nowhere");
    gate.open();
    let rest = client
        .send_until_blocked(LARGE - blocked_at, DEADLINE)
        .unwrap();
    assert_eq!(blocked_at + rest, LARGE);

    let response = client.read_response().expect(200);
    assert_eq!(response.text(), LARGE.to_string());
    #[cfg(target_os = "linux")]
    assert!(
        gateway.peak_memory() < MEMORY_CAP,
        "{} bytes at the peak",
        gateway.peak_memory()
    );
}

#[test]
fn a_stalled_download_does_not_hold_up_others() {
    let origin = Origin::with(|exchange| {
        if exchange.request().target() != "/large" {
            return exchange.respond(200, "", b"quick");
        }
        exchange.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"
        ))?;
        exchange.send_until_blocked(LARGE, DEADLINE)?;
        exchange.close()
    });
    let gateway = Settings::new(&origin).start();

    // More of them than there are workers, so that each worker has one.
    let stalled: Vec<_> = (0..6)
        .map(|_| {
            let mut client = gateway.connect();
            client.send(get("/large").to_bytes());
            client.read_head().unwrap();
            client
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(gateway.send(&get("/")).expect(200).body, b"quick");
    }
    drop(stalled);
}
