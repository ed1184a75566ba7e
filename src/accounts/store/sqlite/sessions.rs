//! Sessions in SQLite.

use serde_json::json;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::accounts::find;
use super::attempts::clear;
use super::audit::log_event;
use super::changes::log_session;
use super::{Store, rows};
use crate::accounts::store::{
    Account, Action, By, EndedSession, Event, Key, Millis, NewSession, Session, SessionInfo, Step,
    StoreError, UsedSession,
};

/// The most sessions told at once; a program that signs in for every call can have very many.
const LISTED: i64 = 1000;

impl Store {
    /// Begins a session for an account whose password was just checked. Gives the account as it is
    /// at that moment; `None` when it may no longer sign in or its password is another by now.
    pub async fn begin_session(
        &self,
        user: Uuid,
        checked_hash: &str,
        session: &NewSession<'_>,
    ) -> Result<Option<Account>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let row = sqlx::query("SELECT * FROM users WHERE id = ? AND password_hash = ?")
                    .bind(user.to_string())
                    .bind(checked_hash)
                    .fetch_optional(&mut *tx)
                    .await?;
                let account = match row {
                    Some(row) => rows::account(&row)?,
                    None => return Ok(None),
                };
                if !account.may_sign_in() {
                    return Ok(None);
                }
                sqlx::query(
                    "INSERT INTO sessions (id, user_id, counter, created_at, last_used_at, \
                     expires_at, tokens_expire_at, ip, user_agent) \
                     VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?)",
                )
                .bind(session.id.to_string())
                .bind(user.to_string())
                .bind(session.now)
                .bind(session.now)
                .bind(session.expires_at)
                .bind(session.tokens_expire_at)
                .bind(session.ip.to_string())
                .bind(session.user_agent)
                .execute(&mut *tx)
                .await?;
                clear(&mut tx, session.clears).await?;
                if let Some(hash) = session.new_hash {
                    sqlx::query("UPDATE users SET password_hash = ? WHERE id = ?")
                        .bind(hash)
                        .bind(user.to_string())
                        .execute(&mut *tx)
                        .await?;
                }
                let event = Event {
                    at: session.now,
                    action: Action::LoginSuccess,
                    by: &By::user(account.id, &account.username, session.ip),
                    subject: Some((account.id, &account.username)),
                    details: json!({ "session": session.id }),
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(Some(account))
            })
            .await
    }

    /// Takes the step that `judge` decides on for a session and its account, in one transaction.
    /// `tokens_expire_at` is when the access token that may come of it expires. `None`: no such session.
    pub async fn use_session(
        &self,
        id: Uuid,
        now: Millis,
        tokens_expire_at: Millis,
        by: &By,
        judge: impl FnOnce(&Session, &Account) -> Step,
    ) -> Result<Option<UsedSession>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let Some(row) = sqlx::query("SELECT * FROM sessions WHERE id = ?")
                    .bind(id.to_string())
                    .fetch_optional(&mut *tx)
                    .await?
                else {
                    return Ok(None);
                };
                let session = rows::session(&row)?;
                let user = rows::uuid(&row, "user_id")?;
                let Some(account) = find(&mut tx, Key::Id(user)).await? else {
                    return Ok(None);
                };
                let step = judge(&session, &account);
                match &step {
                    Step::Rotate {
                        rotations,
                        expires_at,
                    } => {
                        sqlx::query(
                            "UPDATE sessions SET counter = counter + 1, rotations = ?, \
                             last_used_at = ?, expires_at = ?, \
                             tokens_expire_at = max(tokens_expire_at, ?) WHERE id = ?",
                        )
                        .bind(json!(rotations).to_string())
                        .bind(now)
                        .bind(expires_at)
                        .bind(tokens_expire_at)
                        .bind(id.to_string())
                        .execute(&mut *tx)
                        .await?;
                    }
                    Step::Repeat => {
                        sqlx::query(
                            "UPDATE sessions SET last_used_at = ?, \
                             tokens_expire_at = max(tokens_expire_at, ?) WHERE id = ?",
                        )
                        .bind(now)
                        .bind(tokens_expire_at)
                        .bind(id.to_string())
                        .execute(&mut *tx)
                        .await?;
                    }
                    Step::End => {
                        end_session(&mut tx, id, now).await?;
                        log_end(&mut tx, id, Action::RefreshReuse, &account, by, now).await?;
                    }
                    Step::Leave => {}
                }
                tx.commit().await?;
                Ok(Some(UsedSession {
                    session,
                    account,
                    step,
                }))
            })
            .await
    }

    /// The sessions of an account that can still be used, the one used last first.
    pub async fn sessions_of(
        &self,
        user: Uuid,
        now: Millis,
    ) -> Result<Vec<SessionInfo>, StoreError> {
        self.health
            .watch(async {
                sqlx::query(
                    "SELECT * FROM sessions WHERE user_id = ? AND ended_at IS NULL \
                     AND expires_at > ? ORDER BY last_used_at DESC, id LIMIT ?",
                )
                .bind(user.to_string())
                .bind(now)
                .bind(LISTED)
                .fetch_all(&self.reader)
                .await?
                .iter()
                .map(rows::session_info)
                .collect()
            })
            .await
    }

    /// Ends a session, of that account if one is given, and logs it. False: there is none that could
    /// still end.
    pub async fn end_session(
        &self,
        id: Uuid,
        owner: Option<Uuid>,
        action: Action,
        by: &By,
        now: Millis,
    ) -> Result<bool, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let query = sqlx::query(
                    "SELECT u.* FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ?",
                );
                let row = query.bind(id.to_string()).fetch_optional(&mut *tx).await?;
                let Some(account) = row.as_ref().map(rows::account).transpose()? else {
                    return Ok(false);
                };
                if owner.is_some_and(|owner| owner != account.id)
                    || end_session(&mut tx, id, now).await?.is_none()
                {
                    return Ok(false);
                }
                log_end(&mut tx, id, action, &account, by, now).await?;
                tx.commit().await?;
                Ok(true)
            })
            .await
    }

    /// Ends the sessions of an account, except the one to keep. How many that were; `None`: there is
    /// no such account.
    pub async fn end_sessions(
        &self,
        key: Key<'_>,
        keep: Option<Uuid>,
        by: &By,
        now: Millis,
    ) -> Result<Option<usize>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let Some(account) = find(&mut tx, key).await? else {
                    return Ok(None);
                };
                let ended = end_sessions(&mut tx, account.id, keep, now).await?;
                let event = Event {
                    at: now,
                    action: Action::SessionEndAll,
                    by,
                    subject: Some((account.id, &account.username)),
                    details: json!({ "sessions_ended": ended }),
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(Some(ended))
            })
            .await
    }
}

/// Whoever shows a session's own token is its user.
async fn log_end(
    conn: &mut SqliteConnection,
    session: Uuid,
    action: Action,
    account: &Account,
    by: &By,
    now: Millis,
) -> Result<(), sqlx::Error> {
    let own;
    let by = match (action, by.ip) {
        (Action::Logout, Some(ip)) if by.actor.is_none() => {
            own = By::user(account.id, &account.username, ip);
            &own
        }
        _ => by,
    };
    let event = Event {
        at: now,
        action,
        by,
        subject: Some((account.id, &account.username)),
        details: json!({ "session": session }),
    };
    log_event(conn, &event).await
}

async fn end_session(
    conn: &mut SqliteConnection,
    id: Uuid,
    now: Millis,
) -> Result<Option<EndedSession>, sqlx::Error> {
    let row = sqlx::query(
        "UPDATE sessions SET ended_at = ? WHERE id = ? AND ended_at IS NULL \
         RETURNING id, tokens_expire_at",
    )
    .bind(now)
    .bind(id.to_string())
    .fetch_optional(&mut *conn)
    .await?;
    let ended = row.as_ref().map(rows::ended_session).transpose()?;
    if let Some(ended) = ended {
        log_session(conn, ended).await?;
    }
    Ok(ended)
}

/// Ends the sessions of an account, except the one to keep. How many that were.
pub(super) async fn end_sessions(
    conn: &mut SqliteConnection,
    user: Uuid,
    keep: Option<Uuid>,
    now: Millis,
) -> Result<usize, sqlx::Error> {
    let rows = sqlx::query(
        "UPDATE sessions SET ended_at = ? WHERE user_id = ? AND id <> ? AND ended_at IS NULL \
         RETURNING id, tokens_expire_at",
    )
    .bind(now)
    .bind(user.to_string())
    .bind(keep.unwrap_or_default().to_string())
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        log_session(conn, rows::ended_session(row)?).await?;
    }
    Ok(rows.len())
}
