//! `users/me` and `users/{username}`: one account, for its owner and for superusers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};

use super::body::{Accepts, Members};
use super::caller::{Named, Whom, by, caller, owner_or_superuser};
use super::refused::Refused;
use super::{ApiState, Payer};
use crate::accounts::{Account, AccountsError, By, Edit};
use crate::authn::User;
use crate::config::Secret;
use crate::request::schema::{asked, flag, text_or_null};
use crate::request::{Code, Refusal};

type Answer = Result<Response, Refused>;
type Api = State<Arc<ApiState>>;

pub(super) async fn get_me(State(api): Api, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    get(&api, &caller, &Whom::Caller).await
}

pub(super) async fn get_named(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let (caller, whom) = owner_or_superuser(&api, &parts, username).await?;
    get(&api, &caller, &whom).await
}

pub(super) async fn patch_me(State(api): Api, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    let members = Members::read(&parts, body, Accepts::Json).await?;
    patch(&api, &parts, &caller, &Whom::Caller, members).await
}

pub(super) async fn patch_named(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let (caller, whom) = owner_or_superuser(&api, &parts, username).await?;
    let members = Members::read(&parts, body, Accepts::Json).await?;
    patch(&api, &parts, &caller, &whom, members).await
}

pub(super) async fn delete_me(State(api): Api, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    delete(&api, &parts, &caller, &Whom::Caller).await
}

pub(super) async fn delete_named(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let (caller, whom) = owner_or_superuser(&api, &parts, username).await?;
    delete(&api, &parts, &caller, &whom).await
}

pub(super) async fn change_password(State(api): Api, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let current = Secret::new(members.required("current_password"));
    let new = Secret::new(members.required("new_password"));
    members.finish()?;
    let changed = api
        .accounts
        .change_password(caller.id, current, new, caller.session, &by);
    Ok(Json(changed.await?.to_json()).into_response())
}

pub(super) fn password_body() -> Value {
    let password = json!({ "type": "string", "format": "password" });
    asked(
        &["current_password", "new_password"],
        json!({ "current_password": password, "new_password": password }),
    )
}

async fn get(api: &ApiState, caller: &User, whom: &Whom) -> Answer {
    match (api.accounts.users().find(whom.key(caller)).await?, whom) {
        (Some(account), _) => Ok(Json(account.to_json()).into_response()),
        (None, Whom::Caller) => {
            Err(Refusal::new(Code::TokenRevoked, "The account is gone.").into())
        }
        (None, Whom::Other(_)) => {
            Err(Refusal::new(Code::NotFound, "There is no such account.").into())
        }
    }
}

async fn patch(
    api: &ApiState,
    parts: &Parts,
    caller: &User,
    whom: &Whom,
    members: Members,
) -> Answer {
    let by = by(caller, parts)?;
    let account = edit_profile(api, caller, whom, members, &by).await??;
    Ok(Json(account.to_json()).into_response())
}

/// Changes of a profile what the members tell.
pub(super) async fn edit_profile(
    api: &ApiState,
    caller: &User,
    whom: &Whom,
    mut members: Members,
    by: &By,
) -> Result<Result<Account, AccountsError>, Refusal> {
    let mut edit = Edit {
        name: members.optional("name"),
        username: members.optional("username"),
        email: members.optional("email"),
        profile_image_url: members.nullable("profile_image_url"),
        external_id: members.nullable("external_id"),
        ..Edit::default()
    };
    if edit.external_id.is_some() && !caller.is_superuser {
        members.reject("external_id", "may be set by superusers alone");
        edit.external_id = None;
    }
    match whom {
        Whom::Caller => {
            let current_password = members.optional("current_password").map(Secret::new);
            members.finish()?;
            // Each name that was once somebody's may be kept from others for good.
            if edit
                .username
                .as_ref()
                .is_some_and(|new| *new != caller.username)
            {
                (api.admit)(Payer::Renames(caller.id)).await?;
            }
            let edited = api
                .accounts
                .edit_own(caller.id, &edit, current_password, by);
            Ok(edited.await)
        }
        Whom::Other(_) => {
            members.finish()?;
            Ok(api.accounts.edit(whom.key(caller), &edit, by).await)
        }
    }
}

pub(super) fn deletion() -> Edit {
    Edit {
        is_deleted: Some(true),
        ..Edit::default()
    }
}

/// The body of [`patch`].
pub(super) fn edit_body() -> Value {
    let properties = json!({
        "name": text_or_null(),
        "username": text_or_null(),
        "email": text_or_null(),
        "profile_image_url": text_or_null(),
        "external_id": text_or_null(),
        "current_password": { "type": ["string", "null"], "format": "password" },
    });
    asked(&[], properties)
}

async fn delete(api: &ApiState, parts: &Parts, caller: &User, whom: &Whom) -> Answer {
    let by = by(caller, parts)?;
    let mut query = Members::of_query(parts)?;
    let is_purge = query.flag("purge");
    query.finish()?;
    if !is_purge {
        let edit = deletion();
        api.accounts.edit(whom.key(caller), &edit, &by).await?;
    } else if caller.is_superuser {
        api.accounts.purge(whom.key(caller), &by).await?;
    } else {
        return Err(Refusal::new(
            Code::Forbidden,
            "Only a superuser may remove an account for good.",
        )
        .into());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) fn delete_query() -> Value {
    json!({ "purge": flag() })
}
