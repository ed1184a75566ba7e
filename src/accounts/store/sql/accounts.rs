//! Accounts.

use uuid::Uuid;

use super::audit::log_event;
use super::tiers::is_tier;
use super::{names, rows};
use crate::accounts::store::db::{On, Query, Section, Tx, query};
use crate::accounts::store::{
    Account, Action, By, Credentials, Event, Free, Inserted, Key, Millis, NotMade, Store,
    StoreError, Taken, fold_email,
};

impl Store {
    /// Deleted ones too.
    pub async fn account(&self, key: Key<'_>) -> Result<Option<Account>, StoreError> {
        self.health.watch(async { find(&self.db, key).await }).await
    }

    /// An account and its password's hash, by its id.
    pub async fn credentials_of(&self, id: Uuid) -> Result<Option<Credentials>, StoreError> {
        let found = query("SELECT * FROM users WHERE id = $1").bind(id);
        self.health
            .watch(async {
                let row = found.fetch_optional(&self.db).await?;
                row.as_ref().map(rows::credentials).transpose()
            })
            .await
    }

    /// Finds an account by name, or by e-mail when the identity holds an `@`. Deleted ones too.
    pub async fn credentials(&self, identity: &str) -> Result<Option<Credentials>, StoreError> {
        let found = if identity.contains('@') {
            query("SELECT * FROM users WHERE email_folded = $1").bind(fold_email(identity))
        } else {
            query("SELECT * FROM users WHERE username = $1").bind(identity.to_owned())
        };
        self.health
            .watch(async {
                let row = found.fetch_optional(&self.db).await?;
                row.as_ref().map(rows::credentials).transpose()
            })
            .await
    }

    /// Whether a new account could have this name and this e-mail.
    pub async fn taken(
        &self,
        username: &str,
        email: &str,
        names_free_since: Millis,
    ) -> Result<Option<Taken>, StoreError> {
        self.health
            .watch(async {
                let name = names::in_use(username, names_free_since)
                    .fetch_optional(&self.db)
                    .await?;
                let email = email_in_use(email).fetch_optional(&self.db).await?;
                Ok(name
                    .map(|_| Taken::Username)
                    .or(email.map(|_| Taken::Email)))
            })
            .await
    }

    /// Keeps those of many new accounts that can be kept, in one transaction.
    pub async fn insert_all(
        &self,
        accounts: &[(&Account, &str)],
        free: Free<'_>,
        by: &By,
    ) -> Result<Vec<Inserted>, StoreError> {
        self.health
            .watch(async {
                let mut became = Vec::with_capacity(accounts.len());
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                for (account, password_hash) in accounts {
                    became.push(
                        match insert(&mut tx, account, password_hash, free, by).await? {
                            None => Inserted::Made,
                            Some(_) if is_known(&mut tx, account).await? => Inserted::Known,
                            Some(reason) => Inserted::Not(reason),
                        },
                    );
                }
                tx.commit().await?;
                Ok(became)
            })
            .await
    }

    /// Keeps a new account, unless its e-mail is in use, its name is or was, or its tier is none. Names
    /// that nobody has had for as long as the configuration says are free.
    pub async fn insert(
        &self,
        account: &Account,
        password_hash: &str,
        free: Free<'_>,
        by: &By,
    ) -> Result<Result<(), NotMade>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                let inserted = insert(&mut tx, account, password_hash, free, by);
                if let Some(reason) = inserted.await? {
                    return Ok(Err(reason));
                }
                tx.commit().await?;
                Ok(Ok(()))
            })
            .await
    }
}

/// Whether the account is there already.
async fn is_known(tx: &mut Tx, account: &Account) -> Result<bool, sqlx::Error> {
    let known = query("SELECT 1 FROM users WHERE username = $1 AND email_folded = $2");
    let known = known
        .bind(&account.username)
        .bind(fold_email(&account.email));
    Ok(known.fetch_optional(tx).await?.is_some())
}

async fn insert(
    tx: &mut Tx,
    account: &Account,
    password_hash: &str,
    free: Free<'_>,
    by: &By,
) -> Result<Option<NotMade>, sqlx::Error> {
    let name = names::in_use(&account.username, free.names_since);
    if name.fetch_optional(&mut *tx).await?.is_some() {
        return Ok(Some(NotMade::Taken(Taken::Username)));
    }
    let email = email_in_use(&account.email);
    if email.fetch_optional(&mut *tx).await?.is_some() {
        return Ok(Some(NotMade::Taken(Taken::Email)));
    }
    if let Some(external_id) = &account.external_id
        && is_external_id_taken(tx, external_id, account.id).await?
    {
        return Ok(Some(NotMade::Taken(Taken::ExternalId)));
    }
    if !is_tier(tx, &account.tier, free.tiers).await? {
        return Ok(Some(NotMade::NoSuchTier));
    }
    add(tx, account, password_hash, by).await?;
    Ok(None)
}

/// Keeps a new account, of which nothing is anybody else's.
pub(super) async fn add(
    tx: &mut Tx,
    account: &Account,
    password_hash: &str,
    by: &By,
) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO users (id, external_id, username, name, email, email_folded, \
                     password_hash, profile_image_url, tier, roles, is_superuser, is_active, \
                     version, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(account.id)
    .bind(&account.external_id)
    .bind(&account.username)
    .bind(&account.name)
    .bind(&account.email)
    .bind(email_key(account))
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
    names::reserve(tx, &account.username, account.id, account.created_at).await?;
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
    log_event(tx, &event).await
}

pub(super) async fn find(
    on: impl Into<On<'_>>,
    key: Key<'_>,
) -> Result<Option<Account>, sqlx::Error> {
    let row = by_key(key).fetch_optional(on).await?;
    row.as_ref().map(rows::account).transpose()
}

/// The same in order to change it.
pub(super) async fn find_to_change(
    tx: &mut Tx,
    key: Key<'_>,
) -> Result<Option<Account>, sqlx::Error> {
    let row = by_key(key).for_update().fetch_optional(tx).await?;
    row.as_ref().map(rows::account).transpose()
}

fn by_key(key: Key<'_>) -> Query {
    match key {
        Key::Id(id) => query("SELECT * FROM users WHERE id = $1").bind(id),
        Key::Username(name) => query("SELECT * FROM users WHERE username = $1").bind(name),
    }
}

/// Whether anybody but `user` has it.
pub(super) async fn is_external_id_taken(
    tx: &mut Tx,
    external_id: &str,
    user: Uuid,
) -> Result<bool, sqlx::Error> {
    let other = query("SELECT 1 FROM users WHERE external_id = $1 AND id <> $2");
    let row = other.bind(external_id).bind(user);
    Ok(row.fetch_optional(tx).await?.is_some())
}

/// What the account's e-mail is compared by; one without has its id in that place.
pub(super) fn email_key(account: &Account) -> String {
    match account.email.as_str() {
        "" => account.id.to_string(),
        email => fold_email(email),
    }
}

fn email_in_use(email: &str) -> Query {
    query("SELECT 1 FROM users WHERE email_folded = $1").bind(fold_email(email))
}
