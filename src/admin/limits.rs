//! `GET /limits`: the counters that are not full, those with the least left first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{Admin, manage, refuse};
use crate::accounts::{Account, AccountsError, Key};
use crate::config::text::rate_text;
use crate::limit::{Live, UnderWay, Value};
use crate::request::{Code, Refusal};

/// Counters that are shown unless more or less are asked for, and at most.
const SHOWN: usize = 100;
const MOST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// A name, or an id.
    user: Option<String>,
    limit: Option<usize>,
}

/// Accounts that were looked up already.
type Known = HashMap<Uuid, Option<Account>>;

pub async fn show(
    State(admin): State<Admin>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let told = match asked {
        Ok(Query(asked)) => told(&admin, asked).await,
        Err(rejection) => Err(Refusal::new(
            Code::BadRequest,
            "The query has `user`, a name or an id, and `limit`, a number.",
        )
        .because(rejection)),
    };
    match told {
        Ok(told) => manage::told(told),
        Err(refusal) => refuse(&refusal),
    }
}

async fn told(admin: &Admin, asked: Asked) -> Result<Json, Refusal> {
    let mut known = Known::new();
    let user = match &asked.user {
        None => None,
        Some(user) => {
            let account = find(admin, user).await?;
            let account =
                account.ok_or_else(|| Refusal::new(Code::NotFound, "There is no such account."))?;
            let id = account.id;
            known.insert(id, Some(account));
            Some(id)
        }
    };
    let most = asked.limit.unwrap_or(SHOWN).min(MOST);
    let snapshot = admin.sources.snapshots.load_full();
    let listed = {
        let snapshot = Arc::clone(&snapshot);
        // Millions of counters are looked through.
        let listed =
            tokio::task::spawn_blocking(move || snapshot.limits.live(&snapshot.config, user, most));
        listed.await.map_err(|error| {
            Refusal::new(Code::Internal, "The counters could not be read.").because(error)
        })?
    };
    let mut counters = Vec::with_capacity(listed.live.len());
    for live in &listed.live {
        let account = account_of(admin, live.value, &mut known).await?;
        counters.extend(counter(&snapshot, live, account));
    }
    let mut under_way = Vec::new();
    for seat in snapshot
        .limits
        .under_way(&snapshot.config, user)
        .iter()
        .take(most)
    {
        let account = account_of(admin, seat.value, &mut known).await?;
        under_way.push(seats(seat, account));
    }
    Ok(json!({
        "counters": counters,
        "total_count": listed.total,
        "concurrency": under_way,
    }))
}

async fn find(admin: &Admin, user: &str) -> Result<Option<Account>, AccountsError> {
    let key = match Uuid::parse_str(user) {
        Ok(id) => Key::Id(id),
        Err(_) => Key::Username(user),
    };
    admin.sources.accounts.users().find(key).await
}

async fn account_of<'k>(
    admin: &Admin,
    value: Value,
    known: &'k mut Known,
) -> Result<Option<&'k Account>, AccountsError> {
    let Value::User(id) = value else {
        return Ok(None);
    };
    let account = match known.entry(id) {
        Entry::Occupied(account) => account.into_mut(),
        Entry::Vacant(unknown) => {
            let users = admin.sources.accounts.users();
            unknown.insert(users.find(Key::Id(id)).await?)
        }
    };
    Ok(account.as_ref())
}

fn counter(
    snapshot: &crate::gateway::Snapshot,
    live: &Live,
    account: Option<&Account>,
) -> Option<Json> {
    let subject = snapshot.limits.subject(live)?;
    let tier = account.map(|account| account.tier.as_str());
    let told = snapshot.limits.told(&snapshot.config, live, tier);
    Some(json!({
        "limit": subject.name,
        "route": subject.route,
        "method": subject.method,
        "path": subject.path,
        "shadow": subject.is_shadow,
        "key": live.value.to_string(),
        "user": account.map(|account| &account.username),
        "tier": tier,
        "rate": told.quota.map(|rate| rate_text(Some(rate))),
        "remaining": told.remaining,
        "retry_in": told.retry_in,
        "full_in": told.full_in,
    }))
}

fn seats(seat: &UnderWay, account: Option<&Account>) -> Json {
    json!({
        "route": seat.route,
        "key": seat.value.to_string(),
        "user": account.map(|account| &account.username),
        "requests": seat.requests,
        "max": seat.max,
    })
}
