//! Counters of long quotas go on after a restart: read before the first request, written every few seconds
//! and when the last one is done.

use std::sync::Arc;
use std::time::Duration;

use crate::accounts::Accounts;
use crate::limit::Keeper;

/// What a crash forgets at most.
const EVERY: Duration = Duration::from_secs(5);
/// How long the end waits for the store.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Counters {
    accounts: Arc<Accounts>,
    keeper: Keeper,
}

impl Counters {
    /// Reads what was written. A store that fails here fails every request to the auth API as well, so it
    /// is told, and no reason not to serve.
    pub async fn restore(accounts: Arc<Accounts>, keeper: Keeper) -> Counters {
        if let Err(error) = accounts.restore_counters(&keeper).await {
            tracing::warn!(%error, "what callers had used up of their limits could not be read");
        }
        Counters { accounts, keeper }
    }

    /// The store being away is noted there, and then more is written the next time.
    pub async fn keep_writing(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let _ = self.accounts.keep_counters(&self.keeper).await;
        }
    }

    pub async fn write_last(&self) {
        let written = self.accounts.keep_counters(&self.keeper);
        let why = match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store does not answer".to_owned(),
        };
        tracing::warn!(
            error = why,
            "what callers have used up of their limits could not be written"
        );
    }
}
