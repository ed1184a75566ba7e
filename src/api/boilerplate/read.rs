//! Accounts, tiers and rate limits in the members that the boilerplate has for them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::accounts::{Account, AccountsError, Rule, Target, Tier, Users, timestamp};

/// What an account without a picture has there.
const NO_PICTURE: &str = "https://profileimageurl.com";

/// `UserRead`.
pub(super) fn user(account: &Account, tier: Option<&Tier>) -> Map<String, Value> {
    let number = account
        .external_id
        .as_deref()
        .and_then(|id| id.parse::<i64>().ok());
    let id = number.map_or_else(|| json!(account.id), |number| json!(number));
    let picture = account.profile_image_url.as_deref().unwrap_or(NO_PICTURE);
    let members = [
        ("id", id),
        ("name", json!(account.name)),
        ("username", json!(account.username)),
        ("email", json!(account.email)),
        ("profile_image_url", json!(picture)),
        ("tier_id", json!(tier.map(|tier| tier.id))),
    ];
    members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// `TierRead`.
pub(super) fn tier(tier: &Tier) -> Value {
    json!({
        "name": tier.name,
        "id": tier.id,
        "created_at": timestamp(tier.created_at),
    })
}

/// `RateLimitRead`.
pub(super) fn rate_limit(rule: &Rule, tier: &Tier) -> Value {
    json!({
        "path": path(&rule.values.target),
        "limit": rule.values.quota.count,
        "period": rule.values.quota.seconds,
        "id": rule.id,
        "tier_id": tier.id,
        "name": rule.values.name,
    })
}

/// A row of the boilerplate's table, as `/user/{username}/rate_limits` lists them.
pub(super) fn rate_limit_row(rule: &Rule, tier: &Tier) -> Value {
    let mut row = rate_limit(rule, tier);
    row["created_at"] = json!(timestamp(rule.created_at));
    row["updated_at"] = json!(rule.updated_at.and_then(timestamp));
    row
}

/// Paths are kept there without slashes at their ends and with underscores for the others.
fn path(target: &Target) -> String {
    match target {
        Target::Route(route) => route.clone(),
        Target::Path(template, _) => template.trim_matches('/').replace('/', "_"),
    }
}

/// The template of a path that was given with slashes, or as it was read here.
pub(super) fn template(path: &str) -> String {
    let inner = path.trim_matches('/');
    if inner.contains('/') || path != inner {
        return format!("/{inner}");
    }
    format!("/{}", inner.replace('_', "/"))
}

/// The accounts of a page with the numbers of their tiers.
pub(in crate::api) async fn with_tier_ids(
    users: &Users,
    accounts: &[Account],
) -> Result<Vec<Value>, AccountsError> {
    let tiers = users.tiers().await?.into_iter();
    let ids: BTreeMap<String, i64> = tiers.map(|tier| (tier.name, tier.id)).collect();
    let told = accounts.iter().map(|account| {
        let mut told = account.to_json();
        told["tier_id"] = json!(ids.get(&account.tier));
        told
    });
    Ok(told.collect())
}

/// The schema of one of them.
pub(in crate::api) fn with_tier_id(mut account: Value) -> Value {
    account["title"] = json!("UserWithTierId");
    account["properties"]["tier_id"] = json!({ "type": ["integer", "null"] });
    account
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_was_read_can_be_sent_back() {
        for (given, kept, read) in [
            ("/api/v1/tasks/", "/api/v1/tasks", "api_v1_tasks"),
            ("api/v1/tasks", "/api/v1/tasks", "api_v1_tasks"),
            ("api_v1_tasks", "/api/v1/tasks", "api_v1_tasks"),
            ("/my_tasks", "/my_tasks", "my_tasks"),
            ("users", "/users", "users"),
            ("/", "/", ""),
        ] {
            assert_eq!(template(given), kept);
            assert_eq!(path(&Target::Path(kept.into(), None)), read);
        }
    }
}
