//! `audit`: who did what to whom, when and from where.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::LINK;
use serde_json::{Value, json};

use super::ApiState;
use super::body::Members;
use super::caller::superuser;
use super::page;
use super::refused::Refused;
use crate::accounts::{Action, Entry, Trail, from_timestamp, timestamp};
use crate::request::schema::{flag, list as entries, number, text, time, told};

/// Entries on a page, unless asked otherwise, and at most.
const PAGE: i64 = 50;
const LARGEST_PAGE: i64 = 100;

pub(super) async fn list(
    State(api): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    superuser(&api, &parts).await?;
    let mut query = Members::of_query(&parts)?;
    let user = query.optional("user");
    let actor = query.optional("by");
    let action = query.optional("action").and_then(|name| {
        let action = Action::ALL.into_iter().find(|known| known.as_str() == name);
        if action.is_none() {
            query.reject("action", "is not the name of an action");
        }
        action
    });
    let since = query.optional("since").and_then(|text| {
        let since = from_timestamp(&text);
        if since.is_none() {
            query.reject("since", "must be a time such as 2027-01-15T08:00:00Z");
        }
        since
    });
    let before = query.positive("before");
    let limit = query.positive("limit").unwrap_or(PAGE).min(LARGEST_PAGE);
    query.finish()?;
    let trail = Trail {
        user: user.as_deref(),
        actor: actor.as_deref(),
        action,
        since,
        before,
        // One more tells whether there is more.
        limit: limit + 1,
    };
    let mut entries = api.accounts.users().trail(&trail).await?;
    let limit = usize::try_from(limit).unwrap_or_default();
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| has_more).map(|entry| entry.seq);
    let data: Vec<Value> = entries.iter().map(|entry| entry.to_json()).collect();
    let told = Json(json!({ "data": data, "has_more": has_more, "next": next }));
    let link = next.and_then(|next| {
        let since = since.and_then(timestamp).unwrap_or_default();
        let same = [
            ("user", user.as_deref().unwrap_or_default()),
            ("by", actor.as_deref().unwrap_or_default()),
            ("action", action.map_or("", Action::as_str)),
            ("since", &since),
            ("limit", &limit.to_string()),
        ];
        page::next(&same, ("before", &next.to_string()))
    });
    Ok(match link {
        Some(link) => ([(LINK, link)], told).into_response(),
        None => told.into_response(),
    })
}

pub(super) fn query() -> Value {
    json!({
        "user": text(),
        "by": text(),
        "action": { "type": "string", "enum": Action::ALL.map(Action::as_str) },
        "since": time(),
        "before": number(1),
        "limit": number(1),
    })
}

/// What [`list`] tells.
pub(super) fn listed() -> Value {
    let properties = json!({
        "data": entries(Entry::schema()),
        "has_more": flag(),
        "next": { "type": ["integer", "null"] },
    });
    told("AuditTrail", &[], properties)
}
