//! From rows to records.

use std::num::NonZeroU32;

use crate::accounts::store::db::Row;
use crate::accounts::store::{
    Account, Change, Changed, Credentials, EndedSession, Entry, KeyInfo, Quota, Rule, RuleValues,
    Session, SessionInfo, StoredKey, StoredTier, Subject, Target, TierRow, TierValues,
};

pub(super) fn account(row: &Row) -> Result<Account, sqlx::Error> {
    Ok(Account {
        id: row.uuid("id")?,
        external_id: row.get("external_id")?,
        username: row.get("username")?,
        name: row.get("name")?,
        email: row.get("email")?,
        profile_image_url: row.get("profile_image_url")?,
        tier: row.get("tier")?,
        roles: row.json("roles")?,
        is_superuser: row.get("is_superuser")?,
        is_active: row.get("is_active")?,
        version: row.number("version")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        deleted_at: row.get("deleted_at")?,
    })
}

pub(super) fn credentials(row: &Row) -> Result<Credentials, sqlx::Error> {
    Ok(Credentials {
        account: account(row)?,
        password_hash: row.get("password_hash")?,
        is_kept: true,
    })
}

pub(super) fn session(row: &Row) -> Result<Session, sqlx::Error> {
    Ok(Session {
        id: row.uuid("id")?,
        counter: row.number("counter")?,
        rotations: row.json("rotations")?,
        expires_at: row.get("expires_at")?,
        has_ended: row.get::<Option<i64>>("ended_at")?.is_some(),
    })
}

pub(super) fn session_info(row: &Row) -> Result<SessionInfo, sqlx::Error> {
    Ok(SessionInfo {
        id: row.uuid("id")?,
        created_at: row.get("created_at")?,
        last_used_at: row.get("last_used_at")?,
        expires_at: row.get("expires_at")?,
        ip: row.get("ip")?,
        user_agent: row.get("user_agent")?,
    })
}

pub(super) fn entry(row: &Row) -> Result<Entry, sqlx::Error> {
    Ok(Entry {
        seq: row.get("seq")?,
        at: row.get("at")?,
        action: row.get("action")?,
        via: row.get("via")?,
        actor: subject(row, "actor_id", "actor")?,
        ip: row.get("ip")?,
        subject: subject(row, "user_id", "username")?,
        details: row.json("details")?,
    })
}

fn subject(row: &Row, id: &str, name: &str) -> Result<Option<Subject>, sqlx::Error> {
    let username: Option<String> = row.get(name)?;
    let Some(username) = username else {
        return Ok(None);
    };
    Ok(Some(Subject {
        id: row.uuid(id)?,
        username,
    }))
}

pub(super) fn ended_session(row: &Row) -> Result<EndedSession, sqlx::Error> {
    Ok(EndedSession {
        id: row.uuid("id")?,
        tokens_expire_at: row.get("tokens_expire_at")?,
    })
}

pub(super) fn key_info(row: &Row) -> Result<KeyInfo, sqlx::Error> {
    Ok(KeyInfo {
        id: row.uuid("id")?,
        name: row.get("name")?,
        scopes: row.json("scopes")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        last_used_at: row.get("last_used_at")?,
    })
}

pub(super) fn stored_key(row: &Row) -> Result<StoredKey, sqlx::Error> {
    Ok(StoredKey {
        info: KeyInfo {
            id: row.uuid("key_id")?,
            name: row.get("key_name")?,
            scopes: row.json("scopes")?,
            created_at: row.get("key_created_at")?,
            expires_at: row.get("expires_at")?,
            last_used_at: row.get("last_used_at")?,
        },
        grant: row.uuid("grant_id")?,
        hash: row.get("hash")?,
        has_ended: row.get::<Option<i64>>("ended_at")?.is_some(),
        account: account(row)?,
    })
}

pub(super) fn change(row: &Row) -> Result<Change, sqlx::Error> {
    let session: Option<&str> = row.get("session_id")?;
    let what = match session {
        Some(_) => Changed::SessionEnded(row.uuid("session_id")?),
        None => Changed::Account(Box::new(account(row)?)),
    };
    Ok(Change {
        seq: row.get("seq")?,
        until: row.get("until")?,
        what,
    })
}

/// A tier's name with its number, and the tier beside it.
pub(super) fn tier(row: &Row) -> Result<TierRow, sqlx::Error> {
    let name: String = row.get("name")?;
    let stored = match row.get::<Option<&str>>("stored")? {
        None => None,
        Some(_) => Some(StoredTier {
            values: TierValues {
                name: name.clone(),
                rank: row.number("rank")?,
                quota: match row.get::<Option<i64>>("rate_count")? {
                    None => None,
                    Some(_) => Some(quota(row)?),
                },
            },
            updated_at: row.get("updated_at")?,
        }),
    };
    Ok(TierRow {
        id: row.get("id")?,
        since: row.get("since")?,
        name,
        stored,
    })
}

pub(super) fn rule(row: &Row) -> Result<Rule, sqlx::Error> {
    let route: String = row.get("route")?;
    let method: String = row.get("method")?;
    Ok(Rule {
        id: row.get("id")?,
        tier: row.get("tier")?,
        values: RuleValues {
            name: row.get("name")?,
            target: if route.is_empty() {
                let method = Some(method).filter(|method| !method.is_empty());
                Target::Path(row.get("path")?, method)
            } else {
                Target::Route(route)
            },
            quota: quota(row)?,
        },
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

fn quota(row: &Row) -> Result<Quota, sqlx::Error> {
    Ok(Quota {
        count: row.number::<NonZeroNumber>("rate_count")?.0,
        seconds: row.number::<NonZeroNumber>("rate_seconds")?.0,
        burst: match row.get::<Option<i64>>("burst")? {
            None => None,
            Some(_) => Some(row.number::<NonZeroNumber>("burst")?.0),
        },
    })
}

struct NonZeroNumber(NonZeroU32);

impl TryFrom<i64> for NonZeroNumber {
    type Error = std::num::TryFromIntError;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        Ok(NonZeroNumber(u32::try_from(number)?.try_into()?))
    }
}
