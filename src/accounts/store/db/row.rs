//! A row of either database. A column that does not hold what it should is an error, never a panic.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};
use uuid::Uuid;

pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Row::Sqlite(row)
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Row::Postgres(row)
    }
}

impl Row {
    pub fn get<'r, T>(&'r self, column: &str) -> Result<T, sqlx::Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    /// A column of whatever type, as text.
    #[cfg(test)]
    pub fn text(&self, column: usize) -> String {
        match self {
            Row::Sqlite(row) => row.try_get_unchecked(column).unwrap(),
            Row::Postgres(row) => row.try_get_unchecked(column).unwrap(),
        }
    }

    pub fn uuid(&self, column: &str) -> Result<Uuid, sqlx::Error> {
        Uuid::parse_str(self.get(column)?).map_err(|error| decode(column, error))
    }

    /// A number that fits the type, which the databases' one type of numbers need not.
    pub fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, sqlx::Error>
    where
        T::Error: std::error::Error + Send + Sync + 'static,
    {
        T::try_from(self.get::<i64>(column)?).map_err(|error| decode(column, error))
    }

    /// What a column holds as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T, sqlx::Error> {
        serde_json::from_str(self.get(column)?).map_err(|error| decode(column, error))
    }
}

fn decode(column: &str, source: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(source),
    }
}
