//! The auth API: login, refresh, logout and accounts, as axum routes of the control plane.

mod body;
mod cookie;
mod refused;
mod session;
mod site;
#[cfg(test)]
mod tests;
mod users;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::request::Parts;
use http::{HeaderValue, Method};

use self::refused::{NO_STORE, Refused};
use self::site::Site;
use crate::accounts::Accounts;
use crate::authn::{Expiry, User};
use crate::config::Config;
use crate::config::checked::{Cookie, Delivery};
use crate::request::{Code, Peer, Refusal};
use crate::telemetry::Metrics;

/// From an access token to its user, or why not.
pub type VerifyToken = Arc<dyn Fn(&str, Expiry) -> Result<Arc<User>, Refusal> + Send + Sync>;

/// Charges a call without credentials to its address.
pub type AdmitAddress = Arc<dyn Fn(IpAddr) -> Result<(), Refusal> + Send + Sync>;

/// What the endpoints work with.
pub struct ApiState {
    accounts: Arc<Accounts>,
    verify: VerifyToken,
    admit: AdmitAddress,
    metrics: Arc<Metrics>,
    base_path: String,
    cookie: Cookie,
    delivery: Delivery,
    issuer: Option<Site>,
}

impl ApiState {
    pub fn new(
        config: &Config,
        accounts: Arc<Accounts>,
        verify: VerifyToken,
        admit: AdmitAddress,
        metrics: Arc<Metrics>,
    ) -> ApiState {
        ApiState {
            accounts,
            verify,
            admit,
            metrics,
            base_path: config.auth.base_path.clone(),
            cookie: config.auth.cookie.clone(),
            delivery: config.auth.refresh_token.delivery,
            issuer: Site::of(&config.auth.issuer),
        }
    }
}

const LOGIN: &str = "/login";
const REFRESH: &str = "/refresh";
const LOGOUT: &str = "/logout";
const USERS: &str = "/users";
const ME: &str = "/users/me";
const JWKS: &str = "/.well-known/jwks.json";

/// The paths that are taken from the routes and answered here. Every other path under `base_path`
/// is the backend's own.
pub fn endpoints(base_path: &str) -> Vec<String> {
    let under_base = [LOGIN, REFRESH, LOGOUT, USERS, ME].map(|path| format!("{base_path}{path}"));
    under_base.into_iter().chain([JWKS.to_owned()]).collect()
}

/// Serves [`endpoints`]. A request carries its [`Peer`] among its extensions; a response that
/// refuses is empty and carries the [`Refusal`] among its own.
pub fn router(state: ApiState) -> Router {
    let base = state.base_path.clone();
    let at = |path: &str| format!("{base}{path}");
    let posted = |route: MethodRouter<Arc<ApiState>>| route.fallback(only_post);
    let got = |route: MethodRouter<Arc<ApiState>>| route.fallback(only_get);
    Router::new()
        .route(&at(LOGIN), posted(post(session::login)))
        .route(&at(REFRESH), posted(post(session::refresh)))
        .route(&at(LOGOUT), posted(post(session::logout)))
        .route(&at(USERS), posted(post(users::register)))
        .route(&at(ME), got(get(users::me)))
        .route(JWKS, got(get(jwks)))
        .fallback(not_found)
        .layer(axum::middleware::map_response(keep_out_of_caches))
        .with_state(Arc::new(state))
}

/// Public keys: worth a cache, and short enough that a new key is known before it signs much.
async fn jwks(State(api): State<Arc<ApiState>>) -> Response {
    let cached = HeaderValue::from_static("public, max-age=300");
    ([(CACHE_CONTROL, cached)], Json(api.accounts.jwks())).into_response()
}

async fn only_post() -> Refused {
    Refusal::method_not_allowed(&[Method::POST]).into()
}

async fn only_get() -> Refused {
    Refusal::method_not_allowed(&[Method::GET, Method::HEAD]).into()
}

async fn not_found() -> Refused {
    Refusal::new(Code::NotFound, "There is nothing here.").into()
}

async fn keep_out_of_caches(mut response: Response) -> Response {
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(NO_STORE);
    response
}

/// Where the request came from, as the gateway has found.
fn peer(parts: &Parts) -> Result<Peer, Refusal> {
    parts.extensions.get::<Peer>().cloned().ok_or_else(|| {
        Refusal::new(Code::Internal, "Something went wrong inside.")
            .because("the request came without its peer")
    })
}

/// The bearer token (RFC 6750, section 2.1), if the request has an `Authorization` at all.
fn bearer(parts: &Parts) -> Result<Option<&str>, Refusal> {
    let mut values = parts.headers.get_all(AUTHORIZATION).into_iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case("bearer") && values.next().is_none() =>
        {
            Ok(Some(token.trim_matches(' ')))
        }
        _ => Err(Refusal::new(
            Code::TokenInvalid,
            "The Authorization header is not one bearer token.",
        )),
    }
}
