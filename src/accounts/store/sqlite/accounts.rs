//! Accounts in SQLite.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::changes::log_account;
use super::sessions::end_all_sessions;
use super::{Store, rows};
use crate::accounts::store::{Account, Credentials, Millis, StoreError, Taken};

impl Store {
    pub async fn account(&self, id: Uuid) -> Result<Option<Account>, StoreError> {
        self.health
            .watch(async { account_by_id(&mut *self.reader.acquire().await?, id).await })
            .await
    }

    /// Finds an account by name, or by e-mail when the identity holds an `@`. Deleted ones too.
    pub async fn credentials(&self, identity: &str) -> Result<Option<Credentials>, StoreError> {
        let query = if identity.contains('@') {
            sqlx::query("SELECT * FROM users WHERE email_folded = ?").bind(fold_email(identity))
        } else {
            sqlx::query("SELECT * FROM users WHERE username = ?").bind(identity.to_owned())
        };
        self.health
            .watch(async {
                let Some(row) = query.fetch_optional(&self.reader).await? else {
                    return Ok(None);
                };
                Ok(Some(Credentials {
                    account: rows::account(&row)?,
                    password_hash: sqlx::Row::try_get(&row, "password_hash")?,
                }))
            })
            .await
    }

    /// Whether a new account could have this name and this e-mail.
    pub async fn taken(&self, username: &str, email: &str) -> Result<Option<Taken>, StoreError> {
        self.health
            .watch(async { taken(&mut *self.reader.acquire().await?, username, email).await })
            .await
    }

    /// Keeps a new account, unless its name was ever in use or its e-mail is.
    pub async fn insert(
        &self,
        account: &Account,
        password_hash: &str,
    ) -> Result<Result<(), Taken>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                if let Some(taken) = taken(&mut tx, &account.username, &account.email).await? {
                    return Ok(Err(taken));
                }
                sqlx::query(
                    "INSERT INTO users (id, external_id, username, name, email, email_folded, \
                     password_hash, profile_image_url, tier, roles, is_superuser, is_active, \
                     version, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(account.id.to_string())
                .bind(&account.external_id)
                .bind(&account.username)
                .bind(&account.name)
                .bind(&account.email)
                .bind(fold_email(&account.email))
                .bind(password_hash)
                .bind(&account.profile_image_url)
                .bind(&account.tier)
                .bind(serde_json::json!(account.roles).to_string())
                .bind(account.is_superuser)
                .bind(account.is_active)
                .bind(account.version.cast_signed())
                .bind(account.created_at)
                .execute(&mut *tx)
                .await?;
                sqlx::query("INSERT INTO names_used (username, user_id, since) VALUES (?, ?, ?)")
                    .bind(&account.username)
                    .bind(account.id.to_string())
                    .bind(account.created_at)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                Ok(Ok(()))
            })
            .await
    }

    /// Disables or enables an account; disabling ends its sessions. `None`: no such account.
    pub async fn set_active(
        &self,
        username: &str,
        is_active: bool,
        now: Millis,
    ) -> Result<Option<Account>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let Some(row) =
                    sqlx::query("SELECT * FROM users WHERE username = ? AND deleted_at IS NULL")
                        .bind(username)
                        .fetch_optional(&mut *tx)
                        .await?
                else {
                    return Ok(None);
                };
                let account = rows::account(&row)?;
                if account.is_active == is_active {
                    return Ok(Some(account));
                }
                let row = sqlx::query(
                    "UPDATE users SET is_active = ?, version = version + 1, updated_at = ? \
                     WHERE id = ? RETURNING *",
                )
                .bind(is_active)
                .bind(now)
                .bind(account.id.to_string())
                .fetch_one(&mut *tx)
                .await?;
                let account = rows::account(&row)?;
                log_account(&mut tx, account.id, now).await?;
                if !is_active {
                    end_all_sessions(&mut tx, account.id, now).await?;
                }
                tx.commit().await?;
                Ok(Some(account))
            })
            .await
    }
}

/// How e-mails are compared.
fn fold_email(email: &str) -> String {
    email.to_lowercase()
}

pub(super) async fn account_by_id(
    conn: &mut SqliteConnection,
    id: Uuid,
) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM users WHERE id = ?")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(rows::account).transpose()
}

async fn taken(
    conn: &mut SqliteConnection,
    username: &str,
    email: &str,
) -> Result<Option<Taken>, sqlx::Error> {
    let name = sqlx::query("SELECT 1 FROM names_used WHERE username = ?").bind(username);
    if name.fetch_optional(&mut *conn).await?.is_some() {
        return Ok(Some(Taken::Username));
    }
    let email = sqlx::query("SELECT 1 FROM users WHERE email_folded = ?").bind(fold_email(email));
    Ok(email.fetch_optional(conn).await?.map(|_| Taken::Email))
}
