//! `introspect` and `revoke`: what a token stands for (RFC 7662), and its end (RFC 7009). A token is
//! an access token, a refresh token or an API key.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::{Accepts, Members};
use super::caller::{hold_back, note};
use super::refused::Refused;
use super::{ApiState, Payer, peer};
use crate::accounts::{Accounts, By, INTROSPECT};
use crate::authn::{ApiKey, Expiry, Found, Principal, claims_of};
use crate::config::Secret;
use crate::request::schema::{asked, flag, list, number, text, text_or_null, told, uuid};
use crate::request::{Code, Refusal};

type Api = State<Arc<ApiState>>;

pub(super) async fn introspect(State(api): Api, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    hold_back(&parts)?;
    let forbidden = || {
        Refusal::new(
            Code::Forbidden,
            "Only superusers and API keys with the scope `introspect` may do this.",
        )
    };
    let Principal::User(user) = (api.identify)(parts.headers.clone()).await? else {
        return Err(forbidden().into());
    };
    note(&user, &parts);
    let may_ask = match user.key {
        Some(_) => user.scopes.iter().any(|scope| scope == INTROSPECT),
        None => user.is_superuser,
    };
    if !may_ask {
        (api.admit)(Payer::Account(user.id)).await?;
        return Err(forbidden().into());
    }
    (api.admit)(Payer::Introspection(user.id)).await?;
    let mut members = Members::read(&parts, body, Accepts::JsonOrForm).await?;
    let token = presented(&mut members);
    members.finish()?;
    let told = active(&api, token.expose()).await?;
    Ok(Json(told.unwrap_or_else(|| json!({ "active": false }))).into_response())
}

pub(super) async fn revoke(State(api): Api, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let address = peer(&parts)?.client;
    (api.admit)(Payer::Address(address)).await?;
    let mut members = Members::read(&parts, body, Accepts::JsonOrForm).await?;
    let token = presented(&mut members);
    members.finish()?;
    let by = By::stranger(address);
    let token = token.expose();
    let session = api.accounts.session_of(token).or_else(|| {
        let user = (api.verify)(token, Expiry::Ignored).ok()?;
        Some(user.session)
    });
    if let Some(session) = session {
        api.accounts.logout(session, &by).await?;
    } else if let Found::Key(key) = api.accounts.look_up_key(token).await? {
        api.accounts.end_key(key.id, None, &by).await?;
    }
    // RFC 7009, section 2.2: a token that nobody knows is as good as revoked.
    Ok(Json(json!({})).into_response())
}

/// What both are asked.
pub(super) fn body() -> Value {
    asked(
        &["token"],
        json!({ "token": text(), "token_type_hint": text_or_null() }),
    )
}

/// What is told of a token; of one that could not be used, that alone.
pub(super) fn told_schema() -> Value {
    let optional = [
        "token_type",
        "sub",
        "username",
        "scope",
        "iss",
        "aud",
        "exp",
        "iat",
    ];
    told(
        "Introspection",
        &optional,
        json!({
            "active": flag(),
            "token_type": text(),
            "sub": uuid(),
            "username": text(),
            "scope": text(),
            "iss": text(),
            "aud": list(text()),
            "exp": number(0),
            "iat": number(0),
        }),
    )
}

/// The token that the call is about. The kind is told by the token, whatever the hint.
fn presented(members: &mut Members) -> Secret {
    let token = Secret::new(members.required("token"));
    members.optional("token_type_hint");
    token
}

/// What is told of a token that could be used now.
async fn active(api: &ApiState, token: &str) -> Result<Option<Value>, Refused> {
    if let Ok(user) = (api.verify)(token, Expiry::Enforced) {
        let Some(claims) = claims_of(token) else {
            return Ok(None);
        };
        return Ok(Some(json!({
            "active": true,
            "token_type": "bearer",
            "sub": user.id,
            "username": user.username,
            "scope": user.scopes.join(" "),
            "iss": claims.iss,
            "aud": claims.aud,
            "exp": claims.exp,
            "iat": claims.iat,
        })));
    }
    if let Some(live) = api.accounts.live_refresh(token).await? {
        return Ok(Some(json!({
            "active": true,
            "token_type": "refresh_token",
            "sub": live.account.id,
            "username": live.account.username,
            "scope": "",
            "iss": api.issuer_url,
            "aud": api.audience,
            "exp": live.expires_at / 1000,
            "iat": live.used_at / 1000,
        })));
    }
    let Some(key) = live_key(&api.accounts, token).await? else {
        return Ok(None);
    };
    let mut told = json!({
        "active": true,
        "token_type": "api_key",
        "sub": key.account.id,
        "username": key.account.username,
        "scope": key.scopes.join(" "),
        "iss": api.issuer_url,
        "aud": api.audience,
        "iat": key.created_at,
    });
    if let Some(exp) = key.expires_at {
        told["exp"] = json!(exp);
    }
    Ok(Some(told))
}

async fn live_key(accounts: &Accounts, token: &str) -> Result<Option<Box<ApiKey>>, Refused> {
    let Found::Key(key) = accounts.look_up_key(token).await? else {
        return Ok(None);
    };
    let has_expired = key.expires_at.is_some_and(|at| at <= accounts.seconds());
    Ok((key.account.active && !has_expired).then_some(key))
}
