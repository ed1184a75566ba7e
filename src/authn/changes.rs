//! Changes to accounts and sessions that act on tokens already issued.
//!
//! A token carries the version its account had (`av`). Each later change is published here with the
//! account's new state, each ended session by its id, and so is an API key that is not what it was.
//! Workers look only when the epoch has moved, so the common case is one atomic load. What concerns
//! no token or key that could still be believed is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// An account as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    pub id: Uuid,
    pub version: u64,
    /// False once disabled or deleted: its tokens are refused.
    pub active: bool,
    pub username: String,
    pub name: String,
    pub email: String,
    pub external_id: Option<String>,
    pub tier: String,
    pub roles: Vec<String>,
    pub is_superuser: bool,
}

/// The table of changes, one for the process.
#[derive(Default)]
pub struct Changes {
    epoch: AtomicU64,
    tables: RwLock<Tables>,
}

#[derive(Default)]
struct Tables {
    /// With the second until which an older token can still be about.
    accounts: HashMap<Uuid, (Arc<AccountState>, u64)>,
    sessions: HashMap<Uuid, u64>,
}

impl Changes {
    /// Publishes an account's new state. `until`, in seconds since 1970, is when the last token of an
    /// older version has expired. A state older than the one already known changes nothing, but how long
    /// that is remembered: rows of the log about one account all come with its newest state.
    pub fn account(&self, state: AccountState, until: u64) {
        let mut tables = self.write();
        let (newer, until) = match tables.accounts.get_mut(&state.id) {
            Some((known, known_until)) => {
                *known_until = until.max(*known_until);
                (state.version > known.version, *known_until)
            }
            None => (true, until),
        };
        if newer {
            tables.accounts.insert(state.id, (Arc::new(state), until));
            drop(tables);
            self.epoch.fetch_add(1, Ordering::Release);
        }
    }

    /// Publishes that a session has ended, or an API key's grant; `until` as in [`Changes::account`].
    pub fn session_ended(&self, session: Uuid, until: u64) {
        let is_new = self.write().sessions.insert(session, until).is_none();
        if is_new {
            self.epoch.fetch_add(1, Ordering::Release);
        }
    }

    /// Has every token looked at again.
    pub fn recheck(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Forgets what no token can need any more. `now` in seconds since 1970.
    pub fn forget_before(&self, now: u64) {
        let mut tables = self.write();
        tables.accounts.retain(|_, (_, until)| *until >= now);
        tables.sessions.retain(|_, until| *until >= now);
    }

    /// Moves with every change.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The newest published state of an account, if it changed lately.
    pub fn of_account(&self, id: Uuid) -> Option<Arc<AccountState>> {
        let tables = self.read();
        tables.accounts.get(&id).map(|(state, _)| Arc::clone(state))
    }

    pub fn has_ended(&self, session: Uuid) -> bool {
        self.read().sessions.contains_key(&session)
    }

    // A panic while the lock is held leaves maps that are still maps.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(|e| e.into_inner())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(|e| e.into_inner())
    }
}
