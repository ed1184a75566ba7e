//! What would be sent to an upstream, without sending it. Asked by people, not by requests.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Uri};

use super::exchange::Upstreams;
use super::headers::{self, Hop, Told};
use super::rewrite;
use super::template::{self, Filled, Scene};
use crate::authn::Principal;
use crate::authz::Permit;
use crate::config::Config;
use crate::config::checked::Route;
use crate::request::Refusal;

/// A request as an upstream would get it.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub upstream: String,
    /// Every address that it may go to.
    pub targets: Vec<String>,
    pub target: Uri,
    pub headers: HeaderMap,
    /// What the route says in a response that has no headers.
    pub response: HeaderMap,
}

/// What only a connection and a running gateway know.
pub struct Circumstances<'a> {
    pub hop: &'a Hop,
    pub client: IpAddr,
    pub is_trusted: bool,
    pub request_id: &'a HeaderValue,
}

/// The request that a route sends on for this caller; `None` for an upstream of another configuration.
///
/// # Errors
/// `ambiguous-path` and `bad-request` for a path that cannot be rewritten.
pub fn explain(
    config: &Config,
    upstreams: &Upstreams,
    route: &Route,
    permit: &Permit,
    head: &Parts,
    around: &Circumstances<'_>,
) -> Result<Option<Outgoing>, Refusal> {
    let (Some(host), Some(upstream)) = (
        upstreams.host(route.upstream),
        upstreams.name(route.upstream),
    ) else {
        return Ok(None);
    };
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
        host,
        host_rewrite: &route.rewrite.host,
        hop: around.hop,
        is_trusted: around.is_trusted,
        request_id: around.request_id,
        identity: &config.identity,
        principal,
        auth: route.auth,
        refresh_cookie: &config.auth.cookie.name,
        names: upstreams.names(),
        assertion: assertion(config, principal),
        identity_values: &template::values(&config.identity.headers, &scene),
        edits: &Filled::of(&route.request_headers, &scene),
    };
    let mut headers = head.headers.clone();
    headers::toward_upstream(&mut headers, &told);
    let mut response = HeaderMap::new();
    headers::toward_client(&mut response, &Filled::of(&route.response_headers, &scene));
    Ok(Some(Outgoing {
        upstream: upstream.to_string(),
        targets: upstreams.targets(route.upstream),
        target: rewrite::target(&route.rewrite, &head.uri)?,
        headers,
        response,
    }))
}

/// None is signed for a request that is only asked about.
fn assertion<'c>(
    config: &'c Config,
    principal: &Principal,
) -> Option<(&'c HeaderName, HeaderValue)> {
    let assertion = config.identity.assertion.as_ref()?;
    principal.user()?;
    let stand_in = HeaderValue::from_static("(signed at the request)");
    Some((&assertion.header, stand_in))
}
