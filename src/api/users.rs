//! `users`: registration, and how accounts are told.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::body::{Accepts, Members};
use super::caller::{by, caller};
use super::refused::Refused;
use super::{ApiState, peer};
use crate::accounts::{Account, By, Millis, NewUser};
use crate::config::Secret;
use crate::config::checked::Registration;
use crate::request::{Code, Refusal};

pub(super) async fn register(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let by = match api.accounts.registration() {
        Registration::Open => {
            let address = peer(&parts)?.client;
            (api.admit)(address)?;
            By::stranger(address)
        }
        Registration::Closed => {
            let caller = caller(&api, &parts)?;
            if !caller.is_superuser {
                return Err(Refusal::new(
                    Code::Forbidden,
                    "Only a superuser may create accounts here.",
                )
                .into());
            }
            by(&caller, &parts)?
        }
    };
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
    let account = api.accounts.add_user(new, &by).await?;
    Ok((StatusCode::CREATED, Json(told(&account))).into_response())
}

/// An account as its owner and superusers see it.
pub(super) fn told(account: &Account) -> Value {
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
pub(super) fn timestamp(millis: Millis) -> Option<String> {
    let nanos = i128::from(millis) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    time.format(&Rfc3339).ok()
}
