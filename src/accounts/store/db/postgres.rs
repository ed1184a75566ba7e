//! PostgreSQL: a pool of connections, none of which waits for long.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use crate::accounts::store::StoreError;
use crate::config::Secret;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// PostgreSQL takes a hundred unless told otherwise; half a dozen gateways share them.
const CONNECTIONS: u32 = 16;
/// How long a caller waits for a connection.
const PATIENCE: Duration = Duration::from_secs(3);
/// After so long a connection is tried before it is used: the server may have been restarted.
const TRUSTED: Duration = Duration::from_secs(1);
/// Half an hour, so that connections move when the name's address does.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Opens a pool and brings the tables up to date. Of gateways that start together one does that, and the
/// others wait: the migrator holds an advisory lock.
pub(super) async fn open(url: &Secret) -> Result<PgPool, StoreError> {
    let pool = pool(options(url)?).await?;
    let mut connection = pool.acquire().await?;
    // What takes long once is allowed to.
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut *connection)
        .await?;
    sqlx::query("SET lock_timeout = 0")
        .execute(&mut *connection)
        .await?;
    MIGRATIONS.run_direct(None, &mut *connection, false).await?;
    connection.close().await?;
    Ok(pool)
}

/// Opens a pool of connections that write nothing.
pub(super) async fn open_to_read(url: &Secret) -> Result<PgPool, StoreError> {
    let options = options(url)?.options([("default_transaction_read_only", "on")]);
    Ok(pool(options).await?)
}

fn options(url: &Secret) -> Result<PgConnectOptions, sqlx::Error> {
    let options = PgConnectOptions::from_str(url.expose())?
        .application_name("portcullis")
        .options([
            // Less than the deadline of a call, so that what is given up does not go on in the server.
            ("statement_timeout", "4s"),
            ("lock_timeout", "3s"),
            ("idle_in_transaction_session_timeout", "10s"),
            // A migrator that finds its table is no news.
            ("client_min_messages", "warning"),
        ])
        .disable_statement_logging();
    Ok(options)
}

async fn pool(options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
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
        .connect_with(options)
        .await
}
