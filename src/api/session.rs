//! `login`, `refresh`, `logout`, `logout-all`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{SET_COOKIE, USER_AGENT};
use http::request::Parts;
use serde_json::{Value, json};

use super::body::{Accepts, Members};
use super::caller::{by, uncharged};
use super::refused::Refused;
use super::{ApiState, Payer, cookie, peer, site};
use crate::accounts::{By, Granted, Key, Origin};
use crate::authn::{Expiry, bearer};
use crate::config::Secret;
use crate::config::checked::Delivery;
use crate::request::schema::{asked, flag, number, text, text_or_null, told};
use crate::request::{Code, Refusal};

/// Characters of `User-Agent` that are kept with a session.
const AGENT_CHARS: usize = 256;

pub(super) async fn login(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let peer = peer(&parts)?;
    (api.admit)(Payer::Address(peer.client)).await?;
    let mut members = Members::read(&parts, body, Accepts::JsonOrForm).await?;
    match members.optional("grant_type").as_deref() {
        None | Some("password") => {}
        // RFC 6749, section 6: an OAuth client has one endpoint for all its grants.
        Some("refresh_token") => {
            let token = members.required("refresh_token");
            members.finish()?;
            let by = By::stranger(peer.client);
            let granted = api.accounts.refresh(&token, &by).await?;
            return answer(&api, granted, Delivery::Body);
        }
        Some(_) => members.reject("grant_type", "must be password or refresh_token"),
    }
    let identity = members.required("username");
    let password = Secret::new(members.required("password"));
    let mut query = Members::of_query(&parts)?;
    query.ignore_unknown();
    let (in_body, in_query) = (asked_delivery(&mut members), asked_delivery(&mut query));
    let delivery = in_body.or(in_query).unwrap_or(api.delivery);
    members.finish()?;
    query.finish()?;
    if delivery == Delivery::Cookie {
        // Another site's form could sign its visitor in as somebody else (login CSRF).
        site::check(&parts, &peer, api.issuer.as_ref())?;
    }
    let agent = parts.headers.get(USER_AGENT).map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.chars().take(AGENT_CHARS).collect::<String>()
    });
    let origin = Origin {
        ip: peer.client,
        user_agent: agent.as_deref(),
    };
    let granted = api.accounts.login(&identity, password, origin).await;
    let granted = granted.map_err(Refusal::from);
    api.metrics.login(match &granted {
        Ok(_) => "success",
        Err(refusal) => refusal.code().as_str(),
    });
    answer(&api, granted?, delivery)
}

/// Which way of delivery is asked for.
fn asked_delivery(members: &mut Members) -> Option<Delivery> {
    match members.optional("delivery")?.as_str() {
        "body" => Some(Delivery::Body),
        "cookie" => Some(Delivery::Cookie),
        _ => {
            members.reject("delivery", "must be body or cookie");
            None
        }
    }
}

/// The query of [`login`], for clients that can't add to the form.
pub(super) fn delivery() -> Value {
    json!({ "delivery": { "type": "string", "enum": ["cookie", "body"] } })
}

pub(super) fn login_body() -> Value {
    let properties = json!({
        "username": text(),
        "password": { "type": "string", "format": "password" },
        "grant_type": { "type": ["string", "null"], "enum": ["password", null] },
        "delivery": { "type": ["string", "null"], "enum": ["cookie", "body", null] },
    });
    asked(&["username", "password"], properties)
}

pub(super) async fn refresh(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let peer = peer(&parts)?;
    (api.admit)(Payer::Address(peer.client)).await?;
    let mut members = Members::read(&parts, body, Accepts::JsonOrForm).await?;
    let in_body = members.optional("refresh_token");
    members.finish()?;
    let by = By::stranger(peer.client);
    if let Some(token) = in_body {
        let granted = api.accounts.refresh(&token, &by).await?;
        return answer(&api, granted, Delivery::Body);
    }
    let cookies: Vec<&str> = cookie::values(&parts.headers, &api.cookie.name).collect();
    let Some(first) = cookies.first() else {
        return Err(Refusal::new(Code::TokenMissing, "Send a refresh token.").into());
    };
    site::check(&parts, &peer, api.issuer.as_ref())?;
    let ours = cookies
        .iter()
        .find(|token| api.accounts.session_of(token).is_some());
    let granted = api.accounts.refresh(ours.unwrap_or(first), &by).await?;
    answer(&api, granted, Delivery::Cookie)
}

/// The body of [`refresh`] and [`logout`], for clients that keep no cookies.
pub(super) fn refresh_body() -> Value {
    asked(&[], json!({ "refresh_token": text_or_null() }))
}

pub(super) async fn logout(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let peer = peer(&parts)?;
    (api.admit)(Payer::Address(peer.client)).await?;
    let mut members = Members::read(&parts, body, Accepts::JsonOrForm).await?;
    let in_body = members.optional("refresh_token");
    members.finish()?;
    let cookies: Vec<&str> = cookie::values(&parts.headers, &api.cookie.name).collect();
    if !cookies.is_empty() {
        site::check(&parts, &peer, api.issuer.as_ref())?;
    }
    let refresh_tokens = in_body.as_deref().into_iter().chain(cookies);
    let mut sessions: Vec<_> = refresh_tokens
        .filter_map(|token| api.accounts.session_of(token))
        .chain(bearer_session(&api, &parts))
        .collect();
    sessions.sort_unstable();
    sessions.dedup();
    for session in sessions {
        api.accounts
            .logout(session, &By::stranger(peer.client))
            .await?;
    }
    signed_out(&api)
}

pub(super) async fn logout_all(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    // Whoever has a stolen token must not keep its owner from this by using up the account's calls.
    (api.admit)(Payer::Address(peer(&parts)?.client)).await?;
    let caller = uncharged(&api, &parts)?;
    let by = by(&caller, &parts)?;
    let mut query = Members::of_query(&parts)?;
    let keep = query.flag("keep_current").then_some(caller.session);
    query.finish()?;
    let key = Key::Id(caller.id);
    api.accounts.end_sessions(key, keep, &by).await?;
    match keep {
        Some(_) => Ok(Json(json!({ "message": "Signed out elsewhere." })).into_response()),
        None => signed_out(&api),
    }
}

pub(super) fn logout_all_query() -> Value {
    json!({ "keep_current": flag() })
}

fn signed_out(api: &ApiState) -> Result<Response, Refused> {
    let mut response = Json(json!({ "message": "Signed out." })).into_response();
    let cleared = cookie::clear(&api.cookie).map_err(unwritable)?;
    response.headers_mut().append(SET_COOKIE, cleared);
    Ok(response)
}

pub(super) fn message() -> Value {
    told("Message", &[], json!({ "message": text() }))
}

/// Signing out works with what is left of a session: a token that is no longer good for anything
/// else, or none.
fn bearer_session(api: &ApiState, parts: &Parts) -> Option<uuid::Uuid> {
    let token = bearer(&parts.headers).ok().flatten()?;
    let user = (api.verify)(token, Expiry::Ignored).ok()?;
    Some(user.session)
}

fn answer(api: &ApiState, granted: Granted, delivery: Delivery) -> Result<Response, Refused> {
    // Once it is known, it passes whatever others send from its holder's address. One that is refused already is
    // for its first request to tell.
    let _ = (api.verify)(&granted.access_token, Expiry::Enforced);
    let mut body = json!({
        "access_token": granted.access_token,
        "token_type": "bearer",
        "expires_in": granted.expires_in,
    });
    if delivery == Delivery::Body {
        body["refresh_token"] = json!(granted.refresh_token);
        return Ok(Json(body).into_response());
    }
    let max_age = granted.refresh_expires_in;
    let cookie = cookie::set(&api.cookie, &granted.refresh_token, max_age).map_err(unwritable)?;
    let mut response = Json(body).into_response();
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}

pub(super) fn tokens() -> Value {
    let properties = json!({
        "access_token": text(),
        "token_type": { "const": "bearer" },
        "expires_in": number(0),
        "refresh_token": text(),
    });
    told("Tokens", &["refresh_token"], properties)
}

fn unwritable(error: http::header::InvalidHeaderValue) -> Refusal {
    Refusal::new(Code::Internal, "Something went wrong inside.")
        .because(format_args!("auth.cookie can't stand in a header: {error}"))
}
