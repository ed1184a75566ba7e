//! The change log and the plans' version: what the command line and other processes on the store did
//! reaches this one within a second, and what is past its use is swept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::store::{Account, Changed, StoreError};
use super::{Accounts, Millis, tokens};
use crate::authn::AccountState;

const POLL: Duration = Duration::from_millis(300);
const SWEEP: Duration = Duration::from_secs(60);
/// How often the use of API keys is noted.
const KEY_USES: Duration = Duration::from_secs(5);
/// Rows of the change log read at once.
const PAGE: i64 = 1000;

/// How long the audit trail goes back, in milliseconds, and how many entries it holds at most.
const TRAIL_AGE: Millis = 400 * 86_400_000;
const TRAIL_ENTRIES: i64 = 1_000_000;

impl Accounts {
    /// Reads the change log and the plans, sweeps, and notes what keys were used, until `shutdown` is
    /// true or its sender is gone. The store being away is noted there and tried again.
    pub async fn run_background(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut poll = interval(POLL);
        let mut sweep = interval(SWEEP);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut key_uses = interval(KEY_USES);
        key_uses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let work = async {
            loop {
                tokio::select! {
                    _ = poll.tick() => {
                        let _ = self.read_changes().await;
                        let _ = self.read_plans().await;
                    }
                    _ = sweep.tick() => { let _ = self.sweep().await; }
                }
            }
        };
        // Beside it: nobody waits for these.
        let notes = async {
            loop {
                key_uses.tick().await;
                self.note_key_uses().await;
            }
        };
        tokio::select! {
            () = work => {}
            () = notes => {}
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
    }

    /// Publishes what the change log holds since the last time.
    pub(super) async fn read_changes(&self) -> Result<(), StoreError> {
        loop {
            let seen = self.seen.load(Ordering::Relaxed);
            let page = self.users.store.changes_after(seen, PAGE).await?;
            for change in &page {
                let until = self.until(change.until);
                match &change.what {
                    Changed::Account(account) => self.changes.account(state(account), until),
                    Changed::SessionEnded(id) => self.changes.session_ended(*id, until),
                }
                self.seen.fetch_max(change.seq, Ordering::Relaxed);
            }
            if i64::try_from(page.len()).is_ok_and(|len| len < PAGE) {
                return Ok(());
            }
        }
    }

    /// Forgets sessions and changes that no token in use can be about.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let leeway = self.users.settings.load().leeway;
        let before = self.now().saturating_sub(leeway);
        self.changes.forget_before(tokens::seconds(self.now()));
        while self.users.store.sweep(before).await? {}
        let oldest = self.now().saturating_sub(TRAIL_AGE);
        while self.users.store.sweep_trail(oldest, TRAIL_ENTRIES).await? {}
        Ok(())
    }

    /// The second until which a token that expires at `expiry` passes somewhere.
    pub(super) fn until(&self, expiry: Millis) -> u64 {
        let leeway = self.users.settings.load().leeway;
        tokens::seconds(expiry.saturating_add(leeway)).saturating_add(1)
    }
}

pub(super) fn state(account: &Account) -> AccountState {
    AccountState {
        id: account.id,
        version: account.version,
        active: account.may_sign_in(),
        username: account.username.clone(),
        name: account.name.clone(),
        email: account.email.clone(),
        external_id: account.external_id.clone(),
        tier: account.tier.clone(),
        roles: account.roles.clone(),
        is_superuser: account.is_superuser,
    }
}
