//! `openapi.json`: what is served here, for whoever `auth.docs` lets read it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::ApiState;
use super::caller::superuser;
use super::refused::Refused;
use crate::config::checked::Docs;

pub(super) async fn get(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    if api.docs == Docs::Superuser {
        superuser(&api, &parts).await?;
    }
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], api.document.clone()).into_response())
}
