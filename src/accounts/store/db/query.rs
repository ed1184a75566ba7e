//! A statement and its values.

use std::borrow::Cow;

use sqlx::query::Query as Prepared;
use sqlx::{AssertSqlSafe, Database, Encode, Executor, IntoArguments, Postgres, Type};

use super::{Db, Kind, On, Row};

/// A value of a statement.
#[derive(Debug, Clone)]
pub enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(bool),
    Bytes(Vec<u8>),
}

/// A statement, with `$1`, `$2`, … where its values go.
#[derive(Debug)]
pub struct Query {
    sql: Cow<'static, str>,
    values: Vec<Value>,
    /// What PostgreSQL needs at its end to lock the rows that it reads.
    lock: &'static str,
}

/// Goes before the parenthesis that closes the statement.
const SKIP_LOCKED: &str = " FOR UPDATE SKIP LOCKED";

pub fn query(sql: &'static str) -> Query {
    Query {
        sql: Cow::Borrowed(sql),
        values: Vec::new(),
        lock: "",
    }
}

impl Query {
    /// The value of the next number.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// More of the statement.
    pub fn push(&mut self, sql: &'static str) -> &mut Self {
        self.sql.to_mut().push_str(sql);
        self
    }

    /// More of the statement, which is a value.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        self.sql.to_mut().push_str(&format!("${number}"));
        self
    }

    /// Nobody else changes the rows that are read before the transaction ends. SQLite's transactions
    /// have all of the database to themselves.
    pub fn for_update(mut self) -> Self {
        self.lock = " FOR UPDATE";
        self
    }

    /// Nobody changes the rows that are read before the transaction ends; others may read them so too.
    pub fn for_share(mut self) -> Self {
        self.lock = " FOR SHARE";
        self
    }

    /// What the SELECT in the parentheses at the end reads is nobody else's meanwhile: rows that others
    /// have locked are left to them. For work that several do at once and nobody has to wait for.
    pub fn skip_locked(mut self) -> Self {
        self.lock = SKIP_LOCKED;
        self
    }

    /// The number of rows that were written.
    pub async fn execute(self, on: impl Into<On<'_>>) -> Result<u64, sqlx::Error> {
        match on.into() {
            On::Db(Db::Sqlite(sqlite)) => {
                let done = self.sqlite().execute(sqlite.reader()).await?;
                Ok(done.rows_affected())
            }
            On::Db(Db::Postgres(pool)) => Ok(self.postgres().execute(pool).await?.rows_affected()),
            On::Tx(tx) => match &mut tx.0 {
                Kind::Sqlite(turn) => {
                    let done = self.sqlite().execute(turn.connection()?).await?;
                    Ok(done.rows_affected())
                }
                Kind::Postgres(tx) => Ok(self.postgres().execute(&mut **tx).await?.rows_affected()),
            },
        }
    }

    pub async fn fetch_optional(self, on: impl Into<On<'_>>) -> Result<Option<Row>, sqlx::Error> {
        match on.into() {
            On::Db(Db::Sqlite(sqlite)) => first(sqlite.reader(), self.sqlite()).await,
            On::Db(Db::Postgres(pool)) => first(pool, self.postgres()).await,
            On::Tx(tx) => match &mut tx.0 {
                Kind::Sqlite(turn) => first(turn.connection()?, self.sqlite()).await,
                Kind::Postgres(tx) => first(&mut **tx, self.postgres()).await,
            },
        }
    }

    pub async fn fetch_all(self, on: impl Into<On<'_>>) -> Result<Vec<Row>, sqlx::Error> {
        match on.into() {
            On::Db(Db::Sqlite(sqlite)) => all(sqlite.reader(), self.sqlite()).await,
            On::Db(Db::Postgres(pool)) => all(pool, self.postgres()).await,
            On::Tx(tx) => match &mut tx.0 {
                Kind::Sqlite(turn) => all(turn.connection()?, self.sqlite()).await,
                Kind::Postgres(tx) => all(&mut **tx, self.postgres()).await,
            },
        }
    }

    /// The one row that there always is.
    pub async fn fetch_one(self, on: impl Into<On<'_>>) -> Result<Row, sqlx::Error> {
        let row = self.fetch_optional(on).await?;
        row.ok_or(sqlx::Error::RowNotFound)
    }

    fn sqlite(self) -> Prepared<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
        bound(self.sql, self.values)
    }

    fn postgres(self) -> Prepared<'static, Postgres, sqlx::postgres::PgArguments> {
        let sql = match (self.lock, self.sql.strip_suffix(')')) {
            ("", _) => self.sql,
            (SKIP_LOCKED, Some(open)) => Cow::Owned(format!("{open}{SKIP_LOCKED})")),
            (lock, _) => Cow::Owned(format!("{}{lock}", self.sql)),
        };
        bound(sql, self.values)
    }
}

/// The text is made of literals and numbers alone: what comes from outside is only ever a value.
fn bound<DB>(
    sql: Cow<'static, str>,
    values: Vec<Value>,
) -> Prepared<'static, DB, <DB as Database>::Arguments>
where
    DB: Database,
    Option<String>: Encode<'static, DB> + Type<DB>,
    Option<i64>: Encode<'static, DB> + Type<DB>,
    bool: Encode<'static, DB> + Type<DB>,
    Vec<u8>: Encode<'static, DB> + Type<DB>,
    <DB as Database>::Arguments: IntoArguments<DB>,
{
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in values {
        query = match value {
            // PostgreSQL's text can't hold a NUL. Nothing that is kept may have one, so what is searched
            // for with one is not there, under this name neither.
            Value::Text(Some(text)) if text.contains('\0') => {
                query.bind(Some(text.replace('\0', "\u{fffd}")))
            }
            Value::Text(text) => query.bind(text),
            Value::Int(number) => query.bind(number),
            Value::Bool(value) => query.bind(value),
            Value::Bytes(bytes) => query.bind(bytes),
        };
    }
    query
}

async fn first<'c, DB, E>(
    on: E,
    query: Prepared<'static, DB, <DB as Database>::Arguments>,
) -> Result<Option<Row>, sqlx::Error>
where
    DB: Database,
    E: Executor<'c, Database = DB>,
    <DB as Database>::Arguments: IntoArguments<DB>,
    Row: From<DB::Row>,
{
    Ok(query.fetch_optional(on).await?.map(Row::from))
}

async fn all<'c, DB, E>(
    on: E,
    query: Prepared<'static, DB, <DB as Database>::Arguments>,
) -> Result<Vec<Row>, sqlx::Error>
where
    DB: Database,
    E: Executor<'c, Database = DB>,
    <DB as Database>::Arguments: IntoArguments<DB>,
    Row: From<DB::Row>,
{
    let rows = query.fetch_all(on).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Value::Text(Some(text.clone()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Value::Text(text.map(str::to_owned))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Value::Text(text)
    }
}

impl From<&Option<String>> for Value {
    fn from(text: &Option<String>) -> Self {
        Value::Text(text.clone())
    }
}

impl From<uuid::Uuid> for Value {
    fn from(id: uuid::Uuid) -> Self {
        Value::Text(Some(id.to_string()))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(Some(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Int(Some(i64::from(number)))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(bytes)
    }
}
