//! How a handler refuses: an empty response that carries the [`Refusal`]. The gateway, which alone
//! makes error responses, turns it into a problem document with the request's id.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CACHE_CONTROL;

use crate::request::Refusal;

pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

pub(super) struct Refused(Refusal);

impl<R: Into<Refusal>> From<R> for Refused {
    fn from(refusal: R) -> Self {
        Refused(refusal.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let refusal = self.0.with_header(CACHE_CONTROL, NO_STORE);
        let mut response = refusal.code().status().into_response();
        response.extensions_mut().insert(refusal);
        response
    }
}
