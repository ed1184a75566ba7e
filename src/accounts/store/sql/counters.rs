//! Counters of limits, kept over restarts.

use crate::accounts::store::db::query;
use crate::accounts::store::{Millis, Store, StoreError};
use crate::limit::Kept;

/// Rows of one statement.
const PAGE: usize = 500;
/// Rows that a call reads or removes at most.
const MOST: i64 = 10_000;

impl Store {
    /// Writes counters. Of what other gateways have written, the later time counts: none knows what the
    /// others have let through.
    pub async fn keep_counters(&self, counters: &[Kept]) -> Result<(), StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                for page in counters.chunks(PAGE) {
                    let mut insert =
                        query("INSERT INTO limit_counters (scope, value, full_at) VALUES ");
                    for (number, counter) in page.iter().enumerate() {
                        insert.push(if number == 0 { "(" } else { ", (" });
                        insert.push_bind(&counter.scope).push(", ");
                        insert.push_bind(&counter.value).push(", ");
                        insert.push_bind(counter.full_at).push(")");
                    }
                    insert.push(
                        " ON CONFLICT (scope, value) DO UPDATE SET full_at = excluded.full_at \
                         WHERE limit_counters.full_at < excluded.full_at",
                    );
                    insert.execute(&mut tx).await?;
                }
                tx.commit().await
            })
            .await
    }

    /// Counters in the order of their names, behind that one: a page of them.
    pub async fn counters(&self, behind: (&str, &str)) -> Result<Vec<Kept>, StoreError> {
        self.health
            .watch(async {
                let page = query(
                    "SELECT scope, value, full_at FROM limit_counters WHERE (scope, value) > ($1, $2) \
                     ORDER BY scope, value LIMIT $3",
                );
                let page = page.bind(behind.0).bind(behind.1).bind(MOST);
                let rows = page.fetch_all(&self.db).await?;
                let counters = rows.iter().map(|row| {
                    Ok(Kept {
                        scope: row.get("scope")?,
                        value: row.get("value")?,
                        full_at: row.get("full_at")?,
                    })
                });
                counters.collect()
            })
            .await
    }

    /// Removes counters that are full by then; whether there may be more.
    pub async fn sweep_counters(&self, before: Millis) -> Result<bool, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                let removed = query(
                    "DELETE FROM limit_counters WHERE (scope, value) IN (SELECT scope, value FROM \
                     limit_counters WHERE full_at <= $1 ORDER BY scope, value LIMIT $2)",
                )
                .bind(before)
                .bind(MOST)
                .skip_locked()
                .execute(&mut tx)
                .await?;
                tx.commit().await?;
                Ok(i64::try_from(removed).is_ok_and(|removed| removed == MOST))
            })
            .await
    }
}
