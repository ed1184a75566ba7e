//! Requests within requests.

use std::time::Duration;

use crate::harness::client::{get, statuses};
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::Origin;

/// A request that must never be seen on its own, as the tail of another.
const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends bytes that hold one request at most and gives out the statuses that came back. What the gateway
/// makes of them shows while the connection is still open; it is ended only once nothing more comes,
/// since an end could call off the very request that must not be there.
#[track_caller]
fn attack(gateway: &Gateway, bytes: &[u8]) -> Vec<u16> {
    let mut client = gateway.connect();
    // The gateway may refuse and close before everything is sent.
    let _ = client.try_send(bytes);
    let mut answer = client.read_until_quiet(Duration::from_millis(400));
    client.half_close();
    answer.extend(client.read_until_closed());
    statuses(&answer)
}

#[test]
fn smuggling() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin)
        .routes(
            "
            - { name: open, prefix: /open, auth: none, upstream: app }
            - { name: all, prefix: /, auth: required, upstream: app }
            ",
        )
        .start();
    let length = INNER.len();
    let chunks = format!("0\r\n\r\n{INNER}");
    let both = chunks.len();

    let attacks: Vec<(&str, String)> = vec![
        (
            "CL and TE",
            format!("Content-Length: {both}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        ),
        (
            "TE and CL",
            format!("Transfer-Encoding: chunked\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "CL and a short TE",
            format!(
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{INNER}\r\n0\r\n\r\n"
            ),
        ),
        (
            "two CLs",
            format!("Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{INNER}"),
        ),
        (
            "two CLs the other way",
            format!("Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{INNER}"),
        ),
        (
            "a list of CLs",
            format!("Content-Length: 0, {length}\r\n\r\n{INNER}"),
        ),
        (
            "CL with a sign",
            format!("Content-Length: +{length}\r\n\r\n{INNER}"),
        ),
        (
            "a negative CL",
            format!("Content-Length: -{length}\r\n\r\n{INNER}"),
        ),
        (
            "CL in hex",
            format!("Content-Length: 0x{length:x}\r\n\r\n{INNER}"),
        ),
        (
            "CL with a space inside",
            format!("Content-Length: 0 {length}\r\n\r\n{INNER}"),
        ),
        (
            "CL past 64 bits",
            format!("Content-Length: 18446744073709551616\r\n\r\n{INNER}"),
        ),
        (
            "a blank before the colon",
            format!("Content-Length : {length}\r\n\r\n{INNER}"),
        ),
        (
            "TE twice",
            format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{chunks}"),
        ),
        (
            "TE twice the other way",
            format!("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        ),
        (
            "TE chunked, chunked",
            format!("Transfer-Encoding: chunked, chunked\r\n\r\n{chunks}"),
        ),
        (
            "TE with chunked not last",
            format!("Transfer-Encoding: chunked, identity\r\n\r\n{chunks}"),
        ),
        (
            "TE xchunked",
            format!("Transfer-Encoding: xchunked\r\n\r\n{chunks}"),
        ),
        (
            "TE with a tab and CL",
            format!("Transfer-Encoding:\tchunked\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "TE with a vertical tab",
            format!("Transfer-Encoding: \x0bchunked\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "TE in quotes",
            format!("Transfer-Encoding: \"chunked\"\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "TE identity and CL",
            format!("Transfer-Encoding: identity\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "a blank before TE's colon",
            format!("Transfer-Encoding : chunked\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "a folded TE",
            format!("Transfer-Encoding:\r\n chunked\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "a folded header",
            format!("X: a\r\n Content-Length: {length}\r\n\r\n{INNER}"),
        ),
        (
            "a bare CR",
            format!("X: a\rContent-Length: {length}\r\n\r\n{INNER}"),
        ),
        (
            "a bare LF before TE",
            format!("X: a\nTransfer-Encoding: chunked\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "a bare CR in a value",
            format!("X: a\r\rTransfer-Encoding: chunked\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "a NUL in TE",
            format!("Transfer-Encoding: chunked\0\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "TE with an underscore",
            format!("Transfer_Encoding: chunked\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "CL with an underscore",
            format!("Content_Length: 0\r\nContent-Length: {both}\r\n\r\n{chunks}"),
        ),
        (
            "a chunk size past 64 bits",
            format!("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{INNER}"),
        ),
        (
            "a chunk size that overflows",
            format!("Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{INNER}"),
        ),
        (
            "a chunk size with a sign",
            format!("Transfer-Encoding: chunked\r\n\r\n-1\r\n{INNER}"),
        ),
        (
            "a chunk size in 0x",
            format!("Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n{INNER}"),
        ),
        (
            "a chunk without its CRLF",
            format!("Transfer-Encoding: chunked\r\n\r\n3\r\nabcde0\r\n\r\n{INNER}"),
        ),
        (
            "a chunk size that ends in LF",
            format!("Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\n{length:x}\r\n0\r\n\r\n{INNER}"),
        ),
        (
            "a bare CR in a chunk extension",
            format!("Transfer-Encoding: chunked\r\n\r\n0;a\r\r\n\r\n{INNER}"),
        ),
    ];
    for (what, rest) in &attacks {
        let before = origin.requests().len();
        let statuses = attack(
            &gateway,
            format!("POST /open HTTP/1.1\r\nHost: a\r\n{rest}").as_bytes(),
        );
        let arrived = origin.requests().split_off(before);
        assert!(arrived.len() <= 1, "{what}: {arrived:#?}");
        assert!(
            arrived.iter().all(|r| r.target() == "/open"),
            "{what}: {arrived:#?}"
        );
        assert!(
            statuses.len() <= 1 || (statuses.len() == 2 && statuses[1] >= 400),
            "{what}: {statuses:?}"
        );
    }

    // TE where it has no meaning (RFC 9112, section 6.1).
    let before = origin.requests().len();
    attack(
        &gateway,
        format!("POST /open HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
            .as_bytes(),
    );
    let arrived = origin.requests().split_off(before);
    assert!(
        arrived.iter().all(|r| r.target() == "/open") && arrived.len() <= 1,
        "{arrived:#?}"
    );

    undrained_bodies(&gateway, &origin);
    chunk_extensions(&gateway, &origin);
    gateway.still_serves("/open");
}

/// A body that nobody reads, of a refused request, is not the next request.
#[track_caller]
fn undrained_bodies(gateway: &Gateway, origin: &Origin) {
    let length = INNER.len();
    let before = origin.requests().len();
    for head in [
        // Refused before the body matters: no token, no such method, an ambiguous path.
        format!("POST /guarded HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{INNER}"),
        format!("POST /open/..%2fx HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{INNER}"),
        format!("GET /guarded HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{INNER}"),
        format!(
            "POST /guarded HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{INNER}\r\n0\r\n\r\n"
        ),
        format!(
            "POST /api/v1/login HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{INNER}"
        ),
        format!(
            "GET /api/v1/users/me HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{INNER}"
        ),
        format!(
            "POST /guarded HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n{INNER}"
        ),
    ] {
        let mut client = gateway.connect();
        let _ = client.try_send(head.as_bytes());
        let answer = client.read_response();
        assert!((400..500).contains(&answer.status), "{head:?}: {answer:?}");
        client.half_close();
        let more = statuses(&client.read_until_closed());
        assert!(more.is_empty(), "{head:?}: {more:?}");
    }
    let arrived = origin.requests().split_off(before);
    assert!(arrived.is_empty(), "{arrived:#?}");

    // A GET with a body goes through as one request.
    let head = format!("GET /open HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{INNER}");
    let mut client = gateway.connect();
    client.send(head.as_bytes());
    let answer = client.read_response();
    let arrived = origin.requests().split_off(before);
    assert!(
        arrived.len() <= 1 && (answer.status == 200 || answer.status == 400),
        "{answer:?} {arrived:#?}"
    );
}

/// Extensions are read over and not passed on: servers disagree on where they end.
#[track_caller]
fn chunk_extensions(gateway: &Gateway, origin: &Origin) {
    let mut client = gateway.connect();
    client.send(
        "POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         5;a=b;c=\"d\"\r\nhello\r\n0;end\r\n\r\n",
    );
    let response = client.read_response();
    if response.status == 200 {
        assert_eq!(origin.last_request().body, b"hello");
    } else {
        assert_eq!(response.status, 400, "{response:?}");
    }
    // And there is an end to how much of them is read.
    let mut client = gateway.connect();
    client.send("POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    let filler = vec![b'x'; 64 * 1024];
    let sent = (0..64)
        .take_while(|_| client.try_send(&filler).is_ok())
        .count();
    let mut ended = sent < 64;
    if !ended {
        client.half_close();
        ended = statuses(&client.read_until_closed()) != [200];
    }
    assert!(ended, "4 MiB of a chunk's extension were taken");
}

#[test]
fn connect_poison() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();
    // A connection for the attacks to poison.
    gateway.send(&get("/first")).expect(200);
    let before = origin.requests().len();

    for head in [
        "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let statuses = attack(&gateway, format!("{head}{INNER}").as_bytes());
        assert!(
            statuses
                .first()
                .is_some_and(|status| (400..=501).contains(status)),
            "{head:?}: {statuses:?}"
        );
        assert!(!statuses.contains(&200), "{head:?}: {statuses:?}");
    }
    assert_eq!(
        origin.requests().len(),
        before,
        "CONNECT reached the origin"
    );

    // A failed upgrade leaves no connection behind on which what follows could be misread.
    for upgrade in ["websocket", "h2c", "anything"] {
        let mut client = gateway.connect();
        client.send(format!(
            "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
        ));
        client.read_response().expect(200);
        for n in 0..4 {
            let response = gateway.send(&get(format!("/after/{n}"))).expect(200);
            assert_eq!(response.text(), format!("GET /after/{n} HTTP/1.1"));
        }
    }
    for received in origin.requests() {
        if received.target() == "/upgrade" {
            let upgrade = received.header("upgrade");
            let is_handshake = upgrade.as_deref() == Some("websocket");
            assert!(upgrade.is_none() || is_handshake, "{received:?}");
            assert_eq!(received.header("http2-settings"), None, "{received:?}");
        }
    }
    gateway.still_serves("/");
}

#[test]
fn connect_poison_by_the_origin() {
    let origin = Origin::with(|exchange| {
        if exchange.request().target() == "/upgrade" {
            exchange.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
            )?;
            return Ok(());
        }
        exchange.respond(200, "", b"honest")
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    for _ in 0..4 {
        let response = client.exchange(&get("/upgrade"));
        assert_ne!(response.body, b"forged", "{response:?}");
        let mut other = gateway.connect();
        for _ in 0..4 {
            assert_eq!(other.exchange(&get("/")).expect(200).body, b"honest");
        }
        client = gateway.connect();
    }
    gateway.still_serves("/");
}
