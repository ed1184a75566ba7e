//! The audit trail in SQLite.

use sqlx::SqliteConnection;

use crate::accounts::store::Event;

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
