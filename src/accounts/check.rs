//! Whether a password is the one of an account, and what a wrong one brings.

use std::net::IpAddr;

use aws_lc_rs::hmac;

use super::error::AccountsError;
use super::hashes::Scheme;
use super::lockout::{self, Keys};
use super::passwords::HashError;
use super::store::{Action, By, Credentials, Event};
use super::users::Users;
use crate::config::Secret;

/// An account whose password was just shown.
pub(super) struct Checked {
    pub credentials: Credentials,
    /// What failures were counted by.
    pub keys: Keys,
    /// There are some to forget.
    pub has_failed: bool,
}

impl Users {
    /// The account of a name or an e-mail and its password. Takes as long, and fails as silently,
    /// whether there is no such account, the password is wrong or the account is disabled. `key` is
    /// for counting what nobody is called without keeping it.
    pub(super) async fn check(
        &self,
        identity: &str,
        password: Secret,
        ip: IpAddr,
        key: &hmac::Key,
    ) -> Result<Checked, AccountsError> {
        let found = self.store.credentials(identity).await?;
        let account = found.as_ref().map(|found| found.account.id);
        let keys = lockout::keys(account, identity, ip, key);
        self.check_found(found, password, keys, &By::stranger(ip))
            .await
    }

    /// The same for what was found, counted by those keys.
    pub(super) async fn check_found(
        &self,
        found: Option<Credentials>,
        password: Secret,
        keys: Keys,
        by: &By,
    ) -> Result<Checked, AccountsError> {
        let settings = self.settings.load_full();
        let turn = self.turns.wait(&keys).await;
        let _turn = turn.ok_or(AccountsError::Hash(HashError::Busy))?;
        let attempts = self.store.attempts(&keys).await?;
        let now = (self.clock)();
        if let Some(until) = settings.lockout.locked_until(&attempts, now) {
            let left = until.saturating_sub(now).saturating_add(999) / 1000;
            return Err(AccountsError::Locked(u64::try_from(left).unwrap_or(1)));
        }
        let scheme = Scheme::of(&settings.password);
        let hash = match &found {
            Some(credentials) => credentials.password_hash.clone(),
            None => self.decoy(scheme),
        };
        let counts = found
            .as_ref()
            .is_some_and(|found| found.account.may_sign_in());
        let passes = self.hasher.verify(password, hash, scheme, counts).await?;
        match found {
            Some(credentials) if passes => Ok(Checked {
                credentials,
                keys,
                has_failed: attempts[0].failures > 0 || attempts[0].locks > 0,
            }),
            found => {
                let now = (self.clock)();
                let event = Event {
                    at: now,
                    action: Action::LoginFailure,
                    by,
                    // What was typed as a name that nobody has is kept nowhere: it may be a password.
                    subject: found
                        .as_ref()
                        .filter(|found| found.is_kept)
                        .map(|found| (found.account.id, found.account.username.as_str())),
                    details: serde_json::json!({}),
                };
                let judge = |known: &_| settings.lockout.after_failure(known, now);
                self.store.count_failure(&keys, &event, judge).await?;
                Err(AccountsError::CredentialsInvalid)
            }
        }
    }
}
