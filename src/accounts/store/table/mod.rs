//! A table of users that belongs to another application. It is only ever read, by the one query of
//! `auth.users`, and by few connections.

mod column;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use self::column::{Column, faults, member};
use super::StoreError;
use super::health::Health;
use crate::config::checked::{self, UserTable};
use crate::config::{Fault, USERS_QUERY, USERS_STORE};

pub use column::RowFault;

/// Connections of one gateway: logins wait for hashes far longer than for these.
const CONNECTIONS: u32 = 4;
/// How long anybody waits for a connection.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is looked at when more than one user is found.
const ROWS: u32 = 9;

/// The table, by the query that finds a user in it.
pub struct Table {
    pool: Pool,
    /// With a bound on the rows.
    query: String,
    columns: Vec<Column>,
    health: Health,
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A user as the application has them.
pub struct Member {
    pub external_id: String,
    pub username: String,
    pub password_hash: String,
    pub email: Option<String>,
    pub name: Option<String>,
    pub tier: Option<String>,
    pub roles: Vec<String>,
    pub is_superuser: bool,
    pub is_active: bool,
}

/// Why a query could not be described.
enum NotDescribed {
    /// The database could not be reached.
    Store(String),
    /// It does not take the query.
    Query(String),
}

impl Table {
    /// Connects, and holds the query's parameter and columns to what is needed. Nothing is read.
    pub async fn open(users: &UserTable) -> Result<Table, Vec<Fault>> {
        let query = format!(
            "SELECT * FROM (\n{}\n) AS found LIMIT {ROWS}",
            users.query.trim()
        );
        // What is described is the query as it was written, so that its faults are named by its own places.
        let described = match &users.store {
            checked::Store::Sqlite(path) => sqlite::open(path, &users.query)
                .await
                .map(|(pool, columns)| (Pool::Sqlite(pool), columns)),
            checked::Store::Postgres(at) => postgres::open(&at.url, &users.query)
                .await
                .map(|(pool, columns)| (Pool::Postgres(pool), columns)),
        };
        let (pool, columns) = described.map_err(|why| vec![fault(users, why)])?;
        let faults = faults(&columns);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Table {
            pool,
            query,
            columns,
            health: Health::up("the table of auth.users"),
        })
    }

    /// The columns and their types, for people.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &str)> {
        let columns = self.columns.iter();
        columns.map(|column| (column.name.as_str(), column.type_name.as_str()))
    }

    /// Whether the last call went well.
    pub fn is_up(&self) -> bool {
        self.health.is_up()
    }

    /// Asks for nobody, to see whether there is an answer again.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.find("").await.map(drop)
    }

    /// Whom the query finds by what was typed, or why a row is nobody.
    pub async fn find(&self, typed: &str) -> Result<Vec<Result<Member, RowFault>>, StoreError> {
        let found = async {
            let (query, columns) = (self.query.clone(), self.columns.as_slice());
            match &self.pool {
                Pool::Sqlite(pool) => sqlite::rows(pool, query, columns, typed).await,
                Pool::Postgres(pool) => postgres::rows(pool, query, columns, typed).await,
            }
        };
        let rows = self
            .health
            .watch(async {
                match found.await {
                    Err(error) if is_about_data(&error) => Ok(None),
                    Err(error) => Err(without_data(error)),
                    Ok(rows) => Ok(Some(rows)),
                }
            })
            .await?;
        let Some(rows) = rows else {
            return Ok(vec![Err(RowFault {
                column: "$1",
                why: "can't be compared with what was typed: compare it with text",
            })]);
        };
        let members = rows.into_iter();
        Ok(members.map(|cells| member(&self.columns, cells)).collect())
    }
}

/// A table that has changed since the start may give other columns to `SELECT *`: nothing is read from
/// the wrong one.
fn check_names<R: sqlx::Row>(rows: &[R], columns: &[Column]) -> Result<(), sqlx::Error> {
    let is_same = |row: &R| {
        let names = row.columns().iter().map(sqlx::Column::name);
        names.eq(columns.iter().map(|column| column.name.as_str()))
    };
    if rows.iter().all(is_same) {
        return Ok(());
    }
    let message = "its query gives other columns than at the start";
    Err(sqlx::Error::Configuration(message.into()))
}

fn fault(users: &UserTable, why: NotDescribed) -> Fault {
    match why {
        NotDescribed::Store(why) => Fault {
            key: USERS_STORE,
            message: format!("cannot open {}: {why}", users.store),
            hint: match users.store {
                checked::Store::Sqlite(_) => {
                    "check the path, and that the gateway may read the file and its folder"
                }
                checked::Store::Postgres(_) => {
                    "check that the server runs, and its host, port, user, password and database"
                }
            }
            .to_owned(),
        },
        NotDescribed::Query(message) => Fault {
            key: USERS_QUERY,
            message,
            hint: "`$1` is text; try the query on the database itself".to_owned(),
        },
    }
}

/// A message of the database may hold what was typed, which may be a password.
fn without_data(error: sqlx::Error) -> sqlx::Error {
    match error.as_database_error() {
        Some(database) => {
            let code = database.code().unwrap_or_default();
            let message =
                format!("its query failed with code {code}: try `portcullis check --online`");
            sqlx::Error::Configuration(message.into())
        }
        None => error,
    }
}

/// SQLSTATE class 22: what was typed is no number, say, where the query wants one.
fn is_about_data(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.len() == 5 && code.starts_with("22"))
}
