//! What is in force, and reload: by the Unix socket, or for a superuser's access token.

use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};

use super::{Admin, Door, host, refuse};
use crate::authn::{Authenticator, Expiry, bearer, missing};
use crate::config::{self, Change, Diagnostic};
use crate::request::{Code, Refusal};

/// Reads the configuration again and serves by it, or says why not.
pub type Reload = Arc<dyn Fn() -> ReloadFuture + Send + Sync>;
pub type ReloadFuture = Pin<Box<dyn Future<Output = Result<Reloaded, Refusal>> + Send>>;

/// What a reload brought.
pub struct Reloaded {
    pub changes: Vec<Change>,
    pub warnings: Vec<Diagnostic>,
}

/// Lets through whoever may manage this gateway.
pub async fn authorize(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let allowed = match admin.door {
        Door::Socket => Ok(()),
        Door::Address(_) if host::is_of_another_page(request.headers()) => Err(Refusal::new(
            Code::Forbidden,
            "Pages of other sites manage nothing here.",
        )),
        Door::Address(_) => {
            let snapshot = admin.sources.snapshots.load_full();
            superuser(&snapshot.authenticator, request.headers())
        }
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(&refusal),
    }
}

/// Keys of programs administer nothing: only a token is read.
fn superuser(authenticator: &Authenticator, headers: &HeaderMap) -> Result<(), Refusal> {
    let token = bearer(headers)?.ok_or_else(missing)?;
    let caller = authenticator.verify(token, Expiry::Enforced)?;
    match caller.is_superuser {
        true => Ok(()),
        false => Err(Refusal::new(
            Code::Forbidden,
            "Only a superuser may do this.",
        )),
    }
}

pub async fn routes(State(admin): State<Admin>) -> Response {
    let config = Arc::clone(&admin.sources.snapshots.load().config);
    told(json!({ "routes": config::shown_routes(&config) }))
}

pub async fn config(State(admin): State<Admin>) -> Response {
    let config = Arc::clone(&admin.sources.snapshots.load().config);
    told(config::shown(&config))
}

pub async fn reload(State(admin): State<Admin>) -> Response {
    match (admin.sources.reload)().await {
        Ok(Reloaded { changes, warnings }) => {
            let warnings: Vec<_> = warnings.iter().map(Diagnostic::to_json).collect();
            told(json!({ "changes": changes, "warnings": warnings }))
        }
        Err(refusal) => refuse(&refusal),
    }
}

pub(super) fn told(value: Value) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(value)).into_response()
}
