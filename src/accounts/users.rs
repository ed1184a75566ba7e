//! Accounts on the store, without sessions and tokens: what the command line and the API share.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use uuid::Uuid;

use super::clock::{self, Clock};
use super::error::{AccountsError, OpenError};
use super::hashes::{self, Scheme};
use super::keys::{Home, Keys, KeysError};
use super::lockout::Turns;
use super::passwords::Hasher;
use super::settings::Settings;
use super::store::{Account, By, NotMade, Store, StoreError};
use super::tiers::tier_is_gone;
use super::validate;
use crate::config::checked::PasswordPolicy;
use crate::config::{Config, Secret};
use crate::request::FieldError;

/// An account to be made.
#[derive(Debug)]
pub struct NewUser {
    pub username: String,
    pub name: String,
    pub email: String,
    pub password: Secret,
    /// `auth.default_tier` when absent.
    pub tier: Option<String>,
    pub is_superuser: bool,
}

/// The accounts of a store.
pub struct Users {
    pub(super) store: Store,
    pub(super) settings: ArcSwap<Settings>,
    pub(super) clock: Clock,
    pub(super) hasher: Hasher,
    pub(super) turns: Turns,
    /// A hash of the kind that the application behind makes.
    sample: Mutex<Option<Secret>>,
}

impl Users {
    /// Opens the store that the configuration names, and makes it when it is missing.
    pub async fn open(config: &Config) -> Result<Users, OpenError> {
        Users::open_with(config, clock::system()).await
    }

    /// Opens the store to look at it: nothing in it changes.
    ///
    /// # Errors
    /// A store that is not there, or is not up to date.
    pub async fn open_to_read(config: &Config) -> Result<Users, OpenError> {
        Users::on(
            config,
            Store::open_to_read(&config.store).await,
            clock::system(),
        )
    }

    pub(super) async fn open_with(config: &Config, clock: Clock) -> Result<Users, OpenError> {
        Users::on(config, Store::open(&config.store).await, clock)
    }

    fn on(
        config: &Config,
        opened: Result<Store, StoreError>,
        clock: Clock,
    ) -> Result<Users, OpenError> {
        let store = opened.map_err(|source| OpenError::store(&config.store, source))?;
        Ok(Users {
            store,
            settings: ArcSwap::from_pointee(Settings::of(config)),
            clock,
            hasher: Hasher::start()?,
            turns: Turns::new(),
            sample: Mutex::default(),
        })
    }

    /// The keys of the configuration, made when they are missing.
    pub(super) async fn keys(&self, config: &Config) -> Result<Keys, KeysError> {
        Keys::load(&Home::of(config, &self.store, &self.clock)?).await
    }

    /// The last migration that was run on the store.
    pub async fn store_version(&self) -> Result<i64, AccountsError> {
        Ok(self.store.schema_version().await?)
    }

    /// Makes an account. Everything that is wrong with it is told at once.
    pub async fn add(&self, new: NewUser, by: &By) -> Result<Account, AccountsError> {
        self.own()?;
        let settings = self.settings.load_full();
        let tier = self.check_tier(new.tier.as_deref(), &settings).await?;
        validate_new(&new, &settings, tier)?;
        let free = settings.free_for_accounts((self.clock)());
        // Hashing is the dear part; the store decides for good below.
        if let Some(taken) = self
            .store
            .taken(&new.username, &new.email, free.names_since)
            .await?
        {
            return Err(AccountsError::Taken(taken));
        }
        let scheme = Scheme::of(&settings.password);
        let hash = self.hasher.hash(new.password, scheme).await?;
        let account = Account {
            id: Uuid::now_v7(),
            external_id: None,
            username: new.username,
            name: new.name,
            email: new.email,
            profile_image_url: None,
            tier: new.tier.unwrap_or_else(|| settings.default_tier.clone()),
            roles: Vec::new(),
            is_superuser: new.is_superuser,
            is_active: true,
            version: 1,
            created_at: (self.clock)(),
            updated_at: None,
            deleted_at: None,
        };
        match self.store.insert(&account, &hash, free, by).await? {
            Ok(()) => Ok(account),
            Err(reason) => Err(not_made(reason)),
        }
    }

    /// Accounts that are another application's are changed by it alone.
    pub(super) fn own(&self) -> Result<(), AccountsError> {
        match self.settings.load().is_mirror {
            true => Err(AccountsError::KeptElsewhere),
            false => Ok(()),
        }
    }

    /// What a password is checked against when there is no such account. Where the hashes are another
    /// application's, one that somebody has just signed in with: it takes as long as the others there.
    pub(super) fn decoy(&self, scheme: Scheme) -> String {
        let sample = self.sample.lock().unwrap_or_else(|e| e.into_inner());
        sample
            .as_ref()
            .map_or_else(|| scheme.dummy(), |hash| hash.expose().to_owned())
    }

    pub(super) fn note_sample(&self, hash: &str) {
        let mut sample = self.sample.lock().unwrap_or_else(|e| e.into_inner());
        *sample = Some(Secret::new(hash.to_owned()));
    }

    pub(super) fn reload(&self, config: &Config) {
        self.settings.store(Arc::new(Settings::of(config)));
    }
}

fn validate_new(
    new: &NewUser,
    settings: &Settings,
    wrong_tier: Option<FieldError>,
) -> Result<(), AccountsError> {
    let checks = [
        validate::name(&new.name),
        validate::username(&new.username),
        validate::email(&new.email),
        validate::password(new.password.expose(), &settings.password),
    ];
    let wrong = checks.into_iter().filter_map(Result::err);
    let wrong: Vec<FieldError> = wrong.chain(wrong_tier).collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(AccountsError::Invalid(wrong))
    }
}

pub(super) fn not_made(reason: NotMade) -> AccountsError {
    match reason {
        NotMade::Taken(what) => AccountsError::Taken(what),
        NotMade::NoSuchTier => AccountsError::Invalid(vec![tier_is_gone()]),
    }
}

/// A password that nobody chose and that the policy accepts: at least 24 characters.
pub fn random_password(policy: &PasswordPolicy) -> Secret {
    const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.+=%";
    let len = policy.min_length.clamp(24, hashes::MAX_BYTES);
    loop {
        let random = |_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]);
        let text: String = (0..len).map(random).collect();
        if validate::is_complex(&text) {
            return Secret::new(text);
        }
    }
}
