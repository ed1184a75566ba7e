//! What is known of a request before any stage has looked at it.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::HeaderName;
use http::request::Parts;

use super::Refusal;

/// A request's head and where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub head: &'a Parts,
    /// The authority that the request is for, as sent: from the absolute form, else `Host`.
    pub host: &'a str,
    pub peer: &'a Peer,
}

impl<'a> Facts<'a> {
    /// A header's value: lines of one name are one list (RFC 9110, section 5.3).
    pub fn value_of(&self, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
        let mut lines = self.head.headers.get_all(name).iter();
        let mut all = Cow::Borrowed(lines.next()?.as_bytes());
        for line in lines {
            let all = all.to_mut();
            all.extend_from_slice(b", ");
            all.extend_from_slice(line.as_bytes());
        }
        Some(all)
    }
}

/// Among a request's extensions: its page is of an origin that the file lists in `cors`.
#[derive(Debug, Clone, Copy)]
pub struct ListedOrigin;

/// Among a request's extensions: its address has sent so much that was not valid that nothing which would
/// have to be verified is looked at, and why.
#[derive(Debug, Clone)]
pub struct HeldBack(pub Refusal);

/// Where a request came from. The auth API finds it among a request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection.
    pub socket: SocketAddr,
    /// The right-most hop that is not a trusted proxy; what limits and logs go by.
    pub client: IpAddr,
    /// The other end of the connection is in `trusted_proxies`.
    pub is_trusted: bool,
}
