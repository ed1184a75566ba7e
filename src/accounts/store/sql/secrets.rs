//! Encrypted keys that the gateways on a store share.

use crate::accounts::store::db::{On, Row, Section, Tx, query};
use crate::accounts::store::{Sealed, SecretEdit, Store, StoreError};

impl Store {
    /// All of them, the newest first.
    pub async fn secrets(&self) -> Result<Vec<Sealed>, StoreError> {
        self.health.watch(all(On::Db(&self.db))).await
    }

    /// Writes what `judge` decides on, in one transaction. Of several that come at the same time, each
    /// sees what the one before it has written.
    pub async fn edit_secrets<E>(
        &self,
        judge: impl FnOnce(&[Sealed]) -> Result<Vec<SecretEdit>, E>,
    ) -> Result<Result<(), E>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Secrets).await?;
                let edits = match judge(&all(On::Tx(&mut tx)).await?) {
                    Ok(edits) => edits,
                    Err(error) => return Ok(Err(error)),
                };
                for edit in edits {
                    write(&mut tx, edit).await?;
                }
                tx.commit().await?;
                Ok(Ok(()))
            })
            .await
    }
}

async fn all(on: On<'_>) -> Result<Vec<Sealed>, sqlx::Error> {
    let rows = query("SELECT * FROM secrets ORDER BY name, number DESC");
    rows.fetch_all(on).await?.iter().map(sealed).collect()
}

async fn write(tx: &mut Tx, edit: SecretEdit) -> Result<(), sqlx::Error> {
    match edit {
        SecretEdit::Add(sealed) => query(
            "INSERT INTO secrets (name, kid, algorithm, is_next, nonce, ciphertext, created_at, \
             number) SELECT $1, $2, $3, $4, $5, $6, $7, COALESCE(max(number), 0) + 1 FROM secrets \
             WHERE name = $1",
        )
        .bind(sealed.name)
        .bind(sealed.kid)
        .bind(sealed.algorithm)
        .bind(sealed.is_next)
        .bind(sealed.nonce)
        .bind(sealed.ciphertext)
        .bind(sealed.created_at),
        SecretEdit::Promote(kid) => {
            query("UPDATE secrets SET is_next = FALSE WHERE kid = $1").bind(kid)
        }
        SecretEdit::Remove(kid) => query("DELETE FROM secrets WHERE kid = $1").bind(kid),
    }
    .execute(tx)
    .await
    .map(drop)
}

fn sealed(row: &Row) -> Result<Sealed, sqlx::Error> {
    Ok(Sealed {
        name: row.get("name")?,
        kid: row.get("kid")?,
        algorithm: row.get("algorithm")?,
        ciphertext: row.get("ciphertext")?,
        nonce: row.get("nonce")?,
        is_next: row.get("is_next")?,
        created_at: row.get("created_at")?,
    })
}
