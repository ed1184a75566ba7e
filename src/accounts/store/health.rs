//! Whether the store answers: a bound on every call, and one line in the log when that changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longer than a writer waits for another process's lock, short enough that nobody hangs.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Timeout,
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    #[error("its tables could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("its file could not be made: {0}")]
    File(#[from] std::io::Error),
    #[error("it is not there")]
    Absent,
    #[error("its tables are of another version")]
    OtherVersion,
}

pub(super) struct Health {
    /// Whose, for the log.
    of: &'static str,
    is_up: AtomicBool,
}

impl Health {
    pub fn up(of: &'static str) -> Self {
        Health {
            of,
            is_up: AtomicBool::new(true),
        }
    }

    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Runs one call under the deadline and notes how it went.
    pub async fn watch<T>(
        &self,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let result = match tokio::time::timeout(DEADLINE, call).await {
            Ok(result) => result.map_err(StoreError::Sql),
            Err(_) => Err(StoreError::Timeout),
        };
        let was_up = self.is_up.swap(result.is_ok(), Ordering::Relaxed);
        match &result {
            Err(error) if was_up => tracing::error!(%error, "{} does not answer", self.of),
            Ok(_) if !was_up => tracing::info!("{} answers again", self.of),
            _ => {}
        }
        result
    }
}
