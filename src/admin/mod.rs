//! The admin listener, never on the public address: health, readiness and metrics for everybody who reaches
//! it; what is in force, and reload, for superusers and the process's own user.

mod host;
mod limits;
mod manage;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, StatusCode};

use crate::accounts::Accounts;
use crate::gateway::{Snapshots, respond};
use crate::request::{Code, Refusal};
use crate::telemetry::Metrics;

pub use manage::{Reload, Reloaded};
pub use socket::{Place, bind};

/// Why the gateway should get no requests now; `None` when it should.
pub type Readiness = Arc<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// How a request came in.
#[derive(Clone, Copy)]
pub enum Door {
    /// By the listener at this address, which any program of this machine may reach.
    Address(SocketAddr),
    /// By the Unix socket, which only the process's own user may open.
    Socket,
}

/// What the listener serves from.
#[derive(Clone)]
pub struct Sources {
    pub readiness: Readiness,
    pub metrics: Arc<Metrics>,
    pub snapshots: Arc<Snapshots>,
    pub reload: Reload,
    pub accounts: Arc<Accounts>,
}

#[derive(Clone)]
struct Admin {
    door: Door,
    sources: Sources,
}

/// Serves what comes in by that door.
pub fn router(door: Door, sources: Sources) -> Router {
    let admin = Admin { door, sources };
    let managed = Router::new()
        .route("/routes", get(manage::routes).fallback(only_get))
        .route("/config", get(manage::config).fallback(only_get))
        .route("/limits", get(limits::show).fallback(only_get))
        .route("/reload", post(manage::reload).fallback(only_post))
        .route_layer(middleware::from_fn_with_state(
            admin.clone(),
            manage::authorize,
        ));
    Router::new()
        .route("/healthz", get(async || "ok\n").fallback(only_get))
        .route("/readyz", get(ready).fallback(only_get))
        .route("/metrics", get(metrics_text).fallback(only_get))
        .merge(managed)
        .fallback(async || refuse(&Refusal::new(Code::NotFound, "There is nothing here.")))
        .layer(middleware::from_fn_with_state(admin.clone(), own_host))
        .with_state(admin)
}

async fn only_get() -> Response {
    refuse(&Refusal::method_not_allowed(&[Method::GET, Method::HEAD]))
}

async fn only_post() -> Response {
    refuse(&Refusal::method_not_allowed(&[Method::POST]))
}

async fn ready(State(admin): State<Admin>) -> Response {
    match (admin.sources.readiness)() {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics_text(State(admin): State<Admin>) -> Response {
    const OPEN_METRICS: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    match admin.sources.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            let refusal = Refusal::new(Code::Internal, "The metrics could not be written.");
            refuse(&refusal.because(error))
        }
    }
}

/// A web page on the operator's machine can point a name of its own at this address (DNS
/// rebinding); its requests then carry that name. No page reaches a Unix socket.
async fn own_host(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let Door::Address(address) = admin.door else {
        return next.run(request).await;
    };
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let target = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let is_own = |host: &str| host::is_own(host, address);
    if host.is_some_and(is_own) && hosts.next().is_none() && target.is_none_or(is_own) {
        next.run(request).await
    } else {
        refuse(&Refusal::new(
            Code::Forbidden,
            "This listener answers only to its own address.",
        ))
    }
}

fn refuse(refusal: &Refusal) -> Response {
    let id = uuid::Uuid::now_v7().to_string();
    // Hexadecimal digits are always a valid header value.
    let id = HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static(""));
    respond::problem(refusal, &id).map(Into::into)
}
