//! Which paths and methods the API has, and what answers each.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Json, Router};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method};

use super::refused::{NO_STORE, Refused};
use super::{ApiState, account, administer, audit, boilerplate, session, sessions, tiers, users};
use crate::config::checked::Compat;
use crate::request::{Code, Refusal};

const JWKS: &str = "/.well-known/jwks.json";

pub(super) type Handlers = MethodRouter<Arc<ApiState>>;
/// A path under `base_path`, the methods that it takes and what answers them.
pub(super) type Endpoint = (&'static str, Vec<Method>, Handlers);

fn under_base() -> Vec<Endpoint> {
    const GET: Method = Method::GET;
    const HEAD: Method = Method::HEAD;
    const PATCH: Method = Method::PATCH;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const DELETE: Method = Method::DELETE;
    vec![
        ("/login", vec![POST], post(session::login)),
        ("/refresh", vec![POST], post(session::refresh)),
        ("/logout", vec![POST], post(session::logout)),
        ("/audit", vec![GET, HEAD], get(audit::list)),
        ("/logout-all", vec![POST], post(session::logout_all)),
        ("/sessions", vec![GET, HEAD], get(sessions::list_own)),
        ("/sessions/{id}", vec![DELETE], delete(sessions::end_own)),
        (
            "/users",
            vec![GET, HEAD, POST],
            get(administer::list).post(users::register),
        ),
        (
            "/users/me",
            vec![GET, HEAD, PATCH, DELETE],
            get(account::get_me)
                .patch(account::patch_me)
                .delete(account::delete_me),
        ),
        (
            "/users/me/password",
            vec![POST],
            post(account::change_password),
        ),
        (
            "/users/{username}",
            vec![GET, HEAD, PATCH, DELETE],
            get(account::get_named)
                .patch(account::patch_named)
                .delete(account::delete_named),
        ),
        (
            "/users/{username}/password",
            vec![POST],
            post(administer::set_password),
        ),
        (
            "/users/{username}/restore",
            vec![POST],
            post(administer::restore),
        ),
        (
            "/users/{username}/disable",
            vec![POST],
            post(administer::disable),
        ),
        (
            "/users/{username}/enable",
            vec![POST],
            post(administer::enable),
        ),
        (
            "/users/{username}/sessions",
            vec![GET, HEAD, DELETE],
            get(sessions::list_of).delete(sessions::end_all_of),
        ),
        (
            "/users/{username}/tier",
            vec![PUT],
            put(administer::set_tier),
        ),
        (
            "/users/{username}/roles",
            vec![PUT],
            put(administer::set_roles),
        ),
        (
            "/users/{username}/superuser",
            vec![PUT],
            put(administer::set_superuser),
        ),
        (
            "/tiers",
            vec![GET, HEAD, POST],
            get(tiers::list).post(tiers::create),
        ),
        (
            "/tiers/{name}",
            vec![GET, HEAD, PATCH, DELETE],
            get(tiers::get).patch(tiers::patch).delete(tiers::delete),
        ),
        (
            "/tiers/{name}/limits",
            vec![GET, HEAD, POST],
            get(tiers::list_limits).post(tiers::create_limit),
        ),
        (
            "/tiers/{name}/limits/{id}",
            vec![GET, HEAD, PATCH, DELETE],
            get(tiers::get_limit)
                .patch(tiers::patch_limit)
                .delete(tiers::delete_limit),
        ),
    ]
}

/// The paths that are taken from the routes and answered here, with parameters in braces. Every other
/// path under `base_path` is the backend's own.
pub fn endpoints(base_path: &str, compat: &[Compat]) -> Vec<String> {
    let under_base = under_base().into_iter();
    let paths = under_base.map(|(path, ..)| format!("{base_path}{path}"));
    let paths = paths.chain(compat_paths(base_path, compat));
    paths.chain([JWKS.to_owned()]).collect()
}

/// Those of them that are another project's.
pub fn compat_paths(base_path: &str, compat: &[Compat]) -> Vec<String> {
    let endpoints = compat.iter().flat_map(|compat| under_base_of(*compat));
    endpoints
        .map(|(path, ..)| format!("{base_path}{path}"))
        .collect()
}

fn under_base_of(compat: Compat) -> Vec<Endpoint> {
    match compat {
        Compat::FastapiBoilerplate => boilerplate::under_base(),
    }
}

/// Serves [`endpoints`]. A request carries its [`Peer`](crate::request::Peer) among its extensions; a
/// response that refuses is empty and carries the [`Refusal`] among its own.
pub fn router(state: ApiState) -> Router {
    let base = state.base_path.clone();
    let mut router = Router::new();
    for (path, methods, handlers) in under_base() {
        router = router.route(&format!("{base}{path}"), only(methods, handlers));
    }
    for (path, methods, handlers) in state.compat.iter().flat_map(|c| under_base_of(*c)) {
        let path = format!("{base}{path}");
        router = router.route(&path, boilerplate::dressed(methods, handlers));
    }
    let read = vec![Method::GET, Method::HEAD];
    router
        .route(JWKS, only(read, get(jwks)))
        .fallback(not_found)
        .layer(axum::middleware::map_response(keep_out_of_caches))
        .with_state(Arc::new(state))
}

pub(super) fn only(methods: Vec<Method>, handlers: Handlers) -> Handlers {
    handlers.fallback(move || {
        let refused = Refused::from(Refusal::method_not_allowed(&methods));
        std::future::ready(refused)
    })
}

/// Public keys: worth a cache, and short enough that a new key is known before it signs much.
async fn jwks(State(api): State<Arc<ApiState>>) -> Response {
    let cached = HeaderValue::from_static("public, max-age=300");
    ([(CACHE_CONTROL, cached)], Json(api.accounts.jwks())).into_response()
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
