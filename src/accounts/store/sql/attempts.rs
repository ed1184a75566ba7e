//! Failed sign-ins.

use super::audit::log_event;
use crate::accounts::store::db::{Query, Row, Section, Tx, query};
use crate::accounts::store::{Attempts, Event, Store, StoreError};

impl Store {
    /// The failures of each key.
    pub async fn attempts(&self, keys: &[String; 3]) -> Result<[Attempts; 3], StoreError> {
        self.health
            .watch(async { read(keys, &of(keys).fetch_all(&self.db).await?) })
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
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Attempts).await?;
                let after = judge(&read(keys, &of(keys).fetch_all(&mut tx).await?)?);
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
            .watch(async {
                let mut tx = self.db.begin().await?;
                clear(&mut tx, key).await?;
                tx.commit().await
            })
            .await
    }
}

/// Of the three keys at once.
fn of(keys: &[String; 3]) -> Query {
    let [pair, account, address] = keys;
    query("SELECT * FROM attempts WHERE key IN ($1, $2, $3)")
        .bind(pair)
        .bind(account)
        .bind(address)
}

fn read(keys: &[String; 3], rows: &[Row]) -> Result<[Attempts; 3], sqlx::Error> {
    let mut all = [Attempts::default(); 3];
    for row in rows {
        let key: &str = row.get("key")?;
        for (_, attempts) in keys.iter().zip(&mut all).filter(|(known, _)| *known == key) {
            *attempts = Attempts {
                failures: row.number("failures")?,
                since: row.get("since")?,
                locks: row.number("locks")?,
                locked_until: row.get("locked_until")?,
                forget_at: row.get("forget_at")?,
            };
        }
    }
    Ok(all)
}

async fn write(tx: &mut Tx, key: &str, attempts: &Attempts) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO attempts (key, failures, since, locks, locked_until, forget_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key) DO UPDATE SET failures = excluded.failures, \
         since = excluded.since, locks = excluded.locks, locked_until = excluded.locked_until, \
         forget_at = excluded.forget_at",
    )
    .bind(key)
    .bind(attempts.failures)
    .bind(attempts.since)
    .bind(attempts.locks)
    .bind(attempts.locked_until)
    .bind(attempts.forget_at)
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn clear(tx: &mut Tx, key: &str) -> Result<(), sqlx::Error> {
    let forgotten = query("DELETE FROM attempts WHERE key = $1").bind(key);
    forgotten.execute(tx).await?;
    Ok(())
}
