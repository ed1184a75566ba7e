//! The auth API: login, refresh, logout and accounts, as axum routes of the control plane.

mod account;
mod administer;
mod api_keys;
mod ask;
mod audit;
mod body;
mod boilerplate;
mod caller;
mod cookie;
mod docs;
mod document;
mod endpoints;
mod hidden;
mod metadata;
mod operation;
mod page;
mod refused;
mod session;
mod sessions;
mod site;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "tests/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "the same suite, on another store")]
mod tests_on_postgres;
mod tiers;
mod tokens;
mod users;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use serde_json::Value;
use uuid::Uuid;

use crate::accounts::Accounts;
use crate::authn::{Expiry, Principal, User};
use crate::config::Config;
use crate::config::checked::{Compat, Cookie, Delivery, Docs};
use crate::request::{Code, Peer, Refusal, Site};
use crate::telemetry::Metrics;

pub use self::ask::ask;
pub use self::body::receive;
pub use self::document::openapi;
pub use self::endpoints::{compat_paths, endpoints, router};
pub use self::hidden::hidden_routes;

/// From an access token to its user, or why not.
pub type VerifyToken = Arc<dyn Fn(&str, Expiry) -> Result<Arc<User>, Refusal> + Send + Sync>;

/// From all that a call says of its caller, an API key included, to the caller.
pub type Identify = Arc<dyn Fn(HeaderMap) -> Identified + Send + Sync>;
pub type Identified = Pin<Box<dyn Future<Output = Result<Principal, Refusal>> + Send>>;

/// Whose budget a call is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    /// Of a call without credentials, or that signs out.
    Address(IpAddr),
    Account(Uuid),
    /// Of an account that asks what tokens stand for.
    Introspection(Uuid),
    /// Of an account that is no superuser's and makes or changes something.
    Changes(Uuid),
    /// Of an account that gives itself another name.
    Renames(Uuid),
}

/// Charges a call, or refuses it.
pub type Admit = Arc<dyn Fn(Payer) -> Admitted + Send + Sync>;
pub type Admitted = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

/// What the endpoints work with.
pub struct ApiState {
    accounts: Arc<Accounts>,
    verify: VerifyToken,
    identify: Identify,
    admit: Admit,
    metrics: Arc<Metrics>,
    cookie: Cookie,
    delivery: Delivery,
    issuer: Option<Site>,
    compat: Vec<Compat>,
    docs: Docs,
    document: Bytes,
    issuer_url: String,
    audience: Vec<String>,
    metadata: Value,
}

impl ApiState {
    pub fn new(
        config: &Config,
        accounts: Arc<Accounts>,
        verify: VerifyToken,
        identify: Identify,
        admit: Admit,
        metrics: Arc<Metrics>,
    ) -> ApiState {
        ApiState {
            accounts,
            verify,
            identify,
            admit,
            metrics,
            cookie: config.auth.cookie.clone(),
            delivery: config.auth.refresh_token.delivery,
            issuer: Site::of(&config.auth.issuer),
            compat: config.auth.compat.clone(),
            docs: config.auth.docs,
            document: openapi(&config.auth).to_string().into(),
            issuer_url: config.auth.issuer.clone(),
            audience: config.auth.audience.clone(),
            metadata: metadata::of(&config.auth, endpoints::JWKS),
        }
    }
}

/// Where the request came from, as the gateway has found.
fn peer(parts: &Parts) -> Result<Peer, Refusal> {
    parts.extensions.get::<Peer>().cloned().ok_or_else(|| {
        Refusal::new(Code::Internal, "Something went wrong inside.")
            .because("the request came without its peer")
    })
}
