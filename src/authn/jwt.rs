//! From the text of an access token to its claims, by the book (RFC 7519, RFC 8725, RFC 9068).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use super::claims::{ACCESS_TOKEN_TYPE, Claims};
use super::keys::VerifyingKeys;

/// Whether a token past its `exp` is still read: only to end its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    Enforced,
    Ignored,
}

/// Why a token was not believed. The client learns no more than expired or invalid.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    #[error("expired")]
    Expired,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("no key has the id that the token names")]
    UnknownKey,
    #[error("the token's algorithm is not its key's")]
    AlgorithmMismatch,
    #[error(transparent)]
    Invalid(jsonwebtoken::errors::Error),
}

/// Every member that our own tokens have. Anything else, `crit`, `jku`, `jwk` and `x5u` among them,
/// is a header that we never wrote.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// What a token says, to be believed only of one that was verified.
pub fn claims_of(token: &str) -> Option<Claims> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// Checks the access tokens of one issuer.
pub struct Verifier {
    keys: VerifyingKeys,
    /// By algorithm, so that none is built for a request.
    rules: HashMap<Algorithm, [Validation; 2]>,
}

impl Verifier {
    pub fn new(keys: VerifyingKeys, issuer: &str, audience: &[String], leeway: u64) -> Self {
        let mut rules = HashMap::new();
        for algorithm in keys.algorithms() {
            let mut enforced = Validation::new(algorithm);
            // Without the claims being required, a token that lacks one would pass.
            enforced.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            enforced.set_issuer(&[issuer]);
            enforced.set_audience(audience);
            enforced.leeway = leeway;
            enforced.validate_nbf = true;
            let mut ignored = enforced.clone();
            ignored.validate_exp = false;
            rules.insert(algorithm, [enforced, ignored]);
        }
        Verifier { keys, rules }
    }

    /// Checks signature, issuer, audience and times.
    pub fn verify(&self, token: &str, expiry: Expiry) -> Result<Claims, JwtError> {
        let header = token
            .split('.')
            .next()
            .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok())
            .ok_or(JwtError::Malformed("the header is not base64url"))?;
        let header: Header<'_> = serde_json::from_slice(&header)
            .map_err(|_| JwtError::Malformed("the header is not that of an access token"))?;
        if !header.typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE) {
            return Err(JwtError::Malformed("the token's type is not at+jwt"));
        }
        let key = self.keys.find(header.kid).ok_or(JwtError::UnknownKey)?;
        let algorithm: Algorithm = header
            .alg
            .parse()
            .map_err(|_| JwtError::AlgorithmMismatch)?;
        if algorithm != key.algorithm {
            return Err(JwtError::AlgorithmMismatch);
        }
        let [enforced, ignored] = self
            .rules
            .get(&key.algorithm)
            .ok_or(JwtError::AlgorithmMismatch)?;
        let rules = match expiry {
            Expiry::Enforced => enforced,
            Expiry::Ignored => ignored,
        };
        match jsonwebtoken::decode::<Claims>(token, &key.key, rules) {
            Ok(data) => Ok(data.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => {
                Err(JwtError::Expired)
            }
            Err(error) => Err(JwtError::Invalid(error)),
        }
    }
}
