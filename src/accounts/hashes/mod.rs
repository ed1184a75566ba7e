//! Password hashes as text: those of this gateway and those of the systems that accounts come from.

mod compute;
mod read;
#[cfg(test)]
mod vectors;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::config::Secret;
use crate::config::checked::{PasswordHash, PasswordPolicy};

pub use compute::MAX_BYTES;
pub use read::Hash;

/// What argon2id takes here: 19 MiB, two passes, one lane (OWASP's least).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// What new hashes are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// With the logarithm of the number of rounds.
    Bcrypt(u32),
    Argon2id,
}

/// The hash that an account with this password would get.
pub fn hash(policy: &PasswordPolicy, password: &Secret) -> Result<String, MakeError> {
    Scheme::of(policy).make(password.expose().as_bytes())
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("more bytes than bcrypt reads")]
    TooLong,
    #[error(transparent)]
    Bcrypt(#[from] bcrypt::BcryptError),
    #[error("{0}")]
    Argon2(argon2::Error),
    #[error("no random salt could be had")]
    NoSalt,
}

impl Scheme {
    pub fn of(policy: &PasswordPolicy) -> Scheme {
        match policy.hash {
            PasswordHash::Bcrypt => Scheme::Bcrypt(policy.bcrypt_cost),
            PasswordHash::Argon2id => Scheme::Argon2id,
        }
    }

    /// The hash of a new password.
    pub fn make(self, password: &[u8]) -> Result<String, MakeError> {
        match self {
            // Checked here because the crate's `non_truncating_*` count the terminating zero as well,
            // and so refuse a password of the full 72 bytes.
            Scheme::Bcrypt(_) if password.len() > MAX_BYTES => Err(MakeError::TooLong),
            Scheme::Bcrypt(cost) => Ok(bcrypt::hash(password, cost)?),
            Scheme::Argon2id => {
                let mut salt = [0; SALT_BYTES];
                rand::fill(&mut salt).map_err(|_| MakeError::NoSalt)?;
                let mut output = [0; OUTPUT_BYTES];
                argon2()
                    .and_then(|argon2| argon2.hash_password_into(password, &salt, &mut output))
                    .map_err(MakeError::Argon2)?;
                Ok(phc(&salt, &output))
            }
        }
    }

    /// Whether a hash is what this would make now.
    pub fn made(self, hash: &str) -> bool {
        match self {
            Scheme::Bcrypt(cost) => hash.starts_with(&format!("$2b${cost:02}$")),
            Scheme::Argon2id => hash.starts_with(&prefix()),
        }
    }

    /// A hash that no password matches. Checking against it takes as long as against a real one, so
    /// the time of an answer does not tell whether there is such an account.
    pub fn dummy(self) -> String {
        match self {
            Scheme::Bcrypt(cost) => {
                format!("$2b${cost:02}$abcdefghijklmnopqrstuuQ0Yb3b0l5iGqXbXQ0Yb3b0l5iGqXbXu")
            }
            Scheme::Argon2id => phc(&[0; SALT_BYTES], &[0; OUTPUT_BYTES]),
        }
    }

    /// The dearest bcrypt that is computed: what others thought dear, or what is configured here.
    fn most_bcrypt(self) -> u32 {
        match self {
            Scheme::Bcrypt(cost) => cost.max(read::MOST_BCRYPT),
            Scheme::Argon2id => read::MOST_BCRYPT,
        }
    }
}

fn argon2() -> argon2::Result<argon2::Argon2<'static>> {
    let params = argon2::Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES))?;
    let (algorithm, version) = (argon2::Algorithm::Argon2id, argon2::Version::V0x13);
    Ok(argon2::Argon2::new(algorithm, version, params))
}

fn prefix() -> String {
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$")
}

fn phc(salt: &[u8], output: &[u8]) -> String {
    let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
    format!("{}{salt}${output}", prefix())
}
