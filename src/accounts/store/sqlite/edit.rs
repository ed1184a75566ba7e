//! Changes to accounts in SQLite. Each is logged for tokens already issued and in the audit trail,
//! in its own transaction.

use serde_json::json;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::Store;
use super::accounts::{find, is_external_id_taken, reserve_name};
use super::audit::log_event;
use super::changes::log_account;
use super::sessions::end_sessions;
use crate::accounts::store::{
    Account, Action, By, Edit, Event, Key, LastSuperuser, Millis, NewPassword, NotChanged,
    StoreError, Taken, edit, fold_email,
};

impl Store {
    /// Changes an account; one that can no longer sign in loses its sessions. Gives the account as
    /// it is now; a change that changes nothing leaves its version.
    pub async fn edit(
        &self,
        key: Key<'_>,
        change: &Edit,
        last_superuser: LastSuperuser,
        by: &By,
        now: Millis,
    ) -> Result<Result<Account, NotChanged>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let Some(before) = find(&mut tx, key).await? else {
                    return Ok(Err(NotChanged::NoSuchAccount));
                };
                let mut after = change.applied(&before, now);
                if after == before {
                    return Ok(Ok(before));
                }
                if before.deleted_at.is_some() && after.deleted_at.is_some() {
                    return Ok(Err(NotChanged::Deleted));
                }
                if let Some(reason) = conflict(&mut tx, &before, &after).await? {
                    return Ok(Err(NotChanged::Taken(reason)));
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
                    reserve_name(&mut tx, &after.username, after.id, now).await?;
                }
                log_account(&mut tx, after.id, now).await?;
                if before.may_sign_in() && !after.may_sign_in() {
                    end_sessions(&mut tx, after.id, None, now).await?;
                }
                let event = Event {
                    at: now,
                    action: edit::action(&before, &after),
                    by,
                    subject: Some((after.id, &after.username)),
                    details: edit::details(&before, &after),
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
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let Some(mut account) = find(&mut tx, key).await? else {
                    return Ok(Err(NotChanged::NoSuchAccount));
                };
                if account.deleted_at.is_some() {
                    return Ok(Err(NotChanged::Deleted));
                }
                account.version = account.version.saturating_add(1);
                account.updated_at = Some(now);
                let written = sqlx::query(
                    "UPDATE users SET password_hash = ?, version = ?, updated_at = ? \
                     WHERE id = ? AND password_hash = COALESCE(?, password_hash)",
                )
                .bind(new.hash)
                .bind(account.version.cast_signed())
                .bind(now)
                .bind(account.id.to_string())
                .bind(new.checked)
                .execute(&mut *tx)
                .await?;
                if written.rows_affected() == 0 {
                    return Ok(Err(NotChanged::OtherPassword));
                }
                log_account(&mut tx, account.id, now).await?;
                let ended = end_sessions(&mut tx, account.id, new.keep, now).await?;
                let event = Event {
                    at: now,
                    action: Action::UserPassword,
                    by,
                    subject: Some((account.id, &account.username)),
                    details: json!({ "sessions_ended": ended }),
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(Ok(account))
            })
            .await
    }

    /// Removes an account for good, deleted or not, and ends its sessions. Its names stay reserved
    /// and the audit trail keeps what it says of it.
    pub async fn purge(
        &self,
        key: Key<'_>,
        by: &By,
        now: Millis,
    ) -> Result<Result<(), NotChanged>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let Some(account) = find(&mut tx, key).await? else {
                    return Ok(Err(NotChanged::NoSuchAccount));
                };
                if is_last_superuser(&mut tx, &account).await? {
                    return Ok(Err(NotChanged::LastSuperuser));
                }
                // What the log says of sessions stays when they and the account go.
                end_sessions(&mut tx, account.id, None, now).await?;
                sqlx::query("DELETE FROM users WHERE id = ?")
                    .bind(account.id.to_string())
                    .execute(&mut *tx)
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

async fn write(conn: &mut SqliteConnection, account: &Account) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE users SET external_id = ?, username = ?, name = ?, email = ?, email_folded = ?, \
         profile_image_url = ?, tier = ?, roles = ?, is_superuser = ?, is_active = ?, version = ?, \
         updated_at = ?, deleted_at = ? WHERE id = ?",
    )
    .bind(&account.external_id)
    .bind(&account.username)
    .bind(&account.name)
    .bind(&account.email)
    .bind(fold_email(&account.email))
    .bind(&account.profile_image_url)
    .bind(&account.tier)
    .bind(json!(account.roles).to_string())
    .bind(account.is_superuser)
    .bind(account.is_active)
    .bind(account.version.cast_signed())
    .bind(account.updated_at)
    .bind(account.deleted_at)
    .bind(account.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// What of the account's new values is somebody else's. A name that the account itself once had is
/// its own.
async fn conflict(
    conn: &mut SqliteConnection,
    before: &Account,
    after: &Account,
) -> Result<Option<Taken>, sqlx::Error> {
    let id = after.id.to_string();
    if after.username != before.username {
        let query = sqlx::query("SELECT 1 FROM names_used WHERE username = ? AND user_id <> ?");
        let query = query.bind(&after.username).bind(&id);
        if query.fetch_optional(&mut *conn).await?.is_some() {
            return Ok(Some(Taken::Username));
        }
    }
    if after.email != before.email {
        let query = sqlx::query("SELECT 1 FROM users WHERE email_folded = ? AND id <> ?");
        let query = query.bind(fold_email(&after.email)).bind(&id);
        if query.fetch_optional(&mut *conn).await?.is_some() {
            return Ok(Some(Taken::Email));
        }
    }
    match &after.external_id {
        Some(external_id) if after.external_id != before.external_id => {
            let is_taken = is_external_id_taken(conn, external_id, after.id).await?;
            Ok(is_taken.then_some(Taken::ExternalId))
        }
        _ => Ok(None),
    }
}

/// Whether there would be nobody left to administer the accounts without this one.
async fn is_last_superuser(
    conn: &mut SqliteConnection,
    account: &Account,
) -> Result<bool, sqlx::Error> {
    if !account.is_superuser || !account.may_sign_in() {
        return Ok(false);
    }
    let other = other_superuser(account.id).fetch_optional(conn).await?;
    Ok(other.is_none())
}

fn other_superuser<'q>(
    id: Uuid,
) -> sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    sqlx::query(
        "SELECT 1 FROM users WHERE is_superuser = 1 AND is_active = 1 AND deleted_at IS NULL \
         AND id <> ? LIMIT 1",
    )
    .bind(id.to_string())
}
