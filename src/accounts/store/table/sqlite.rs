//! The other application's table in a SQLite file, opened so that it can't be written.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Executor, Row as _, SqlSafeStr,
    Statement, TypeInfo, ValueRef,
};

use super::column::{Cell, Column, Kind};
use super::{CONNECTIONS, NotDescribed, PATIENCE, check_names};

/// How long a reader waits for the application's writer.
const LOCK_WAIT: Duration = Duration::from_secs(2);

pub(super) async fn open(
    path: &Path,
    query: &str,
) -> Result<(SqlitePool, Vec<Column>), NotDescribed> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(LOCK_WAIT)
        .disable_statement_logging();
    let store = |error: sqlx::Error| NotDescribed::Store(error.to_string());
    let mut connection = options.connect().await.map_err(store)?;
    // Opening alone reads nothing: a file that is no database shows here.
    connection
        .execute("SELECT count(*) FROM sqlite_schema")
        .await
        .map_err(store)?;
    let prepared = connection
        .prepare(AssertSqlSafe(query.to_owned()).into_sql_str())
        .await
        .map_err(|error| NotDescribed::Query(error.to_string()))?;
    let columns = prepared.columns().iter().map(|column| {
        let type_name = column.type_info().name();
        Column {
            name: column.name().to_owned(),
            kind: match type_name {
                "TEXT" => Kind::Text,
                "INTEGER" => Kind::Number,
                "BOOLEAN" => Kind::Bool,
                "DATE" | "TIME" | "DATETIME" => Kind::Time,
                "NULL" => Kind::Unsaid,
                _ => Kind::Other,
            },
            type_name: match type_name {
                "NULL" => "any".to_owned(),
                name => name.to_lowercase(),
            },
        }
    });
    let columns = columns.collect();
    // What came of it is known; the connection is of no more use.
    let _ = connection.close().await;
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options);
    Ok((pool, columns))
}

pub(super) async fn rows(
    pool: &SqlitePool,
    query: String,
    columns: &[Column],
    typed: &str,
) -> Result<Vec<Vec<Cell>>, sqlx::Error> {
    let found = sqlx::query(AssertSqlSafe(query)).bind(typed.to_owned());
    let rows = found.fetch_all(pool).await?;
    check_names(&rows, columns)?;
    Ok(rows.iter().map(|row| cells(row, columns)).collect())
}

fn cells(row: &SqliteRow, columns: &[Column]) -> Vec<Cell> {
    let cells = (0..columns.len()).map(|at| cell(row, at).unwrap_or(Cell::Other));
    cells.collect()
}

fn cell(row: &SqliteRow, at: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let type_info = value.type_info();
    Ok(match type_info.name() {
        "TEXT" => Cell::Text(row.try_get_unchecked(at)?),
        "INTEGER" | "BOOLEAN" => Cell::Number(row.try_get_unchecked(at)?),
        _ => Cell::Other,
    })
}
