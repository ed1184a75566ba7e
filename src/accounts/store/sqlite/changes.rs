//! The change log in SQLite. Its one writer commits in the order of `seq`, so reading on from the
//! last one seen misses nothing.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{Store, rows};
use crate::accounts::store::{Change, EndedSession, Millis, StoreError};

/// Rows deleted in one go, so that a sweep never holds the lock for long.
const SWEEP_ROWS: i64 = 500;

impl Store {
    /// The change log after `seq`, oldest first, at most `limit` rows.
    pub async fn changes_after(&self, seq: i64, limit: i64) -> Result<Vec<Change>, StoreError> {
        self.health
            .watch(async {
                sqlx::query(
                    "SELECT c.seq, c.until, c.session_id, u.* FROM changes c \
                     LEFT JOIN users u ON u.id = c.user_id WHERE c.seq > ? ORDER BY c.seq LIMIT ?",
                )
                .bind(seq)
                .bind(limit)
                .fetch_all(&self.reader)
                .await?
                .iter()
                .map(rows::change)
                .collect()
            })
            .await
    }

    /// Deletes some of the sessions, changes and failed attempts that mean nothing since `before`. True when
    /// there may be more.
    pub async fn sweep(&self, before: Millis) -> Result<bool, StoreError> {
        self.health
            .watch(async {
                let mut conn = self.writer.acquire().await?;
                let sessions = sqlx::query(
                    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
                     WHERE expires_at < ? AND tokens_expire_at < ? LIMIT ?)",
                )
                .bind(before)
                .bind(before)
                .bind(SWEEP_ROWS)
                .execute(&mut *conn)
                .await?;
                let changes = sqlx::query(
                    "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes \
                     WHERE until < ? LIMIT ?)",
                )
                .bind(before)
                .bind(SWEEP_ROWS)
                .execute(&mut *conn)
                .await?;
                let attempts = sqlx::query(
                    "DELETE FROM attempts WHERE key IN (SELECT key FROM attempts \
                     WHERE forget_at < ? LIMIT ?)",
                )
                .bind(before)
                .bind(SWEEP_ROWS)
                .execute(&mut *conn)
                .await?;
                let most = sessions.rows_affected().max(changes.rows_affected());
                let most = most.max(attempts.rows_affected());
                Ok(most >= SWEEP_ROWS.cast_unsigned())
            })
            .await
    }
}

pub(super) async fn log_session(
    conn: &mut SqliteConnection,
    ended: EndedSession,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO changes (until, session_id) VALUES (?, ?)")
        .bind(ended.tokens_expire_at)
        .bind(ended.id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// A token is only ever made together with a write to its session, so the latest expiry among the
/// account's sessions bounds the tokens that an older version can be in.
pub(super) async fn log_account(
    conn: &mut SqliteConnection,
    user: Uuid,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO changes (until, user_id) \
         SELECT max(?1, COALESCE(max(tokens_expire_at), 0)), ?2 FROM sessions WHERE user_id = ?2",
    )
    .bind(now)
    .bind(user.to_string())
    .execute(conn)
    .await?;
    Ok(())
}
