//! SQLite: one writer, a few readers, and commits that are shared.
//!
//! A commit waits for the disk, and there is only one writer: a commit for each transaction would bound
//! all of them to a few hundred a second. So a transaction is a savepoint within one that is shared.
//! Whoever is done queues again behind those that wait to write by then, and the first one whose turn
//! comes again commits for all.

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::accounts::store::StoreError;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const READERS: u32 = 4;
/// How long a writer waits for another process's lock, or a reader for a connection.
const LOCK_WAIT: Duration = Duration::from_secs(3);

pub struct Sqlite {
    writer: Arc<Mutex<Writer>>,
    reader: SqlitePool,
}

/// The connection that writes, and what is under way on it.
struct Writer {
    options: SqliteConnectOptions,
    /// `None` when it has to be opened anew.
    connection: Option<SqliteConnection>,
    /// The transaction that is open.
    batch: Option<Arc<Batch>>,
    /// Its savepoint is open; nobody holds it any more when the lock is free.
    has_savepoint: bool,
    /// A `BEGIN` was sent, and nobody waited for what came of it.
    is_unsure: bool,
}

/// Transactions that are committed together, and what came of it.
#[derive(Default)]
struct Batch {
    outcome: OnceLock<Result<(), String>>,
}

/// One transaction, while it may write.
pub struct Turn {
    writer: Arc<Mutex<Writer>>,
    /// `None` once it is done.
    guard: Option<OwnedMutexGuard<Writer>>,
}

impl Sqlite {
    /// Opens the file, makes it (mode 0600) when it is missing, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Sqlite, StoreError> {
        create_file(path)?;
        let options = options(path)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered survives a power cut too: NORMAL may lose the last commits of a WAL.
            .synchronous(SqliteSynchronous::Full);
        let mut connection = first_connection(&options).await?;
        migrate(&mut connection).await?;
        Ok(Sqlite {
            reader: readers(options.clone().read_only(true)).await?,
            writer: Writer::new(options, Some(connection)),
        })
    }

    /// Opens a file that is there. Whoever would write is refused by SQLite.
    pub async fn open_to_read(path: &Path) -> Result<Sqlite, sqlx::Error> {
        let options = options(path).read_only(true);
        Ok(Sqlite {
            reader: readers(options.clone()).await?,
            writer: Writer::new(options, None),
        })
    }

    pub(super) fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    pub(super) async fn begin(&self) -> Result<Turn, sqlx::Error> {
        let mut turn = Turn {
            guard: Some(Arc::clone(&self.writer).lock_owned().await),
            writer: Arc::clone(&self.writer),
        };
        // From here on it is tidied up after, also when its caller goes away now.
        turn.writer()?.begin().await?;
        Ok(turn)
    }
}

impl Turn {
    fn writer(&mut self) -> Result<&mut Writer, sqlx::Error> {
        self.guard.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        let connection = self.writer()?.connection.as_mut();
        connection.ok_or(sqlx::Error::PoolClosed)
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        let batch = self.writer()?.batch.clone();
        let batch = batch.ok_or(sqlx::Error::PoolClosed)?;
        let mut guard = self.guard.take().ok_or(sqlx::Error::PoolClosed)?;
        let writer = Arc::clone(&self.writer);
        // It goes on when its caller does not: others count on it.
        let settled = tokio::spawn(async move {
            if let Err(error) = guard.run("RELEASE one").await {
                guard.abandon().await;
                return Err(error.to_string());
            }
            guard.has_savepoint = false;
            drop(guard);
            settle(&writer, &batch).await
        });
        match settled.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(sqlx::Error::Io(std::io::Error::other(why))),
            Err(ended) => Err(sqlx::Error::Io(std::io::Error::other(ended))),
        }
    }
}

impl Drop for Turn {
    /// What it wrote is undone by whoever comes next; so that somebody comes, and the file is not locked
    /// for other processes until then, one is sent.
    fn drop(&mut self) {
        let Some(guard) = self.guard.take() else {
            return;
        };
        let (batch, is_unsure) = (guard.batch.clone(), guard.is_unsure);
        drop(guard);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let writer = Arc::clone(&self.writer);
        if let Some(batch) = batch {
            runtime.spawn(async move { settle(&writer, &batch).await });
        } else if is_unsure {
            runtime.spawn(async move {
                let mut writer = writer.lock().await;
                if writer.is_unsure {
                    writer.abandon().await;
                }
            });
        }
    }
}

/// Commits the batch when its turn comes, unless somebody has done so by then.
async fn settle(writer: &Mutex<Writer>, batch: &Arc<Batch>) -> Result<(), String> {
    let mut writer = writer.lock().await;
    if let Some(outcome) = batch.outcome.get() {
        return outcome.clone();
    }
    let mut done = writer.undo_savepoint().await;
    if done.is_ok() {
        done = writer.run("COMMIT").await;
    }
    match done {
        Ok(()) => {
            writer.batch = None;
            let _ = batch.outcome.set(Ok(()));
            Ok(())
        }
        Err(error) => {
            let _ = batch.outcome.set(Err(error.to_string()));
            writer.abandon().await;
            Err(error.to_string())
        }
    }
}

impl Writer {
    fn new(
        options: SqliteConnectOptions,
        connection: Option<SqliteConnection>,
    ) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Writer {
            options,
            connection,
            batch: None,
            has_savepoint: false,
            is_unsure: false,
        }))
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        let connection = self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        sqlx::query(sql).execute(connection).await.map(drop)
    }

    /// Opens a savepoint in the transaction that is under way, or in a new one.
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        if self.is_unsure {
            self.abandon().await;
        }
        if self.connection.is_none() {
            self.connection = Some(self.options.connect().await?);
        }
        if let Err(error) = self.undo_savepoint().await {
            self.abandon().await;
            return Err(error);
        }
        if self.batch.is_none() {
            self.is_unsure = true;
            let begun = self.run("BEGIN IMMEDIATE").await;
            self.is_unsure = false;
            if let Err(error) = begun {
                // A connection that is of no use any more is opened anew.
                self.abandon().await;
                return Err(error);
            }
            self.batch = Some(Arc::default());
        }
        self.has_savepoint = true;
        self.run("SAVEPOINT one").await
    }

    /// Undoes what was not committed before its transaction was dropped.
    async fn undo_savepoint(&mut self) -> Result<(), sqlx::Error> {
        if !self.has_savepoint {
            return Ok(());
        }
        self.run("ROLLBACK TO one").await?;
        self.run("RELEASE one").await?;
        self.has_savepoint = false;
        Ok(())
    }

    /// Gives up the transaction under way, and the connection when not even that can be done.
    async fn abandon(&mut self) {
        if let Some(batch) = self.batch.take() {
            let why = "the transaction that it was part of failed";
            let _ = batch.outcome.set(Err(why.to_owned()));
        }
        self.has_savepoint = false;
        let is_unsure = std::mem::take(&mut self.is_unsure);
        // SQLite has rolled back already after some errors, and says then that there is nothing to do.
        let rolled_back = self.run("ROLLBACK").await;
        let is_alive = match &rolled_back {
            Ok(()) => true,
            Err(error) => error.as_database_error().is_some() && !is_unsure,
        };
        if !is_alive && let Some(connection) = self.connection.take() {
            let _ = connection.close_hard().await;
        }
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(LOCK_WAIT)
        .disable_statement_logging()
}

async fn readers(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(LOCK_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await
}

/// Of processes that open a new file together one changes it to a WAL. SQLite tells the others that it
/// is locked, without waiting as it does for every other lock.
async fn first_connection(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let deadline = tokio::time::Instant::now() + LOCK_WAIT;
    loop {
        match options.connect().await {
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
async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    // Without the lock of a writer, which an import may hold for most of a minute.
    if is_up_to_date(connection).await {
        return Ok(());
    }
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    // `run` on a transaction makes a future that the compiler can't prove to be Send; this is what
    // it calls.
    MIGRATIONS.run_direct(None, &mut *tx, false).await?;
    Ok(tx.commit().await?)
}

/// What can't be read is for the migrator to judge.
async fn is_up_to_date(connection: &mut SqliteConnection) -> bool {
    let applied = sqlx::query(
        "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version",
    )
    .fetch_all(connection)
    .await;
    let Ok(applied) = applied else { return false };
    applied.len() == MIGRATIONS.iter().count()
        && applied.iter().zip(MIGRATIONS.iter()).all(|(row, known)| {
            row.try_get::<i64, _>("version")
                .is_ok_and(|version| version == known.version)
                && row
                    .try_get::<&[u8], _>("checksum")
                    .is_ok_and(|checksum| checksum == &*known.checksum)
        })
}
