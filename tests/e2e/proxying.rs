//! A request goes through and its answer comes back, byte for byte.

use crate::harness::client::{get, post, request};
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

#[test]
fn forwards_a_request_and_its_response() {
    let origin = Origin::with(|exchange| {
        exchange.read_body()?;
        let head = "Content-Type: text/x-odd\r\nX-Own: a\r\nX-Own: b\r\n";
        exchange.respond(203, head, b"hello")
    });
    let gateway = Settings::new(&origin).start();

    let response = gateway
        .send(&post("/a/b%20c?x=1&y=%2F").body("text/plain", "ping"))
        .expect(203);

    assert_eq!(response.body, b"hello");
    assert_eq!(response.header("content-type"), Some("text/x-odd"));
    assert_eq!(response.header_all("x-own"), ["a", "b"]);
    let received = origin.only_request();
    assert_eq!(received.line(), "POST /a/b%20c?x=1&y=%2F HTTP/1.1");
    assert_eq!(received.header("content-type").unwrap(), "text/plain");
    assert_eq!(received.body, b"ping");
}

#[test]
fn keeps_connections_to_both_sides_alive() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    for n in 0..5 {
        let response = client.exchange(&get(format!("/{n}"))).expect(200);
        assert_eq!(response.text(), format!("GET /{n} HTTP/1.1"));
    }

    assert_eq!(origin.connections(), 1, "one connection serves them all");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    let requests: Vec<u8> = (0..10)
        .flat_map(|n| post(format!("/{n}")).body("text/plain", "body").to_bytes())
        .collect();
    client.send(requests);

    for n in 0..10 {
        let response = client.read_response().expect(200);
        assert_eq!(response.text(), format!("POST /{n} HTTP/1.1"));
    }
    assert_eq!(origin.requests().len(), 10);
}

#[test]
fn a_request_in_single_bytes_is_a_request() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    for byte in post("/drip").body("text/plain", "drop").to_bytes() {
        client.send([byte]);
    }

    let response = client.read_response().expect(200);
    assert_eq!(response.header("x-body-length"), Some("4"));
}

#[test]
fn a_response_in_single_bytes_is_a_response() {
    let origin = Origin::with(|exchange| {
        exchange.dribble("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslow!")
    });
    let gateway = Settings::new(&origin).start();

    assert_eq!(gateway.send(&get("/")).expect(200).body, b"slow!");
}

#[test]
fn chunked_bodies_pass_both_ways_with_their_trailers() {
    let origin = Origin::with(|exchange| {
        exchange.read_body()?;
        exchange.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n",
        )
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send(
        "POST /up HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    );

    let response = client.read_response().expect(200);
    assert_eq!(response.body, b"abcdefg");
    assert_eq!(response.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    assert_eq!(origin.only_request().body, b"hello world");
}

#[test]
fn a_response_that_ends_with_its_connection_is_whole() {
    let origin = Origin::with(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")?;
        exchange.close()
    });
    let gateway = Settings::new(&origin).start();

    assert_eq!(gateway.send(&get("/")).expect(200).body, b"until the end");
    gateway.still_serves("/");
}

#[test]
fn an_http_1_0_origin_is_understood() {
    let origin = Origin::with(|exchange| {
        exchange.send("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold")?;
        exchange.close()
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange(&get("/")).expect(200).body, b"old");
    }
}

#[test]
fn an_http_1_0_client_gets_a_body_without_chunks_and_a_closed_connection() {
    let origin = Origin::with(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");

    let bytes = String::from_utf8(client.read_until_closed()).unwrap();
    assert!(bytes.ends_with("\r\n\r\nabc"), "{bytes}");
    assert!(
        !bytes.to_lowercase().contains("transfer-encoding"),
        "{bytes}"
    );
}

#[test]
fn an_http_1_0_client_without_a_host_is_served() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send("GET /old HTTP/1.0\r\n\r\n");

    let bytes = String::from_utf8(client.read_until_closed()).unwrap();
    assert!(bytes.ends_with("GET /old HTTP/1.1"), "{bytes}");
    assert!(origin.only_request().header("host").is_some());
}

#[test]
fn statuses_without_a_body_have_none() {
    let origin = Origin::with(|exchange| {
        let status = exchange.request().target()[1..].to_owned();
        exchange.send(format!("HTTP/1.1 {status} Nothing\r\nETag: \"v1\"\r\n\r\n"))
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    for status in [204, 304, 204] {
        let response = client.exchange(&get(format!("/{status}"))).expect(status);
        assert_eq!(response.header("etag"), Some("\"v1\""));
        assert_eq!(response.header("transfer-encoding"), None);
    }
}

#[test]
fn head_keeps_the_length_and_has_no_body() {
    let origin = Origin::with(|exchange| exchange.respond(200, "", b"twelve bytes"));
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    for _ in 0..2 {
        let response = client.exchange(&request("HEAD", "/")).expect(200);
        assert_eq!(response.header("content-length"), Some("12"));
    }
    assert_eq!(client.exchange(&get("/")).body, b"twelve bytes");
}

#[test]
fn a_client_that_expects_continue_is_told_to_go_on() {
    let origin = Origin::start();
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let (status, _) = client.read_head().unwrap();
    assert_eq!(status, 100);
    client.send("body");

    let response = client.read_response().expect(200);
    assert_eq!(response.header("x-body-length"), Some("4"));
}

#[test]
fn interim_responses_of_the_origin_do_not_pass_for_the_answer() {
    let origin = Origin::with(|exchange| {
        exchange.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")?;
        exchange.send("HTTP/1.1 102 Processing\r\n\r\n")?;
        exchange.respond(200, "", b"final")
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    for _ in 0..2 {
        assert_eq!(client.exchange(&get("/")).expect(200).body, b"final");
    }
}

#[test]
fn the_upstreams_own_errors_pass_untouched() {
    let origin = Origin::with(|exchange| {
        let status = exchange.request().target()[1..].parse().unwrap();
        exchange.respond(status, "Content-Type: text/html\r\n", b"<h1>mine</h1>")
    });
    let gateway = Settings::new(&origin).start();

    for status in [400, 401, 404, 429, 500, 502, 503, 504] {
        let response = gateway.send(&get(format!("/{status}"))).expect(status);
        assert_eq!(response.header("content-type"), Some("text/html"));
        assert_eq!(response.body, b"<h1>mine</h1>");
    }
}

#[test]
fn a_client_that_goes_away_ends_its_request_upstream() {
    let (left, seen) = std::sync::mpsc::channel();
    let left = std::sync::Mutex::new(left);
    let origin = Origin::with(move |exchange| {
        if exchange.request().target() == "/wait" {
            exchange.wait_for_close()?;
            let _ = left.lock().unwrap().send(());
            return Ok(());
        }
        exchange.respond(200, "", b"")
    });
    let gateway = Settings::new(&origin).start();

    let mut client = gateway.connect();
    client.send(get("/wait").to_bytes());
    origin.wait_for(1);
    drop(client);

    seen.recv_timeout(crate::harness::DEADLINE)
        .expect("the request upstream outlives its client");
    gateway.still_serves("/");
}
