//! A request goes through and its answer comes back, byte for byte.

use crate::harness::client::{get, post, request};
use crate::harness::gateway::Settings;
use crate::harness::origin::Origin;

#[test]
fn forwards_a_request_and_its_response() {
    let origin = Origin::with(|exchange| {
        exchange.read_body()?;
        exchange.respond(203, "Content-Type: text/x-odd\r\nX-Own: a\r\nX-Own: b\r\n", b"hello")
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
