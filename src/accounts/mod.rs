//! Users, sessions and the tokens that they get. Lives in the control plane; the data plane sees
//! only the keys and the changes that are published from here.

mod api_keys;
mod check;
mod clock;
mod counters;
mod error;
mod felt;
mod hashes;
mod import;
mod introspect;
mod keyring;
mod keys;
mod life;
mod lockout;
mod login;
mod members;
mod minted;
mod passwords;
mod plan_forms;
mod plans;
mod sessions;
mod settings;
mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod, reason = "the same suite, on another store")]
mod tests_on_postgres;
mod tiers;
mod tokens;
mod told;
mod users;
mod validate;
mod watch;

use std::net::IpAddr;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use self::api_keys::Uses;
use self::members::Members;
use self::plans::Published;
use self::sessions::RefreshToken;
use self::settings::Settings;
use self::store::{Session, Step};
use crate::authn::{Changes, Further, VerifyingKeys};
use crate::config::Config;
use crate::config::checked::Registration;

pub use api_keys::{INTROSPECT, MadeKey, NewKey};
pub use clock::Clock;
pub use error::{AccountsError, OpenError};
pub use hashes::{MakeError, hash as hash_password};
pub use import::{Imported, Newcomer};
pub use introspect::LiveRefresh;
pub use keyring::KeyRing;
pub use keys::{
    FileError, Held, Keys, KeysError, State as KeyState, write_new as write_new_secret,
};
pub use members::check_online;
pub use minted::{MintError, Minted};
pub use plan_forms::{RuleForm, TierForm};
pub use plans::OnPlans;
pub use store::{
    Account, Action, By, Edit, Entry, Key, KeyEdit, KeyInfo, LastSuperuser, Listed, ListedRules,
    Listing, Millis, Prefix, Quota, Rule, RuleValues, SessionInfo, Taken, Target, Trail,
};
pub use tiers::{PlanError, Tier, TierSource};
pub use tokens::TokenContents;
pub use told::{from_timestamp, timestamp};
pub use users::{NewUser, Users, random_password};

/// The service that the auth API stands on. One for the process.
pub struct Accounts {
    users: Users,
    keys: ArcSwap<Keys>,
    /// The table of the application that keeps the accounts, if one does.
    members: Option<Members>,
    changes: Arc<Changes>,
    /// The last row of the change log that was published.
    seen: AtomicI64,
    published: Published,
    /// Of API keys, not noted yet.
    key_uses: Mutex<Uses>,
}

/// What a sign-in or a refresh gives.
pub struct Granted {
    pub access_token: String,
    /// Seconds.
    pub expires_in: u64,
    pub refresh_token: String,
    /// Seconds until the refresh token can no longer be used.
    pub refresh_expires_in: u64,
}

/// Where a sign-in came from.
pub struct Origin<'a> {
    pub ip: IpAddr,
    pub user_agent: Option<&'a str>,
}

impl Accounts {
    /// Opens the store and the keys, making what is missing, and publishes what the change log
    /// holds: afterwards no token passes that a change before the start has revoked.
    ///
    /// Runs on a multi-threaded runtime, as everything here does.
    pub async fn open(config: &Config, changes: Arc<Changes>) -> Result<Accounts, OpenError> {
        Accounts::open_with(config, changes, clock::system()).await
    }

    /// [`Accounts::open`] by another clock.
    pub async fn open_with(
        config: &Config,
        changes: Arc<Changes>,
        clock: Clock,
    ) -> Result<Accounts, OpenError> {
        let members = Members::open(config).await.map_err(OpenError::Users)?;
        let users = Users::open_with(config, clock).await?;
        let accounts = Accounts {
            keys: ArcSwap::from_pointee(users.keys(config).await?),
            users,
            members,
            changes,
            seen: AtomicI64::new(0),
            published: Published::default(),
            key_uses: Mutex::default(),
        };
        let read = accounts.read_changes().await;
        read.map_err(|source| OpenError::store(&config.store, source))?;
        let read = accounts.read_plans().await;
        read.map_err(|source| OpenError::store(&config.store, source))?;
        Ok(accounts)
    }

    /// The keys as they are now where a configuration says that they are.
    pub async fn read_keys(&self, config: &Config) -> Result<Keys, OpenError> {
        Ok(self.users.keys(config).await?)
    }

    /// Signs with these keys from now on.
    pub fn replace_keys(&self, keys: Keys) {
        self.keys.store(Arc::new(keys));
    }

    /// Takes over what a reload may change. The store stays, and where the keys come from.
    pub fn reload(&self, config: &Config) {
        self.users.reload(config);
    }

    /// What the data plane checks this gateway's own tokens with.
    pub fn verifying_keys(&self) -> VerifyingKeys {
        self.keys.load().verifying.clone()
    }

    /// A token of another kind, signed with the key that signs access tokens.
    pub fn sign(
        &self,
        kind: &str,
        claims: &impl Serialize,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        tokens::sign(&self.keys.load(), kind, claims)
    }

    /// The public keys as a JSON Web Key Set.
    pub fn jwks(&self) -> Value {
        self.keys.load().jwks.clone()
    }

    /// Whether the store answered the last time it was asked.
    pub fn store_up(&self) -> bool {
        self.users.store.is_up()
    }

    /// Whether the table of users that another application keeps answered the last time that it was
    /// asked; when it did not, it is asked again. `None`: there is no such table.
    pub async fn members_up(&self) -> Option<bool> {
        match &self.members {
            Some(members) => Some(members.is_up().await),
            None => None,
        }
    }

    pub fn registration(&self) -> Registration {
        self.users.settings.load().registration
    }

    /// A new access token for a refresh token, and the refresh token that is current from now on.
    pub async fn refresh(&self, token: &str, by: &By) -> Result<Granted, AccountsError> {
        let presented = RefreshToken::decode(token, &self.keys.load().refresh)
            .ok_or(AccountsError::RefreshInvalid)?;
        if let Some(members) = &self.members {
            self.look_again(members, presented.session, by).await?;
        }
        let settings = self.users.settings.load_full();
        let now = self.now();
        let used = self
            .users
            .store
            .use_session(
                presented.session,
                now,
                tokens::expiry(now, &settings),
                by,
                |session, account| {
                    sessions::judge(
                        presented.counter,
                        session,
                        account,
                        now,
                        settings.reuse_grace,
                        settings.refresh_ttl,
                    )
                },
            )
            .await?
            .ok_or(AccountsError::SessionEnded)?;
        let Session { id, counter, .. } = used.session;
        let (counter, expires_at) = match used.step {
            Step::Rotate { expires_at, .. } => (counter.saturating_add(1), expires_at),
            Step::Repeat => (counter, used.session.expires_at),
            Step::End => {
                tracing::warn!(
                    session = %id,
                    user = %used.account.id,
                    active = used.account.may_sign_in(),
                    "a refresh token that can't be used any more came back: session ended"
                );
                self.publish().await;
                return Err(AccountsError::SessionEnded);
            }
            Step::Leave if used.session.has_ended => return Err(AccountsError::SessionEnded),
            Step::Leave => return Err(AccountsError::SessionExpired),
        };
        let current = RefreshToken {
            session: id,
            counter,
        };
        self.grant(&settings, &used.account, current, expires_at, now)
    }

    /// The session that a refresh token of this gateway belongs to, whatever became of it.
    pub fn session_of(&self, token: &str) -> Option<Uuid> {
        RefreshToken::decode(token, &self.keys.load().refresh).map(|token| token.session)
    }

    /// Accounts to read. Changes go through `self`, so that tokens already issued feel them.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// Makes an account.
    pub async fn add_user(&self, new: NewUser, by: &By) -> Result<Account, AccountsError> {
        self.users.add(new, by).await
    }

    fn grant(
        &self,
        settings: &Settings,
        account: &Account,
        token: RefreshToken,
        refresh_expires_at: Millis,
        now: Millis,
    ) -> Result<Granted, AccountsError> {
        let keys = self.keys.load();
        let expires_at = tokens::expiry(now, settings);
        Ok(Granted {
            access_token: tokens::mint(
                &keys,
                settings,
                account,
                token.session,
                now,
                expires_at,
                Further::default(),
            )?,
            expires_in: tokens::seconds(expires_at) - tokens::seconds(now),
            refresh_token: token.encode(keys.refresh.first()),
            refresh_expires_in: tokens::seconds(refresh_expires_at.saturating_sub(now)),
        })
    }

    /// Seconds since 1970, by the clock of the accounts.
    pub fn seconds(&self) -> u64 {
        tokens::seconds(self.now())
    }

    fn now(&self) -> Millis {
        (self.users.clock)()
    }
}
