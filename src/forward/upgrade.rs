//! WebSocket handshakes (RFC 6455, section 4): which requests are one, the connection of its own that each goes
//! out on, and which answer switches protocols.

use std::rc::Rc;

use http::header::{self, HeaderMap, HeaderName};
use http::{Extensions, Method, Request, Response, StatusCode, Version};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::{RequestBody, ResponseBody};
use super::deliver::{Deadline, unreachable};
use super::exchange::Upstream;
use super::pool::{ConnectError, Pool};
use crate::request::Refusal;

/// Among a request's extensions: it asks to speak WebSocket.
#[derive(Debug, Clone, Copy)]
pub struct Handshake;

impl Handshake {
    /// Looks whether a request is one. HTTP/1.0 knows no upgrades, and a connection that is to be closed is not to
    /// become anything else; what asks for other protocols goes on without.
    pub fn is(method: &Method, version: Version, headers: &HeaderMap) -> bool {
        names_only_websocket(headers)
            && *method == Method::GET
            && version == Version::HTTP_11
            && lists(headers, "upgrade")
            && !lists(headers, "close")
    }

    /// Whether it was found to be one.
    pub fn is_among(extensions: &Extensions) -> bool {
        extensions.get::<Handshake>().is_some()
    }
}

/// Sends a handshake over a connection that carries nothing before it and, whatever the answer, nothing after
/// it: what a server makes of bytes behind a handshake is its own business. It goes out once.
pub(super) async fn shake_hands<'p>(
    pools: impl Iterator<Item = &'p Rc<Pool>>,
    upstream: &Upstream,
    request: Request<RequestBody>,
    deadline: &Deadline,
) -> Result<Response<ResponseBody>, Refusal> {
    let mut failure = ConnectError::NoAddress;
    for pool in pools {
        match pool.dial(upstream.connect_timeout).await {
            Ok(stream) => return exchange(stream, request, deadline).await,
            Err(error) => {
                tracing::debug!(target = %pool.target.name, %error, "upstream not reached");
                failure = error;
            }
        }
    }
    Err(unreachable(failure))
}

async fn exchange(
    stream: TcpStream,
    request: Request<RequestBody>,
    deadline: &Deadline,
) -> Result<Response<ResponseBody>, Refusal> {
    let opened = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(unreachable)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    let Ok(answer) = deadline.hold(sender.send_request(request)).await else {
        return Err(deadline.late());
    };
    let response = answer.map_err(|error| deadline.refusal(&error))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && !switches(response.headers()) {
        return Err(unreachable("the upstream did not switch to WebSocket"));
    }
    Ok(response.map(ResponseBody::of_its_own))
}

/// Whether the headers of a 101 say what it has to say.
fn switches(headers: &HeaderMap) -> bool {
    names_only_websocket(headers) && lists(headers, "upgrade")
}

/// `Upgrade` may list protocols in order of preference. One that lists more was not made by a browser.
fn names_only_websocket(headers: &HeaderMap) -> bool {
    let mut protocols = elements(headers, &header::UPGRADE);
    let first = protocols.next();
    first.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket")) && protocols.next().is_none()
}

fn lists(headers: &HeaderMap, option: &str) -> bool {
    let mut options = elements(headers, &header::CONNECTION);
    options.any(|name| name.eq_ignore_ascii_case(option.as_bytes()))
}

/// Of all lines of a header that is a list (RFC 9110, section 5.6.1).
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(name).iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    elements
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn a_handshake_asks_for_websocket_and_nothing_else() {
        for (connection, upgrade, is_one) in [
            ("upgrade", "websocket", true),
            ("Upgrade", "WebSocket", true),
            ("keep-alive, Upgrade", "websocket", true),
            ("upgrade", "websocket ,", true),
            ("upgrade", "h2c", false),
            ("upgrade", "websocket, h2c", false),
            ("upgrade", "websocket/13", false),
            ("upgrade", "websockets", false),
            ("upgrade", "", false),
            ("keep-alive", "websocket", false),
            ("upgrades", "websocket", false),
            ("close, upgrade", "websocket", false),
        ] {
            let headers = map(&[("connection", connection), ("upgrade", upgrade)]);
            let found = Handshake::is(&Method::GET, Version::HTTP_11, &headers);
            assert_eq!(found, is_one, "{connection} / {upgrade}");
        }
        let headers = map(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        assert!(!Handshake::is(&Method::POST, Version::HTTP_11, &headers));
        assert!(!Handshake::is(&Method::GET, Version::HTTP_10, &headers));
        let lines = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive"),
            ("connection", "upgrade"),
        ];
        assert!(Handshake::is(&Method::GET, Version::HTTP_11, &map(&lines)));
        let lines = [lines[0], lines[0], lines[2]];
        assert!(!Handshake::is(&Method::GET, Version::HTTP_11, &map(&lines)));
    }

    #[test]
    fn an_answer_switches_to_what_was_asked_for() {
        let good = [("connection", "Upgrade"), ("upgrade", "WebSocket")];
        assert!(switches(&map(&good)));
        for bad in [
            [("connection", "upgrade"), ("upgrade", "h2c")],
            [("connection", "close"), ("upgrade", "websocket")],
            [("connection", "upgrade"), ("x", "websocket")],
            [("x", "upgrade"), ("upgrade", "websocket")],
        ] {
            assert!(!switches(&map(&bad)), "{bad:?}");
        }
    }
}
