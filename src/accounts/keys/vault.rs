//! Keys in the store, which the gateways on it share. They are encrypted under `auth.master_key`, so
//! that a copy of the database opens nothing.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::ring::{Held, State, retirable};
use super::{KeysError, refresh};
use crate::accounts::Clock;
use crate::accounts::store::{Sealed, SecretEdit, Store};
use crate::config::Secret;
use crate::config::checked::{KeyAlgorithm, PrivateKey};

const SIGNING: &str = "signing";
const REFRESH: &str = "refresh";
/// What a key of refresh tokens is for.
const REFRESH_ALGORITHM: &str = "HS256";

/// Keeps this use of the master key apart from every other.
const LABEL: &[u8] = b"portcullis keys in the store";

pub struct Vault<'a> {
    store: &'a Store,
    clock: &'a Clock,
    key: RandomizedNonceKey,
}

impl<'a> Vault<'a> {
    pub fn new(
        store: &'a Store,
        clock: &'a Clock,
        master: &Secret,
    ) -> Result<Vault<'a>, KeysError> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"portcullis");
        let mut bytes = Zeroizing::new([0; 32]);
        salt.extract(master.expose().as_bytes())
            .expand(&[LABEL], hkdf::HKDF_SHA256)?
            .fill(bytes.as_mut())?;
        Ok(Vault {
            store,
            clock,
            key: RandomizedNonceKey::new(&AES_256_GCM, bytes.as_ref())?,
        })
    }

    /// The keys of refresh tokens, the newest first.
    pub async fn refresh_keys(&self) -> Result<Vec<Zeroizing<Vec<u8>>>, KeysError> {
        let all = self.store.secrets().await?;
        let ours = all.iter().filter(|sealed| sealed.name == REFRESH);
        ours.map(|sealed| self.open(sealed)).collect()
    }

    /// Makes a key of refresh tokens when there is none.
    pub async fn ensure_refresh_key(&self) -> Result<(), KeysError> {
        let is_there = |all: &[Sealed]| all.iter().any(|sealed| sealed.name == REFRESH);
        if is_there(&self.store.secrets().await?) {
            return Ok(());
        }
        let mut bytes = Zeroizing::new(vec![0; refresh::LEN]);
        rand::fill(&mut bytes)?;
        let mut kid = [0; 16];
        rand::fill(&mut kid)?;
        let kid = URL_SAFE_NO_PAD.encode(kid);
        let made = self.seal(REFRESH, &kid, REFRESH_ALGORITHM, &bytes, false)?;
        self.add_unless(is_there, made).await
    }

    /// Makes the key that signs when there is none of the algorithm.
    pub async fn ensure_signing_key(&self, algorithm: KeyAlgorithm) -> Result<(), KeysError> {
        let is_there = |all: &[Sealed]| current(all, algorithm).is_some();
        if is_there(&self.store.secrets().await?) {
            return Ok(());
        }
        let made = self.new_key(algorithm, false)?;
        self.add_unless(is_there, made).await
    }

    /// All signing keys, the one that signs first.
    pub async fn signing_keys(&self, algorithm: KeyAlgorithm) -> Result<Vec<Held>, KeysError> {
        let all = self.store.secrets().await?;
        let signs = current(&all, algorithm).map(|sealed| sealed.kid.clone());
        let ours = all.iter().filter(|sealed| sealed.name == SIGNING);
        let mut held = ours
            .map(|sealed| {
                let der = self.open(sealed)?;
                let key = PrivateKey::from_der(&der).map_err(|_| KeysError::Damaged)?;
                let state = if Some(&sealed.kid) == signs.as_ref() {
                    State::Signs
                } else if sealed.is_next && key.algorithm() == algorithm {
                    State::Next
                } else {
                    State::Verifies
                };
                Ok(Held {
                    kid: sealed.kid.clone(),
                    key,
                    place: "the store".to_owned(),
                    state,
                })
            })
            .collect::<Result<Vec<Held>, KeysError>>()?;
        held.sort_by_key(|held| held.state != State::Signs);
        Ok(held)
    }

    /// Makes the next key, unless there is one, and lets it sign unless it is only to be `staged`.
    pub async fn rotate(&self, algorithm: KeyAlgorithm, staged: bool) -> Result<Held, KeysError> {
        // Proves that the master key is the one of the keys that are there, before one is added.
        self.signing_keys(algorithm).await?;
        self.ensure_signing_key(algorithm).await?;
        let made = self.new_key(algorithm, staged)?;
        self.edit(|all| {
            Ok(match next(all, algorithm) {
                Some(_) if staged => Vec::new(),
                Some(next) => vec![SecretEdit::Promote(next.kid.clone())],
                None => vec![SecretEdit::Add(made)],
            })
        })
        .await?;
        let state = if staged { State::Next } else { State::Signs };
        let held = self.signing_keys(algorithm).await?;
        let made = held.into_iter().find(|held| held.state == state);
        made.ok_or(KeysError::Generation)
    }

    pub async fn retire(&self, algorithm: KeyAlgorithm, kid: &str) -> Result<Held, KeysError> {
        let held = retirable(self.signing_keys(algorithm).await?, kid)?;
        self.edit(|all| match current(all, algorithm) {
            Some(signs) if signs.kid == kid => Err(KeysError::Signs(kid.to_owned())),
            _ => Ok(vec![SecretEdit::Remove(kid.to_owned())]),
        })
        .await?;
        Ok(held)
    }

    /// Of gateways that start together one makes the key, and the others find it.
    async fn add_unless(
        &self,
        is_there: impl FnOnce(&[Sealed]) -> bool,
        made: Sealed,
    ) -> Result<(), KeysError> {
        self.edit(|all| match is_there(all) {
            true => Ok(Vec::new()),
            false => Ok(vec![SecretEdit::Add(made)]),
        })
        .await
    }

    async fn edit(
        &self,
        judge: impl FnOnce(&[Sealed]) -> Result<Vec<SecretEdit>, KeysError>,
    ) -> Result<(), KeysError> {
        self.store.edit_secrets(judge).await?
    }

    fn new_key(&self, algorithm: KeyAlgorithm, is_next: bool) -> Result<Sealed, KeysError> {
        let key = PrivateKey::generate(algorithm)?;
        let name = algorithm.as_str();
        self.seal(SIGNING, &key.thumbprint(), name, key.der(), is_next)
    }

    fn seal(
        &self,
        name: &str,
        kid: &str,
        algorithm: &str,
        plain: &[u8],
        is_next: bool,
    ) -> Result<Sealed, KeysError> {
        // With room for the tag: growing would leave a copy of the key behind.
        let mut ciphertext = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        ciphertext.extend_from_slice(plain);
        let said = Aad::from(said(name, kid, algorithm));
        let nonce = self.key.seal_in_place_append_tag(said, &mut ciphertext)?;
        Ok(Sealed {
            name: name.to_owned(),
            kid: kid.to_owned(),
            algorithm: algorithm.to_owned(),
            ciphertext,
            nonce: nonce.as_ref().to_vec(),
            is_next,
            created_at: (self.clock)(),
        })
    }

    pub(super) fn open(&self, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let wrong = |_| KeysError::WrongMasterKey;
        let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce).map_err(wrong)?;
        let said = Aad::from(said(&sealed.name, &sealed.kid, &sealed.algorithm));
        let mut bytes = Zeroizing::new(sealed.ciphertext.clone());
        let opened = self.key.open_in_place(nonce, said, &mut bytes);
        let len = opened.map_err(wrong)?.len();
        bytes.truncate(len);
        Ok(bytes)
    }
}

/// What is not secret about a key and must not be changed either.
fn said(name: &str, kid: &str, algorithm: &str) -> Vec<u8> {
    [name, kid, algorithm].join("\0").into_bytes()
}

fn of(all: &[Sealed], algorithm: KeyAlgorithm, is_next: bool) -> Option<&Sealed> {
    all.iter().find(|sealed| {
        sealed.name == SIGNING
            && sealed.algorithm == algorithm.as_str()
            && sealed.is_next == is_next
    })
}

/// The key that signs: the newest of the algorithm that is not for later.
fn current(all: &[Sealed], algorithm: KeyAlgorithm) -> Option<&Sealed> {
    of(all, algorithm, false)
}

fn next(all: &[Sealed], algorithm: KeyAlgorithm) -> Option<&Sealed> {
    of(all, algorithm, true)
}
