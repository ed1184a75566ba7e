//! `users`: registration.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::body::{Accepts, Members};
use super::caller::{by, caller};
use super::refused::Refused;
use super::{ApiState, Payer, peer};
use crate::accounts::{Account, AccountsError, By, NewUser};
use crate::config::Secret;
use crate::config::checked::Registration;
use crate::request::schema::{asked, text};
use crate::request::{Code, Refusal};

pub(super) async fn register(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let account = register_account(&api, request).await??;
    Ok((StatusCode::CREATED, Json(account.to_json())).into_response())
}

/// Makes the account that the body tells, for whoever may have one made.
pub(super) async fn register_account(
    api: &ApiState,
    request: Request,
) -> Result<Result<Account, AccountsError>, Refusal> {
    let (parts, body) = request.into_parts();
    let by = match api.accounts.registration() {
        Registration::Open => {
            let address = peer(&parts)?.client;
            (api.admit)(Payer::Address(address)).await?;
            By::stranger(address)
        }
        Registration::Closed => {
            let caller = caller(api, &parts).await?;
            if !caller.is_superuser {
                return Err(Refusal::new(
                    Code::Forbidden,
                    "Only a superuser may create accounts here.",
                ));
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
    Ok(api.accounts.add_user(new, &by).await)
}

pub(super) fn body() -> Value {
    let properties = json!({
        "name": text(),
        "username": text(),
        "email": text(),
        "password": { "type": "string", "format": "password" },
    });
    asked(&["name", "username", "email", "password"], properties)
}
