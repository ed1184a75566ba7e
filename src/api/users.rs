//! `users`: registration and the caller's own account.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::body::{Accepts, Members};
use super::refused::Refused;
use super::{ApiState, bearer, peer};
use crate::accounts::{Account, Millis, NewUser};
use crate::authn::Expiry;
use crate::authn::User;
use crate::config::Secret;
use crate::config::checked::Registration;
use crate::request::{Code, Refusal};

pub(super) async fn register(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    match api.accounts.registration() {
        Registration::Open => (api.admit)(peer(&parts)?.client)?,
        Registration::Closed => {
            if !caller(&api, &parts)?.is_superuser {
                return Err(Refusal::new(
                    Code::Forbidden,
                    "Only a superuser may create accounts here.",
                )
                .into());
            }
        }
    }
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let new = NewUser {
        name: members.required("name"),
        username: members.required("username"),
        email: members.required("email"),
        password: Secret::new(members.required("password")),
        tier: None,
        is_superuser: false,
    };
    members.finish()?;
    let account = api.accounts.add_user(new).await?;
    Ok((StatusCode::CREATED, Json(told(&account))).into_response())
}

pub(super) async fn me(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    let caller = caller(&api, &parts)?;
    match api.accounts.account(caller.id).await? {
        Some(account) => Ok(Json(told(&account)).into_response()),
        None => Err(Refusal::new(Code::TokenRevoked, "The account is gone.").into()),
    }
}

fn caller(api: &ApiState, parts: &Parts) -> Result<Arc<User>, Refusal> {
    match bearer(parts)? {
        Some(token) => (api.verify)(token, Expiry::Enforced),
        None => Err(Refusal::new(
            Code::TokenMissing,
            "Send an access token: Authorization: Bearer …",
        )),
    }
}

/// An account as its owner and superusers see it.
fn told(account: &Account) -> Value {
    json!({
        "id": account.id,
        "external_id": account.external_id,
        "name": account.name,
        "username": account.username,
        "email": account.email,
        "profile_image_url": account.profile_image_url,
        "tier": account.tier,
        "roles": account.roles,
        "is_superuser": account.is_superuser,
        "is_active": account.is_active,
        "created_at": timestamp(account.created_at),
        "updated_at": account.updated_at.and_then(timestamp),
        "deleted_at": account.deleted_at.and_then(timestamp),
    })
}

/// RFC 3339, in UTC. `None` for times past the year 9999.
fn timestamp(millis: Millis) -> Option<String> {
    let nanos = i128::from(millis) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    time.format(&Rfc3339).ok()
}
