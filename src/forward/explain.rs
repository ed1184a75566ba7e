//! What would be sent to an upstream, without sending it. Asked by people, not by requests.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Uri};

use super::deliver::too_large;
use super::headers;
use super::outbound::{Outbound, no_upstream};
use crate::authn::Principal;
use crate::authz::Permit;
use crate::config::Config;
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

/// The request that a route sends on for this caller.
///
/// # Errors
/// `ambiguous-path` and `bad-request` for a path that cannot be rewritten, and `body-too-large` for a body whose
/// length is told.
pub fn explain(
    outbound: &Outbound<'_>,
    permit: &Permit,
    head: &Parts,
) -> Result<Outgoing, Refusal> {
    let index = outbound.route.upstream;
    let upstream = outbound.upstreams.name(index).ok_or_else(no_upstream)?;
    let assertion = assertion(outbound.config, permit.principal());
    let length = stated_length(&head.headers);
    let mut head = head.clone();
    let edits = outbound.write(&mut head, permit, assertion)?;
    if length.is_some_and(|length| length > outbound.route.max_body) {
        return Err(too_large());
    }
    let mut response = HeaderMap::new();
    headers::toward_client(&mut response, &edits);
    Ok(Outgoing {
        upstream: upstream.to_string(),
        targets: outbound.upstreams.targets(index),
        target: head.uri,
        headers: head.headers,
        response,
    })
}

/// The body's length as the client states it, which is all there is to go by.
fn stated_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
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
