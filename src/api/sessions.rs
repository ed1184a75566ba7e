//! `sessions`: where an account is signed in, and how that ends.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::ApiState;
use super::caller::{Named, by, caller, superuser};
use super::refused::Refused;
use crate::accounts::{AccountsError, Key, SessionInfo};
use crate::request::schema::{self, flag, list};
use crate::request::{Code, Refusal};

type Answer = Result<Response, Refused>;
type Api = State<Arc<ApiState>>;

pub(super) async fn list_own(State(api): Api, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    let sessions = api.accounts.users().sessions(caller.id).await?;
    Ok(told(&sessions, caller.session))
}

pub(super) async fn end_own(State(api): Api, Named(id): Named<Uuid>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    if api.accounts.end_session(caller.id, id, &by).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(Refusal::new(Code::NotFound, "You have no such session.").into())
}

pub(super) async fn list_of(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let users = api.accounts.users();
    let account = users.find(Key::Username(&username)).await?;
    let account = account.ok_or(AccountsError::NoSuchAccount)?;
    Ok(told(&users.sessions(account.id).await?, caller.session))
}

pub(super) async fn end_all_of(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    let key = Key::Username(&username);
    api.accounts.end_sessions(key, None, &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn told(sessions: &[SessionInfo], current: Uuid) -> Response {
    let each = sessions.iter().map(|session| {
        let mut told = session.to_json();
        told["current"] = json!(session.id == current);
        told
    });
    let data: Vec<Value> = each.collect();
    Json(json!({ "data": data })).into_response()
}

/// The schema of [`told`].
pub(super) fn told_schema() -> Value {
    let mut session = SessionInfo::properties();
    session["current"] = flag();
    let session = schema::told("Session", &[], session);
    schema::told("Sessions", &[], json!({ "data": list(session) }))
}
