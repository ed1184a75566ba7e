//! Who calls, whom the call is about, and whether the one may do it to the other.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use http::Method;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::refused::Refused;
use super::{ApiState, Payer, peer};
use crate::accounts::{By, Key};
use crate::authn::{Expiry, Noted, User, bearer};
use crate::request::{Code, HeldBack, Refusal};

/// A parameter of the path.
pub(super) struct Named<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Refused;

    /// What can't be read names nothing that there is.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        match path {
            Ok(Path(value)) => Ok(Named(value)),
            Err(_) => Err(Refusal::new(Code::NotFound, "There is nothing here.").into()),
        }
    }
}

/// The account that a call is about.
pub(super) enum Whom {
    Caller,
    Other(String),
}

impl Whom {
    pub fn key<'a>(&'a self, caller: &User) -> Key<'a> {
        match self {
            Whom::Caller => Key::Id(caller.id),
            Whom::Other(username) => Key::Username(username),
        }
    }
}

/// The caller, whose account is charged for the call, whatever comes of it.
pub(super) async fn caller(api: &ApiState, parts: &Parts) -> Result<Arc<User>, Refusal> {
    let caller = uncharged(api, parts)?;
    (api.admit)(Payer::Account(caller.id)).await?;
    // Each change is written to the audit trail, which has an end; superusers are trusted with it. What is
    // deleted had to be made first, and whoever is short of calls must be able to take keys back.
    let is_change = !parts.method.is_safe() && parts.method != Method::DELETE;
    if is_change && !caller.is_superuser {
        (api.admit)(Payer::Changes(caller.id)).await?;
    }
    Ok(caller)
}

/// The caller, for a call that somebody else is charged for.
pub(super) fn uncharged(api: &ApiState, parts: &Parts) -> Result<Arc<User>, Refusal> {
    let Some(token) = bearer(&parts.headers)? else {
        return Err(Refusal::new(
            Code::TokenMissing,
            "Send an access token: Authorization: Bearer …",
        ));
    };
    hold_back(parts)?;
    let caller = (api.verify)(token, Expiry::Enforced)?;
    note(&caller, parts);
    Ok(caller)
}

/// Refuses what would have to be verified from an address that has sent too much that was not valid.
pub(super) fn hold_back(parts: &Parts) -> Result<(), Refusal> {
    match parts.extensions.get::<HeldBack>() {
        Some(HeldBack(refusal)) => Err(refusal.clone()),
        None => Ok(()),
    }
}

/// Tells the access log who calls.
pub(super) fn note(caller: &Arc<User>, parts: &Parts) {
    if let Some(noted) = parts.extensions.get::<Noted>() {
        noted.note(caller);
    }
}

/// The caller, who must be a superuser.
pub(super) async fn superuser(api: &ApiState, parts: &Parts) -> Result<Arc<User>, Refusal> {
    let caller = caller(api, parts).await?;
    if caller.is_superuser {
        return Ok(caller);
    }
    Err(Refusal::new(
        Code::Forbidden,
        "Only a superuser may do this.",
    ))
}

/// The caller, who must be the one that is named or a superuser. Says the same to everybody else,
/// whether there is such an account or not.
pub(super) async fn owner_or_superuser(
    api: &ApiState,
    parts: &Parts,
    username: String,
) -> Result<(Arc<User>, Whom), Refusal> {
    let caller = caller(api, parts).await?;
    if caller.username == username {
        return Ok((caller, Whom::Caller));
    }
    if caller.is_superuser {
        return Ok((caller, Whom::Other(username)));
    }
    Err(Refusal::new(
        Code::Forbidden,
        "Only the owner and superusers may do this.",
    ))
}

/// The caller as the audit trail has it.
pub(super) fn by(caller: &User, parts: &Parts) -> Result<By, Refusal> {
    Ok(By::user(caller.id, &caller.username, peer(parts)?.client))
}
