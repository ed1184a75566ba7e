//! What becomes of an account after it was made: changes, passwords, an end and a return.

use std::net::Ipv4Addr;

use uuid::Uuid;

use super::error::AccountsError;
use super::hashes::Scheme;
use super::lockout;
use super::store::{
    Account, Action, By, Edit, Entry, Key, LastSuperuser, Listed, Listing, NewPassword, NotChanged,
    SessionInfo, Trail,
};
use super::tiers::tier_is_gone;
use super::users::Users;
use super::validate;
use crate::config::Secret;
use crate::request::FieldError;

impl Users {
    /// An account by its name or id, a deleted one too. `None`: there is none.
    pub async fn find(&self, key: Key<'_>) -> Result<Option<Account>, AccountsError> {
        Ok(self.store.account(key).await?)
    }

    pub async fn list(&self, listing: &Listing<'_>) -> Result<Listed, AccountsError> {
        Ok(self.store.list(listing).await?)
    }

    /// Changes an account. Everything that is wrong with the new values is told at once.
    pub async fn edit(
        &self,
        key: Key<'_>,
        edit: &Edit,
        last_superuser: LastSuperuser,
        by: &By,
    ) -> Result<Account, AccountsError> {
        if !edit.is_of_sign_in() {
            self.own()?;
        }
        self.validate(edit).await?;
        let now = (self.clock)();
        let settings = self.settings.load_full();
        let free = settings.free_for_accounts(now);
        let edited = self.store.edit(key, edit, last_superuser, free, by, now);
        edited.await?.map_err(not_changed)
    }

    /// Changes the account of the caller, who has to show the password again for another e-mail:
    /// whoever holds the address can have the account, and a stolen token must not be enough for that.
    pub async fn edit_own(
        &self,
        id: Uuid,
        edit: &Edit,
        current_password: Option<Secret>,
        by: &By,
    ) -> Result<Account, AccountsError> {
        self.own()?;
        self.validate(edit).await?;
        if let Some(email) = &edit.email {
            let known = self.store.account(Key::Id(id)).await?;
            let known = known.ok_or(AccountsError::NoSuchAccount)?;
            if known.email != *email {
                let Some(password) = current_password else {
                    return Err(wrong(
                        "current_password",
                        "is required to change the e-mail address",
                    ));
                };
                self.confirm(id, password, by).await?;
            }
        }
        self.edit(Key::Id(id), edit, LastSuperuser::Stays, by).await
    }

    /// Sets a password for somebody else, who is signed out everywhere; `keep` is a session that
    /// goes on.
    pub async fn set_password(
        &self,
        key: Key<'_>,
        new: Secret,
        keep: Option<Uuid>,
        by: &By,
    ) -> Result<Account, AccountsError> {
        self.store_password(key, new, None, keep, by).await
    }

    /// Sets the caller's own password. The other sessions end.
    pub async fn change_password(
        &self,
        id: Uuid,
        current: Secret,
        new: Secret,
        session: Uuid,
        by: &By,
    ) -> Result<Account, AccountsError> {
        self.own()?;
        self.validate_password(&new)?;
        let checked = self.confirm(id, current, by).await?;
        self.store_password(Key::Id(id), new, Some(checked), Some(session), by)
            .await
    }

    /// Removes an account for good. Its names stay reserved.
    pub async fn purge(&self, key: Key<'_>, by: &By) -> Result<(), AccountsError> {
        let purged = self.store.purge(key, by, (self.clock)()).await?;
        purged.map_err(not_changed)
    }

    /// The newest entries of the audit trail first.
    pub async fn trail(&self, trail: &Trail<'_>) -> Result<Vec<Entry>, AccountsError> {
        Ok(self.store.trail(trail).await?)
    }

    /// The sessions of an account that can still be used, the one used last first, at most 1000.
    pub async fn sessions(&self, user: Uuid) -> Result<Vec<SessionInfo>, AccountsError> {
        Ok(self.store.sessions_of(user, (self.clock)()).await?)
    }

    /// Ends a session, whosever it is. False: there is none that could still end.
    pub async fn end_session(&self, session: Uuid, by: &By) -> Result<bool, AccountsError> {
        let now = (self.clock)();
        let action = Action::SessionEnd;
        Ok(self
            .store
            .end_session(session, None, action, by, now)
            .await?)
    }

    /// Ends an account's sessions, except the one to keep. How many that were.
    pub async fn end_sessions(
        &self,
        key: Key<'_>,
        keep: Option<Uuid>,
        by: &By,
    ) -> Result<usize, AccountsError> {
        let ended = self.store.end_sessions(key, keep, by, (self.clock)());
        ended.await?.ok_or(AccountsError::NoSuchAccount)
    }

    /// The hash that the current password was checked against. Wrong ones count as wrong ones at
    /// login do: a stolen token is no way around the lock.
    async fn confirm(&self, id: Uuid, current: Secret, by: &By) -> Result<String, AccountsError> {
        let found = self.store.credentials_of(id).await?;
        let found = found.ok_or(AccountsError::NoSuchAccount)?;
        let ip = by.ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let keys = lockout::keys_of(id, ip);
        match self.check_found(Some(found), current, keys, by).await {
            Ok(checked) => {
                if checked.has_failed {
                    self.store.clear_attempts(&checked.keys[0]).await?;
                }
                Ok(checked.credentials.password_hash)
            }
            Err(AccountsError::CredentialsInvalid) => {
                Err(wrong("current_password", "is not the password"))
            }
            Err(error) => Err(error),
        }
    }

    async fn store_password(
        &self,
        key: Key<'_>,
        new: Secret,
        checked: Option<String>,
        keep: Option<Uuid>,
        by: &By,
    ) -> Result<Account, AccountsError> {
        self.own()?;
        self.validate_password(&new)?;
        let scheme = Scheme::of(&self.settings.load().password);
        let hash = self.hasher.hash(new, scheme).await?;
        let new = NewPassword {
            hash: &hash,
            checked: checked.as_deref(),
            keep,
        };
        let set = self.store.set_password(key, &new, by, (self.clock)()).await;
        set?.map_err(not_changed)
    }

    fn validate_password(&self, new: &Secret) -> Result<(), AccountsError> {
        let settings = self.settings.load();
        validate::password(new.expose(), &settings.password).map_err(|error| {
            AccountsError::Invalid(vec![FieldError {
                field: "new_password".into(),
                ..error
            }])
        })
    }

    async fn validate(&self, edit: &Edit) -> Result<(), AccountsError> {
        let settings = self.settings.load_full();
        let wrong_tier = self.check_tier(edit.tier.as_deref(), &settings).await?;
        let image = edit.profile_image_url.as_ref().and_then(Option::as_deref);
        let external_id = edit.external_id.as_ref().and_then(Option::as_deref);
        let checks = [
            edit.username.as_deref().map(validate::username),
            edit.name.as_deref().map(validate::name),
            edit.email.as_deref().map(validate::email),
            image.map(validate::profile_image_url),
            external_id.map(validate::external_id),
            edit.roles.as_deref().map(validate::roles),
        ];
        let errors: Vec<_> = checks
            .into_iter()
            .flatten()
            .filter_map(Result::err)
            .chain(wrong_tier)
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(AccountsError::Invalid(errors))
        }
    }
}

fn not_changed(reason: NotChanged) -> AccountsError {
    match reason {
        NotChanged::NoSuchAccount => AccountsError::NoSuchAccount,
        NotChanged::Deleted => AccountsError::Deleted,
        NotChanged::Taken(what) => AccountsError::Taken(what),
        NotChanged::LastSuperuser => AccountsError::LastSuperuser,
        NotChanged::NoSuchTier => AccountsError::Invalid(vec![tier_is_gone()]),
        NotChanged::OtherPassword => wrong("current_password", "is not the password any more"),
    }
}

fn wrong(field: &'static str, message: &'static str) -> AccountsError {
    AccountsError::Invalid(vec![FieldError {
        field: field.into(),
        message: message.into(),
    }])
}
