//! The signing keys of a gateway, wherever they are kept: which there are, and which of them signs.

use super::vault::Vault;
use super::{KeysError, RefreshKeys, folder, refresh};
use crate::accounts::Clock;
use crate::accounts::store::Store;
use crate::config::Config;
use crate::config::checked::{self, Auth, KeyAlgorithm, PrivateKey, Signing, SigningKey};

/// A signing key and what it is for.
pub struct Held {
    pub kid: String,
    pub key: PrivateKey,
    /// Where it is kept, for people.
    pub place: String,
    pub state: State,
}

/// All keys verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Signs,
    /// Signs after the next rotation.
    Next,
    Verifies,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Signs => "signs",
            State::Next => "next",
            State::Verifies => "verifies",
        }
    }
}

/// Where the keys of a configuration are.
pub struct Home<'a> {
    pub auth: &'a Auth,
    /// With a master key: generated keys are in the store.
    vault: Option<Vault<'a>>,
    /// Several gateways may share the store, and this folder is not shared.
    is_shared: bool,
}

impl<'a> Home<'a> {
    pub fn of(config: &'a Config, store: &'a Store, clock: &'a Clock) -> Result<Self, KeysError> {
        let master = config.auth.master_key.as_ref();
        let vault = master.map(|master| Vault::new(store, clock, master));
        Ok(Home {
            vault: vault.transpose()?,
            ..Home::without_store(config)
        })
    }

    /// For a configuration without a master key.
    pub fn without_store(config: &'a Config) -> Self {
        Home {
            auth: &config.auth,
            vault: None,
            is_shared: matches!(config.store, checked::Store::Postgres(_)),
        }
    }

    /// All keys; one that signs is made when it is missing.
    pub async fn signing_keys(&self) -> Result<Vec<Held>, KeysError> {
        if let Signing::Generated(algorithm) = self.auth.signing {
            match &self.vault {
                Some(vault) => vault.ensure_signing_key(algorithm).await?,
                None => folder::ensure(&self.auth.keys_dir, algorithm)?,
            }
        }
        self.find_signing_keys().await
    }

    /// All keys that are there, the one that signs first; none with a shared secret.
    pub async fn find_signing_keys(&self) -> Result<Vec<Held>, KeysError> {
        match (&self.auth.signing, &self.vault) {
            (Signing::Generated(algorithm), Some(vault)) => vault.signing_keys(*algorithm).await,
            (Signing::Generated(algorithm), None) => folder::find(&self.auth.keys_dir, *algorithm),
            (Signing::Hs256(_), _) => Ok(Vec::new()),
            (Signing::Keys(keys), _) => Ok(named(keys)),
        }
    }

    /// Makes the next key, unless there is one, and lets it sign unless it is only to be `staged`.
    pub async fn rotate(&self, staged: bool) -> Result<Held, KeysError> {
        let algorithm = self.generated()?;
        match &self.vault {
            Some(vault) => vault.rotate(algorithm, staged).await,
            None => folder::rotate(&self.auth.keys_dir, algorithm, staged),
        }
    }

    /// Removes a key that does not sign: tokens that it signed are no longer believed.
    pub async fn retire(&self, kid: &str) -> Result<Held, KeysError> {
        let algorithm = self.generated()?;
        match &self.vault {
            Some(vault) => vault.retire(algorithm, kid).await,
            None => folder::retire(&self.auth.keys_dir, algorithm, kid),
        }
    }

    /// The keys of refresh tokens; one is made when there is none.
    pub async fn refresh_keys(&self) -> Result<RefreshKeys, KeysError> {
        match &self.vault {
            Some(vault) => vault.ensure_refresh_key().await?,
            None if self.derives() => {}
            None => refresh::ensure(&self.auth.keys_dir)?,
        }
        let keys = self.find_refresh_keys().await?;
        keys.ok_or(KeysError::Generation)
    }

    /// The keys of refresh tokens that are there.
    pub async fn find_refresh_keys(&self) -> Result<Option<RefreshKeys>, KeysError> {
        match (&self.vault, &self.auth.signing) {
            (Some(vault), _) => Ok(refresh::of(&vault.refresh_keys().await?)),
            (None, Signing::Keys(keys)) if self.is_shared => {
                refresh::derived(keys.iter().map(|key| key.key.der()))
            }
            (None, Signing::Hs256(secret)) if self.is_shared => {
                refresh::derived(std::iter::once(secret.expose().as_bytes()))
            }
            (None, _) => refresh::find(&self.auth.keys_dir),
        }
    }

    /// Whether the keys of refresh tokens follow from the signing keys, which all gateways have.
    fn derives(&self) -> bool {
        self.is_shared && !matches!(self.auth.signing, Signing::Generated(_))
    }

    fn generated(&self) -> Result<KeyAlgorithm, KeysError> {
        match &self.auth.signing {
            Signing::Generated(algorithm) => Ok(*algorithm),
            configured => Err(in_file(configured)),
        }
    }
}

fn named(keys: &[SigningKey]) -> Vec<Held> {
    let held = keys.iter().enumerate().map(|(index, key)| Held {
        kid: key.kid.clone(),
        key: key.key.clone(),
        place: key.file.display().to_string(),
        state: match index {
            0 => State::Signs,
            _ => State::Verifies,
        },
    });
    held.collect()
}

fn in_file(signing: &Signing) -> KeysError {
    KeysError::Configured(match signing {
        Signing::Hs256(_) => "`auth.signing.secret`",
        _ => "`auth.signing.keys`",
    })
}

/// The one of `held` that may be taken away.
pub fn retirable(held: Vec<Held>, kid: &str) -> Result<Held, KeysError> {
    let found = held.into_iter().find(|held| held.kid == kid);
    match found {
        None => Err(KeysError::NoSuchKey(kid.to_owned())),
        Some(held) if held.state == State::Signs => Err(KeysError::Signs(held.kid)),
        Some(held) => Ok(held),
    }
}
