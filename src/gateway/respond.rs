//! Every error response of the gateway, as problem documents (RFC 9457).

use std::borrow::Cow;

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::body::{ApiBody, Body};
use super::ledger::Ledger;
use crate::forward::X_REQUEST_ID;
use crate::request::schema::{list, number, text, told};
use crate::request::{Code, FieldError, Refusal};

/// RFC 9457, section 3.
pub const MEDIA_TYPE: &str = "application/problem+json";
const PROBLEM: HeaderValue = HeaderValue::from_static(MEDIA_TYPE);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

#[derive(Serialize)]
struct Problem<'a> {
    /// No document describes the type beyond its `code`.
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

/// The JSON Schema of a problem document.
pub fn schema() -> Value {
    let error = told(
        "FieldError",
        &[],
        json!({ "field": text(), "message": text() }),
    );
    let properties = json!({
        "type": text(),
        "title": text(),
        "status": number(400),
        "detail": text(),
        "code": text(),
        "request_id": text(),
        "policy": text(),
        "errors": list(error),
    });
    told("Problem", &["policy", "errors"], properties)
}

/// The response to a refused request of the data plane.
pub fn refuse(refusal: &Refusal, ledger: Ledger) -> Response<Body> {
    let response = problem(refusal, &ledger.request_id()).map(Body::text);
    ledger.refused(refusal, response)
}

/// The problem document of a refusal, its headers included.
pub fn problem(refusal: &Refusal, request_id: &HeaderValue) -> Response<Vec<u8>> {
    let code = refusal.code();
    let problem = Problem {
        r#type: "about:blank",
        title: code.title(),
        status: code.status().as_u16(),
        detail: refusal.detail(),
        code: code.as_str(),
        request_id: String::from_utf8_lossy(request_id.as_bytes()),
        policy: refusal.limit(),
        errors: refusal.fields(),
    };
    // Strings and numbers always serialize; without a body the status still tells.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(body);
    *response.status_mut() = code.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, PROBLEM);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(X_REQUEST_ID, request_id.clone());
    if let Some(challenge) = challenge(code) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    for (name, value) in refusal.headers() {
        headers.insert(name, value.clone());
    }
    if refusal.closes() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// `WWW-Authenticate` (RFC 6750, section 3): no error code where no credential was sent.
fn challenge(code: Code) -> Option<HeaderValue> {
    let text = match code {
        Code::TokenMissing | Code::CredentialsInvalid => "Bearer realm=\"api\"",
        Code::TokenExpired => {
            "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"expired\""
        }
        _ if code.status() == StatusCode::UNAUTHORIZED => {
            "Bearer realm=\"api\", error=\"invalid_token\""
        }
        _ => return None,
    };
    Some(HeaderValue::from_static(text))
}

/// A response of the auth API; its refusals become problem documents like all others.
pub fn api(mut response: Response<ApiBody>) -> Result<Response<Body>, Refusal> {
    match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => Err(response
            .headers_mut()
            .drain()
            .filter_map(|(name, value)| Some((name?, value)))
            .filter(|(name, _)| *name != header::CONTENT_LENGTH && *name != header::CONTENT_TYPE)
            .fold(refusal, |refusal, (name, value)| {
                refusal.with_header(name, value)
            })),
        None => Ok(response.map(Body::api)),
    }
}
