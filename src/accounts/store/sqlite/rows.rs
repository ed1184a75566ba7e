//! From rows to records. A column that does not hold what it should is an error, never a panic.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::accounts::store::{
    Account, Change, Changed, Credentials, EndedSession, Entry, Session, SessionInfo, Subject,
};

pub(super) fn account(row: &SqliteRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        id: uuid(row, "id")?,
        external_id: row.try_get("external_id")?,
        username: row.try_get("username")?,
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        profile_image_url: row.try_get("profile_image_url")?,
        tier: row.try_get("tier")?,
        roles: json(row, "roles")?,
        is_superuser: row.try_get("is_superuser")?,
        is_active: row.try_get("is_active")?,
        version: unsigned(row, "version")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        deleted_at: row.try_get("deleted_at")?,
    })
}

pub(super) fn credentials(row: &SqliteRow) -> Result<Credentials, sqlx::Error> {
    Ok(Credentials {
        account: account(row)?,
        password_hash: row.try_get("password_hash")?,
    })
}

pub(super) fn session(row: &SqliteRow) -> Result<Session, sqlx::Error> {
    Ok(Session {
        id: uuid(row, "id")?,
        counter: unsigned(row, "counter")?,
        rotations: json(row, "rotations")?,
        expires_at: row.try_get("expires_at")?,
        has_ended: row.try_get::<Option<i64>, _>("ended_at")?.is_some(),
    })
}

pub(super) fn session_info(row: &SqliteRow) -> Result<SessionInfo, sqlx::Error> {
    Ok(SessionInfo {
        id: uuid(row, "id")?,
        created_at: row.try_get("created_at")?,
        last_used_at: row.try_get("last_used_at")?,
        expires_at: row.try_get("expires_at")?,
        ip: row.try_get("ip")?,
        user_agent: row.try_get("user_agent")?,
    })
}

pub(super) fn entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    Ok(Entry {
        seq: row.try_get("seq")?,
        at: row.try_get("at")?,
        action: row.try_get("action")?,
        via: row.try_get("via")?,
        actor: subject(row, "actor_id", "actor")?,
        ip: row.try_get("ip")?,
        subject: subject(row, "user_id", "username")?,
        details: json(row, "details")?,
    })
}

fn subject(row: &SqliteRow, id: &str, name: &str) -> Result<Option<Subject>, sqlx::Error> {
    let username: Option<String> = row.try_get(name)?;
    let Some(username) = username else {
        return Ok(None);
    };
    Ok(Some(Subject {
        id: uuid(row, id)?,
        username,
    }))
}

pub(super) fn ended_session(row: &SqliteRow) -> Result<EndedSession, sqlx::Error> {
    Ok(EndedSession {
        id: uuid(row, "id")?,
        tokens_expire_at: row.try_get("tokens_expire_at")?,
    })
}

pub(super) fn change(row: &SqliteRow) -> Result<Change, sqlx::Error> {
    let session: Option<&str> = row.try_get("session_id")?;
    let what = match session {
        Some(_) => Changed::SessionEnded(uuid(row, "session_id")?),
        None => Changed::Account(Box::new(account(row)?)),
    };
    Ok(Change {
        seq: row.try_get("seq")?,
        until: row.try_get("until")?,
        what,
    })
}

pub(super) fn uuid(row: &SqliteRow, column: &str) -> Result<Uuid, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    Uuid::parse_str(text).map_err(|error| decode(column, error))
}

fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|error| decode(column, error))
}

fn json<T: serde::de::DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| decode(column, error))
}

fn decode(column: &str, source: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(source),
    }
}
