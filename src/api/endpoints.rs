//! The table of the API's operations. The router, the paths that are taken from the routes, the methods
//! of each and the OpenAPI document all come from it: to add an endpoint is to add a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method};
use serde_json::json;

use super::operation::{Handlers, Operation, Who, delete, get, patch, post, put};
use super::refused::{NO_STORE, Refused};
use super::{
    ApiState, account, administer, api_keys, audit, boilerplate, docs, metadata, session, sessions,
    tiers, tokens, users,
};
use crate::accounts::{Account, KeyInfo, MadeKey, Rule, RuleForm, Tier, TierForm};
use crate::config::checked::{Auth, Compat, Docs, Group, Registration};
use crate::request::schema::{list, page, told};
use crate::request::{Code, Refusal};

pub(super) const JWKS: &str = "/.well-known/jwks.json";

/// All operations, whatever is served. Those of one path belong to one group.
// One line for each, so that the table can be read as one.
#[rustfmt::skip]
fn table(auth: &Auth) -> Vec<Operation> {
    use Code::{Conflict, CredentialsInvalid, Forbidden, NotFound, RateLimited, TooManyAttempts};
    use Group::{ApiKeys, Audit, Session, Tiers, Users};
    use Who::{AnyToken, Anyone, Bearer, Introspector, Owner, RefreshToken, Superuser};
    let registrar = match auth.registration {
        Registration::Open => Anyone,
        Registration::Closed => Superuser,
    };
    vec![
        post(Session, "/login", Anyone, "Sign in with a name or an e-mail address, and a password", session::login)
            .query(session::delivery())
            .json_or_form(session::login_body())
            .gives(session::tokens())
            .refuses(&[CredentialsInvalid, Forbidden, RateLimited, TooManyAttempts]),
        post(Session, "/refresh", RefreshToken, "Take new tokens for a refresh token", session::refresh)
            .json_or_form(session::refresh_body())
            .gives(session::tokens()),
        post(Session, "/logout", AnyToken, "End the session of the tokens that are sent", session::logout)
            .json_or_form(session::refresh_body())
            .gives(session::message()),
        post(Session, "/logout-all", Bearer, "End all the caller's sessions", session::logout_all)
            .query(session::logout_all_query())
            .gives(session::message()),
        get(Session, "/sessions", Bearer, "List the caller's sessions, the last used first", sessions::list_own)
            .gives(sessions::told_schema()),
        delete(Session, "/sessions/{id}", Bearer, "End one of the caller's sessions", sessions::end_own)
            .gives_nothing(),

        post(Session, "/introspect", Introspector, "What a token or an API key stands for (RFC 7662)", tokens::introspect)
            .json_or_form(tokens::body())
            .gives(tokens::told_schema())
            .refuses(&[RateLimited]),
        post(Session, "/revoke", Anyone, "End what a token stands for (RFC 7009)", tokens::revoke)
            .json_or_form(tokens::body())
            .gives(json!({ "type": "object" }))
            .refuses(&[RateLimited]),

        get(ApiKeys, "/api-keys", Bearer, "List the caller's API keys", api_keys::list)
            .gives(api_keys::list_schema()),
        post(ApiKeys, "/api-keys", Bearer, "Make an API key, which is told this once", api_keys::create)
            .json(api_keys::create_body())
            .creates(MadeKey::schema())
            .refuses(&[Conflict]),
        patch(ApiKeys, "/api-keys/{id}", Bearer, "Change one of the caller's API keys", api_keys::patch)
            .json(api_keys::edit_body())
            .gives(KeyInfo::schema()),
        delete(ApiKeys, "/api-keys/{id}", Bearer, "Revoke one of the caller's API keys", api_keys::revoke)
            .gives_nothing(),

        get(Users, "/users", Superuser, "List accounts", administer::list)
            .query(administer::list_query())
            .gives(administer::listed(&auth.compat)),
        post(Users, "/users", registrar, "Create an account", users::register)
            .json(users::body())
            .creates(Account::schema())
            .refuses(&[Conflict, RateLimited]),
        get(Users, "/users/me", Bearer, "The caller's account", account::get_me)
            .gives(Account::schema()),
        patch(Users, "/users/me", Bearer, "Change the caller's account", account::patch_me)
            .json(account::edit_body())
            .gives(Account::schema())
            .refuses(&[Conflict, NotFound, TooManyAttempts]),
        delete(Users, "/users/me", Bearer, "Delete the caller's account; it can be restored", account::delete_me)
            .query(account::delete_query())
            .gives_nothing()
            .refuses(&[Forbidden, Conflict, NotFound]),
        post(Users, "/users/me/password", Bearer, "Change the caller's password and end the other sessions", account::change_password)
            .json(account::password_body())
            .gives(Account::schema())
            .refuses(&[Conflict, NotFound, TooManyAttempts]),
        get(Users, "/users/{username}", Owner, "An account", account::get_named)
            .gives(Account::schema()),
        patch(Users, "/users/{username}", Owner, "Change an account", account::patch_named)
            .json(account::edit_body())
            .gives(Account::schema())
            .refuses(&[Conflict, TooManyAttempts]),
        delete(Users, "/users/{username}", Owner, "Delete an account; it can be restored unless it is purged", account::delete_named)
            .query(account::delete_query())
            .gives_nothing()
            .refuses(&[Conflict]),
        post(Users, "/users/{username}/password", Superuser, "Set a password and end the account's sessions", administer::set_password)
            .json(administer::password_body())
            .gives(Account::schema())
            .refuses(&[Conflict]),
        post(Users, "/users/{username}/restore", Superuser, "Restore a deleted account", administer::restore)
            .gives(Account::schema())
            .refuses(&[Conflict]),
        post(Users, "/users/{username}/disable", Superuser, "Disable an account and end its sessions", administer::disable)
            .gives(Account::schema())
            .refuses(&[Conflict]),
        post(Users, "/users/{username}/enable", Superuser, "Enable an account", administer::enable)
            .gives(Account::schema())
            .refuses(&[Conflict]),
        get(Users, "/users/{username}/sessions", Superuser, "List an account's sessions, the last used first", sessions::list_of)
            .gives(sessions::told_schema()),
        delete(Users, "/users/{username}/sessions", Superuser, "End all sessions of an account", sessions::end_all_of)
            .gives_nothing(),
        put(Users, "/users/{username}/tier", Superuser, "Set an account's tier", administer::set_tier)
            .json(administer::tier_body())
            .gives(Account::schema())
            .refuses(&[Conflict]),
        put(Users, "/users/{username}/roles", Superuser, "Set an account's roles", administer::set_roles)
            .json(administer::roles_body())
            .gives(Account::schema())
            .refuses(&[Conflict]),
        put(Users, "/users/{username}/superuser", Superuser, "Make an account a superuser, or no longer one", administer::set_superuser)
            .json(administer::superuser_body())
            .gives(Account::schema())
            .refuses(&[Conflict]),

        get(Tiers, "/tiers", Bearer, "List tiers, those of the file and of the store", tiers::list)
            .query(tiers::page_query())
            .gives(page("Tiers", Tier::schema())),
        post(Tiers, "/tiers", Superuser, "Create a tier in the store", tiers::create)
            .json(TierForm::schema(true))
            .creates(Tier::schema())
            .refuses(&[Conflict]),
        get(Tiers, "/tiers/{name}", Bearer, "A tier", tiers::get)
            .gives(Tier::schema()),
        patch(Tiers, "/tiers/{name}", Superuser, "Change a tier of the store", tiers::patch)
            .json(TierForm::schema(false))
            .gives(Tier::schema())
            .refuses(&[Conflict]),
        delete(Tiers, "/tiers/{name}", Superuser, "Delete a tier of the store that no account has, and its limit rules", tiers::delete)
            .gives_nothing()
            .refuses(&[Conflict]),
        get(Tiers, "/tiers/{name}/limits", Bearer, "List the limit rules of a tier", tiers::list_limits)
            .query(tiers::page_query())
            .gives(page("LimitRules", Rule::schema())),
        post(Tiers, "/tiers/{name}/limits", Superuser, "Add a limit rule to a tier", tiers::create_limit)
            .json(RuleForm::schema(true))
            .creates(Rule::schema())
            .refuses(&[Conflict]),
        get(Tiers, "/tiers/{name}/limits/{id}", Bearer, "A limit rule", tiers::get_limit)
            .gives(Rule::schema()),
        patch(Tiers, "/tiers/{name}/limits/{id}", Superuser, "Change a limit rule", tiers::patch_limit)
            .json(RuleForm::schema(false))
            .gives(Rule::schema())
            .refuses(&[Conflict]),
        delete(Tiers, "/tiers/{name}/limits/{id}", Superuser, "Delete a limit rule", tiers::delete_limit)
            .gives_nothing(),

        get(Audit, "/audit", Superuser, "Who did what to whom, when and from where, the latest first", audit::list)
            .query(audit::query())
            .gives(audit::listed()),

        get(Session, metadata::PATH, Anyone, "Where to find what (RFC 8414)", metadata::get)
            .gives(json!({ "type": "object" })),
        get(None, JWKS, Anyone, "The keys that access tokens are verified with", jwks)
            .gives(told("KeySet", &[], json!({ "keys": list(json!({ "type": "object" })) }))),
    ]
}

/// What is served.
pub(super) fn operations(auth: &Auth) -> Vec<Operation> {
    let is_served = |operation: &Operation| {
        let group = operation.group;
        group.is_none_or(|group| {
            auth.serve.contains(&group) && (group != Group::ApiKeys || auth.api_keys.enabled)
        })
    };
    let described = match auth.docs {
        _ if auth.serve.is_empty() => None,
        Docs::Off => None,
        Docs::Open => Some(Who::Anyone),
        Docs::Superuser => Some(Who::Superuser),
    };
    let docs = described.map(|who| {
        get(None, "/openapi.json", who, "This document", docs::get)
            .gives(json!({ "type": "object" }))
    });
    let compat = auth.compat.iter().flat_map(|compat| match compat {
        Compat::FastapiBoilerplate => boilerplate::table(),
    });
    let table = table(auth).into_iter().chain(compat);
    table.filter(is_served).chain(docs).collect()
}

/// The paths that are taken from the routes and answered here, with parameters in braces. Every other
/// path under `base_path` is the backend's own.
pub fn endpoints(auth: &Auth) -> Vec<String> {
    let operations = operations(auth).into_iter();
    let mut paths: Vec<String> = operations.map(|o| o.path(&auth.base_path)).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// Those of them that are another project's.
pub fn compat_paths(auth: &Auth) -> Vec<String> {
    let operations = operations(auth).into_iter();
    let other = operations.filter(|operation| operation.compat.is_some());
    let mut paths: Vec<String> = other.map(|o| o.path(&auth.base_path)).collect();
    paths.dedup();
    paths
}

/// Serves [`endpoints`]. A request carries its [`Peer`](crate::request::Peer) among its extensions; a
/// response that refuses is empty and carries the [`Refusal`] among its own.
pub fn router(auth: &Auth, state: ApiState) -> Router {
    type Path = (Vec<Method>, Handlers, Option<Compat>);
    let mut paths: BTreeMap<String, Path> = BTreeMap::new();
    for operation in operations(auth) {
        let path = operation.path(&auth.base_path);
        let (methods, handlers, compat) = paths.entry(path).or_default();
        *compat = operation.compat;
        // HEAD is answered as GET is, without the body.
        let head = (operation.method == Method::GET).then_some(Method::HEAD);
        methods.extend([operation.method].into_iter().chain(head));
        *handlers = std::mem::take(handlers).merge(operation.handlers);
    }
    let mut router = Router::new();
    for (path, (methods, handlers, compat)) in paths {
        let handlers = only(methods, handlers);
        let handlers = match compat {
            None => handlers,
            Some(Compat::FastapiBoilerplate) => {
                handlers.layer(axum::middleware::map_response(boilerplate::dress))
            }
        };
        router = router.route(&path, handlers);
    }
    router
        .fallback(not_found)
        .layer(axum::middleware::map_response(keep_out_of_caches))
        .with_state(Arc::new(state))
}

fn only(methods: Vec<Method>, handlers: Handlers) -> Handlers {
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
