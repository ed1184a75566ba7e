//! What callers have used up of long quotas, over restarts. The counters themselves are in memory: this
//! reads them now and then.

use super::Accounts;
use super::store::StoreError;
use crate::limit::Keeper;

/// Counters of one transaction, so that none holds up the store's other work for long.
const PAGE: usize = 2000;
/// What changes faster than it can be written is written the next time.
const PAGES: usize = 64;

/// Has the keeper give out again what could not be written, also when nobody waited for it.
struct Unwritten<'k>(Option<&'k Keeper>);

impl Unwritten<'_> {
    fn written(mut self) {
        self.0 = None;
    }
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        if let Some(keeper) = self.0 {
            keeper.forget();
        }
    }
}

impl Accounts {
    /// Writes the counters that have changed since the last time, and removes those that are full.
    pub async fn keep_counters(&self, keeper: &Keeper) -> Result<(), StoreError> {
        for _ in 0..PAGES {
            let changed = keeper.changed(self.now(), PAGE);
            if changed.is_empty() {
                break;
            }
            let unwritten = Unwritten(Some(keeper));
            self.users.store.keep_counters(&changed).await?;
            unwritten.written();
        }
        while self.users.store.sweep_counters(self.now()).await? {}
        Ok(())
    }

    /// Puts back the counters that were written, or as many of them as can be read.
    pub async fn restore_counters(&self, keeper: &Keeper) -> Result<(), StoreError> {
        let restored = self.restore_pages(keeper).await;
        // Also before an error, or what others wrote would take up the room for what is to be written here.
        keeper.remember();
        restored
    }

    async fn restore_pages(&self, keeper: &Keeper) -> Result<(), StoreError> {
        let mut last = (String::new(), String::new());
        loop {
            let page = self.users.store.counters((&last.0, &last.1)).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            last = (end.scope.clone(), end.value.clone());
            keeper.restore(page, self.now());
        }
    }
}
