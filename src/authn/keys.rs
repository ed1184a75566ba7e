//! The keys that access tokens are checked with.

use jsonwebtoken::{Algorithm, DecodingKey};

/// One key, bound to one algorithm: a token's header never chooses.
#[derive(Clone)]
pub struct VerifyingKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

/// The keys of one issuer.
#[derive(Clone, Default)]
pub struct VerifyingKeys(Vec<VerifyingKey>);

impl VerifyingKeys {
    pub fn new(keys: Vec<VerifyingKey>) -> Self {
        VerifyingKeys(keys)
    }

    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.0.iter().map(|key| key.algorithm)
    }

    pub fn find(&self, kid: &str) -> Option<&VerifyingKey> {
        self.0.iter().find(|key| key.kid == kid)
    }
}
