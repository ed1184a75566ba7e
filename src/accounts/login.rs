//! Signing in: the password is checked, a session begins, and an outdated hash is replaced.

use uuid::Uuid;

use super::error::AccountsError;
use super::hashes::Scheme;
use super::sessions::RefreshToken;
use super::settings::Settings;
use super::store::{Login, NewSession};
use super::{Accounts, Granted, Origin, tokens};
use crate::config::Secret;

/// What a session begins on.
pub(super) struct Basis<'a> {
    pub user: Uuid,
    pub login: Login<'a>,
}

impl Accounts {
    /// Signs in with a name or an e-mail.
    pub async fn login(
        &self,
        identity: &str,
        password: Secret,
        origin: Origin<'_>,
    ) -> Result<Granted, AccountsError> {
        match self.try_login(identity, password.clone(), &origin).await? {
            Some(granted) => Ok(granted),
            // Somebody else has just changed the hash: most often another tab, which has replaced an
            // outdated one. Then the password still matches.
            None => {
                let again = self.try_login(identity, password, &origin).await?;
                again.ok_or(AccountsError::CredentialsInvalid)
            }
        }
    }

    /// `None`: the account is not as it was when the password was checked.
    async fn try_login(
        &self,
        identity: &str,
        password: Secret,
        origin: &Origin<'_>,
    ) -> Result<Option<Granted>, AccountsError> {
        if let Some(members) = &self.members {
            return self.login_member(members, identity, password, origin).await;
        }
        let settings = self.users.settings.load_full();
        let keys = self.keys.load_full();
        let checked = self
            .users
            .check(identity, password.clone(), origin.ip, keys.refresh.first())
            .await?;
        let found = checked.credentials;
        let scheme = Scheme::of(&settings.password);
        let new_hash = if scheme.made(&found.password_hash) {
            None
        } else {
            // There is a next time for what can't be done now, or ever: bcrypt takes 72 bytes.
            self.users.hasher.hash(password, scheme).await.ok()
        };
        let basis = Basis {
            user: found.account.id,
            login: Login {
                checked_hash: &found.password_hash,
                new_hash: new_hash.as_deref(),
                clears: &checked.keys[0],
            },
        };
        self.begin(&settings, &basis, origin).await
    }

    /// Begins a session. `None`: the account is not as it was when the password was checked.
    pub(super) async fn begin(
        &self,
        settings: &Settings,
        basis: &Basis<'_>,
        origin: &Origin<'_>,
    ) -> Result<Option<Granted>, AccountsError> {
        let now = self.now();
        let session = NewSession {
            id: Uuid::now_v7(),
            now,
            expires_at: now.saturating_add(settings.refresh_ttl),
            tokens_expire_at: tokens::expiry(now, settings),
            ip: origin.ip,
            user_agent: origin.user_agent,
        };
        let begun = self
            .users
            .store
            .begin_session(basis.user, &basis.login, &session)
            .await?;
        let Some(account) = begun else {
            return Ok(None);
        };
        let token = RefreshToken {
            session: session.id,
            counter: 0,
        };
        let granted = self.grant(settings, &account, token, session.expires_at, now)?;
        Ok(Some(granted))
    }
}
