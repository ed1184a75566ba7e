//! The audit trail.

use super::rows;
use crate::accounts::store::db::{Query, Tx, query};
use crate::accounts::store::{Entry, Event, Millis, Store, StoreError, Trail};

/// Entries deleted in one go, so that a sweep never holds the lock for long.
const SWEEP_ROWS: i64 = 500;

impl Store {
    /// The newest entries first, at most `trail.limit`.
    pub async fn trail(&self, trail: &Trail<'_>) -> Result<Vec<Entry>, StoreError> {
        let selected = selected("SELECT *", trail);
        self.health
            .watch(async {
                let found = selected.fetch_all(&self.db).await?;
                found.iter().map(rows::entry).collect()
            })
            .await
    }

    /// Deletes some of the entries from before that time, and of those beyond the newest `most`.
    /// True when there may be more.
    pub async fn sweep_trail(&self, before: Millis, most: i64) -> Result<bool, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                let mut swept = 0;
                for (statement, bound) in [(SWEEP_OLD, before), (SWEEP_MANY, most)] {
                    // As in the other sweep.
                    let some = query(statement).bind(bound).bind(SWEEP_ROWS).skip_locked();
                    swept = swept.max(some.execute(&mut tx).await?);
                }
                tx.commit().await?;
                Ok(swept >= SWEEP_ROWS.cast_unsigned())
            })
            .await
    }
}

const SWEEP_OLD: &str = "DELETE FROM audit WHERE seq IN (\
     SELECT seq FROM audit WHERE at < $1 ORDER BY at LIMIT $2)";
const SWEEP_MANY: &str = "DELETE FROM audit WHERE seq IN (\
     SELECT seq FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - $1 ORDER BY seq LIMIT $2)";

fn selected(what: &'static str, trail: &Trail<'_>) -> Query {
    let mut selected = query(what);
    selected.push(" FROM audit WHERE seq < ");
    selected.push_bind(trail.before.unwrap_or(i64::MAX));
    // By the names that were ever in use, so that accounts renamed or gone are found too.
    for (column, name) in [
        (" AND user_id = ", trail.user),
        (" AND actor_id = ", trail.actor),
    ] {
        if let Some(name) = name {
            selected
                .push(column)
                .push("(SELECT user_id FROM names_used WHERE username = ")
                .push_bind(name)
                .push(")");
        }
    }
    if let Some(action) = trail.action {
        selected.push(" AND action = ").push_bind(action.as_str());
    }
    if let Some(since) = trail.since {
        // Entries are written in the order of time, so the first one bounds the search.
        selected
            .push(" AND seq >= (SELECT seq FROM audit WHERE at >= ")
            .push_bind(since)
            .push(" ORDER BY at, seq LIMIT 1)");
    }
    selected
        .push(" ORDER BY seq DESC LIMIT ")
        .push_bind(trail.limit);
    selected
}

/// Written in the transaction of what it tells of, so neither is there without the other.
pub(super) async fn log_event(tx: &mut Tx, event: &Event<'_>) -> Result<(), sqlx::Error> {
    let actor = event.by.actor.as_ref();
    query(
        "INSERT INTO audit (at, action, via, actor_id, actor, ip, user_id, username, details) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(event.at)
    .bind(event.action.as_str())
    .bind(event.by.via.as_str())
    .bind(actor.map(|actor| actor.id.to_string()))
    .bind(actor.map(|actor| actor.username.as_str()))
    .bind(event.by.ip.map(|ip| ip.to_string()))
    .bind(event.subject.map(|(id, _)| id.to_string()))
    .bind(event.subject.map(|(_, username)| username))
    .bind(event.details.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::store::Action;
    use crate::accounts::store::tests::temporary;

    #[tokio::test]
    async fn no_page_of_the_trail_sorts_or_reads_all_of_it() {
        let (store, _folder) = temporary().await;
        let any = Trail {
            limit: 10,
            ..Trail::default()
        };
        let user = Some("ann");
        let since = Some(5);
        for trail in [
            any.clone(),
            Trail {
                user,
                ..any.clone()
            },
            Trail {
                actor: user,
                ..any.clone()
            },
            Trail {
                action: Some(Action::Logout),
                ..any.clone()
            },
            Trail {
                since,
                ..any.clone()
            },
            Trail {
                user,
                since,
                ..any.clone()
            },
        ] {
            let explained = selected("EXPLAIN QUERY PLAN SELECT *", &trail);
            for row in explained.fetch_all(&store.db).await.unwrap() {
                let step: String = row.get("detail").unwrap();
                let is_fit = step.starts_with("SEARCH") || step.starts_with("SCALAR SUBQUERY");
                assert!(is_fit, "{trail:?}: {step}");
            }
        }
    }
}
