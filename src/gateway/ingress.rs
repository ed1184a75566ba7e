//! A request as it comes in: who sends it, and whether its head is one that every server behind
//! would read the same way.

use std::net::{IpAddr, SocketAddr};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Version};

use super::connection::Connection;
use crate::config::Config;
use crate::forward::{self, Handshake};
use crate::request::{Code, Peer, Refusal};
use crate::route::NO_PATH;

/// Where a request comes from: the right-most hop that is not a trusted proxy. And a refusal, when trusted
/// proxies do not say which that is: the request would pass for one of the proxy's own, which the routes'
/// `ip` may admit.
pub fn peer(
    connection: &Connection,
    config: &Config,
    headers: &HeaderMap,
) -> (Peer, Result<(), Refusal>) {
    let socket = connection.peer;
    let direct = socket.ip().to_canonical();
    let trusted = |ip: IpAddr| config.trusted_proxies.contains(ip);
    if !trusted(direct) {
        let peer = Peer {
            socket,
            client: direct,
            is_trusted: false,
        };
        return (peer, Ok(()));
    }
    let lines = headers.get_all("x-forwarded-for");
    let hops = lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|b| *b == b','));
    // An element of a list may be empty (RFC 9110, section 5.6.1).
    let hops: Vec<&[u8]> = hops
        .map(<[u8]>::trim_ascii)
        .filter(|hop| !hop.is_empty())
        .collect();
    let mut client = direct;
    let mut told = Ok(());
    if hops.is_empty() && headers.contains_key("x-forwarded-for") {
        // Whom the proxy meant by that is not known; it was hardly itself.
        let detail = "X-Forwarded-For is empty.";
        told = Err(Refusal::new(Code::BadRequest, detail));
    }
    for hop in hops.iter().rev() {
        let Some(ip) = std::str::from_utf8(hop).ok().and_then(address) else {
            let detail = "X-Forwarded-For holds what is no address.";
            told = Err(Refusal::new(Code::BadRequest, detail));
            break;
        };
        client = ip;
        if !trusted(ip) {
            break;
        }
    }
    let peer = Peer {
        socket,
        client,
        is_trusted: true,
    };
    (peer, told)
}

/// An address with or without port and brackets, as proxies write it.
fn address(hop: &str) -> Option<IpAddr> {
    let ip = hop
        .parse::<IpAddr>()
        .or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| hop.trim_matches(['[', ']']).parse::<IpAddr>())
        .ok()?;
    Some(ip.to_canonical())
}

/// Refuses heads of more bytes than that.
pub fn measure<B>(request: &Request<B>, max_header: usize) -> Result<(), Refusal> {
    /// `: ` and the end of the line.
    const AROUND: usize = 4;
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + AROUND);
    if target + fields.sum::<usize>() <= max_header {
        return Ok(());
    }
    let detail = "The request's head is larger than this server takes.";
    Err(Refusal::new(Code::HeaderTooLarge, detail).closing())
}

/// Refuses heads that two servers could read differently (RFC 9112, sections 3.2, 6.1 and 11.2), brings a
/// target in absolute form to the form that every other request has, and marks a [`Handshake`].
pub fn inspect<B>(request: &mut Request<B>) -> Result<(), Refusal> {
    // First, because one that is refused is one all the same.
    let is_handshake = Handshake::is(request.method(), request.version(), request.headers());
    if is_handshake {
        request.extensions_mut().insert(Handshake);
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        // TRACE would send the caller's identity headers back to whoever asks.
        return Err(Refusal::method_not_allowed(&[]).closing());
    }
    if request
        .method()
        .as_str()
        .bytes()
        .any(|byte| byte.is_ascii_lowercase())
    {
        // Methods are case-sensitive (RFC 9110, section 9.1), and servers that fold them would serve
        // as DELETE what no route decided on as DELETE.
        return Err(bad("Methods are written in capitals."));
    }
    if let Some(authority) = request.uri().authority().cloned() {
        // What such a target would mean to a server is its own business (RFC 9110, section 7.4).
        match request.uri().scheme_str() {
            Some("http" | "https") => {}
            Some(_) => return Err(bad("The target's scheme is neither http nor https.")),
            None => return Err(bad(NO_PATH)),
        }
        if request.headers().get_all(header::HOST).iter().count() > 1 {
            return Err(bad("There is more than one Host header."));
        }
        forward::set_host(request.headers_mut(), &authority);
    }
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => {}
        (Some(_), None) => return Err(bad("The Host header is not a host.")),
        (None, _) if request.version() == Version::HTTP_10 => {}
        (None, _) => return Err(bad("There is no Host header.")),
        (Some(_), Some(_)) => return Err(bad("There is more than one Host header.")),
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let (Some(_), Some(_)) = (lengths.next(), lengths.next()) {
        return Err(bad("There is more than one Content-Length header."));
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        let is_chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !is_chunked || encodings.next().is_some() {
            return Err(bad("The only Transfer-Encoding taken here is `chunked`."));
        }
        if headers.contains_key(header::CONTENT_LENGTH) {
            return Err(bad(
                "Content-Length and Transfer-Encoding exclude each other.",
            ));
        }
    }
    if is_handshake {
        let length = headers.get(header::CONTENT_LENGTH);
        if headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|n| *n != "0") {
            // Where it ends is where the tunnel would begin.
            return Err(bad("A WebSocket handshake has no body."));
        }
    }
    Ok(())
}

/// The authority that a request is for; empty for HTTP/1.0 without one.
pub fn host(headers: &HeaderMap) -> &str {
    headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("")
}

/// The same of a request that nobody has looked at yet, as the log tells it.
pub(super) fn told_host<B>(request: &Request<B>) -> Option<HeaderValue> {
    let by_target = request.uri().authority().map(forward::host_of);
    let host = request.headers().get(header::HOST);
    by_target.flatten().or_else(|| host.cloned())
}

/// The characters of `uri-host [ ":" port ]` (RFC 3986, section 3.2.2); user information is not for
/// HTTP (RFC 9110, section 4.2.4).
fn is_host(host: &[u8]) -> bool {
    // In brackets a colon is part of an address.
    let port = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host[colon..].contains(&b']') => &host[colon + 1..],
        _ => &[],
    };
    let is_port = port.len() <= 5
        && port
            .iter()
            .try_fold(0, |value, digit| {
                let digit = char::from(*digit).to_digit(10)?;
                Some(value * 10 + digit)
            })
            .is_some_and(|value| value <= u32::from(u16::MAX));
    is_port
        && host
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%:[]".contains(byte))
}

fn bad(detail: &'static str) -> Refusal {
    Refusal::new(Code::BadRequest, detail).closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Request<()> {
        build(Request::builder()).body(()).unwrap()
    }

    fn refused(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> bool {
        inspect(&mut request(build)).is_err()
    }

    #[test]
    fn heads_that_can_be_read_in_two_ways_are_refused() {
        assert!(!refused(|r| r.header("host", "a.example:80")));
        assert!(refused(|r| r));
        assert!(!refused(|r| r.version(Version::HTTP_10)));
        assert!(refused(|r| r.header("host", "a").header("host", "a")));
        assert!(refused(|r| r.header("host", "a").method("delete")));
        assert!(refused(|r| r.header("host", "a").method("Patch")));
        assert!(refused(|r| r.header("host", "a").method("TRACE")));
        assert!(!refused(|r| r.header("host", "a").method("PURGE")));
        assert!(refused(|r| r.header("host", "a@b")));
        assert!(refused(|r| r.header("host", "a/b")));
        assert!(refused(|r| r.header("host", "a:65536")));
        assert!(refused(|r| r.header("host", "a:80x")));
        assert!(!refused(|r| r.header("host", "[::1]:65535")));
        assert!(!refused(|r| r.header("host", "[::1]")));
        assert!(refused(|r| r
            .method("CONNECT")
            .uri("a:1")
            .header("host", "a:1")));
        let with = |name: &'static str, values: &'static [&'static str]| {
            refused(move |mut r| {
                r = r.header("host", "a");
                for value in values {
                    r = r.header(name, *value);
                }
                r
            })
        };
        assert!(with("content-length", &["3", "3"]));
        assert!(with("transfer-encoding", &["chunked", "chunked"]));
        assert!(with("transfer-encoding", &["gzip, chunked"]));
        assert!(!with("transfer-encoding", &["Chunked"]));
    }

    #[test]
    fn a_handshake_has_no_body() {
        let with = |name: &'static str, value: &'static str| {
            let mut request = request(|r| {
                let r = r.header("host", "a").header(name, value);
                r.header("connection", "upgrade")
                    .header("upgrade", "websocket")
            });
            let outcome = inspect(&mut request);
            let is_one = Handshake::is_among(request.extensions());
            assert!(is_one || outcome.is_ok());
            outcome.map(|()| is_one)
        };
        assert!(with("x", "y").unwrap());
        assert!(with("content-length", "0").unwrap());
        assert!(with("content-length", "1").is_err());
        assert!(with("transfer-encoding", "chunked").is_err());
        assert!(!with("connection", "close").unwrap());
        let mut other = request(|r| r.header("host", "a").header("content-length", "1"));
        inspect(&mut other).unwrap();
        assert!(!Handshake::is_among(other.extensions()));
    }

    #[test]
    fn an_absolute_target_names_the_host() {
        let mut request = request(|r| r.uri("http://real.example/x").header("host", "other"));
        assert_eq!(told_host(&request).unwrap(), "real.example");
        inspect(&mut request).unwrap();
        assert_eq!(host(request.headers()), "real.example");
    }

    #[test]
    fn an_absolute_target_is_one_of_http() {
        assert!(!refused(|r| r.uri("HTTPS://a/x")));
        for target in ["ftp://a/x", "file://a/etc/passwd", "httpx://a/"] {
            assert!(refused(|r| r.uri(target)), "{target}");
        }
    }

    #[test]
    fn the_client_is_the_right_most_hop_that_is_not_trusted() {
        let mut config = crate::route::sample::config(Vec::new());
        let connection = Connection::new(
            "10.0.0.1:5000".parse().unwrap(),
            "10.0.0.9:80".parse().unwrap(),
        );
        let client = |config: &Config, list: &'static str| {
            let headers = HeaderMap::from_iter([(
                header::HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_static(list),
            )]);
            let (peer, told) = peer(&connection, config, &headers);
            told.map(|()| peer.client.to_string())
                .unwrap_or_else(|refusal| refusal.code().as_str().to_owned())
        };
        assert_eq!(client(&config, "1.2.3.4"), "10.0.0.1");
        config.trusted_proxies = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
        assert_eq!(client(&config, "6.6.6.6, 1.2.3.4, 10.1.1.1"), "1.2.3.4");
        assert_eq!(client(&config, "garbage, 1.2.3.4, 10.1.1.1"), "1.2.3.4");
        assert_eq!(client(&config, "[2001:db8::1]:443"), "2001:db8::1");
        for nothing in ["", " ", ",", " , "] {
            assert_eq!(client(&config, nothing), "bad-request");
        }
        let (own, told) = peer(&connection, &config, &HeaderMap::new());
        assert_eq!(own.client.to_string(), "10.0.0.1");
        assert!(told.is_ok());
        assert_eq!(client(&config, "1.2.3.4, 10.1.1.1, ,"), "1.2.3.4");
        for garbage in ["unknown", "1.2.3.4, garbage, 10.1.1.1", "1.2.3.4, 10.1"] {
            assert_eq!(client(&config, garbage), "bad-request", "{garbage}");
        }
    }
}
