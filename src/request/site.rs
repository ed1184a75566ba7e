//! Which site a page is of, and which one a request is for.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Uri};

use super::Peer;

/// Scheme, host and port, with the port filled in (RFC 6454, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    scheme: String,
    host: String,
    port: u16,
}

impl Site {
    /// `None` for `null` and for anything that is not an http or https origin.
    pub fn of(url: &str) -> Option<Site> {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        Some(Site {
            host: uri.host()?.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(default),
            scheme,
        })
    }

    /// The site that the request itself is for. Only a trusted proxy may say that it was https.
    fn of_request(parts: &Parts, peer: &Peer) -> Option<Site> {
        let authority = match parts.uri.authority() {
            Some(authority) => authority.as_str(),
            None => only(&parts.headers, HOST.as_str())?,
        };
        let forwarded = only(&parts.headers, "x-forwarded-proto").filter(|_| peer.is_trusted);
        let scheme = match forwarded {
            None | Some("ws") => "http",
            // As some proxies call it where a page opens a WebSocket.
            Some("wss") => "https",
            Some(scheme) => scheme,
        };
        Site::of(&format!("{scheme}://{authority}"))
    }

    /// Whether the request's page is of the request's own site or of the one given.
    pub fn is_own(parts: &Parts, peer: &Peer, also: Option<&Site>) -> bool {
        let origin = only(&parts.headers, ORIGIN.as_str()).and_then(Site::of);
        origin.is_some_and(|origin| {
            Some(&origin) == also || Some(origin) == Site::of_request(parts, peer)
        })
    }
}

/// The header's value if it stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}
