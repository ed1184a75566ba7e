//! Every error response of the gateway: problem documents (RFC 9457), or `{"detail": …}` for those
//! who ask for that.

use std::borrow::Cow;

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::additions::Additions;
use super::body::{ApiBody, Body};
use super::ledger::Ledger;
use crate::config::Diagnostic;
use crate::forward::X_REQUEST_ID;
use crate::request::schema::{list, number, text, told};
use crate::request::{Code, FieldError, Refusal, Shape};

/// RFC 9457, section 3.
pub const MEDIA_TYPE: &str = "application/problem+json";
const PROBLEM: HeaderValue = HeaderValue::from_static(MEDIA_TYPE);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Value>,
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
pub fn refuse(refusal: &Refusal, additions: &Additions, ledger: Ledger) -> Response<Body> {
    let mut response = problem(refusal, &ledger.request_id()).map(Body::text);
    additions.tell(response.headers_mut());
    ledger.refused(refusal, response)
}

/// `{"detail": …}`, for clients that were written against FastAPI.
#[derive(Serialize)]
struct Detail<'a> {
    detail: Told<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Text(&'a str),
    Fields(Vec<Wrong<'a>>),
}

/// A member that was not acceptable, as FastAPI tells it.
#[derive(Serialize)]
struct Wrong<'a> {
    r#type: &'static str,
    loc: [&'a str; 2],
    msg: &'a str,
}

impl<'a> Detail<'a> {
    fn of(refusal: &'a Refusal) -> Self {
        let wrong = |error: &'a FieldError| Wrong {
            r#type: "value_error",
            loc: [refusal.part().as_str(), &error.field],
            msg: &error.message,
        };
        Detail {
            detail: match refusal.fields() {
                [] => Told::Text(refusal.detail()),
                fields => Told::Fields(fields.iter().map(wrong).collect()),
            },
        }
    }
}

/// The document that tells a refusal, its headers included.
pub fn problem(refusal: &Refusal, request_id: &HeaderValue) -> Response<Vec<u8>> {
    let code = refusal.code();
    let (body, media_type) = match refusal.shape() {
        Shape::Problem => (problem_body(refusal, request_id), PROBLEM),
        Shape::Detail => (serde_json::to_vec(&Detail::of(refusal)), JSON),
    };
    // Strings and numbers always serialize; without a body the status still tells.
    let mut response = Response::new(body.unwrap_or_default());
    *response.status_mut() = code.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(X_REQUEST_ID, request_id.clone());
    if let Some(challenge) = challenge(code) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    for (name, value) in refusal.headers() {
        headers.insert(name, value.clone());
    }
    if refusal.closes() {
        close(&mut response);
    }
    response
}

/// Lets a response be the last one of its connection.
pub fn close<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
}

fn problem_body(refusal: &Refusal, request_id: &HeaderValue) -> serde_json::Result<Vec<u8>> {
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
        diagnostics: refusal
            .diagnostics()
            .iter()
            .map(Diagnostic::to_json)
            .collect(),
    };
    serde_json::to_vec(&problem)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Part;

    fn body(refusal: &Refusal) -> serde_json::Value {
        let response = problem(refusal, &HeaderValue::from_static("id"));
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(response.status(), refusal.code().status());
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn a_detail_is_a_text_or_a_list_of_what_is_wrong_where() {
        let refusal = Refusal::new(Code::NotFound, "User not found").in_shape(Shape::Detail);
        assert_eq!(
            body(&refusal),
            serde_json::json!({ "detail": "User not found" })
        );
        let wrong = FieldError {
            field: "name".into(),
            message: "is required".into(),
        };
        let refusal = Refusal::invalid(vec![wrong]).in_shape(Shape::Detail);
        let list = serde_json::json!({ "detail": [
            { "type": "value_error", "loc": ["body", "name"], "msg": "is required" },
        ] });
        assert_eq!(body(&refusal), list);
        let wrong = FieldError {
            field: "page".into(),
            message: "must be a positive number".into(),
        };
        let refusal = Refusal::invalid_in(Part::Query, vec![wrong]).in_shape(Shape::Detail);
        assert_eq!(
            body(&refusal)["detail"][0]["loc"],
            serde_json::json!(["query", "page"])
        );
    }

    #[test]
    fn whoever_asks_for_nothing_gets_a_problem_document() {
        let refusal = Refusal::new(Code::NotFound, "There is nothing here.");
        let problem = body(&refusal);
        assert_eq!(problem["code"], "not-found");
        assert_eq!(problem["request_id"], "id");
    }
}
