//! Tiers. Everything that changes them, or gives one to an account, happens in the section of accounts,
//! so that no tier goes while somebody gets it.

use serde_json::{Map, Value, json};

use super::audit::log_event;
use super::rows;
use super::tier_limits::drop_rules;
use crate::accounts::store::db::{Section, Tx, query};
use crate::accounts::store::{
    Action, By, Event, FileTiers, Millis, NotPlanned, Quota, Store, StoreError, TierRow, TierValues,
};
use crate::request::FieldError;

/// More than anybody tells apart, and few enough to be read as a whole.
pub const MOST_TIERS: i64 = 1000;

const NAMED: &str = "SELECT i.id, i.name, i.since, t.name AS stored, t.rank, t.rate_count, \
                     t.rate_seconds, t.burst, t.updated_at FROM tier_ids i \
                     LEFT JOIN tiers t ON t.name = i.name";

impl Store {
    /// All names of tiers that have a number, in their order.
    pub async fn tier_rows(&self) -> Result<Vec<TierRow>, StoreError> {
        self.health
            .watch(async {
                let mut all = query(NAMED);
                all.push(" ORDER BY i.name");
                all.fetch_all(&self.db)
                    .await?
                    .iter()
                    .map(rows::tier)
                    .collect()
            })
            .await
    }

    pub async fn tier_row(&self, name: &str) -> Result<Option<TierRow>, StoreError> {
        self.health
            .watch(async {
                let mut one = query(NAMED);
                one.push(" WHERE i.name = ").push_bind(name);
                let row = one.fetch_optional(&self.db).await?;
                row.as_ref().map(rows::tier).transpose()
            })
            .await
    }

    /// Gives names that have no number one.
    pub async fn number_tiers(&self, names: &[&str], now: Millis) -> Result<(), StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                for name in names {
                    number(&mut tx, name, now).await?;
                }
                tx.commit().await
            })
            .await
    }

    pub async fn insert_tier(
        &self,
        tier: &TierValues,
        by: &By,
        now: Millis,
    ) -> Result<Result<TierRow, NotPlanned>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                if is_stored(&mut tx, &tier.name).await? {
                    return Ok(Err(NotPlanned::TierExists));
                }
                let count = query("SELECT count(*) AS total FROM tiers");
                if count.fetch_one(&mut tx).await?.get::<i64>("total")? >= MOST_TIERS {
                    return Ok(Err(NotPlanned::TooManyTiers));
                }
                number(&mut tx, &tier.name, now).await?;
                let quota = columns(tier.quota);
                query(
                    "INSERT INTO tiers (name, rank, rate_count, rate_seconds, burst) \
                     VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(&tier.name)
                .bind(tier.rank)
                .bind(quota.0)
                .bind(quota.1)
                .bind(quota.2)
                .execute(&mut tx)
                .await?;
                let details =
                    json!({ "tier": tier.name, "rank": tier.rank, "rate": told(tier.quota) });
                let row = close(tx, &tier.name, Action::TierCreate, by, now, details).await?;
                Ok(row.ok_or(NotPlanned::NoSuchTier))
            })
            .await
    }

    /// Makes of a tier what `change` says, unless that is a name that accounts would not have any more.
    pub async fn update_tier(
        &self,
        name: &str,
        change: impl FnOnce(&TierValues) -> Result<TierValues, Vec<FieldError>>,
        by: &By,
        now: Millis,
    ) -> Result<Result<TierRow, NotPlanned>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                let Some(before) = find(&mut tx, name).await?.and_then(|row| row.stored) else {
                    return Ok(Err(NotPlanned::NoSuchTier));
                };
                let before = before.values;
                let after = match change(&before) {
                    Ok(after) => after,
                    Err(wrong) => return Ok(Err(NotPlanned::Invalid(wrong))),
                };
                if after == before {
                    let known = find(&mut tx, name).await?.ok_or(NotPlanned::NoSuchTier);
                    tx.commit().await?;
                    return Ok(known);
                }
                if after.name != before.name {
                    if is_stored(&mut tx, &after.name).await? {
                        return Ok(Err(NotPlanned::TierExists));
                    }
                    if is_in_use(&mut tx, name).await? {
                        return Ok(Err(NotPlanned::TierInUse));
                    }
                    // What the file's tier of that name once had, if it had one.
                    drop_rules(&mut tx, &after.name, by, now).await?;
                    rename(&mut tx, name, &after.name).await?;
                }
                let quota = columns(after.quota);
                query(
                    "UPDATE tiers SET rank = $1, rate_count = $2, rate_seconds = $3, burst = $4, \
                     updated_at = $5 WHERE name = $6",
                )
                .bind(after.rank)
                .bind(quota.0)
                .bind(quota.1)
                .bind(quota.2)
                .bind(now)
                .bind(&after.name)
                .execute(&mut tx)
                .await?;
                let details = changed(&before, &after);
                let row = close(tx, &after.name, Action::TierUpdate, by, now, details).await?;
                Ok(row.ok_or(NotPlanned::NoSuchTier))
            })
            .await
    }

    /// Removes a tier that no account has, with its rules and its number.
    pub async fn delete_tier(
        &self,
        name: &str,
        by: &By,
        now: Millis,
    ) -> Result<Result<(), NotPlanned>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                if !is_stored(&mut tx, name).await? {
                    return Ok(Err(NotPlanned::NoSuchTier));
                }
                if is_in_use(&mut tx, name).await? {
                    return Ok(Err(NotPlanned::TierInUse));
                }
                for statement in [
                    "DELETE FROM tier_limits WHERE tier = $1",
                    "DELETE FROM tiers WHERE name = $1",
                    "DELETE FROM tier_ids WHERE name = $1",
                ] {
                    query(statement).bind(name).execute(&mut tx).await?;
                }
                let details = json!({ "tier": name });
                close(tx, name, Action::TierDelete, by, now, details).await?;
                Ok(Ok(()))
            })
            .await
    }
}

/// Whether the store has this tier.
pub(super) async fn is_stored(tx: &mut Tx, name: &str) -> Result<bool, sqlx::Error> {
    let row = query("SELECT 1 AS one FROM tiers WHERE name = $1").bind(name);
    Ok(row.fetch_optional(tx).await?.is_some())
}

/// Whether an account may have it. In the section of accounts it stays so.
pub(super) async fn is_tier(
    tx: &mut Tx,
    name: &str,
    file_tiers: &FileTiers,
) -> Result<bool, sqlx::Error> {
    Ok(file_tiers.contains_key(name) || is_stored(tx, name).await?)
}

/// Whether an account has it, a deleted one too: it may come back.
async fn is_in_use(tx: &mut Tx, name: &str) -> Result<bool, sqlx::Error> {
    for statement in [
        "SELECT 1 AS one FROM users WHERE tier = $1 AND deleted_at IS NULL LIMIT 1",
        "SELECT 1 AS one FROM users WHERE tier = $1 AND deleted_at IS NOT NULL LIMIT 1",
    ] {
        if query(statement)
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?
            .is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The rules go with the name, and so does the number.
async fn rename(tx: &mut Tx, from: &str, to: &str) -> Result<(), sqlx::Error> {
    for statement in [
        // A name that the file once had; nobody may have two numbers.
        "DELETE FROM tier_ids WHERE name = $2 AND name <> $1",
        "UPDATE tier_ids SET name = $2 WHERE name = $1",
        "UPDATE tier_limits SET tier = $2 WHERE tier = $1",
        "UPDATE tiers SET name = $2 WHERE name = $1",
    ] {
        query(statement)
            .bind(from)
            .bind(to)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

async fn number(tx: &mut Tx, name: &str, now: Millis) -> Result<(), sqlx::Error> {
    query("INSERT INTO tier_ids (name, since) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(())
}

async fn find(tx: &mut Tx, name: &str) -> Result<Option<TierRow>, sqlx::Error> {
    let mut one = query(NAMED);
    one.push(" WHERE i.name = ").push_bind(name);
    let row = one.fetch_optional(tx).await?;
    row.as_ref().map(rows::tier).transpose()
}

/// Logs what was done, moves the version, and commits. Gives the tier as it is now.
async fn close(
    mut tx: Tx,
    name: &str,
    action: Action,
    by: &By,
    now: Millis,
    details: Value,
) -> Result<Option<TierRow>, sqlx::Error> {
    log_plan(&mut tx, action, by, now, details).await?;
    let row = find(&mut tx, name).await?;
    tx.commit().await?;
    Ok(row)
}

/// What was done with a tier or a rule, in the audit trail, and a new version of the plans.
pub(super) async fn log_plan(
    tx: &mut Tx,
    action: Action,
    by: &By,
    now: Millis,
    details: Value,
) -> Result<(), sqlx::Error> {
    query("UPDATE plans SET version = version + 1")
        .execute(&mut *tx)
        .await?;
    let event = Event {
        at: now,
        action,
        by,
        subject: None,
        details,
    };
    log_event(tx, &event).await
}

fn columns(quota: Option<Quota>) -> (Option<i64>, Option<i64>, Option<i64>) {
    let number = |n: std::num::NonZeroU32| i64::from(n.get());
    (
        quota.map(|quota| number(quota.count)),
        quota.map(|quota| number(quota.seconds)),
        quota.and_then(|quota| quota.burst).map(number),
    )
}

fn changed(before: &TierValues, after: &TierValues) -> Value {
    let mut details = Map::new();
    details.insert("tier".to_owned(), json!(after.name));
    for (member, from, to) in [
        ("name", json!(before.name), json!(after.name)),
        ("rank", json!(before.rank), json!(after.rank)),
        ("rate", told(before.quota), told(after.quota)),
    ] {
        if from != to {
            details.insert(member.to_owned(), json!({ "from": from, "to": to }));
        }
    }
    Value::Object(details)
}

/// A quota as the audit trail has it.
pub(super) fn told(quota: Option<Quota>) -> Value {
    json!(quota.map(|quota| json!({
        "limit": quota.count,
        "period": quota.seconds,
        "burst": quota.burst(),
    })))
}
