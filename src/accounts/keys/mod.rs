//! The keys that sign access tokens, their public halves, and those that refresh tokens come from.

mod files;
mod folder;
mod refresh;
mod ring;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod, reason = "the same suite, on another store")]
mod tests_on_postgres;
mod vault;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde_json::{Value, json};

pub use files::{FileError, write_new};
pub use refresh::RefreshKeys;
pub use ring::{Held, Home, State};

use super::store::StoreError;
use crate::authn::{VerifyingKey, VerifyingKeys};
use crate::config::checked::{KeyAlgorithm, KeyFault, PrivateKey, Signing};

/// Why there are no keys to work with, or none that could be changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("{0}; check `auth.keys_dir` in gateway.yaml")]
    File(#[from] FileError),
    #[error("{path} {fault}; move it away to have a new one made")]
    NotAKey { path: String, fault: KeyFault },
    #[error("{path} holds a key for {found}, and its name says {named}")]
    Misnamed {
        path: String,
        found: &'static str,
        named: &'static str,
    },
    #[error(
        "{path} holds {len} bytes, expected {}; moving it away signs everyone out",
        refresh::LEN
    )]
    NotARefreshKey { path: String, len: usize },
    #[error("no key could be generated")]
    Generation,
    #[error("the keys in the store cannot be reached: {0}")]
    Store(#[from] StoreError),
    #[error(
        "the keys in the store do not open with this `auth.master_key`: give the one that they were \
         made with; if it is lost, delete the rows of the table `secrets`, which signs everyone out"
    )]
    WrongMasterKey,
    #[error("the store holds a signing key that is none")]
    Damaged,
    #[error(
        "the keys are those of {0} in gateway.yaml: `portcullis key generate` makes one to name there"
    )]
    Configured(&'static str),
    #[error("no key is called {0}; `portcullis key list` tells those there are")]
    NoSuchKey(String),
    #[error("{0} is the key that signs; `portcullis key rotate` makes another one sign")]
    Signs(String),
}

impl From<aws_lc_rs::error::Unspecified> for KeysError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        KeysError::Generation
    }
}

/// Everything secret that the accounts need, and what of it may be told.
pub struct Keys {
    pub kid: String,
    pub algorithm: Algorithm,
    pub signing: EncodingKey,
    pub verifying: VerifyingKeys,
    /// A JSON Web Key Set (RFC 7517, section 5); empty when the key is a shared secret.
    pub jwks: Value,
    pub refresh: RefreshKeys,
}

impl Keys {
    /// Reads the keys, and makes those that are missing.
    pub async fn load(home: &Home<'_>) -> Result<Keys, KeysError> {
        let refresh = home.refresh_keys().await?;
        match &home.auth.signing {
            Signing::Hs256(secret) => Ok(shared(secret.expose().as_bytes(), refresh)),
            Signing::Generated(_) | Signing::Keys(_) => {
                of_ring(&home.signing_keys().await?, refresh)
            }
        }
    }

    /// What tokens are checked with, as far as it is there: nothing is made.
    pub async fn verifying(home: &Home<'_>) -> Result<VerifyingKeys, KeysError> {
        match &home.auth.signing {
            Signing::Hs256(secret) => {
                let Some(refresh) = home.find_refresh_keys().await? else {
                    return Ok(VerifyingKeys::default());
                };
                Ok(shared(secret.expose().as_bytes(), refresh).verifying)
            }
            Signing::Generated(_) | Signing::Keys(_) => verifying(&home.find_signing_keys().await?),
        }
    }
}

fn of_ring(ring: &[Held], refresh: RefreshKeys) -> Result<Keys, KeysError> {
    let signs = ring.iter().find(|held| held.state == State::Signs);
    let signs = signs.ok_or(KeysError::Generation)?;
    let jwks: Vec<Value> = ring.iter().map(|held| held.key.to_jwk(&held.kid)).collect();
    Ok(Keys {
        kid: signs.kid.clone(),
        algorithm: algorithm(signs.key.algorithm()),
        signing: encoding(&signs.key)?,
        verifying: verifying(ring)?,
        jwks: json!({ "keys": jwks }),
        refresh,
    })
}

fn verifying(ring: &[Held]) -> Result<VerifyingKeys, KeysError> {
    let keys = ring.iter().map(|held| {
        Ok(VerifyingKey {
            kid: held.kid.clone(),
            algorithm: algorithm(held.key.algorithm()),
            key: decoding(&held.key)?,
        })
    });
    Ok(VerifyingKeys::new(keys.collect::<Result<_, KeysError>>()?))
}

fn algorithm(of: KeyAlgorithm) -> Algorithm {
    match of {
        KeyAlgorithm::EdDsa => Algorithm::EdDSA,
        KeyAlgorithm::Es256 => Algorithm::ES256,
        KeyAlgorithm::Rs256 => Algorithm::RS256,
    }
}

fn encoding(key: &PrivateKey) -> Result<EncodingKey, KeysError> {
    match key.algorithm() {
        KeyAlgorithm::EdDsa => Ok(EncodingKey::from_ed_der(key.der())),
        KeyAlgorithm::Es256 => Ok(EncodingKey::from_ec_der(key.der())),
        // Its DER would have to be PKCS#1; from PEM it takes the shell of PKCS#8 off itself.
        KeyAlgorithm::Rs256 => {
            EncodingKey::from_rsa_pem(&key.to_pem()).map_err(|_| KeysError::Generation)
        }
    }
}

fn decoding(key: &PrivateKey) -> Result<DecodingKey, KeysError> {
    let member = |name: &str| key.public()[name].as_str().unwrap_or_default();
    match key.algorithm() {
        KeyAlgorithm::EdDsa => DecodingKey::from_ed_components(member("x")),
        KeyAlgorithm::Es256 => DecodingKey::from_ec_components(member("x"), member("y")),
        KeyAlgorithm::Rs256 => DecodingKey::from_rsa_components(member("n"), member("e")),
    }
    .map_err(|_| KeysError::Generation)
}

/// The `kid` of a shared secret is keyed, so that it can't be used to guess the secret.
fn shared(secret: &[u8], refresh: RefreshKeys) -> Keys {
    let mut context = hmac::Context::with_key(refresh.first());
    context.update(b"portcullis kid of a shared secret\0");
    context.update(secret);
    let kid = URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..16]);
    Keys {
        verifying: VerifyingKeys::new(vec![VerifyingKey {
            kid: kid.clone(),
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret),
        }]),
        kid,
        algorithm: Algorithm::HS256,
        signing: EncodingKey::from_secret(secret),
        jwks: json!({ "keys": [] }),
        refresh,
    }
}
