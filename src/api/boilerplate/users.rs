//! `/user…` and `/db_user/{username}`.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde_json::{Value, json};

use super::super::ApiState;
use super::super::account::{deletion, edit_profile};
use super::super::body::{Accepts, Members};
use super::super::caller::{Named, Whom, by, caller, owner_or_superuser, superuser};
use super::super::users::register_account;
use super::{Answer, Api, message, read, told};
use crate::accounts::{Account, AccountsError, Edit, Key, PlanError, Rule, Tier};
use crate::authn::User;
use crate::request::Refusal;

/// Rules that are listed with an account.
const LISTED: i64 = 10_000;

pub(super) async fn create(State(api): Api, request: Request) -> Answer {
    let account = register_account(&api, request).await?.map_err(told)?;
    let body = user(&api, &account).await?;
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

pub(super) async fn get_me(State(api): Api, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = caller(&api, &parts).await?;
    let account = find(&api, &caller, &Whom::Caller).await?;
    Ok(Json(user(&api, &account).await?).into_response())
}

pub(super) async fn get(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let (caller, whom) = owner_or_superuser(&api, &parts, username).await?;
    let account = find(&api, &caller, &whom).await?;
    Ok(Json(user(&api, &account).await?).into_response())
}

pub(super) async fn patch(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let (caller, whom) = owner_or_superuser(&api, &parts, username).await?;
    let members = Members::read(&parts, body, Accepts::Json).await?;
    let by = by(&caller, &parts)?;
    let edited = edit_profile(&api, &caller, &whom, members, &by);
    edited.await?.map_err(told)?;
    Ok(message("User updated"))
}

pub(super) async fn delete(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let (caller, whom) = owner_or_superuser(&api, &parts, username).await?;
    // What is deleted is not there any more, as far as its clients know.
    find(&api, &caller, &whom).await?;
    let by = by(&caller, &parts)?;
    let edit = deletion();
    let deleted = api.accounts.edit(whom.key(&caller), &edit, &by);
    deleted.await.map_err(told)?;
    Ok(message("User deleted"))
}

pub(super) async fn purge(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let by = by(&*superuser(&api, &parts).await?, &parts)?;
    let purged = api.accounts.purge(Key::Username(&username), &by);
    purged.await.map_err(told)?;
    Ok(message("User deleted from the database"))
}

pub(super) async fn rate_limits(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let account = find(&api, &caller, &Whom::Other(username)).await?;
    let tier = tier_of(&api, &account).await?;
    let mut body = read::user(&account, tier.as_ref());
    let limits: Vec<Value> = match &tier {
        Some(tier) => {
            let listed = api.accounts.users().rules(&tier.name, 0, LISTED).await;
            let row = |rule: &Rule| read::rate_limit_row(rule, tier);
            listed.map_err(told)?.rules.iter().map(row).collect()
        }
        None => Vec::new(),
    };
    body.insert("tier_rate_limits".to_owned(), json!(limits));
    Ok(Json(body).into_response())
}

pub(super) async fn tier(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let (caller, whom) = owner_or_superuser(&api, &parts, username).await?;
    let account = find(&api, &caller, &whom).await?;
    let Some(tier) = tier_of(&api, &account).await? else {
        return Ok(Json(Value::Null).into_response());
    };
    let mut body = read::user(&account, Some(&tier));
    if let Value::Object(members) = read::tier(&tier) {
        let prefixed = members.into_iter();
        body.extend(prefixed.map(|(name, value)| (format!("tier_{name}"), value)));
    }
    Ok(Json(body).into_response())
}

pub(super) async fn set_tier(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    members.ignore_unknown();
    let id = members.required_number("tier_id");
    members.finish()?;
    let tiers = api.accounts.users().tiers().await.map_err(told)?;
    let tier = tiers.into_iter().find(|tier| tier.id == id);
    let tier = tier.ok_or_else(|| told(PlanError::NoSuchTier.into()))?;
    let edit = Edit {
        tier: Some(tier.name),
        ..Edit::default()
    };
    let by = by(&caller, &parts)?;
    let edited = api.accounts.edit(Key::Username(&username), &edit, &by);
    let account = edited.await.map_err(told)?;
    Ok(message(format!("User {} Tier updated", account.name)))
}

/// An account that is not deleted.
async fn find(api: &ApiState, caller: &User, whom: &Whom) -> Result<Account, Refusal> {
    let found = api.accounts.users().find(whom.key(caller)).await;
    let found = found
        .map_err(told)?
        .filter(|found| found.deleted_at.is_none());
    found.ok_or_else(|| told(AccountsError::NoSuchAccount))
}

async fn user(api: &ApiState, account: &Account) -> Result<Value, Refusal> {
    let tier = tier_of(api, account).await?;
    Ok(Value::Object(read::user(account, tier.as_ref())))
}

/// `None` for a tier that there is not any more.
async fn tier_of(api: &ApiState, account: &Account) -> Result<Option<Tier>, Refusal> {
    match api.accounts.users().tier(&account.tier).await {
        Ok(tier) => Ok(Some(tier)),
        Err(AccountsError::Plan(PlanError::NoSuchTier)) => Ok(None),
        Err(error) => Err(told(error)),
    }
}
