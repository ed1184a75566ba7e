//! The store in a SQLite file: one writer, a few readers, and every read-then-write in one
//! `BEGIN IMMEDIATE`, so that two processes on the file never decide on what the other is changing.

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqliteConnection};
use uuid::Uuid;

use super::health::Health;
use super::rows;
use super::{
    Account, Change, Credentials, EndedSession, Millis, NewSession, Session, Step, StoreError,
    Taken,
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const READERS: u32 = 4;
/// How long a writer waits for another process's lock, or a caller for a connection.
const LOCK_WAIT: Duration = Duration::from_secs(3);
/// Rows deleted in one go, so that a sweep never holds the lock for long.
const SWEEP_ROWS: i64 = 500;

pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    health: Health,
}

impl Store {
    /// Opens the file, makes it (mode 0600) when it is missing, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        create_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(LOCK_WAIT)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered survives a power cut too: NORMAL may lose the last commits of a WAL.
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(LOCK_WAIT)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        migrate(&writer).await?;
        let reader = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Store {
            writer,
            reader,
            health: Health::up(),
        })
    }

    /// Whether the last call went well.
    pub fn is_up(&self) -> bool {
        self.health.is_up()
    }

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

    /// Begins a session for an account whose password was just checked. Gives the account as it is
    /// at that moment; `None` when it may no longer sign in or its password is another by now.
    pub async fn begin_session(
        &self,
        user: Uuid,
        checked_hash: &str,
        session: &NewSession<'_>,
    ) -> Result<Option<Account>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let row = sqlx::query("SELECT * FROM users WHERE id = ? AND password_hash = ?")
                    .bind(user.to_string())
                    .bind(checked_hash)
                    .fetch_optional(&mut *tx)
                    .await?;
                let account = match row {
                    Some(row) => rows::account(&row)?,
                    None => return Ok(None),
                };
                if !account.may_sign_in() {
                    return Ok(None);
                }
                sqlx::query(
                    "INSERT INTO sessions (id, user_id, counter, created_at, last_used_at, \
                     expires_at, tokens_expire_at, ip, user_agent) \
                     VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?)",
                )
                .bind(session.id.to_string())
                .bind(user.to_string())
                .bind(session.now)
                .bind(session.now)
                .bind(session.expires_at)
                .bind(session.tokens_expire_at)
                .bind(&session.ip)
                .bind(session.user_agent)
                .execute(&mut *tx)
                .await?;
                tx.commit().await?;
                Ok(Some(account))
            })
            .await
    }

    /// Takes the step that `judge` decides on for a session and its account, in one transaction.
    /// `tokens_expire_at` is when the access token that may come of it expires. `None`: no such session.
    pub async fn use_session(
        &self,
        id: Uuid,
        now: Millis,
        tokens_expire_at: Millis,
        judge: impl FnOnce(&Session, &Account) -> Step,
    ) -> Result<Option<UsedSession>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let Some(row) = sqlx::query("SELECT * FROM sessions WHERE id = ?")
                    .bind(id.to_string())
                    .fetch_optional(&mut *tx)
                    .await?
                else {
                    return Ok(None);
                };
                let session = rows::session(&row)?;
                let user = rows::uuid(&row, "user_id")?;
                let Some(account) = account_by_id(&mut tx, user).await? else {
                    return Ok(None);
                };
                let step = judge(&session, &account);
                let mut ended = None;
                match &step {
                    Step::Rotate {
                        rotations,
                        expires_at,
                    } => {
                        sqlx::query(
                            "UPDATE sessions SET counter = counter + 1, rotations = ?, \
                             last_used_at = ?, expires_at = ?, \
                             tokens_expire_at = max(tokens_expire_at, ?) WHERE id = ?",
                        )
                        .bind(serde_json::json!(rotations).to_string())
                        .bind(now)
                        .bind(expires_at)
                        .bind(tokens_expire_at)
                        .bind(id.to_string())
                        .execute(&mut *tx)
                        .await?;
                    }
                    Step::Repeat => {
                        sqlx::query(
                            "UPDATE sessions SET last_used_at = ?, \
                             tokens_expire_at = max(tokens_expire_at, ?) WHERE id = ?",
                        )
                        .bind(now)
                        .bind(tokens_expire_at)
                        .bind(id.to_string())
                        .execute(&mut *tx)
                        .await?;
                    }
                    Step::End => ended = end_session(&mut tx, id, now).await?,
                    Step::Leave => {}
                }
                tx.commit().await?;
                Ok(Some(UsedSession {
                    session,
                    account,
                    step,
                    ended,
                }))
            })
            .await
    }

    /// Ends a session and logs it. `None`: there is none that could still end.
    pub async fn end_session(
        &self,
        id: Uuid,
        now: Millis,
    ) -> Result<Option<EndedSession>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
                let ended = end_session(&mut tx, id, now).await?;
                tx.commit().await?;
                Ok(ended)
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

    /// The change log after `seq`, oldest first, at most `limit` rows.
    pub async fn changes_after(&self, seq: i64, limit: i64) -> Result<Vec<Change>, StoreError> {
        self.health
            .watch(async {
                sqlx::query(
                    "SELECT c.seq, c.until, c.session_id, u.* FROM changes c \
                     LEFT JOIN users u ON u.id = c.user_id WHERE c.seq > ? ORDER BY c.seq LIMIT ?",
                )
                .bind(seq)
                .bind(limit)
                .fetch_all(&self.reader)
                .await?
                .iter()
                .map(rows::change)
                .collect()
            })
            .await
    }

    /// Deletes some of the sessions and changes that nothing can refer to since `before`. True when
    /// there may be more.
    pub async fn sweep(&self, before: Millis) -> Result<bool, StoreError> {
        self.health
            .watch(async {
                let mut conn = self.writer.acquire().await?;
                let sessions = sqlx::query(
                    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
                     WHERE expires_at < ? AND tokens_expire_at < ? LIMIT ?)",
                )
                .bind(before)
                .bind(before)
                .bind(SWEEP_ROWS)
                .execute(&mut *conn)
                .await?;
                let changes = sqlx::query(
                    "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes \
                     WHERE until < ? LIMIT ?)",
                )
                .bind(before)
                .bind(SWEEP_ROWS)
                .execute(&mut *conn)
                .await?;
                let most = sessions.rows_affected().max(changes.rows_affected());
                Ok(most >= SWEEP_ROWS.cast_unsigned())
            })
            .await
    }
}

/// A session that a refresh token was presented for, as it was before the step.
pub struct UsedSession {
    pub session: Session,
    pub account: Account,
    pub step: Step,
    /// Set when the step ended it.
    pub ended: Option<EndedSession>,
}

/// How e-mails are compared.
fn fold_email(email: &str) -> String {
    email.to_lowercase()
}

/// SQLite gives its journal files the mode of the database, so this one is enough.
fn create_file(path: &Path) -> Result<(), std::io::Error> {
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// One transaction around all of it: of two processes that start together, the second finds it done.
async fn migrate(writer: &SqlitePool) -> Result<(), StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    MIGRATIONS.run(&mut *tx).await?;
    Ok(tx.commit().await?)
}

async fn account_by_id(
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

async fn end_session(
    conn: &mut SqliteConnection,
    id: Uuid,
    now: Millis,
) -> Result<Option<EndedSession>, sqlx::Error> {
    let row = sqlx::query(
        "UPDATE sessions SET ended_at = ? WHERE id = ? AND ended_at IS NULL \
         RETURNING id, tokens_expire_at",
    )
    .bind(now)
    .bind(id.to_string())
    .fetch_optional(&mut *conn)
    .await?;
    let ended = row.as_ref().map(rows::ended_session).transpose()?;
    if let Some(ended) = ended {
        log_session(conn, ended).await?;
    }
    Ok(ended)
}

async fn end_all_sessions(
    conn: &mut SqliteConnection,
    user: Uuid,
    now: Millis,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(
        "UPDATE sessions SET ended_at = ? WHERE user_id = ? AND ended_at IS NULL \
         RETURNING id, tokens_expire_at",
    )
    .bind(now)
    .bind(user.to_string())
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        log_session(conn, rows::ended_session(row)?).await?;
    }
    Ok(())
}

async fn log_session(conn: &mut SqliteConnection, ended: EndedSession) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO changes (until, session_id) VALUES (?, ?)")
        .bind(ended.tokens_expire_at)
        .bind(ended.id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// A token is only ever made together with a write to its session, so the latest expiry among the
/// account's sessions bounds the tokens that an older version can be in.
async fn log_account(
    conn: &mut SqliteConnection,
    user: Uuid,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO changes (until, user_id) \
         SELECT max(?1, COALESCE(max(tokens_expire_at), 0)), ?2 FROM sessions WHERE user_id = ?2",
    )
    .bind(now)
    .bind(user.to_string())
    .execute(conn)
    .await?;
    Ok(())
}
