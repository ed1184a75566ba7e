//! Sessions.

use serde_json::json;
use uuid::Uuid;

use super::accounts::{find, find_to_change};
use super::attempts::clear;
use super::audit::log_event;
use super::changes::log_session;
use super::rows;
use crate::accounts::store::db::{Tx, query};
use crate::accounts::store::{
    Account, Action, By, EndedSession, Event, Key, KnownSession, Login, Millis, NewSession,
    Session, SessionInfo, Step, Store, StoreError, UsedSession,
};

/// The most sessions told at once; a program that signs in for every call can have very many.
const LISTED: i64 = 1000;

impl Store {
    /// Begins a session for an account whose password was just checked. Gives the account as it is
    /// at that moment; `None` when it may no longer sign in or its password is another by now.
    pub async fn begin_session(
        &self,
        user: Uuid,
        login: &Login<'_>,
        session: &NewSession<'_>,
    ) -> Result<Option<Account>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                let read = query("SELECT * FROM users WHERE id = $1 AND password_hash = $2")
                    .bind(user)
                    .bind(login.checked_hash);
                // Two that share the row and then both write it would wait for one another.
                let read = match login.new_hash {
                    Some(_) => read.for_update(),
                    None => read.for_share(),
                };
                let row = read.fetch_optional(&mut tx).await?;
                let account = match row {
                    Some(row) => rows::account(&row)?,
                    None => {
                        // The change that was seen may share a commit that is still to come: whoever
                        // reads again finds it only afterwards.
                        tx.commit().await?;
                        return Ok(None);
                    }
                };
                if !account.may_sign_in() {
                    return Ok(None);
                }
                insert(&mut tx, user, session).await?;
                clear(&mut tx, login.clears).await?;
                if let Some(hash) = login.new_hash {
                    query("UPDATE users SET password_hash = $1 WHERE id = $2")
                        .bind(hash)
                        .bind(user)
                        .execute(&mut tx)
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

    /// Begins a session that nobody signed in for. `None`: there is no such account; `Some(None)`: it
    /// may not sign in.
    pub async fn begin_minted_session(
        &self,
        key: Key<'_>,
        session: &NewSession<'_>,
        by: &By,
    ) -> Result<Option<Option<Account>>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                let Some(account) = find_to_change(&mut tx, key).await? else {
                    return Ok(None);
                };
                if !account.may_sign_in() {
                    return Ok(Some(None));
                }
                insert(&mut tx, account.id, session).await?;
                let event = Event {
                    at: session.now,
                    action: Action::TokenMint,
                    by,
                    subject: Some((account.id, &account.username)),
                    details: json!({ "session": session.id }),
                };
                log_event(&mut tx, &event).await?;
                tx.commit().await?;
                Ok(Some(Some(account)))
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
                let mut tx = self.db.begin().await?;
                // First the account: whoever disables it locks it, and then ends its sessions.
                let owner = query(
                    "SELECT * FROM users WHERE id = (SELECT user_id FROM sessions WHERE id = $1)",
                );
                let owner = owner.bind(id).for_share();
                let Some(owner) = owner.fetch_optional(&mut tx).await? else {
                    return Ok(None);
                };
                let account = rows::account(&owner)?;
                let used = query("SELECT * FROM sessions WHERE id = $1").bind(id);
                let used = used.for_update().fetch_optional(&mut tx).await?;
                let Some(session) = used.as_ref().map(rows::session).transpose()? else {
                    return Ok(None);
                };
                let step = judge(&session, &account);
                match &step {
                    Step::Rotate {
                        rotations,
                        expires_at,
                    } => {
                        query(
                            "UPDATE sessions SET counter = counter + 1, rotations = $1, \
                             last_used_at = $2, expires_at = $3, tokens_expire_at = CASE WHEN \
                             tokens_expire_at > $4 THEN tokens_expire_at ELSE $4 END WHERE id = $5",
                        )
                        .bind(json!(rotations).to_string())
                        .bind(now)
                        .bind(*expires_at)
                        .bind(tokens_expire_at)
                        .bind(id)
                        .execute(&mut tx)
                        .await?;
                    }
                    Step::Repeat => {
                        query(
                            "UPDATE sessions SET last_used_at = $1, tokens_expire_at = CASE WHEN \
                             tokens_expire_at > $2 THEN tokens_expire_at ELSE $2 END WHERE id = $3",
                        )
                        .bind(now)
                        .bind(tokens_expire_at)
                        .bind(id)
                        .execute(&mut tx)
                        .await?;
                    }
                    Step::End => {
                        if let Some(ended) = end_session(&mut tx, id, now).await? {
                            log_session(&mut tx, ended).await?;
                        }
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

    /// A session and its owner, whatever became of them.
    pub async fn session(&self, id: Uuid) -> Result<Option<KnownSession>, StoreError> {
        self.health
            .watch(async {
                let found = query("SELECT * FROM sessions WHERE id = $1").bind(id);
                let Some(row) = found.fetch_optional(&self.db).await? else {
                    return Ok(None);
                };
                let account = find(&self.db, Key::Id(row.uuid("user_id")?)).await?;
                let (session, info) = (rows::session(&row)?, rows::session_info(&row)?);
                Ok(account.map(|account| KnownSession {
                    session,
                    info,
                    account,
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
                query(
                    "SELECT * FROM sessions WHERE user_id = $1 AND ended_at IS NULL \
                     AND expires_at > $2 ORDER BY last_used_at DESC, id LIMIT $3",
                )
                .bind(user)
                .bind(now)
                .bind(LISTED)
                .fetch_all(&self.db)
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
                let mut tx = self.db.begin().await?;
                let owner_of = query(
                    "SELECT u.* FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1",
                );
                let row = owner_of.bind(id).fetch_optional(&mut tx).await?;
                let Some(account) = row.as_ref().map(rows::account).transpose()? else {
                    return Ok(false);
                };
                if owner.is_some_and(|owner| owner != account.id) {
                    return Ok(false);
                }
                let Some(ended) = end_session(&mut tx, id, now).await? else {
                    // Whoever has ended it may share a commit that is still to come.
                    tx.commit().await?;
                    return Ok(false);
                };
                log_session(&mut tx, ended).await?;
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
                let mut tx = self.db.begin().await?;
                let Some(account) = find_to_change(&mut tx, key).await? else {
                    return Ok(None);
                };
                let ended = end_sessions(&mut tx, account.id, keep, now).await?;
                for session in &ended {
                    log_session(&mut tx, *session).await?;
                }
                let ended = ended.len();
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
    tx: &mut Tx,
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
    log_event(tx, &event).await
}

/// `None`: there is none that could still end. Who ends sessions logs them, after the locks on rows.
async fn end_session(
    tx: &mut Tx,
    id: Uuid,
    now: Millis,
) -> Result<Option<EndedSession>, sqlx::Error> {
    let row = query(
        "UPDATE sessions SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL \
         RETURNING id, tokens_expire_at",
    )
    .bind(now)
    .bind(id)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(rows::ended_session).transpose()
}

/// Ends the sessions of an account, except the one to keep.
pub(super) async fn end_sessions(
    tx: &mut Tx,
    user: Uuid,
    keep: Option<Uuid>,
    now: Millis,
) -> Result<Vec<EndedSession>, sqlx::Error> {
    let rows = query(
        "UPDATE sessions SET ended_at = $1 WHERE user_id = $2 AND id <> $3 AND ended_at IS NULL \
         RETURNING id, tokens_expire_at",
    )
    .bind(now)
    .bind(user)
    .bind(keep.unwrap_or_default())
    .fetch_all(tx)
    .await?;
    rows.iter().map(rows::ended_session).collect()
}

async fn insert(tx: &mut Tx, user: Uuid, session: &NewSession<'_>) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO sessions (id, user_id, counter, created_at, last_used_at, \
         expires_at, tokens_expire_at, ip, user_agent) \
         VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8)",
    )
    .bind(session.id)
    .bind(user)
    .bind(session.now)
    .bind(session.now)
    .bind(session.expires_at)
    .bind(session.tokens_expire_at)
    .bind(session.ip.to_string())
    .bind(session.user_agent)
    .execute(tx)
    .await
    .map(drop)
}
