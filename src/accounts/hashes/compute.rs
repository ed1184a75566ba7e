//! Whether a password is the one that a hash was made of.

use std::fmt::Write;

use argon2::Argon2;
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::read::{Before, Digest, Hash, Kind};

/// The most bytes that bcrypt looks at.
pub const MAX_BYTES: usize = 72;

impl Hash {
    /// Compared in constant time. A password that bcrypt would cut matches nothing, and takes as long.
    pub fn matches(&self, password: &[u8]) -> bool {
        match &self.0 {
            Kind::Bcrypt { before, text } => bcrypt_matches(before, text, password),
            Kind::Argon2 {
                algorithm,
                version,
                kib,
                passes,
                lanes,
                salt,
                output,
            } => {
                let params = argon2::Params::new(*kib, *passes, *lanes, Some(output.len()));
                let Ok(params) = params else { return false };
                let argon2 = Argon2::new(*algorithm, *version, params);
                is_computed(output, |computed| {
                    argon2.hash_password_into(password, salt, computed).is_ok()
                })
            }
            Kind::Scrypt {
                log_n,
                r,
                p,
                salt,
                output,
            } => {
                let Ok(params) = scrypt::Params::new(*log_n, *r, *p) else {
                    return false;
                };
                is_computed(output, |computed| {
                    scrypt::scrypt(password, salt, &params, computed).is_ok()
                })
            }
            Kind::Pbkdf2 {
                digest,
                iterations,
                salt,
                output,
            } => {
                let algorithm = match digest {
                    Digest::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
                    Digest::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
                    Digest::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
                };
                pbkdf2::verify(algorithm, *iterations, salt, password, output).is_ok()
            }
        }
    }
}

fn bcrypt_matches(before: &Before, text: &str, password: &[u8]) -> bool {
    let prepared = match before {
        Before::Nothing => password.to_vec(),
        Before::Sha256Hex => {
            let digest = digest::digest(&digest::SHA256, password);
            let hex = digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
                // Writing to a string does not fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            hex.into_bytes()
        }
        Before::Sha256Base64 => {
            let digest = digest::digest(&digest::SHA256, password);
            STANDARD.encode(digest).into_bytes()
        }
        Before::HmacBase64(salt) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
            STANDARD.encode(hmac::sign(&key, password)).into_bytes()
        }
    };
    let is_whole = prepared.len() <= MAX_BYTES;
    let read = prepared.get(..MAX_BYTES).unwrap_or(&prepared);
    let matches = bcrypt::verify(read, text).unwrap_or(false);
    matches && is_whole
}

fn is_computed(expected: &[u8], compute: impl FnOnce(&mut [u8]) -> bool) -> bool {
    let mut computed = vec![0; expected.len()];
    compute(&mut computed) && bool::from(computed.ct_eq(expected))
}
