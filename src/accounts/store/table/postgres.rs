//! The other application's table in PostgreSQL, in sessions that can't write.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{
    PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, PgTypeInfo, PgTypeKind, Postgres,
};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, Row as _, SqlSafeStr,
    Statement, Type, TypeInfo, ValueRef,
};

use super::column::{Cell, Column, Kind};
use super::{CONNECTIONS, NotDescribed, PATIENCE, check_names};
use crate::config::Secret;

/// After so long a connection is tried before it is used: the server may have been restarted.
const TRUSTED: Duration = Duration::from_secs(1);
/// Unused ones are given back to the application.
const IDLE: Duration = Duration::from_secs(60);
/// Half an hour, so that connections move when the name's address does.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

pub(super) async fn open(url: &Secret, query: &str) -> Result<(PgPool, Vec<Column>), NotDescribed> {
    let store = |error: sqlx::Error| NotDescribed::Store(error.to_string());
    let options = PgConnectOptions::from_str(url.expose())
        .map_err(store)?
        .application_name("portcullis auth.users")
        .options([
            ("default_transaction_read_only", "on"),
            // Less than the deadline of a call, so that what is given up does not go on in the server.
            ("statement_timeout", "4s"),
            ("lock_timeout", "3s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ])
        .disable_statement_logging();
    // Not by way of the pool, which tells of a refused connection that it took too long.
    let described = async {
        let mut connection = options.connect().await.map_err(store)?;
        let columns = describe(&mut connection, query).await;
        // What came of it is known; the connection is of no more use.
        let _ = connection.close().await;
        columns
    };
    let columns = match tokio::time::timeout(PATIENCE * 2, described).await {
        Ok(columns) => columns?,
        Err(_) => return Err(NotDescribed::Store("it does not answer".to_owned())),
    };
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .idle_timeout(IDLE)
        .max_lifetime(LIFETIME)
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                if known.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    Ok((pool, columns))
}

async fn describe(connection: &mut PgConnection, query: &str) -> Result<Vec<Column>, NotDescribed> {
    let prepared = connection
        .prepare_with(
            AssertSqlSafe(query.to_owned()).into_sql_str(),
            &[<String as Type<Postgres>>::type_info()],
        )
        .await;
    let prepared = prepared.map_err(|error| match error.as_database_error() {
        Some(database) => NotDescribed::Query(database.message().to_owned()),
        None => NotDescribed::Store(error.to_string()),
    })?;
    let columns = prepared.columns().iter().map(|column| Column {
        name: column.name().to_owned(),
        kind: kind(column.type_info()),
        type_name: column.type_info().name().to_lowercase(),
    });
    Ok(columns.collect())
}

fn kind(type_info: &PgTypeInfo) -> Kind {
    match type_info.name() {
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "citext" => Kind::Text,
        "INT2" | "INT4" | "INT8" => Kind::Number,
        "BOOL" => Kind::Bool,
        "TEXT[]" | "VARCHAR[]" => Kind::List,
        "JSON" | "JSONB" => Kind::Json,
        "UUID" => Kind::Uuid,
        "TIMESTAMP" | "TIMESTAMPTZ" | "DATE" => Kind::Time,
        _ => match type_info.kind() {
            PgTypeKind::Enum(_) => Kind::Text,
            _ => Kind::Other,
        },
    }
}

pub(super) async fn rows(
    pool: &PgPool,
    query: String,
    columns: &[Column],
    typed: &str,
) -> Result<Vec<Vec<Cell>>, sqlx::Error> {
    // PostgreSQL's text can't hold a NUL, so nobody is called so, nor like this.
    let typed = typed.replace('\0', "\u{fffd}");
    let mut stale = 0;
    let rows = loop {
        let mut connection = pool.acquire().await?;
        let found = sqlx::query(AssertSqlSafe(query.clone())).bind(typed.clone());
        match found.fetch_all(&mut *connection).await {
            Ok(rows) => break rows,
            // The application has changed its table since the connection prepared the query. So may all
            // connections have.
            Err(error) if is_stale(&error) && stale < CONNECTIONS => {
                stale += 1;
                connection.close().await?;
            }
            Err(error) => return Err(error),
        }
    };
    check_names(&rows, columns)?;
    Ok(rows.iter().map(|row| cells(row, columns)).collect())
}

/// "cached plan must not change result type"
fn is_stale(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "0A000")
}

fn cells(row: &PgRow, columns: &[Column]) -> Vec<Cell> {
    let columns = columns.iter().enumerate();
    let cells = columns.map(|(at, column)| cell(row, at, column).unwrap_or(Cell::Other));
    cells.collect()
}

fn cell(row: &PgRow, at: usize, column: &Column) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    let type_info = value.type_info();
    Ok(match (column.kind, type_info.name()) {
        (Kind::Text, "CHAR") => {
            // Filled up with spaces that nobody means.
            Cell::Text(utf8(bytes)?.trim_end_matches(' ').to_owned())
        }
        (Kind::Text, _) => Cell::Text(utf8(bytes)?.to_owned()),
        (Kind::Number, "INT2") => Cell::Number(row.try_get::<i16, _>(at)?.into()),
        (Kind::Number, "INT4") => Cell::Number(row.try_get::<i32, _>(at)?.into()),
        (Kind::Number, _) => Cell::Number(row.try_get(at)?),
        (Kind::Bool, _) => Cell::Bool(row.try_get(at)?),
        (Kind::List, _) => Cell::List(row.try_get_unchecked(at)?),
        // A version, then the text.
        (Kind::Json, "JSONB") => Cell::Text(utf8(bytes.get(1..).unwrap_or_default())?.to_owned()),
        (Kind::Json, _) => Cell::Text(utf8(bytes)?.to_owned()),
        (Kind::Uuid, _) => {
            let id = uuid::Uuid::from_slice(bytes);
            Cell::Text(id.map_err(|e| sqlx::Error::Decode(e.into()))?.to_string())
        }
        _ => Cell::Other,
    })
}

fn utf8(bytes: &[u8]) -> Result<&str, sqlx::Error> {
    std::str::from_utf8(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}
