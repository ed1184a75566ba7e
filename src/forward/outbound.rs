//! The head of a request as its upstream gets it, whether it is sent or only asked about.

use std::net::IpAddr;

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;

use super::exchange::Upstreams;
use super::headers::{self, Hop, Told};
use super::rewrite;
use super::template::{self, Filled, Scene};
use super::upgrade::Handshake;
use crate::authz::Permit;
use crate::config::Config;
use crate::config::checked::Route;
use crate::request::{Code, Refusal};

/// What a head is written by, beside itself and its permit.
pub struct Outbound<'a> {
    pub config: &'a Config,
    pub route: &'a Route,
    pub upstreams: &'a Upstreams,
    pub hop: &'a Hop,
    /// Where the request comes from.
    pub client: IpAddr,
    pub is_trusted: bool,
    pub request_id: &'a HeaderValue,
}

impl<'a> Outbound<'a> {
    /// Turns a client's head into that for the upstream, and gives what the route says in the response.
    pub(super) fn write(
        &self,
        head: &mut Parts,
        permit: &Permit,
        assertion: Option<(&HeaderName, HeaderValue)>,
    ) -> Result<Filled<'a>, Refusal> {
        let Some(host) = self.upstreams.host(self.route.upstream) else {
            return Err(no_upstream());
        };
        let principal = permit.principal();
        let scene = Scene {
            principal,
            matched: permit.matched(),
            method: &head.method,
            path: head.uri.path(),
            host: head.headers.get(header::HOST),
            scheme: headers::scheme(&head.headers, self.is_trusted),
            ip: self.client,
            request_id: self.request_id,
        };
        let identity = &self.config.identity;
        let identity_values = template::values(&identity.headers, &scene);
        let edits = Filled::of(&self.route.request_headers, &scene);
        let edits_of_response = Filled::of(&self.route.response_headers, &scene);
        let told = Told {
            host,
            host_rewrite: &self.route.rewrite.host,
            hop: self.hop,
            is_trusted: self.is_trusted,
            request_id: self.request_id,
            identity,
            principal,
            auth: self.route.auth,
            refresh_cookie: &self.config.auth.cookie.name,
            names: self.upstreams.names(),
            identity_values: &identity_values,
            assertion,
            edits: &edits,
            is_handshake: Handshake::is_among(&head.extensions),
        };
        headers::toward_upstream(&mut head.headers, &told);
        head.uri = rewrite::target(&self.route.rewrite, &head.uri)?;
        Ok(edits_of_response)
    }
}

/// The route and the upstreams are of different configurations.
pub(super) fn no_upstream() -> Refusal {
    Refusal::new(Code::Internal, "The gateway failed.").because("no upstream")
}
