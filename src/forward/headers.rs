//! The headers of a request on its way to an upstream: the one place that writes them.
//!
//! Order matters: what `Connection` nominates goes first, then what only the gateway may say, and
//! what the gateway says comes last, so nothing a client sends can take it away.

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;

use super::identity;
use super::reserved::{Names, Reserved, reserved};
use super::template::{Filled, Values};
use crate::authn::Principal;
use crate::config::checked::{AuthMode, HeaderLine, HostRewrite, Identity};
use crate::config::field_names::{PROXY, are_one};

/// Hop-by-hop fields (RFC 9110, section 7.6.1). `Upgrade` is listed there too.
const HOP_BY_HOP: [HeaderName; 8] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // Answered by the gateway when it reads the body.
    header::EXPECT,
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// On requests toward upstreams and on every response.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const HTTP: HeaderValue = HeaderValue::from_static("http");

/// What a client's connection says of each of its requests, made once for the connection.
#[derive(Debug, Clone)]
pub struct Hop {
    /// The other end's address.
    pub peer: HeaderValue,
    /// The port that the client reached.
    pub port: HeaderValue,
}

/// What is told beside the client's own headers.
pub struct Told<'a> {
    /// The upstream's own name, for requests that name none.
    pub host: &'a HeaderValue,
    pub host_rewrite: &'a HostRewrite,
    pub hop: &'a Hop,
    pub is_trusted: bool,
    pub request_id: &'a HeaderValue,
    pub identity: &'a Identity,
    pub principal: &'a Principal,
    pub auth: AuthMode,
    /// The name of the cookie that carries refresh tokens.
    pub refresh_cookie: &'a str,
    pub names: &'a Names,
    /// Of the identity's own headers.
    pub identity_values: &'a Values,
    /// Where it goes, and itself.
    pub assertion: Option<(&'a HeaderName, HeaderValue)>,
    pub edits: &'a Filled<'a>,
    /// The request asks to speak WebSocket.
    pub is_handshake: bool,
}

/// Turns a client's headers into those for the upstream.
pub fn toward_upstream(headers: &mut HeaderMap, told: &Told<'_>) {
    remove_hop_by_hop(headers, |name| told.names.chooses(name));
    remove_reserved(headers, told.names, told.is_trusted);
    // Upstreams may read a token without checking it again, because here it was: one that only passes
    // because `auth` is in shadow would be believed.
    let is_checked = told.principal.user().is_some();
    if told.auth != AuthMode::None && !(told.identity.forward_authorization && is_checked) {
        headers.remove(header::AUTHORIZATION);
    }
    remove_cookie(headers, told.refresh_cookie);

    // HTTP/1.0 may go without a Host; HTTP/1.1 may not.
    keep_or_insert(headers, header::HOST, told.host);
    append_forwarded_for(headers, &told.hop.peer);
    if let Some(host) = headers.get(header::HOST).cloned() {
        keep_or_insert(headers, X_FORWARDED_HOST, &host);
    }
    match told.host_rewrite {
        HostRewrite::Preserve => {}
        HostRewrite::Upstream => drop(headers.insert(header::HOST, told.host.clone())),
        HostRewrite::Name(name) => drop(headers.insert(header::HOST, name.clone())),
    }
    keep_or_insert(headers, X_FORWARDED_PROTO, &HTTP);
    keep_or_insert(headers, X_FORWARDED_PORT, &told.hop.port);
    headers.insert(X_REQUEST_ID, told.request_id.clone());
    identity::tell(told.identity, told.principal, headers);
    set(headers, &told.identity.headers, told.identity_values);
    if let Some((name, assertion)) = &told.assertion {
        headers.insert(*name, assertion.clone());
    }
    for name in told.edits.edits.withheld() {
        remove_spellings(headers, name);
    }
    edit(headers, told.edits);
    if told.is_handshake {
        switch(headers);
    }
}

/// Says that a message is one of a WebSocket handshake (RFC 6455, sections 4.1 and 4.2.2). What the other
/// side of the gateway said of its own connection is gone by then.
pub fn switch(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    // There is no body, and a length would be read as the tunnel's (RFC 9110, section 8.6).
    headers.remove(header::CONTENT_LENGTH);
}

/// The headers of a request that the gateway makes by itself: nothing in them is a client's.
pub fn of_own(headers: &mut HeaderMap, host: &HeaderValue) {
    headers.insert(header::HOST, host.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
}

/// Sets and adds what a route says.
fn edit(headers: &mut HeaderMap, filled: &Filled<'_>) {
    set(headers, &filled.edits.set, &filled.set);
    for (line, value) in filled.edits.add.iter().zip(&filled.add) {
        if let Some(value) = value {
            headers.append(line.name.clone(), value.clone());
        }
    }
}

/// What stood there goes in any case: where there is no value of ours, no other one counts.
fn set(headers: &mut HeaderMap, lines: &[HeaderLine], values: &Values) {
    for (line, value) in lines.iter().zip(values) {
        match value {
            Some(value) => drop(headers.insert(line.name.clone(), value.clone())),
            None => drop(headers.remove(&line.name)),
        }
    }
}

fn remove_spellings(headers: &mut HeaderMap, name: &HeaderName) {
    let name = name.as_str().as_bytes();
    let is_one = |known: &&HeaderName| are_one(known.as_str().as_bytes(), name);
    while let Some(known) = headers.keys().find(is_one).cloned() {
        headers.remove(known);
    }
}

/// Says how a body ends whose length is not known: hyper would take a GET that does not for one
/// without a body.
pub fn frame(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
    }
}

/// Why the end or the coding of a response is not known.
pub fn framing_fault(headers: &HeaderMap) -> Option<&'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    if headers.contains_key(header::CONTENT_LENGTH) {
        // Where the response ends is anybody's guess (RFC 9112, section 6.3).
        return Some("the upstream framed its response in two ways");
    }
    // The header ends here (RFC 9112, section 7): a coding beside `chunked` would be lost with it.
    let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    (!is_chunked || codings.next().is_some())
        .then_some("the upstream used a transfer coding that is not `chunked`")
}

/// Removes what an upstream said to the gateway alone, and makes the route's edits.
pub fn toward_client(headers: &mut HeaderMap, edits: &Filled<'_>) {
    remove_hop_by_hop(headers, |_| false);
    for name in &edits.edits.remove {
        headers.remove(name);
    }
    edit(headers, edits);
}

/// The scheme that the upstream is told. Only a trusted proxy may say that it was https.
pub fn scheme(headers: &HeaderMap, is_trusted: bool) -> &'static str {
    let mut claimed = headers.get_all(X_FORWARDED_PROTO).iter();
    match (claimed.next(), claimed.next()) {
        (Some(one), None) if is_trusted && one.as_bytes().eq_ignore_ascii_case(b"https") => "https",
        _ => "http",
    }
}

/// The same for trailers, which may carry nothing but the client's own fields.
pub fn clean_trailers(trailers: &mut HeaderMap, names: &Names, removed: &[HeaderName]) {
    remove_hop_by_hop(trailers, |_| false);
    remove_reserved(trailers, names, false);
    // The route was chosen before they came.
    while let Some(name) = trailers.keys().find(|name| names.chooses(name)).cloned() {
        trailers.remove(name);
    }
    for name in removed {
        remove_spellings(trailers, name);
    }
    for framing in [
        header::AUTHORIZATION,
        header::CONTENT_LENGTH,
        header::COOKIE,
        header::HOST,
    ] {
        trailers.remove(framing);
    }
}

/// `is_kept` says what the gateway has gone by itself, and is sent on in any case.
fn remove_hop_by_hop(headers: &mut HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) {
    if headers.contains_key(header::CONNECTION) {
        // Every line counts, not only the first.
        let nominated: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            // These say what the message is; without them it would be another message.
            .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
            // The gateway has gone by these already, where they are to be believed.
            .filter(|name| !PROXY.contains(&name.as_str()) && !is_kept(name))
            .collect();
        for name in nominated {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn remove_reserved(headers: &mut HeaderMap, names: &Names, is_trusted: bool) {
    let is_removed = |name: &HeaderName| match reserved(name, names) {
        None => false,
        Some(Reserved::Always) => true,
        Some(Reserved::Proxy) => !is_trusted,
    };
    while let Some(name) = headers.keys().find(|name| is_removed(name)).cloned() {
        headers.remove(name);
    }
}

/// A trusted proxy's list is continued. Anyone else's has been removed by now.
fn append_forwarded_for(headers: &mut HeaderMap, peer: &HeaderValue) {
    let mut list = Vec::new();
    for line in headers.get_all(X_FORWARDED_FOR) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    let value = if list.is_empty() {
        peer.clone()
    } else {
        list.extend_from_slice(peer.as_bytes());
        // Joined from values that were valid, so the fallback is never taken.
        HeaderValue::from_maybe_shared(bytes::Bytes::from(list)).unwrap_or_else(|_| peer.clone())
    };
    headers.insert(X_FORWARDED_FOR, value);
}

fn keep_or_insert(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    if let Entry::Vacant(vacant) = headers.entry(name) {
        vacant.insert(value.clone());
    }
}

/// Takes one cookie out of the `Cookie` lines (RFC 6265, section 4.2) and leaves the others.
fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let is_named = |pair: &[u8]| {
        let pair = pair.trim_ascii();
        pair.strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b'='))
    };
    let is_there = headers
        .get_all(header::COOKIE)
        .iter()
        .any(|line| line.as_bytes().split(|byte| *byte == b';').any(is_named));
    if !is_there {
        return;
    }
    let kept: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter(|pair| !is_named(pair))
        .map(<[u8]>::trim_ascii)
        .collect();
    let kept = HeaderValue::from_bytes(&kept.join(b"; ".as_slice()));
    headers.remove(header::COOKIE);
    if let Ok(kept) = kept
        && !kept.is_empty()
    {
        headers.insert(header::COOKIE, kept);
    }
}

/// The `Host` of a request in absolute form is the one in its target (RFC 9112, section 3.2.2).
pub fn set_host(headers: &mut HeaderMap, authority: &Authority) {
    if let Some(host) = host_of(authority) {
        headers.insert(header::HOST, host);
    }
}

/// The `Host` that says the same.
pub fn host_of(authority: &Authority) -> Option<HeaderValue> {
    HeaderValue::from_str(authority.as_str()).ok()
}

#[cfg(test)]
mod tests;
