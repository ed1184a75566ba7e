//! What would be sent to an upstream, without sending it. Asked by people, not by requests.

use std::net::IpAddr;

use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Uri};

use super::exchange::{Upstreams, origin_form};
use super::headers::{self, Hop, Told};
use super::template::{self, Filled, Scene};
use crate::authz::Permit;
use crate::config::Config;
use crate::config::checked::Route;

/// A request as an upstream would get it.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub upstream: String,
    /// Every address that it may go to.
    pub targets: Vec<String>,
    pub target: Uri,
    pub headers: HeaderMap,
}

/// What only a connection and a running gateway know.
pub struct Circumstances<'a> {
    pub hop: &'a Hop,
    pub client: IpAddr,
    pub is_trusted: bool,
    pub request_id: &'a HeaderValue,
}

/// The request that a route sends on for this caller; `None` for an upstream of another configuration.
pub fn explain(
    config: &Config,
    upstreams: &Upstreams,
    route: &Route,
    permit: &Permit,
    head: &Parts,
    around: &Circumstances<'_>,
) -> Option<Outgoing> {
    let principal = permit.principal();
    let scene = Scene {
        principal,
        matched: permit.matched(),
        method: &head.method,
        path: head.uri.path(),
        host: head.headers.get(header::HOST),
        scheme: headers::scheme(&head.headers, around.is_trusted),
        ip: around.client,
        request_id: around.request_id,
    };
    let told = Told {
        host: upstreams.host(route.upstream)?,
        hop: around.hop,
        is_trusted: around.is_trusted,
        request_id: around.request_id,
        identity: &config.identity,
        principal,
        auth: route.auth,
        refresh_cookie: &config.auth.cookie.name,
        names: upstreams.names(),
        identity_values: &template::values(&config.identity.headers, &scene),
        edits: &Filled::of(&route.request_headers, &scene),
    };
    let mut headers = head.headers.clone();
    headers::toward_upstream(&mut headers, &told);
    Some(Outgoing {
        upstream: upstreams.name(route.upstream)?.to_string(),
        targets: upstreams.targets(route.upstream),
        target: origin_form(&head.uri),
        headers,
    })
}
