//! Failed sign-ins in SQLite.

use sqlx::{Row, SqliteConnection};

use super::Store;
use super::audit::log_event;
use crate::accounts::store::{Attempts, Event, StoreError};

impl Store {
    /// The failures of each key.
    pub async fn attempts(&self, keys: &[String; 3]) -> Result<[Attempts; 3], StoreError> {
        self.health
            .watch(async { read(&mut *self.reader.acquire().await?, keys).await })
            .await
    }

    /// Writes one more failure, of which `judge` says what it makes of those that were.
    pub async fn count_failure(
        &self,
        keys: &[String; 3],
        event: &Event<'_>,
        judge: impl FnOnce(&[Attempts; 3]) -> [Attempts; 3],
    ) -> Result<(), StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let after = judge(&read(&mut tx, keys).await?);
                for (key, attempts) in keys.iter().zip(after) {
                    write(&mut tx, key, &attempts).await?;
                }
                log_event(&mut tx, event).await?;
                tx.commit().await
            })
            .await
    }

    pub async fn clear_attempts(&self, key: &str) -> Result<(), StoreError> {
        self.health
            .watch(async { clear(&mut *self.writer.acquire().await?, key).await })
            .await
    }
}

async fn read(
    conn: &mut SqliteConnection,
    keys: &[String; 3],
) -> Result<[Attempts; 3], sqlx::Error> {
    let mut all = [Attempts::default(); 3];
    for (key, attempts) in keys.iter().zip(&mut all) {
        let query = sqlx::query("SELECT * FROM attempts WHERE key = ?").bind(key);
        if let Some(row) = query.fetch_optional(&mut *conn).await? {
            *attempts = Attempts {
                failures: row.try_get("failures")?,
                since: row.try_get("since")?,
                locks: row.try_get("locks")?,
                locked_until: row.try_get("locked_until")?,
                forget_at: row.try_get("forget_at")?,
            };
        }
    }
    Ok(all)
}

async fn write(
    conn: &mut SqliteConnection,
    key: &str,
    attempts: &Attempts,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO attempts (key, failures, since, locks, locked_until, forget_at) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, \
         since = excluded.since, locks = excluded.locks, locked_until = excluded.locked_until, \
         forget_at = excluded.forget_at",
    )
    .bind(key)
    .bind(attempts.failures)
    .bind(attempts.since)
    .bind(attempts.locks)
    .bind(attempts.locked_until)
    .bind(attempts.forget_at)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn clear(conn: &mut SqliteConnection, key: &str) -> Result<(), sqlx::Error> {
    let query = sqlx::query("DELETE FROM attempts WHERE key = ?").bind(key);
    query.execute(conn).await?;
    Ok(())
}
