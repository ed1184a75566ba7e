//! API keys: how they are made, changed, looked up and revoked.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Accounts;
use super::error::AccountsError;
use super::store::{By, Key, KeyEdit, KeyInfo, Millis, NotKept};
use super::tokens;
use super::users::Users;
use super::validate;
use super::watch::state;
use crate::authn::{ApiKey, Found, KEY_PREFIX, id_of};
use crate::config::Secret;
use crate::request::FieldError;

/// The scope of keys that are told what tokens stand for. A key that a superuser made with it ends when its
/// owner is none any more.
pub const INTROSPECT: &str = "introspect";
/// Keys that an account may have at once.
pub(super) const MOST_KEYS: i64 = 100;
/// Uses noted in one transaction.
const USES_AT_ONCE: usize = 200;
/// Keys whose use may wait to be noted; more are noted the next time.
const MOST_USES: usize = 10_000;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub name: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<Millis>,
}

/// A key that was just made: the only time that it is told.
#[derive(Debug)]
pub struct MadeKey {
    pub info: KeyInfo,
    pub key: Secret,
}

/// Keys that were used since that was noted the last time.
pub(super) type Uses = BTreeMap<Uuid, Millis>;

impl Users {
    /// Makes a key. Everything that is wrong with it is told at once.
    pub async fn add_key(
        &self,
        owner: Key<'_>,
        new: NewKey,
        by: &By,
    ) -> Result<MadeKey, AccountsError> {
        let now = (self.clock)();
        validate_key(Some(&new.name), Some(&new.scopes), new.expires_at, now)?;
        let info = KeyInfo {
            id: Uuid::now_v7(),
            name: new.name,
            scopes: new.scopes,
            created_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
        };
        let key = text(info.id)?;
        let hash = hash(key.expose());
        let store = &self.store;
        let kept = store.insert_api_key(owner, &info, &hash, MOST_KEYS, by);
        match kept.await? {
            Ok(()) => Ok(MadeKey { info, key }),
            Err(NotKept::NoSuchAccount) => Err(AccountsError::NoSuchAccount),
            Err(NotKept::Deleted) => Err(AccountsError::Deleted),
            Err(NotKept::TooMany) => Err(AccountsError::TooManyKeys),
        }
    }

    /// The time so long from now.
    pub fn after(&self, duration: Duration) -> Millis {
        let millis = Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX);
        (self.clock)().saturating_add(millis)
    }

    /// The keys of an account, the newest first.
    pub async fn api_keys_of(&self, user: Uuid) -> Result<Vec<KeyInfo>, AccountsError> {
        Ok(self.store.api_keys_of(user).await?)
    }

    /// Revokes a key, of that account if one is given. False: there is none that could still end.
    pub async fn end_key(
        &self,
        id: Uuid,
        owner: Option<Uuid>,
        by: &By,
    ) -> Result<bool, AccountsError> {
        let now = (self.clock)();
        Ok(self.store.end_api_key(id, owner, by, now).await?)
    }
}

impl Accounts {
    /// Changes one of a user's keys, which gateways that remember it feel at once.
    pub async fn edit_key(
        &self,
        user: Uuid,
        id: Uuid,
        edit: &KeyEdit,
        by: &By,
    ) -> Result<KeyInfo, AccountsError> {
        let now = self.now();
        let expires_at = edit.expires_at.flatten();
        validate_key(
            edit.name.as_deref(),
            edit.scopes.as_deref(),
            expires_at,
            now,
        )?;
        let edited = self.users.store.edit_api_key(id, user, edit, by, now);
        let edited = edited.await?.ok_or(AccountsError::NoSuchKey)?;
        self.publish().await;
        Ok(edited)
    }

    /// Revokes a key, felt like [`Accounts::edit_key`]. `owner` is whose it has to be.
    pub async fn end_key(
        &self,
        id: Uuid,
        owner: Option<Uuid>,
        by: &By,
    ) -> Result<bool, AccountsError> {
        let has_ended = self.users.end_key(id, owner, by).await?;
        self.publish().await;
        Ok(has_ended)
    }

    /// What the store has for the text of a key.
    pub async fn look_up_key(&self, text: &str) -> Result<Found, AccountsError> {
        let Some(id) = id_of(text) else {
            return Ok(Found::Unknown);
        };
        let Some(mut stored) = self.users.store.api_key(id).await? else {
            return Ok(Found::Unknown);
        };
        let hash = hash(text);
        let (have, want) = (hash.as_bytes(), stored.hash.as_bytes());
        if constant_time::verify_slices_are_equal(have, want).is_err() {
            return Ok(Found::Unknown);
        }
        if stored.has_ended {
            return Ok(Found::Ended);
        }
        if let Some(members) = &self.members {
            let owner = stored.account.id;
            let here = self.users.store.credentials_of(owner).await?;
            let here = here.ok_or(AccountsError::NoSuchAccount)?;
            if !self.is_still_member(members, &here, None).await? {
                return Ok(Found::Ended);
            }
            match self.users.store.api_key(id).await? {
                // What the owner has become may have ended it.
                Some(again) if again.has_ended => return Ok(Found::Ended),
                Some(again) => stored = again,
                None => return Ok(Found::Unknown),
            }
        }
        Ok(Found::Key(Box::new(ApiKey {
            id: stored.info.id,
            grant: stored.grant,
            scopes: stored.info.scopes,
            created_at: tokens::seconds(stored.info.created_at),
            expires_at: stored.info.expires_at.map(tokens::seconds),
            account: state(&stored.account),
        })))
    }

    /// Remembers that a key was used; the background notes it in the store.
    pub fn key_was_used(&self, id: Uuid) {
        let now = self.now();
        let mut uses = self.key_uses();
        if uses.len() < MOST_USES || uses.contains_key(&id) {
            uses.insert(id, now);
        }
    }

    /// Notes in the store which keys were used. What can't be noted now is so after the next use.
    pub(crate) async fn note_key_uses(&self) {
        let uses = std::mem::take(&mut *self.key_uses());
        if uses.is_empty() {
            return;
        }
        // In the order of the ids, so that two gateways never wait for each other.
        let uses: Vec<_> = uses.into_iter().collect();
        // A few at a time, so that whoever revokes one of them hardly waits.
        for some in uses.chunks(USES_AT_ONCE) {
            if let Err(error) = self.users.store.note_key_uses(some).await {
                tracing::debug!(%error, "the use of API keys was not noted");
                return;
            }
        }
    }

    // A panic while the lock is held leaves a map that is still a map.
    fn key_uses(&self) -> std::sync::MutexGuard<'_, Uses> {
        self.key_uses.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// `pck_`, the id, `_` and 256 random bits: what finds the key, and what proves it.
fn text(id: Uuid) -> Result<Secret, AccountsError> {
    let mut secret = Zeroizing::new([0; 32]);
    rand::fill(&mut *secret).map_err(|_| AccountsError::NoRandom)?;
    let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(*secret));
    let (id, secret) = (id.simple(), secret.as_str());
    Ok(Secret::new(format!("{KEY_PREFIX}{id}_{secret}")))
}

/// A plain hash is enough, and quick: what costs time to guess is a password. Nobody finds 256 random
/// bits by trying, with the hash or without.
fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

fn validate_key(
    name: Option<&str>,
    scopes: Option<&[String]>,
    expires_at: Option<Millis>,
    now: Millis,
) -> Result<(), AccountsError> {
    let is_past = expires_at.is_some_and(|at| at <= now);
    let checks = [
        name.map(validate::key_name),
        scopes.map(validate::scopes),
        is_past.then(|| {
            Err(FieldError {
                field: "expires_at".into(),
                message: "must be in the future".into(),
            })
        }),
    ];
    let errors: Vec<_> = checks
        .into_iter()
        .flatten()
        .filter_map(Result::err)
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(AccountsError::Invalid(errors))
}
