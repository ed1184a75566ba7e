//! The audit trail in SQLite.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{Store, rows};
use crate::accounts::store::{Entry, Event, Millis, StoreError, Trail};

/// Entries deleted in one go, so that a sweep never holds the lock for long.
const SWEEP_ROWS: i64 = 500;

impl Store {
    /// The newest entries first, at most `trail.limit`.
    pub async fn trail(&self, trail: &Trail<'_>) -> Result<Vec<Entry>, StoreError> {
        let mut query = selected("SELECT *", trail);
        self.health
            .watch(async {
                let found = query.build().fetch_all(&self.reader).await?;
                found.iter().map(rows::entry).collect()
            })
            .await
    }

    /// Deletes some of the entries from before that time, and of those beyond the newest `most`.
    /// True when there may be more.
    pub async fn sweep_trail(&self, before: Millis, most: i64) -> Result<bool, StoreError> {
        self.health
            .watch(async {
                let swept = sqlx::query(SWEEP)
                    .bind(before)
                    .bind(SWEEP_ROWS)
                    .bind(most)
                    .bind(SWEEP_ROWS)
                    .execute(&self.writer)
                    .await?;
                Ok(swept.rows_affected() >= SWEEP_ROWS.cast_unsigned())
            })
            .await
    }
}

const SWEEP: &str = "DELETE FROM audit WHERE seq IN (SELECT seq FROM (\
     SELECT seq FROM audit WHERE at < ? ORDER BY at LIMIT ?) UNION SELECT seq FROM (\
     SELECT seq FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ? ORDER BY seq LIMIT ?))";

fn selected(what: &str, trail: &Trail<'_>) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(what);
    query.push(" FROM audit WHERE seq < ");
    query.push_bind(trail.before.unwrap_or(i64::MAX));
    // By the names that were ever in use, so that accounts renamed or gone are found too.
    for (column, name) in [("user_id", trail.user), ("actor_id", trail.actor)] {
        if let Some(name) = name {
            query.push(format_args!(
                " AND {column} = (SELECT user_id FROM names_used WHERE username = "
            ));
            query.push_bind(name.to_owned()).push(")");
        }
    }
    if let Some(action) = trail.action {
        query.push(" AND action = ").push_bind(action.as_str());
    }
    if let Some(since) = trail.since {
        // Entries are written in the order of time, so the first one bounds the search.
        query.push(" AND seq >= (SELECT seq FROM audit WHERE at >= ");
        query.push_bind(since).push(" ORDER BY at, seq LIMIT 1)");
    }
    query
        .push(" ORDER BY seq DESC LIMIT ")
        .push_bind(trail.limit);
    query
}

/// Written in the transaction of what it tells of, so neither is there without the other.
pub(super) async fn log_event(
    conn: &mut SqliteConnection,
    event: &Event<'_>,
) -> Result<(), sqlx::Error> {
    let actor = event.by.actor.as_ref();
    sqlx::query(
        "INSERT INTO audit (at, action, via, actor_id, actor, ip, user_id, username, details) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::accounts::store::Action;

    #[tokio::test]
    async fn no_page_of_the_trail_sorts_or_reads_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("x.db")).await.unwrap();
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
            let mut query = selected("EXPLAIN QUERY PLAN SELECT *", &trail);
            let steps = query.build().fetch_all(&store.reader).await.unwrap();
            for row in steps {
                let step: String = row.get("detail");
                let is_fit = step.starts_with("SEARCH") || step.starts_with("SCALAR SUBQUERY");
                assert!(is_fit, "{trail:?}: {step}");
            }
        }
    }
}
