//! SQLite and PostgreSQL behind one face, so that each statement is written once, with `$1, $2, …`
//! for its values and in the dialect that both understand. What differs is in two files: how they are
//! opened, and what a transaction is.

mod postgres;
mod query;
mod row;
mod sqlite;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;

use self::sqlite::{Sqlite, Turn};
use super::StoreError;
use crate::config::checked;

pub use query::{Query, query};
pub use row::Row;

/// The connections to a store.
pub enum Db {
    Sqlite(Sqlite),
    Postgres(PgPool),
}

/// A transaction. What it did is undone when it is dropped without [`Tx::commit`].
pub struct Tx(Kind);

enum Kind {
    Sqlite(Turn),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// Work that only one transaction does at a time. SQLite has one writer; PostgreSQL is asked for an
/// advisory lock, which its transaction holds to its end. Whoever needs several takes them, and locks
/// on rows, in this order: accounts, a user, sessions,
/// changes; attempts and secrets stand alone.
#[derive(Debug, Clone, Copy)]
pub enum Section {
    /// What must be decided over all accounts: whether a name is free, who is the last superuser.
    Accounts,
    /// Counting failed sign-ins, of which there may be no row yet that could be locked.
    Attempts,
    /// Writing the change log, so that its numbers become visible in their order.
    Changes,
    /// Making keys that all gateways share, once.
    Secrets,
}

impl Section {
    fn key(self) -> i64 {
        let number = match self {
            Section::Accounts => 1,
            Section::Attempts => 2,
            Section::Changes => 3,
            Section::Secrets => 4,
        };
        // "portcull", so that other programs on the database hardly use the same.
        0x706f_7274_6375_6c6c + number
    }
}

/// Where a statement runs.
pub enum On<'c> {
    /// Outside of a transaction, to read.
    Db(&'c Db),
    Tx(&'c mut Tx),
}

impl<'c> From<&'c Db> for On<'c> {
    fn from(db: &'c Db) -> Self {
        On::Db(db)
    }
}

impl<'c> From<&'c mut Tx> for On<'c> {
    fn from(tx: &'c mut Tx) -> Self {
        On::Tx(tx)
    }
}

impl Db {
    /// Opens the store, makes it when it is missing (SQLite), and brings its tables up to date.
    pub async fn open(store: &checked::Store) -> Result<Db, StoreError> {
        match store {
            checked::Store::Sqlite(path) => Ok(Db::Sqlite(Sqlite::open(path).await?)),
            checked::Store::Postgres(at) => Ok(Db::Postgres(postgres::open(&at.url).await?)),
        }
    }

    /// Opens a store that is there, and of which the tables are those of this program, to read alone.
    pub async fn open_to_read(store: &checked::Store) -> Result<Db, StoreError> {
        let (db, migrations) = match store {
            checked::Store::Sqlite(path) if !path.try_exists()? => {
                return Err(StoreError::Absent);
            }
            checked::Store::Sqlite(path) => {
                let sqlite = Sqlite::open_to_read(path).await?;
                (Db::Sqlite(sqlite), &sqlite::MIGRATIONS)
            }
            checked::Store::Postgres(at) => {
                let pool = postgres::open_to_read(&at.url).await?;
                (Db::Postgres(pool), &postgres::MIGRATIONS)
            }
        };
        match is_of(&db, migrations).await {
            Ok(true) => Ok(db),
            Ok(false) => Err(StoreError::OtherVersion),
            // No migrator was there.
            Err(error) if is_of_no_table(&error) => Err(StoreError::OtherVersion),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(Tx(match self {
            Db::Sqlite(sqlite) => Kind::Sqlite(sqlite.begin().await?),
            Db::Postgres(pool) => Kind::Postgres(pool.begin().await?),
        }))
    }
}

/// Whether these migrations and no others were run.
async fn is_of(db: &Db, migrations: &Migrator) -> Result<bool, sqlx::Error> {
    let applied = query(APPLIED).fetch_all(db).await?;
    let mut known = migrations.iter();
    for row in &applied {
        let known = known.next();
        let (version, checksum) = (row.get::<i64>("version")?, row.get::<&[u8]>("checksum")?);
        if known.is_none_or(|known| known.version != version || *known.checksum != *checksum) {
            return Ok(false);
        }
    }
    Ok(known.next().is_none())
}

/// The only sign of it in SQLite, where most of what goes wrong with a statement has one code, is the text.
fn is_of_no_table(error: &sqlx::Error) -> bool {
    const UNDEFINED_TABLE: &str = "42P01";
    error.as_database_error().is_some_and(|error| {
        error.code().is_some_and(|code| code == UNDEFINED_TABLE)
            || error.message().starts_with("no such table")
    })
}

/// The migrator's own table.
const APPLIED: &str =
    "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";

impl Tx {
    /// Returns once what was done is on the disk.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self.0 {
            Kind::Sqlite(turn) => turn.commit().await,
            Kind::Postgres(tx) => tx.commit().await,
        }
    }

    /// Waits until no other transaction is in the section.
    pub async fn enter(&mut self, section: Section) -> Result<(), sqlx::Error> {
        if let Kind::Postgres(_) = self.0 {
            let lock = query("SELECT pg_advisory_xact_lock($1)").bind(section.key());
            lock.execute(self).await?;
        }
        Ok(())
    }
}
