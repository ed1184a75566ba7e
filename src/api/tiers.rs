//! `tiers`: the tiers of the file and of the store, and their limit rules. Everybody who is signed in
//! may read them, superusers change those of the store.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::ApiState;
use super::body::{Accepts, Members};
use super::caller::{Named, by, caller, superuser};
use super::page::Page;
use super::refused::Refused;
use crate::accounts::{AccountsError, Rule, RuleForm, TierForm};
use crate::request::schema;

type Answer = Result<Response, Refused>;
type Api = State<Arc<ApiState>>;

/// Entries on a page unless asked otherwise.
const PAGE: i64 = 100;

pub(super) async fn list(State(api): Api, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    caller(&api, &parts).await?;
    let mut query = Members::of_query(&parts)?;
    let page = Page::of(&mut query, PAGE);
    query.finish()?;
    let tiers = api.accounts.users().tiers().await?;
    let total = i64::try_from(tiers.len()).unwrap_or(i64::MAX);
    let data = page.cut(tiers).map(|tier| tier.to_json()).collect();
    Ok(Json(page.told(data, total)).into_response())
}

pub(super) async fn create(State(api): Api, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let form = tier_form(&mut members);
    members.finish_with(form.check(None).err().unwrap_or_default())?;
    let made = api.accounts.add_tier(&form, &by(&caller, &parts)?).await?;
    Ok((StatusCode::CREATED, Json(made.to_json())).into_response())
}

pub(super) async fn get(State(api): Api, Named(name): Named<String>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    caller(&api, &parts).await?;
    let tier = api.accounts.users().tier(&name).await?;
    Ok(Json(tier.to_json()).into_response())
}

pub(super) async fn patch(State(api): Api, Named(name): Named<String>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let form = tier_form(&mut members);
    members.finish()?;
    let by = by(&caller, &parts)?;
    let tier = api.accounts.edit_tier(&name, &form, &by).await?;
    Ok(Json(tier.to_json()).into_response())
}

pub(super) async fn delete(
    State(api): Api,
    Named(name): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    api.accounts.delete_tier(&name, &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn list_limits(
    State(api): Api,
    Named(tier): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    caller(&api, &parts).await?;
    let mut query = Members::of_query(&parts)?;
    let page = Page::of(&mut query, PAGE);
    query.finish()?;
    let users = api.accounts.users();
    let listed = users.rules(&tier, page.offset, page.limit).await?;
    let data: Vec<Value> = listed.rules.iter().map(Rule::to_json).collect();
    Ok(Json(page.told(data, listed.total)).into_response())
}

pub(super) async fn create_limit(
    State(api): Api,
    Named(tier): Named<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let form = rule_form(&mut members);
    members.finish_with(match api.accounts.users().check_rule(&form) {
        Err(AccountsError::Invalid(wrong)) => wrong,
        _ => Vec::new(),
    })?;
    let by = by(&caller, &parts)?;
    let made = api.accounts.add_rule(&tier, &form, &by).await?;
    Ok((StatusCode::CREATED, Json(made.to_json())).into_response())
}

pub(super) async fn get_limit(
    State(api): Api,
    Named((tier, id)): Named<(String, String)>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    caller(&api, &parts).await?;
    let rule = api.accounts.users().rule(&tier, number(&id)).await?;
    Ok(Json(rule.to_json()).into_response())
}

pub(super) async fn patch_limit(
    State(api): Api,
    Named((tier, id)): Named<(String, String)>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let form = rule_form(&mut members);
    members.finish()?;
    let by = by(&caller, &parts)?;
    let rule = api
        .accounts
        .edit_rule(&tier, number(&id), &form, &by)
        .await?;
    Ok(Json(rule.to_json()).into_response())
}

pub(super) async fn delete_limit(
    State(api): Api,
    Named((tier, id)): Named<(String, String)>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    api.accounts.delete_rule(&tier, number(&id), &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) fn page_query() -> Value {
    json!({ "page": schema::number(1), "items_per_page": schema::number(1) })
}

/// No rule has the number 0, which stands for everything that is no number.
pub(super) fn number(id: &str) -> i64 {
    id.parse().unwrap_or(0)
}

pub(super) fn tier_form(members: &mut Members) -> TierForm {
    TierForm {
        name: members.optional("name"),
        rank: members.number("rank"),
        rate: members.nullable("rate"),
        burst: members.nullable_number("burst"),
    }
}

fn rule_form(members: &mut Members) -> RuleForm {
    RuleForm {
        name: members.optional("name"),
        route: members.nullable("route"),
        path: members.nullable("path"),
        method: members.nullable("method"),
        limit: members.number("limit"),
        period: members.number("period"),
        burst: members.nullable_number("burst"),
        ..RuleForm::default()
    }
}
