//! `api-keys`: the keys that a caller gives to programs. They speak for the caller, but not here:
//! whoever has one can't make another.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ApiState;
use super::body::{Accepts, Members};
use super::caller::{Named, by, caller};
use super::refused::Refused;
use crate::accounts::{
    AccountsError, INTROSPECT, Key, KeyEdit, KeyInfo, Millis, NewKey, from_timestamp,
};
use crate::authn::User;
use crate::request::schema::{self, asked, text, time_or_null, told};

type Answer = Result<Response, Refused>;
type Api = State<Arc<ApiState>>;

pub(super) async fn list(State(api): Api, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    let keys = api.accounts.users().api_keys_of(caller.id).await?;
    let data: Vec<Value> = keys.iter().map(KeyInfo::to_json).collect();
    Ok(Json(json!({ "data": data })).into_response())
}

pub(super) async fn create(State(api): Api, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let new = NewKey {
        name: members.required("name"),
        scopes: members.optional_list("scopes").unwrap_or_default(),
        expires_at: expires_at(&mut members).flatten(),
    };
    check_scopes(&caller, &new.scopes, &mut members);
    members.finish()?;
    let users = api.accounts.users();
    let made = users.add_key(Key::Id(caller.id), new, &by).await?;
    Ok((StatusCode::CREATED, Json(made.to_json())).into_response())
}

pub(super) async fn patch(State(api): Api, Named(id): Named<Uuid>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let edit = KeyEdit {
        name: members.optional("name"),
        scopes: members.optional_list("scopes"),
        expires_at: expires_at(&mut members),
    };
    check_scopes(
        &caller,
        edit.scopes.as_deref().unwrap_or_default(),
        &mut members,
    );
    members.finish()?;
    let edited = api.accounts.edit_key(caller.id, id, &edit, &by).await?;
    Ok(Json(edited.to_json()).into_response())
}

pub(super) async fn revoke(State(api): Api, Named(id): Named<Uuid>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    if api.accounts.end_key(id, Some(caller.id), &by).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(AccountsError::NoSuchKey.into())
}

/// Scopes narrow what a key may do, but for the one that the gateway itself knows.
fn check_scopes(caller: &User, scopes: &[String], members: &mut Members) {
    if !caller.is_superuser && scopes.iter().any(|scope| scope == INTROSPECT) {
        members.reject("scopes", "may hold `introspect` for superusers alone");
    }
}

pub(super) fn list_schema() -> Value {
    told(
        "ApiKeys",
        &[],
        json!({ "data": schema::list(KeyInfo::schema()) }),
    )
}

pub(super) fn create_body() -> Value {
    asked(&["name"], members())
}

pub(super) fn edit_body() -> Value {
    asked(&[], members())
}

fn members() -> Value {
    json!({ "name": text(), "scopes": schema::list(text()), "expires_at": time_or_null() })
}

fn expires_at(members: &mut Members) -> Option<Option<Millis>> {
    let text = members.nullable("expires_at")?;
    let at = text.as_deref().map(from_timestamp);
    if at == Some(None) {
        members.reject("expires_at", "must be a time such as 2027-01-15T08:00:00Z");
    }
    Some(at.flatten())
}
