//! Changes that tokens already issued feel, before the one who asked for the change is answered.

use uuid::Uuid;

use super::Accounts;
use super::error::AccountsError;
use super::store::{Account, Action, By, Edit, Key, LastSuperuser};
use crate::config::Secret;

impl Accounts {
    /// [`Users::edit`](super::Users::edit), felt by tokens already issued.
    pub async fn edit(&self, key: Key<'_>, edit: &Edit, by: &By) -> Result<Account, AccountsError> {
        let edited = self.users.edit(key, edit, LastSuperuser::Stays, by).await?;
        self.publish().await;
        Ok(edited)
    }

    /// [`Users::edit_own`](super::Users::edit_own), felt by tokens already issued.
    pub async fn edit_own(
        &self,
        id: Uuid,
        edit: &Edit,
        current_password: Option<Secret>,
        by: &By,
    ) -> Result<Account, AccountsError> {
        let edited = self.users.edit_own(id, edit, current_password, by).await?;
        self.publish().await;
        Ok(edited)
    }

    /// [`Users::set_password`](super::Users::set_password), felt by tokens already issued.
    pub async fn set_password(
        &self,
        key: Key<'_>,
        new: Secret,
        keep: Option<Uuid>,
        by: &By,
    ) -> Result<Account, AccountsError> {
        let account = self.users.set_password(key, new, keep, by).await?;
        self.publish().await;
        Ok(account)
    }

    /// [`Users::change_password`](super::Users::change_password), felt by tokens already issued.
    pub async fn change_password(
        &self,
        id: Uuid,
        current: Secret,
        new: Secret,
        session: Uuid,
        by: &By,
    ) -> Result<Account, AccountsError> {
        let changed = self.users.change_password(id, current, new, session, by);
        let account = changed.await?;
        self.publish().await;
        Ok(account)
    }

    /// [`Users::purge`](super::Users::purge), felt by tokens already issued.
    pub async fn purge(&self, key: Key<'_>, by: &By) -> Result<(), AccountsError> {
        self.users.purge(key, by).await?;
        self.publish().await;
        Ok(())
    }

    /// What was just written acts from here on. When the log can't be read now, the background
    /// reads it as soon as it can.
    pub(super) async fn publish(&self) {
        if let Err(error) = self.read_changes().await {
            tracing::warn!(%error, "a change was kept, but is felt by tokens only later");
        }
    }

    /// Signs a session out with its own token. One that has ended, or never was, is fine.
    pub async fn logout(&self, session: Uuid, by: &By) -> Result<(), AccountsError> {
        let now = self.now();
        let store = &self.users.store;
        store
            .end_session(session, None, Action::Logout, by, now)
            .await?;
        self.publish().await;
        Ok(())
    }

    /// Ends one of a user's sessions. False: the user has no such session.
    pub async fn end_session(
        &self,
        user: Uuid,
        session: Uuid,
        by: &By,
    ) -> Result<bool, AccountsError> {
        let (now, action) = (self.now(), Action::SessionEnd);
        let store = &self.users.store;
        let ended = store.end_session(session, Some(user), action, by, now);
        let has_ended = ended.await?;
        self.publish().await;
        Ok(has_ended)
    }

    /// Ends an account's sessions, except the one to keep. How many that were.
    pub async fn end_sessions(
        &self,
        key: Key<'_>,
        keep: Option<Uuid>,
        by: &By,
    ) -> Result<usize, AccountsError> {
        let ended = self.users.end_sessions(key, keep, by).await?;
        self.publish().await;
        Ok(ended)
    }
}
