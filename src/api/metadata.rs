//! `/.well-known/oauth-authorization-server`: what clients may know of this gateway (RFC 8414). It is
//! made of `auth.issuer`, and never of what a request calls the gateway.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Uri};
use serde_json::{Value, json};

use super::ApiState;
use crate::config::checked::Auth;

pub(super) const PATH: &str = "/.well-known/oauth-authorization-server";

/// The document. Members that are not there would promise what is not.
pub(super) fn of(auth: &Auth, jwks_path: &str) -> Value {
    let origin = origin(&auth.issuer);
    let at = |path: &str| format!("{origin}{}{path}", auth.base_path);
    json!({
        "issuer": auth.issuer,
        "token_endpoint": at("/login"),
        "token_endpoint_auth_methods_supported": ["none"],
        "grant_types_supported": ["password", "refresh_token"],
        // There is no authorization endpoint.
        "response_types_supported": [],
        "jwks_uri": format!("{origin}{jwks_path}"),
        "introspection_endpoint": at("/introspect"),
        "introspection_endpoint_auth_methods_supported": ["Bearer"],
        "revocation_endpoint": at("/revoke"),
        "revocation_endpoint_auth_methods_supported": ["none"],
    })
}

pub(super) async fn get(State(api): State<Arc<ApiState>>) -> Response {
    let cached = HeaderValue::from_static("public, max-age=300");
    ([(CACHE_CONTROL, cached)], Json(&api.metadata)).into_response()
}

/// Scheme and host: paths begin at the root, whatever path the issuer has.
fn origin(issuer: &str) -> String {
    let uri: Uri = issuer.parse().unwrap_or_default();
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        // The file's check lets nothing else through.
        _ => issuer.trim_end_matches('/').to_owned(),
    }
}
