//! API keys. Each change is logged for gateways that remember the key and in the audit trail, in its
//! own transaction.

use serde_json::json;
use uuid::Uuid;

use super::accounts::find_to_change;
use super::audit::log_event;
use super::changes::{keys_hear_until, log_session};
use super::rows;
use crate::accounts::INTROSPECT;
use crate::accounts::store::db::{Tx, query};
use crate::accounts::store::{
    Action, By, EndedSession, Event, Key, KeyEdit, KeyInfo, Millis, NotKept, Store, StoreError,
    StoredKey,
};

/// How long after its last noted use the next one is noted.
const USE_NOTED: Millis = 60_000;

const WITH_OWNER: &str = "SELECT u.*, k.id AS key_id, k.grant_id, k.name AS key_name, k.hash, \
     k.scopes, k.created_at AS key_created_at, k.expires_at, k.last_used_at, k.ended_at \
     FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.id = $1";

impl Store {
    /// A key and its owner, whatever became of them.
    pub async fn api_key(&self, id: Uuid) -> Result<Option<StoredKey>, StoreError> {
        self.health
            .watch(async {
                let found = query(WITH_OWNER).bind(id).fetch_optional(&self.db).await?;
                found.as_ref().map(rows::stored_key).transpose()
            })
            .await
    }

    /// The keys of an account that were not revoked, the newest first.
    pub async fn api_keys_of(&self, user: Uuid) -> Result<Vec<KeyInfo>, StoreError> {
        self.health
            .watch(async {
                query(
                    "SELECT * FROM api_keys WHERE user_id = $1 AND ended_at IS NULL \
                     ORDER BY created_at DESC, id DESC",
                )
                .bind(user)
                .fetch_all(&self.db)
                .await?
                .iter()
                .map(rows::key_info)
                .collect()
            })
            .await
    }

    /// Keeps a new key, unless the account has as many as it may.
    pub async fn insert_api_key(
        &self,
        owner: Key<'_>,
        key: &KeyInfo,
        hash: &str,
        most: i64,
        by: &By,
    ) -> Result<Result<(), NotKept>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                // The account's lock makes the count hold.
                let Some(account) = find_to_change(&mut tx, owner).await? else {
                    return Ok(Err(NotKept::NoSuchAccount));
                };
                if account.deleted_at.is_some() {
                    return Ok(Err(NotKept::Deleted));
                }
                let count = query(
                    "SELECT COUNT(*) AS count FROM api_keys \
                     WHERE user_id = $1 AND ended_at IS NULL",
                );
                let count: i64 = count
                    .bind(account.id)
                    .fetch_one(&mut tx)
                    .await?
                    .get("count")?;
                if count >= most {
                    return Ok(Err(NotKept::TooMany));
                }
                query(
                    "INSERT INTO api_keys (id, user_id, grant_id, name, hash, scopes, created_at, \
                     expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                )
                .bind(key.id)
                .bind(account.id)
                .bind(Uuid::now_v7())
                .bind(&key.name)
                .bind(hash)
                .bind(json!(key.scopes).to_string())
                .bind(key.created_at)
                .bind(key.expires_at)
                .execute(&mut tx)
                .await?;
                let event = Event {
                    at: key.created_at,
                    action: Action::ApiKeyCreate,
                    by,
                    subject: Some((account.id, &account.username)),
                    details: json!({ "key": key.id, "name": key.name, "scopes": key.scopes }),
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(Ok(()))
            })
            .await
    }

    /// Changes a key of that account. `None`: it has no such key.
    pub async fn edit_api_key(
        &self,
        id: Uuid,
        owner: Uuid,
        edit: &KeyEdit,
        by: &By,
        now: Millis,
    ) -> Result<Option<KeyInfo>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                let Some(account) = find_to_change(&mut tx, Key::Id(owner)).await? else {
                    return Ok(None);
                };
                let row = query(
                    "SELECT * FROM api_keys WHERE id = $1 AND user_id = $2 AND ended_at IS NULL",
                )
                .bind(id)
                .bind(owner)
                .for_update()
                .fetch_optional(&mut tx)
                .await?;
                let Some(row) = row else {
                    return Ok(None);
                };
                let before = rows::key_info(&row)?;
                let after = edit.applied(&before);
                if after == before {
                    // What it says may share a commit that is still to come.
                    tx.commit().await?;
                    return Ok(Some(before));
                }
                query(
                    "UPDATE api_keys SET name = $1, scopes = $2, expires_at = $3, grant_id = $4 \
                     WHERE id = $5",
                )
                .bind(&after.name)
                .bind(json!(after.scopes).to_string())
                .bind(after.expires_at)
                .bind(Uuid::now_v7())
                .bind(id)
                .execute(&mut tx)
                .await?;
                log_session(&mut tx, over(row.uuid("grant_id")?, now)).await?;
                let event = Event {
                    at: now,
                    action: Action::ApiKeyUpdate,
                    by,
                    subject: Some((account.id, &account.username)),
                    details: json!({ "key": id, "name": after.name, "scopes": after.scopes }),
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(Some(after))
            })
            .await
    }

    /// Revokes a key, of that account if one is given. False: there is none that could still end.
    pub async fn end_api_key(
        &self,
        id: Uuid,
        owner: Option<Uuid>,
        by: &By,
        now: Millis,
    ) -> Result<bool, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                let row = query(WITH_OWNER).bind(id).fetch_optional(&mut tx).await?;
                let found = row.as_ref().map(rows::stored_key).transpose()?;
                let Some(found) =
                    found.filter(|found| owner.is_none_or(|owner| owner == found.account.id))
                else {
                    return Ok(false);
                };
                let ended = query(
                    "UPDATE api_keys SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL \
                     RETURNING grant_id",
                );
                let ended = ended.bind(now).bind(id).fetch_optional(&mut tx).await?;
                let Some(ended) = ended else {
                    // Whoever has ended it may share a commit that is still to come.
                    tx.commit().await?;
                    return Ok(false);
                };
                log_session(&mut tx, over(ended.uuid("grant_id")?, now)).await?;
                let own;
                let by = match by.ip {
                    // Whoever shows a key is its user.
                    Some(ip) if by.actor.is_none() => {
                        own = By::user(found.account.id, &found.account.username, ip);
                        &own
                    }
                    _ => by,
                };
                let event = Event {
                    at: now,
                    action: Action::ApiKeyRevoke,
                    by,
                    subject: Some((found.account.id, &found.account.username)),
                    details: json!({ "key": id, "name": found.info.name }),
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(true)
            })
            .await
    }

    /// Notes when keys were used, unless that was noted lately.
    pub async fn note_key_uses(&self, uses: &[(Uuid, Millis)]) -> Result<(), StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                for (id, at) in uses {
                    query(
                        "UPDATE api_keys SET last_used_at = $1 WHERE id = $2 \
                         AND (last_used_at IS NULL OR last_used_at <= $3)",
                    )
                    .bind(*at)
                    .bind(*id)
                    .bind(at.saturating_sub(USE_NOTED))
                    .execute(&mut tx)
                    .await?;
                }
                tx.commit().await
            })
            .await
    }
}

/// Revokes all keys of an account that goes for good. Gives what the change log has to say of it.
pub(super) async fn end_api_keys(
    tx: &mut Tx,
    user: Uuid,
    now: Millis,
) -> Result<Vec<EndedSession>, sqlx::Error> {
    // In the order in which their uses are noted.
    let locked = query("SELECT id FROM api_keys WHERE user_id = $1 ORDER BY id").bind(user);
    locked.for_update().fetch_all(&mut *tx).await?;
    let rows = query(
        "UPDATE api_keys SET ended_at = $1 WHERE user_id = $2 AND ended_at IS NULL \
         RETURNING grant_id",
    )
    .bind(now)
    .bind(user)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| Ok(over(row.uuid("grant_id")?, now)))
        .collect()
}

/// Revokes the keys of an account that lend what only superusers may lend. Gives what the change log has
/// to say of it.
pub(super) async fn end_lent_api_keys(
    tx: &mut Tx,
    user: Uuid,
    now: Millis,
) -> Result<Vec<EndedSession>, sqlx::Error> {
    // No scope has a quotation mark in it.
    let lent = format!("%\"{INTROSPECT}\"%");
    let locked = query("SELECT id FROM api_keys WHERE user_id = $1 ORDER BY id").bind(user);
    locked.for_update().fetch_all(&mut *tx).await?;
    let rows = query(
        "UPDATE api_keys SET ended_at = $1 WHERE user_id = $2 AND ended_at IS NULL \
         AND scopes LIKE $3 RETURNING grant_id",
    )
    .bind(now)
    .bind(user)
    .bind(lent)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| Ok(over(row.uuid("grant_id")?, now)))
        .collect()
}

/// A grant that is over, as the change log has it.
fn over(grant: Uuid, now: Millis) -> EndedSession {
    EndedSession {
        id: grant,
        tokens_expire_at: keys_hear_until(now),
    }
}
