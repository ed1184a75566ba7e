//! `/tier…`: tiers, and their limit rules by path as rate limits.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use http::StatusCode;

use super::super::ApiState;
use super::super::body::{Accepts, Members};
use super::super::caller::{Named, by, caller, superuser};
use super::super::page::Page;
use super::super::tiers::{number, tier_form};
use super::{Answer, Api, message, read, told};
use crate::accounts::{AccountsError, PlanError, RuleForm};
use crate::request::Refusal;

/// Entries on a page unless asked otherwise.
const PAGE: i64 = 10;

pub(super) async fn create(State(api): Api, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    members.ignore_unknown();
    let form = tier_form(&mut members);
    members.finish_with(form.check(None).err().unwrap_or_default())?;
    let by = by(&caller, &parts)?;
    let made = api.accounts.add_tier(&form, &by).await.map_err(told)?;
    Ok((StatusCode::CREATED, Json(read::tier(&made))).into_response())
}

pub(super) async fn get(State(api): Api, Named(name): Named<String>, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    caller(&api, &parts).await?;
    let tier = api.accounts.users().tier(&name).await.map_err(told)?;
    Ok(Json(read::tier(&tier)).into_response())
}

pub(super) async fn patch(State(api): Api, Named(name): Named<String>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    members.ignore_unknown();
    let form = tier_form(&mut members);
    members.finish()?;
    let by = by(&caller, &parts)?;
    api.accounts
        .edit_tier(&name, &form, &by)
        .await
        .map_err(told)?;
    Ok(message("Tier updated"))
}

pub(super) async fn delete(
    State(api): Api,
    Named(name): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let by = by(&*superuser(&api, &parts).await?, &parts)?;
    api.accounts.delete_tier(&name, &by).await.map_err(told)?;
    Ok(message("Tier deleted"))
}

pub(super) async fn create_limit(
    State(api): Api,
    Named(name): Named<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let tier = api.accounts.users().tier(&name).await.map_err(told)?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let given = members.required("path");
    let mut form = limit_form(&mut members);
    form.path = Some(Some(read::template(&given)));
    if form.name.is_none() {
        // As its documents have it.
        let number = |n: Option<i64>| n.unwrap_or_default();
        let path = given.trim_matches('/').replace('/', "_");
        form.name = Some(format!(
            "{path}:{}:{}",
            number(form.limit),
            number(form.period)
        ));
    }
    members.finish_with(match api.accounts.users().check_rule(&form) {
        Err(AccountsError::Invalid(wrong)) => wrong,
        _ => Vec::new(),
    })?;
    refuse_taken(&api, form.name.as_deref().unwrap_or_default())?;
    let by = by(&caller, &parts)?;
    let made = api
        .accounts
        .add_rule(&name, &form, &by)
        .await
        .map_err(told)?;
    Ok((StatusCode::CREATED, Json(read::rate_limit(&made, &tier))).into_response())
}

pub(super) async fn list_limits(
    State(api): Api,
    Named(name): Named<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    caller(&api, &parts).await?;
    let users = api.accounts.users();
    let tier = users.tier(&name).await.map_err(told)?;
    let mut query = Members::of_query(&parts)?;
    let page = Page::of(&mut query, PAGE);
    query.finish()?;
    let listed = users
        .rules(&name, page.offset, page.limit)
        .await
        .map_err(told)?;
    let rules = listed.rules.iter();
    let data = rules.map(|rule| read::rate_limit(rule, &tier)).collect();
    Ok(Json(page.told(data, listed.total)).into_response())
}

pub(super) async fn get_limit(
    State(api): Api,
    Named((name, id)): Named<(String, String)>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    caller(&api, &parts).await?;
    let users = api.accounts.users();
    let tier = users.tier(&name).await.map_err(told)?;
    let rule = users.rule(&name, number(&id)).await.map_err(told)?;
    Ok(Json(read::rate_limit(&rule, &tier)).into_response())
}

pub(super) async fn patch_limit(
    State(api): Api,
    Named((name, id)): Named<(String, String)>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    members.ignore_unknown();
    let path = members.optional("path");
    let mut form = limit_form(&mut members);
    form.path = path.map(|path| Some(read::template(&path)));
    members.finish()?;
    let id = number(&id);
    let rule = api.accounts.users().rule(&name, id).await.map_err(told)?;
    if let Some(new) = form.name.as_deref().filter(|new| *new != rule.values.name) {
        refuse_taken(&api, new)?;
    }
    let by = by(&caller, &parts)?;
    api.accounts
        .edit_rule(&name, id, &form, &by)
        .await
        .map_err(told)?;
    Ok(message("Rate Limit updated"))
}

pub(super) async fn delete_limit(
    State(api): Api,
    Named((name, id)): Named<(String, String)>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let by = by(&*superuser(&api, &parts).await?, &parts)?;
    let deleted = api.accounts.delete_rule(&name, number(&id), &by);
    deleted.await.map_err(told)?;
    Ok(message("Rate Limit deleted"))
}

/// A name is given once there, whatever the tier and the path.
fn refuse_taken(api: &ApiState, name: &str) -> Result<(), Refusal> {
    let plans = api.accounts.plans();
    match plans.rules.iter().any(|rule| rule.name == name) {
        true => Err(told(PlanError::RuleExists.into())),
        false => Ok(()),
    }
}

fn limit_form(members: &mut Members) -> RuleForm {
    RuleForm {
        name: members.optional("name"),
        limit: members.number("limit"),
        period: members.number("period"),
        allows_colons: true,
        ..RuleForm::default()
    }
}
