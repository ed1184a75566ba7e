//! Which `Host` values are the admin listener's own, and which requests another page makes.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::uri::Authority;

/// True for the listener's address and port. One that listens on all addresses takes any address,
/// since it cannot know how it is reached, but no name other than `localhost`.
pub fn is_own(host: &str, listener: SocketAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let is_any = listener.ip().is_unspecified();
    if !is_any && authority.port_u16().unwrap_or(80) != listener.port() {
        return false;
    }
    let name = authority.host().trim_matches(['[', ']']);
    match name.parse::<IpAddr>() {
        Ok(ip) => is_any || ip.to_canonical() == listener.ip().to_canonical(),
        Err(_) => name.eq_ignore_ascii_case("localhost") && (is_any || listener.ip().is_loopback()),
    }
}

/// Whether a browser makes the request for a page that is not the listener's own.
pub fn is_of_another_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);
    match (text(ORIGIN), text(HOST)) {
        (Some(origin), Some(host)) => origin.strip_prefix(b"http://") != Some(host),
        (Some(_), None) => true,
        (None, _) => headers
            .get("sec-fetch-site")
            .is_some_and(|site| site != "same-origin" && site != "none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listener_itself_is_its_own() {
        let at = |listener: &str, host: &str| is_own(host, listener.parse().unwrap());
        assert!(at("127.0.0.1:9901", "127.0.0.1:9901"));
        assert!(at("127.0.0.1:9901", "localhost:9901"));
        assert!(at("[::1]:9901", "[::1]:9901"));
        assert!(at("0.0.0.0:9901", "10.1.2.3:80"));
        assert!(!at("127.0.0.1:9901", "127.0.0.1"));
        assert!(!at("127.0.0.1:9901", "rebound.example:9901"));
        assert!(!at("0.0.0.0:9901", "rebound.example:9901"));
        assert!(!at("10.0.0.1:9901", "localhost:9901"));
        assert!(!at("127.0.0.1:9901", ""));
    }
}
