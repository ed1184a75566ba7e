//! Names: whose they are, or were last, and since when nobody has had them.

use uuid::Uuid;

use crate::accounts::store::Millis;
use crate::accounts::store::db::{Query, Tx, query};

/// Finds a name that somebody has, or had after `free_since`.
pub(super) fn in_use(username: &str, free_since: Millis) -> Query {
    query(
        "SELECT 1 FROM names_used WHERE username = $1 \
         AND (released_at IS NULL OR released_at > $2)",
    )
    .bind(username)
    .bind(free_since)
}

/// The same, unless it is the user's own.
pub(super) fn in_use_by_others(username: &str, free_since: Millis, user: Uuid) -> Query {
    query(
        "SELECT 1 FROM names_used WHERE username = $1 \
         AND (released_at IS NULL OR released_at > $2) AND user_id <> $3",
    )
    .bind(username)
    .bind(free_since)
    .bind(user)
}

/// It is the user's from now on.
pub(super) async fn reserve(
    tx: &mut Tx,
    username: &str,
    user: Uuid,
    now: Millis,
) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO names_used (username, user_id, since) VALUES ($1, $2, $3) \
         ON CONFLICT (username) DO UPDATE SET user_id = excluded.user_id, \
         since = excluded.since, released_at = NULL",
    )
    .bind(username)
    .bind(user)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// Nobody has it any more.
pub(super) async fn release(tx: &mut Tx, username: &str, now: Millis) -> Result<(), sqlx::Error> {
    query("UPDATE names_used SET released_at = $1 WHERE username = $2")
        .bind(now)
        .bind(username)
        .execute(tx)
        .await?;
    Ok(())
}
