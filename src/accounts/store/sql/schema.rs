//! The tables' version.

use crate::accounts::store::db::query;
use crate::accounts::store::{Store, StoreError};

impl Store {
    /// The last migration that was run.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        self.health
            .watch(async {
                // The migrator's own table.
                let newest = query("SELECT MAX(version) AS version FROM _sqlx_migrations");
                newest.fetch_one(&self.db).await?.get("version")
            })
            .await
    }
}
