//! The signing keys for people: which there are, and making and removing them.

use super::clock::{self, Clock};
use super::error::OpenError;
use super::keys::{Held, Home, Keys, KeysError};
use super::store::{Store, StoreError};
use crate::authn::VerifyingKeys;
use crate::config::Config;

/// The keys of a configuration. Only what keeps keys is opened: without a master key that is not the
/// store.
pub struct KeyRing<'a> {
    config: &'a Config,
    store: Option<Store>,
    clock: Clock,
}

impl<'a> KeyRing<'a> {
    pub async fn open(config: &'a Config) -> Result<KeyRing<'a>, OpenError> {
        let store = match config.auth.master_key {
            Some(_) => Some(Store::open(&config.store).await),
            None => None,
        };
        KeyRing::of(config, store)
    }

    /// The keys that are there. The store is not changed.
    ///
    /// # Errors
    /// A store that is not there, or is not up to date.
    pub async fn open_to_read(config: &'a Config) -> Result<KeyRing<'a>, OpenError> {
        let store = match config.auth.master_key {
            Some(_) => Some(Store::open_to_read(&config.store).await),
            None => None,
        };
        KeyRing::of(config, store)
    }

    fn of(
        config: &'a Config,
        store: Option<Result<Store, StoreError>>,
    ) -> Result<KeyRing<'a>, OpenError> {
        let store = store.transpose();
        Ok(KeyRing {
            config,
            store: store.map_err(|source| OpenError::store(&config.store, source))?,
            clock: clock::system(),
        })
    }

    /// The signing keys that are there, the one that signs first.
    pub async fn keys(&self) -> Result<Vec<Held>, KeysError> {
        self.home()?.find_signing_keys().await
    }

    /// What tokens are checked with.
    pub async fn verifying(&self) -> Result<VerifyingKeys, KeysError> {
        Keys::verifying(&self.home()?).await
    }

    /// Makes the next key, unless there is one, and lets it sign unless it is only to be `staged`.
    pub async fn rotate(&self, staged: bool) -> Result<Held, KeysError> {
        self.home()?.rotate(staged).await
    }

    /// Removes a key that does not sign.
    pub async fn retire(&self, kid: &str) -> Result<Held, KeysError> {
        self.home()?.retire(kid).await
    }

    fn home(&self) -> Result<Home<'_>, KeysError> {
        match &self.store {
            Some(store) => Home::of(self.config, store, &self.clock),
            None => Ok(Home::without_store(self.config)),
        }
    }
}
