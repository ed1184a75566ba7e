//! Changes to accounts. Each is logged for tokens already issued and in the audit trail,
//! in its own transaction.

use serde_json::json;
use uuid::Uuid;

use super::accounts::{email_key, find_to_change, is_external_id_taken};
use super::api_keys::{end_api_keys, end_lent_api_keys};
use super::audit::log_event;
use super::changes::{log_account, log_session};
use super::names;
use super::sessions::end_sessions;
use super::tiers::is_tier;
use crate::accounts::store::db::{Query, Section, Tx, query};
use crate::accounts::store::{
    Account, Action, By, Edit, Event, Free, Key, LastSuperuser, Millis, NewPassword, NotChanged,
    Store, StoreError, Taken, edit, fold_email,
};

impl Store {
    /// Changes an account; one that can no longer sign in loses its sessions. Gives the account as
    /// it is now; a change that changes nothing leaves its version.
    pub async fn edit(
        &self,
        key: Key<'_>,
        change: &Edit,
        last_superuser: LastSuperuser,
        free: Free<'_>,
        by: &By,
        now: Millis,
    ) -> Result<Result<Account, NotChanged>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                let Some(before) = find_to_change(&mut tx, key).await? else {
                    return Ok(Err(NotChanged::NoSuchAccount));
                };
                let mut after = change.applied(&before, now);
                if after == before {
                    // What it says may share a commit that is still to come.
                    tx.commit().await?;
                    return Ok(Ok(before));
                }
                if before.deleted_at.is_some() && after.deleted_at.is_some() {
                    return Ok(Err(NotChanged::Deleted));
                }
                if let Some(reason) = conflict(&mut tx, &before, &after, free.names_since).await? {
                    return Ok(Err(NotChanged::Taken(reason)));
                }
                if after.tier != before.tier && !is_tier(&mut tx, &after.tier, free.tiers).await? {
                    return Ok(Err(NotChanged::NoSuchTier));
                }
                if last_superuser == LastSuperuser::Stays
                    && is_last_superuser(&mut tx, &before).await?
                    && !(after.is_superuser && after.may_sign_in())
                {
                    return Ok(Err(NotChanged::LastSuperuser));
                }
                after.version = before.version.saturating_add(1);
                after.updated_at = Some(now);
                write(&mut tx, &after).await?;
                if after.username != before.username {
                    names::release(&mut tx, &before.username, now).await?;
                    names::reserve(&mut tx, &after.username, after.id, now).await?;
                }
                let mut ended = if before.may_sign_in() && !after.may_sign_in() {
                    end_sessions(&mut tx, after.id, None, now).await?
                } else {
                    Vec::new()
                };
                let mut details = edit::details(&before, &after);
                if before.is_superuser && !after.is_superuser {
                    let keys = end_lent_api_keys(&mut tx, after.id, now).await?;
                    if !keys.is_empty() {
                        details["keys_ended"] = json!(keys.len());
                    }
                    ended.extend(keys);
                }
                log_account(&mut tx, after.id, now).await?;
                for session in ended {
                    log_session(&mut tx, session).await?;
                }
                let event = Event {
                    at: now,
                    action: edit::action(&before, &after),
                    by,
                    subject: Some((after.id, &after.username)),
                    details,
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(Ok(after))
            })
            .await
    }

    /// Sets a password and ends the account's sessions, except the one to keep.
    pub async fn set_password(
        &self,
        key: Key<'_>,
        new: &NewPassword<'_>,
        by: &By,
        now: Millis,
    ) -> Result<Result<Account, NotChanged>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                let Some(mut account) = find_to_change(&mut tx, key).await? else {
                    return Ok(Err(NotChanged::NoSuchAccount));
                };
                if account.deleted_at.is_some() {
                    return Ok(Err(NotChanged::Deleted));
                }
                account.version = account.version.saturating_add(1);
                account.updated_at = Some(now);
                let written = query(
                    "UPDATE users SET password_hash = $1, version = $2, updated_at = $3 \
                     WHERE id = $4 AND password_hash = COALESCE($5, password_hash)",
                )
                .bind(new.hash)
                .bind(account.version.cast_signed())
                .bind(now)
                .bind(account.id)
                .bind(new.checked)
                .execute(&mut tx)
                .await?;
                if written == 0 {
                    return Ok(Err(NotChanged::OtherPassword));
                }
                let ended = end_sessions(&mut tx, account.id, new.keep, now).await?;
                log_account(&mut tx, account.id, now).await?;
                for session in &ended {
                    log_session(&mut tx, *session).await?;
                }
                let event = Event {
                    at: now,
                    action: Action::UserPassword,
                    by,
                    subject: Some((account.id, &account.username)),
                    details: json!({ "sessions_ended": ended.len() }),
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(Ok(account))
            })
            .await
    }

    /// Removes an account for good, deleted or not, and ends its sessions and keys. Its names stay reserved
    /// and the audit trail keeps what it says of it.
    pub async fn purge(
        &self,
        key: Key<'_>,
        by: &By,
        now: Millis,
    ) -> Result<Result<(), NotChanged>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                let Some(account) = find_to_change(&mut tx, key).await? else {
                    return Ok(Err(NotChanged::NoSuchAccount));
                };
                if is_last_superuser(&mut tx, &account).await? {
                    return Ok(Err(NotChanged::LastSuperuser));
                }
                // What the log says of sessions and keys stays when they and the account go.
                let sessions = end_sessions(&mut tx, account.id, None, now).await?;
                let keys = end_api_keys(&mut tx, account.id, now).await?;
                for ended in sessions.into_iter().chain(keys) {
                    log_session(&mut tx, ended).await?;
                }
                names::release(&mut tx, &account.username, now).await?;
                query("DELETE FROM users WHERE id = $1")
                    .bind(account.id)
                    .execute(&mut tx)
                    .await?;
                let event = Event {
                    at: now,
                    action: Action::UserPurge,
                    by,
                    subject: Some((account.id, &account.username)),
                    details: json!({}),
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(Ok(()))
            })
            .await
    }
}

pub(super) async fn write(tx: &mut Tx, account: &Account) -> Result<(), sqlx::Error> {
    query(
        "UPDATE users SET external_id = $1, username = $2, name = $3, email = $4, \
         email_folded = CASE WHEN email = $4 THEN email_folded ELSE $5 END, \
         profile_image_url = $6, tier = $7, roles = $8, is_superuser = $9, is_active = $10, version = $11, \
         updated_at = $12, deleted_at = $13 WHERE id = $14",
    )
    .bind(&account.external_id)
    .bind(&account.username)
    .bind(&account.name)
    .bind(&account.email)
    .bind(email_key(account))
    .bind(&account.profile_image_url)
    .bind(&account.tier)
    .bind(json!(account.roles).to_string())
    .bind(account.is_superuser)
    .bind(account.is_active)
    .bind(account.version.cast_signed())
    .bind(account.updated_at)
    .bind(account.deleted_at)
    .bind(account.id)
    .execute(tx)
    .await?;
    Ok(())
}

/// What of the account's new values is somebody else's. A name that the account itself once had is
/// its own.
async fn conflict(
    tx: &mut Tx,
    before: &Account,
    after: &Account,
    names_free_since: Millis,
) -> Result<Option<Taken>, sqlx::Error> {
    if after.username != before.username {
        let other = names::in_use_by_others(&after.username, names_free_since, after.id);
        if other.fetch_optional(&mut *tx).await?.is_some() {
            return Ok(Some(Taken::Username));
        }
    }
    if after.email != before.email {
        let other = query("SELECT 1 FROM users WHERE email_folded = $1 AND id <> $2");
        let other = other.bind(fold_email(&after.email)).bind(after.id);
        if other.fetch_optional(&mut *tx).await?.is_some() {
            return Ok(Some(Taken::Email));
        }
    }
    match &after.external_id {
        Some(external_id) if after.external_id != before.external_id => {
            let is_taken = is_external_id_taken(tx, external_id, after.id).await?;
            Ok(is_taken.then_some(Taken::ExternalId))
        }
        _ => Ok(None),
    }
}

/// Whether there would be nobody left to administer the accounts without this one.
async fn is_last_superuser(tx: &mut Tx, account: &Account) -> Result<bool, sqlx::Error> {
    if !account.is_superuser || !account.may_sign_in() {
        return Ok(false);
    }
    let other = other_superuser(account.id).fetch_optional(tx).await?;
    Ok(other.is_none())
}

fn other_superuser(id: Uuid) -> Query {
    query(
        "SELECT 1 FROM users WHERE is_superuser AND is_active AND deleted_at IS NULL \
         AND id <> $1 LIMIT 1",
    )
    .bind(id)
}
