//! The change log. Its rows become visible in the order of `seq`, because only one transaction at a time
//! writes them, so reading on from the last one seen misses nothing.

use uuid::Uuid;

use super::rows;
use crate::accounts::store::db::{Section, Tx, query};
use crate::accounts::store::{Change, EndedSession, Millis, Store, StoreError};
use crate::authn::KEY_MEMORY;

/// Rows deleted in one go, so that a sweep never holds the lock for long.
const SWEEP_ROWS: i64 = 500;
/// How long revoked API keys are kept, in milliseconds.
const REVOKED_KEPT: Millis = 30 * 86_400_000;
/// How much longer than a gateway remembers an API key a change is kept: for clocks that differ.
const SLACK: Millis = 60_000;

impl Store {
    /// The change log after `seq`, oldest first, at most `limit` rows.
    pub async fn changes_after(&self, seq: i64, limit: i64) -> Result<Vec<Change>, StoreError> {
        self.health
            .watch(async {
                query(
                    "SELECT c.seq, c.until, c.session_id, u.* FROM changes c \
                     LEFT JOIN users u ON u.id = c.user_id WHERE c.seq > $1 ORDER BY c.seq LIMIT $2",
                )
                .bind(seq)
                .bind(limit)
                .fetch_all(&self.db)
                .await?
                .iter()
                .map(rows::change)
                .collect()
            })
            .await
    }

    /// Deletes some of the sessions, changes, keys and failed attempts that mean nothing since `before`. True when
    /// there may be more.
    pub async fn sweep(&self, before: Millis) -> Result<bool, StoreError> {
        let revoked = before.saturating_sub(REVOKED_KEPT);
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                let mut most = 0;
                for (statement, before) in [
                    (
                        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
                         WHERE expires_at < $1 AND tokens_expire_at < $1 LIMIT $2)",
                        before,
                    ),
                    (
                        "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes \
                         WHERE until < $1 LIMIT $2)",
                        before,
                    ),
                    (
                        "DELETE FROM attempts WHERE key IN (SELECT key FROM attempts \
                         WHERE forget_at < $1 LIMIT $2)",
                        before,
                    ),
                    (
                        "DELETE FROM api_keys WHERE id IN (SELECT id FROM api_keys \
                         WHERE ended_at < $1 LIMIT $2)",
                        revoked,
                    ),
                ] {
                    // Gateways that sweep at once would wait for each other's rows, and in a circle.
                    let swept = query(statement).bind(before).bind(SWEEP_ROWS).skip_locked();
                    most = most.max(swept.execute(&mut tx).await?);
                }
                tx.commit().await?;
                Ok(most >= SWEEP_ROWS.cast_unsigned())
            })
            .await
    }
}

pub(super) async fn log_session(tx: &mut Tx, ended: EndedSession) -> Result<(), sqlx::Error> {
    tx.enter(Section::Changes).await?;
    query("INSERT INTO changes (until, session_id) VALUES ($1, $2)")
        .bind(ended.tokens_expire_at)
        .bind(ended.id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Until when a change now has to be told to gateways that remember API keys.
pub(super) fn keys_hear_until(now: Millis) -> Millis {
    let memory = Millis::try_from(KEY_MEMORY.as_millis()).unwrap_or(Millis::MAX);
    now.saturating_add(memory).saturating_add(SLACK)
}

/// A token is only ever made together with a write to its session, so the latest expiry among the
/// account's sessions bounds the tokens that an older version can be in. Its API keys are read again
/// before that time is over.
pub(super) async fn log_account(tx: &mut Tx, user: Uuid, now: Millis) -> Result<(), sqlx::Error> {
    tx.enter(Section::Changes).await?;
    query(
        "INSERT INTO changes (until, user_id) \
         SELECT CASE WHEN max(tokens_expire_at) > $1 THEN max(tokens_expire_at) ELSE $1 END, $2 \
         FROM sessions WHERE user_id = $2",
    )
    .bind(keys_hear_until(now))
    .bind(user)
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::accounts::store::db::query;
    use crate::accounts::store::{self, Action, By, Event, Trail};
    use crate::accounts::testing::config_for;
    use crate::config::checked::Store;
    use serde_json::json;

    /// On PostgreSQL, where there is one: SQLite has one writer.
    #[tokio::test]
    async fn a_sweep_leaves_what_another_has_locked_on_postgres() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_for("on_postgres", folder.path());
        if matches!(config.store, Store::Sqlite(_)) {
            return;
        }
        let store = store::Store::open(&config.store).await.unwrap();
        let by = By::command_line();
        for key in ["a", "b", "c"] {
            let mut tx = store.db.begin().await.unwrap();
            let insert = query(
                "INSERT INTO attempts (key, failures, since, locks, locked_until, forget_at) \
                 VALUES ($1, 1, 0, 0, 0, 1)",
            );
            insert.bind(key).execute(&mut tx).await.unwrap();
            let event = Event {
                at: 1,
                action: Action::TierCreate,
                by: &by,
                subject: None,
                details: json!({ "tier": key }),
            };
            super::super::audit::log_event(&mut tx, &event)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
        let mut other = store.db.begin().await.unwrap();
        for statement in [
            "SELECT key FROM attempts WHERE key = 'b'",
            "SELECT seq FROM audit ORDER BY seq LIMIT 1",
        ] {
            let locked = query(statement).for_update();
            locked.fetch_one(&mut other).await.unwrap();
        }
        assert!(!store.sweep(10).await.unwrap());
        assert!(!store.sweep_trail(10, 1).await.unwrap());
        let left = query("SELECT key FROM attempts").fetch_all(&store.db);
        let left = left.await.unwrap();
        assert_eq!((left.len(), left[0].text(0)), (1, "b".into()));
        let trail = Trail {
            limit: 10,
            ..Trail::default()
        };
        assert_eq!(store.trail(&trail).await.unwrap().len(), 1);
        // Dropping it would give the locks back in the background.
        other.commit().await.unwrap();
        store.sweep(10).await.unwrap();
        store.sweep_trail(10, 1).await.unwrap();
        let left = query("SELECT key FROM attempts").fetch_all(&store.db);
        assert!(left.await.unwrap().is_empty());
        assert!(store.trail(&trail).await.unwrap().is_empty());
    }
}
