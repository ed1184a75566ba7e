//! The store in a SQLite file: one writer, a few readers, and every read-then-write in one
//! `BEGIN IMMEDIATE`, so that two processes on the file never decide on what the other is changing.

mod accounts;
mod attempts;
mod audit;
mod changes;
mod edit;
mod listing;
mod rows;
mod sessions;

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::StoreError;
use super::health::Health;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const READERS: u32 = 4;
/// How long a writer waits for another process's lock, or a caller for a connection.
const LOCK_WAIT: Duration = Duration::from_secs(3);

pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    health: Health,
}

impl Store {
    /// Opens the file, makes it (mode 0600) when it is missing, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        create_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(LOCK_WAIT)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered survives a power cut too: NORMAL may lose the last commits of a WAL.
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(LOCK_WAIT)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = first_connection(|| pool(1).connect_with(options.clone())).await?;
        migrate(&writer).await?;
        let reader = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Store {
            writer,
            reader,
            health: Health::up(),
        })
    }

    /// Whether the last call went well.
    pub fn is_up(&self) -> bool {
        self.health.is_up()
    }
}

/// Of processes that open a new file together one changes it to a WAL. SQLite tells the others that it
/// is locked, without waiting as it does for every other lock.
async fn first_connection<F: Future<Output = Result<SqlitePool, sqlx::Error>>>(
    connect: impl Fn() -> F,
) -> Result<SqlitePool, sqlx::Error> {
    let deadline = tokio::time::Instant::now() + LOCK_WAIT;
    loop {
        match connect().await {
            Err(error) if is_locked(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            connected => return connected,
        }
    }
}

/// <https://sqlite.org/rescode.html#busy>
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "5")
}

/// SQLite gives its journal files the mode of the database, so this one is enough.
fn create_file(path: &Path) -> Result<(), std::io::Error> {
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// One transaction around all of it: of two processes that start together, the second finds it done.
async fn migrate(writer: &SqlitePool) -> Result<(), StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    // `run` on a transaction makes a future that the compiler can't prove to be Send; this is what
    // it calls.
    MIGRATIONS.run_direct(None, &mut *tx, false).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use sqlx::Row;
    use uuid::Uuid;

    use super::*;
    use crate::accounts::store::{Action, By, Key};

    #[tokio::test]
    async fn a_locked_file_is_an_error_for_writers_until_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let store = Store::open(&path).await.unwrap();
        let other = Store::open(&path).await.unwrap();
        let lock = other.writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let by = By::command_line();
        let end = || store.end_session(Uuid::nil(), None, Action::Logout, &by, 0);
        assert!(end().await.is_err());
        assert!(!store.is_up());
        assert!(
            store.account(Key::Id(Uuid::nil())).await.unwrap().is_none(),
            "reading goes on"
        );
        lock.rollback().await.unwrap();
        assert!(!end().await.unwrap());
        assert!(store.is_up());
    }

    #[tokio::test]
    async fn every_commit_is_synced_to_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("x.db")).await.unwrap();
        for (pragma, expected) in [("PRAGMA synchronous", "2"), ("PRAGMA journal_mode", "wal")] {
            let row = sqlx::query(pragma).fetch_one(&store.writer).await.unwrap();
            let value = row.try_get_unchecked::<String, _>(0).unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
    }

    #[tokio::test]
    async fn no_query_on_a_request_reads_a_whole_table() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("x.db")).await.unwrap();
        for query in [
            "EXPLAIN QUERY PLAN SELECT * FROM users WHERE email_folded = ?",
            "EXPLAIN QUERY PLAN SELECT * FROM users WHERE username = ?",
            "EXPLAIN QUERY PLAN SELECT * FROM sessions WHERE id = ?",
            "EXPLAIN QUERY PLAN SELECT max(tokens_expire_at) FROM sessions WHERE user_id = ?",
            "EXPLAIN QUERY PLAN SELECT id FROM sessions WHERE expires_at < ? AND tokens_expire_at < ?",
            "EXPLAIN QUERY PLAN SELECT seq FROM changes WHERE until < ?",
            "EXPLAIN QUERY PLAN SELECT * FROM changes c LEFT JOIN users u ON u.id = c.user_id \
             WHERE c.seq > ?",
        ] {
            for row in sqlx::query(query).fetch_all(&store.reader).await.unwrap() {
                let step: String = row.try_get("detail").unwrap();
                assert!(step.starts_with("SEARCH"), "{query}: {step}");
            }
        }
    }
}
