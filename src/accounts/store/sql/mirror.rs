//! Accounts of another application, mirrored: what it says of them is the truth.

use serde_json::{Value, json};
use uuid::Uuid;

use super::accounts::{add, email_key};
use super::api_keys::end_lent_api_keys;
use super::audit::log_event;
use super::changes::{log_account, log_session};
use super::edit::write;
use super::sessions::end_sessions;
use super::tiers::is_tier;
use super::{names, rows};
use crate::accounts::store::db::{Section, Tx, query};
use crate::accounts::store::{
    Account, Action, By, Credentials, EndedSession, Event, Millis, Mirrored, NAMELESS,
    SessionOwner, Store, StoreError, edit,
};

impl Store {
    /// An account and what stands for its password's hash, by its id in the application. Deleted ones
    /// too.
    pub async fn credentials_of_external(
        &self,
        external_id: &str,
    ) -> Result<Option<Credentials>, StoreError> {
        let found = query("SELECT * FROM users WHERE external_id = $1").bind(external_id);
        self.health
            .watch(async {
                let row = found.fetch_optional(&self.db).await?;
                row.as_ref().map(rows::credentials).transpose()
            })
            .await
    }

    /// Whose a session is, and whether it could still be used at that time.
    pub async fn session_owner(
        &self,
        session: Uuid,
        now: Millis,
    ) -> Result<Option<SessionOwner>, StoreError> {
        self.health
            .watch(async {
                let row = query(
                    "SELECT u.*, CASE WHEN s.ended_at IS NULL AND s.expires_at > $2 THEN 1 ELSE 0 END \
                     AS is_alive FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1",
                )
                .bind(session)
                .bind(now)
                .fetch_optional(&self.db)
                .await?;
                let Some(row) = row else {
                    return Ok(None);
                };
                Ok(Some(SessionOwner {
                    credentials: rows::credentials(&row)?,
                    is_alive: row.get::<i32>("is_alive")? != 0,
                }))
            })
            .await
    }

    /// Makes the account what the application says that it is, and gives it. A name that another account
    /// has here is taken from it: the application has given it to somebody else. With another password
    /// the account's sessions end. `None`: there is no such tier any more, and nothing was done.
    pub async fn mirror(
        &self,
        told: &Mirrored<'_>,
        by: &By,
        now: Millis,
    ) -> Result<Option<Account>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                let known = query("SELECT * FROM users WHERE external_id = $1");
                let known = known.bind(&told.account.external_id).for_update();
                let known = known.fetch_optional(&mut tx).await?;
                let known = known.as_ref().map(rows::credentials).transpose()?;
                let tier = &told.account.tier;
                let had = known.as_ref().map(|known| &known.account.tier);
                if had != Some(tier) && !is_tier(&mut tx, tier, told.tiers).await? {
                    return Ok(None);
                }
                let id = known.as_ref().map_or(told.account.id, |k| k.account.id);
                let mut felt = Felt::default();
                displace(&mut tx, told.account, id, &mut felt, by, now).await?;
                let account = match known {
                    None => {
                        add(&mut tx, told.account, told.fingerprint, by).await?;
                        told.account.clone()
                    }
                    Some(known) => change(&mut tx, &known, told, &mut felt, by, now).await?,
                };
                give_address(&mut tx, &account).await?;
                felt.log(&mut tx, now).await?;
                tx.commit().await?;
                Ok(Some(account))
            })
            .await
    }
}

/// What tokens already issued must feel; written last, as the order of locks asks.
#[derive(Default)]
struct Felt {
    accounts: Vec<Uuid>,
    sessions: Vec<EndedSession>,
}

impl Felt {
    async fn log(self, tx: &mut Tx, now: Millis) -> Result<(), sqlx::Error> {
        for account in self.accounts {
            log_account(tx, account, now).await?;
        }
        for session in self.sessions {
            log_session(tx, session).await?;
        }
        Ok(())
    }
}

/// Whoever else has the name here has it no more, and is signed out: under which name the application
/// knows them now shows when they sign in. An e-mail address only stops being what they are found by.
async fn displace(
    tx: &mut Tx,
    told: &Account,
    id: Uuid,
    felt: &mut Felt,
    by: &By,
    now: Millis,
) -> Result<(), sqlx::Error> {
    query("UPDATE users SET email_folded = id WHERE email_folded = $1 AND id <> $2")
        .bind(email_key(told))
        .bind(id)
        .execute(&mut *tx)
        .await?;
    let other = query("SELECT * FROM users WHERE username = $1 AND id <> $2");
    let other = other.bind(&told.username).bind(id).for_update();
    let Some(other) = other.fetch_optional(&mut *tx).await? else {
        return Ok(());
    };
    let before = rows::account(&other)?;
    let after = Account {
        username: format!("{NAMELESS}{}", before.id),
        version: before.version.saturating_add(1),
        updated_at: Some(now),
        ..before.clone()
    };
    write(tx, &after).await?;
    names::reserve(tx, &after.username, after.id, now).await?;
    felt.accounts.push(after.id);
    felt.sessions
        .extend(end_sessions(tx, after.id, None, now).await?);
    let details = edit::details(&before, &after);
    log_change(tx, &after, details, by, now).await
}

async fn change(
    tx: &mut Tx,
    known: &Credentials,
    told: &Mirrored<'_>,
    felt: &mut Felt,
    by: &By,
    now: Millis,
) -> Result<Account, sqlx::Error> {
    let before = &known.account;
    let is_other_password = known.password_hash != told.fingerprint;
    let mut after = told.account.mirrored_onto(before);
    if after == *before && !is_other_password {
        return Ok(after);
    }
    let is_other_account = after != *before;
    after.version = before.version.saturating_add(1);
    after.updated_at = Some(now);
    write(tx, &after).await?;
    if after.username != before.username {
        names::release(tx, &before.username, now).await?;
        // Whosever it was, and for however short a time it has been free.
        names::reserve(tx, &after.username, after.id, now).await?;
    }
    felt.accounts.push(after.id);
    if is_other_account {
        let mut details = edit::details(before, &after);
        if before.is_superuser && !after.is_superuser {
            let keys = end_lent_api_keys(tx, after.id, now).await?;
            if !keys.is_empty() {
                details["keys_ended"] = json!(keys.len());
            }
            felt.sessions.extend(keys);
        }
        log_change(tx, &after, details, by, now).await?;
    }
    if is_other_password {
        query("UPDATE users SET password_hash = $1 WHERE id = $2")
            .bind(told.fingerprint)
            .bind(after.id)
            .execute(&mut *tx)
            .await?;
        let ended = end_sessions(tx, after.id, None, now).await?;
        let event = Event {
            at: now,
            action: Action::UserPassword,
            by,
            subject: Some((after.id, &after.username)),
            details: json!({ "sessions_ended": ended.len() }),
        };
        log_event(tx, &event).await?;
        felt.sessions.extend(ended);
    }
    Ok(after)
}

async fn log_change(
    tx: &mut Tx,
    after: &Account,
    details: Value,
    by: &By,
    now: Millis,
) -> Result<(), sqlx::Error> {
    let event = Event {
        at: now,
        action: Action::UserUpdate,
        by,
        subject: Some((after.id, &after.username)),
        details,
    };
    log_event(tx, &event).await
}

/// It is found by its e-mail address, which may have been another one's until now.
async fn give_address(tx: &mut Tx, account: &Account) -> Result<(), sqlx::Error> {
    query("UPDATE users SET email_folded = $1 WHERE id = $2 AND email_folded <> $1")
        .bind(email_key(account))
        .bind(account.id)
        .execute(tx)
        .await?;
    Ok(())
}
