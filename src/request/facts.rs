//! What is known of a request before any stage has looked at it.

use std::net::{IpAddr, SocketAddr};

use http::request::Parts;

/// A request's head and where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub head: &'a Parts,
    /// The authority that the request is for, as sent: from the absolute form, else `Host`.
    pub host: &'a str,
    pub peer: &'a Peer,
}

/// Among a request's extensions: its page is of an origin that the file lists in `cors`.
#[derive(Debug, Clone, Copy)]
pub struct ListedOrigin;

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
