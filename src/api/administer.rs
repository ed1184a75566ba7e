//! What superusers do with accounts: list them, and change what their owners can't.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::LINK;
use serde_json::{Value, json};

use super::ApiState;
use super::body::{Accepts, Members};
use super::boilerplate;
use super::caller::{Named, by, superuser};
use super::page::{self, Page};
use super::refused::Refused;
use crate::accounts::{Account, Edit, Key, Listing, Prefix};
use crate::config::Secret;
use crate::config::checked::Compat;
use crate::request::schema::{self, asked, flag, number, text};

type Answer = Result<Response, Refused>;
type Api = State<Arc<ApiState>>;

/// Accounts on a page unless asked otherwise.
const PAGE: i64 = 10;

pub(super) async fn list(State(api): Api, request: Request) -> Answer {
    let (parts, _) = request.into_parts();
    superuser(&api, &parts).await?;
    let mut query = Members::of_query(&parts)?;
    let after = query.optional("after");
    let page = Page::of(&mut query, PAGE);
    if after.is_some() && page.offset > 0 {
        query.reject("after", "stands in place of `page`, not beside it");
    }
    let tier = query.optional("tier");
    let is_deleted = query.flag("deleted");
    let q = query.optional("q").unwrap_or_default();
    query.finish()?;
    let (searched, after) = (
        q.trim().to_lowercase(),
        after.map(|last| last.to_lowercase()),
    );
    let listing = Listing {
        prefix: Prefix::of(&searched),
        tier: tier.as_deref(),
        is_deleted,
        after: after.as_deref(),
        offset: page.offset,
        // One more tells whether there is more.
        limit: page.limit + 1,
    };
    let mut listed = api.accounts.users().list(&listing).await?;
    let limit = usize::try_from(page.limit).unwrap_or_default();
    let has_more = listed.accounts.len() > limit;
    listed.accounts.truncate(limit);
    let data = if api.compat.contains(&Compat::FastapiBoilerplate) {
        boilerplate::with_tier_ids(api.accounts.users(), &listed.accounts).await?
    } else {
        listed.accounts.iter().map(Account::to_json).collect()
    };
    let told = Json(page.told_with(data, listed.total, has_more));
    let last = listed.accounts.last().filter(|_| has_more);
    let link = last.and_then(|last| {
        let limit = page.limit.to_string();
        let same = [
            ("items_per_page", limit.as_str()),
            ("tier", listing.tier.unwrap_or_default()),
            ("deleted", if is_deleted { "true" } else { "" }),
            ("q", q.as_str()),
        ];
        let last = match listing.prefix {
            Some(Prefix::Email(_)) => &last.email,
            _ => &last.username,
        };
        page::next(&same, ("after", last))
    });
    Ok(match link {
        Some(link) => ([(LINK, link)], told).into_response(),
        None => told.into_response(),
    })
}

pub(super) fn list_query() -> Value {
    json!({
        "page": number(1),
        "after": text(),
        "items_per_page": number(1),
        "tier": text(),
        "deleted": flag(),
        "q": text(),
    })
}

/// What [`list`] tells.
pub(super) fn listed(compat: &[Compat]) -> Value {
    let account = match compat.contains(&Compat::FastapiBoilerplate) {
        true => boilerplate::with_tier_id(Account::schema()),
        false => Account::schema(),
    };
    schema::page("Users", account)
}

pub(super) async fn set_tier(api: Api, name: Named<String>, request: Request) -> Answer {
    change(api, name, request, |members| Edit {
        tier: Some(members.required("tier")),
        ..Edit::default()
    })
    .await
}

pub(super) fn tier_body() -> Value {
    asked(&["tier"], json!({ "tier": text() }))
}

pub(super) async fn set_roles(api: Api, name: Named<String>, request: Request) -> Answer {
    change(api, name, request, |members| Edit {
        roles: Some(members.required_list("roles")),
        ..Edit::default()
    })
    .await
}

pub(super) fn roles_body() -> Value {
    asked(&["roles"], json!({ "roles": schema::list(text()) }))
}

pub(super) async fn set_superuser(api: Api, name: Named<String>, request: Request) -> Answer {
    change(api, name, request, |members| Edit {
        is_superuser: Some(members.required_bool("is_superuser")),
        ..Edit::default()
    })
    .await
}

pub(super) fn superuser_body() -> Value {
    asked(&["is_superuser"], json!({ "is_superuser": flag() }))
}

pub(super) async fn disable(api: Api, name: Named<String>, request: Request) -> Answer {
    let edit = Edit {
        is_active: Some(false),
        ..Edit::default()
    };
    apply(api, name, request, edit).await
}

pub(super) async fn enable(api: Api, name: Named<String>, request: Request) -> Answer {
    let edit = Edit {
        is_active: Some(true),
        ..Edit::default()
    };
    apply(api, name, request, edit).await
}

pub(super) async fn restore(api: Api, name: Named<String>, request: Request) -> Answer {
    let edit = Edit {
        is_deleted: Some(false),
        ..Edit::default()
    };
    apply(api, name, request, edit).await
}

pub(super) async fn set_password(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let new = Secret::new(members.required("new_password"));
    members.finish()?;
    let keep = (caller.username == username).then_some(caller.session);
    let key = Key::Username(&username);
    let account = api.accounts.set_password(key, new, keep, &by).await?;
    Ok(Json(account.to_json()).into_response())
}

pub(super) fn password_body() -> Value {
    let password = json!({ "type": "string", "format": "password" });
    asked(&["new_password"], json!({ "new_password": password }))
}

/// A change that the body tells.
async fn change(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
    read: impl FnOnce(&mut Members) -> Edit,
) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    let mut members = Members::read(&parts, body, Accepts::Json).await?;
    let edit = read(&mut members);
    members.finish()?;
    let account = api.accounts.edit(Key::Username(&username), &edit, &by);
    Ok(Json(account.await?.to_json()).into_response())
}

/// A change that the path tells.
async fn apply(
    State(api): Api,
    Named(username): Named<String>,
    request: Request,
    edit: Edit,
) -> Answer {
    let (parts, _) = request.into_parts();
    let caller = superuser(&api, &parts).await?;
    let by = by(&caller, &parts)?;
    let account = api.accounts.edit(Key::Username(&username), &edit, &by);
    Ok(Json(account.await?.to_json()).into_response())
}
