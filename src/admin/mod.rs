//! The admin listener: health, readiness and metrics, never on the public address.

mod host;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, StatusCode};

use crate::gateway::respond;
use crate::request::{Code, Refusal};
use crate::telemetry::Metrics;

/// Why the gateway should get no requests now; `None` when it should.
pub type Readiness = Arc<dyn Fn() -> Option<&'static str> + Send + Sync>;

#[derive(Clone)]
struct Admin {
    address: SocketAddr,
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

/// Serves `/healthz`, `/readyz` and `/metrics` on the listener at `address`.
pub fn router(address: SocketAddr, readiness: Readiness, metrics: Arc<Metrics>) -> Router {
    let admin = Admin {
        address,
        readiness,
        metrics,
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .fallback(async || refuse(&Refusal::new(Code::NotFound, "There is nothing here.")))
        .layer(middleware::from_fn_with_state(admin.clone(), own_host))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> Response {
    match (admin.readiness)() {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics_text(State(admin): State<Admin>) -> Response {
    const OPEN_METRICS: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    match admin.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            let refusal = Refusal::new(Code::Internal, "The metrics could not be written.");
            refuse(&refusal.because(error))
        }
    }
}

/// A web page on the operator's machine can point a name of its own at this address (DNS
/// rebinding); its requests then carry that name.
async fn own_host(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let target = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let is_own = |host: &str| host::is_own(host, admin.address);
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
