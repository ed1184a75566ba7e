//! Accounts in SQLite.

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::audit::log_event;
use super::{Store, rows};
use crate::accounts::store::{
    Account, Action, By, Credentials, Event, Inserted, Key, Millis, StoreError, Taken, fold_email,
};

impl Store {
    /// Deleted ones too.
    pub async fn account(&self, key: Key<'_>) -> Result<Option<Account>, StoreError> {
        self.health
            .watch(async { find(&mut *self.reader.acquire().await?, key).await })
            .await
    }

    /// An account and its password's hash, by its id.
    pub async fn credentials_of(&self, id: Uuid) -> Result<Option<Credentials>, StoreError> {
        let query = sqlx::query("SELECT * FROM users WHERE id = ?").bind(id.to_string());
        self.health
            .watch(async {
                let row = query.fetch_optional(&self.reader).await?;
                row.as_ref().map(rows::credentials).transpose()
            })
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
                let row = query.fetch_optional(&self.reader).await?;
                row.as_ref().map(rows::credentials).transpose()
            })
            .await
    }

    /// Whether a new account could have this name and this e-mail.
    pub async fn taken(&self, username: &str, email: &str) -> Result<Option<Taken>, StoreError> {
        self.health
            .watch(async { taken(&mut *self.reader.acquire().await?, username, email).await })
            .await
    }

    /// Keeps those of many new accounts that can be kept, in one transaction.
    pub async fn insert_all(
        &self,
        accounts: &[(&Account, &str)],
        by: &By,
    ) -> Result<Vec<Inserted>, StoreError> {
        self.health
            .watch(async {
                let mut became = Vec::with_capacity(accounts.len());
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                for (account, password_hash) in accounts {
                    became.push(match insert(&mut tx, account, password_hash, by).await? {
                        None => Inserted::Made,
                        Some(_) if is_known(&mut tx, account).await? => Inserted::Known,
                        Some(taken) => Inserted::Taken(taken),
                    });
                }
                tx.commit().await?;
                Ok(became)
            })
            .await
    }

    /// Keeps a new account, unless its name was ever in use or its e-mail is.
    pub async fn insert(
        &self,
        account: &Account,
        password_hash: &str,
        by: &By,
    ) -> Result<Result<(), Taken>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                if let Some(taken) = insert(&mut tx, account, password_hash, by).await? {
                    return Ok(Err(taken));
                }
                tx.commit().await?;
                Ok(Ok(()))
            })
            .await
    }
}

/// Whether the account is there already.
async fn is_known(conn: &mut SqliteConnection, account: &Account) -> Result<bool, sqlx::Error> {
    let query = sqlx::query("SELECT 1 FROM users WHERE username = ? AND email_folded = ?");
    let query = query
        .bind(&account.username)
        .bind(fold_email(&account.email));
    Ok(query.fetch_optional(conn).await?.is_some())
}

async fn insert(
    conn: &mut SqliteConnection,
    account: &Account,
    password_hash: &str,
    by: &By,
) -> Result<Option<Taken>, sqlx::Error> {
    if let Some(taken) = taken(conn, &account.username, &account.email).await? {
        return Ok(Some(taken));
    }
    if let Some(external_id) = &account.external_id
        && is_external_id_taken(conn, external_id, account.id).await?
    {
        return Ok(Some(Taken::ExternalId));
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
    .execute(&mut *conn)
    .await?;
    reserve_name(conn, &account.username, account.id, account.created_at).await?;
    let event = Event {
        at: account.created_at,
        action: Action::UserCreate,
        by,
        subject: Some((account.id, &account.username)),
        details: serde_json::json!({
            "tier": account.tier,
            "is_superuser": account.is_superuser,
        }),
    };
    log_event(conn, &event).await?;
    Ok(None)
}

/// A name that is in use stays its first user's for good.
pub(super) async fn reserve_name(
    conn: &mut SqliteConnection,
    username: &str,
    user: Uuid,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO names_used (username, user_id, since) VALUES (?, ?, ?) \
         ON CONFLICT (username) DO NOTHING",
    )
    .bind(username)
    .bind(user.to_string())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn find(
    conn: &mut SqliteConnection,
    key: Key<'_>,
) -> Result<Option<Account>, sqlx::Error> {
    let query = match key {
        Key::Id(id) => sqlx::query("SELECT * FROM users WHERE id = ?").bind(id.to_string()),
        Key::Username(name) => sqlx::query("SELECT * FROM users WHERE username = ?").bind(name),
    };
    let row = query.fetch_optional(conn).await?;
    row.as_ref().map(rows::account).transpose()
}

/// Whether anybody but `user` has it.
pub(super) async fn is_external_id_taken(
    conn: &mut SqliteConnection,
    external_id: &str,
    user: Uuid,
) -> Result<bool, sqlx::Error> {
    let query = sqlx::query("SELECT 1 FROM users WHERE external_id = ? AND id <> ?");
    let row = query.bind(external_id).bind(user.to_string());
    Ok(row.fetch_optional(conn).await?.is_some())
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
