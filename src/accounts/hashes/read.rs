//! From a hash's text to what has to be computed. What would take too long is refused here, so that
//! no hash that was imported can keep a core busy for minutes.

use std::num::NonZeroU32;

use argon2::{Algorithm, Version};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Scheme;

/// About four seconds on a core of today.
pub(super) const MOST_BCRYPT: u32 = 16;
const MOST_ITERATIONS: u32 = 5_000_000;
const MOST_ARGON2_KIB: u32 = 256 * 1024;
/// KiB times passes.
const MOST_ARGON2_WORK: u32 = 2 * 1024 * 1024;
/// Blocks of 128 bytes: at once, and in all.
const MOST_SCRYPT_BLOCKS: u64 = 2 * 1024 * 1024;
const MOST_SCRYPT_WORK: u64 = 8 * 1024 * 1024;
const MOST_LANES: u32 = 64;
/// Bytes of a whole hash's text, and of what it was computed to.
const MOST_TEXT: usize = 1024;
const OUTPUTS: std::ops::RangeInclusive<usize> = 16..=128;

/// Both with and without padding; passlib writes `.` for `+`.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A hash that can be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash(pub(super) Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Bcrypt {
        before: Before,
        /// `$2b$` and so on.
        text: String,
    },
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        kib: u32,
        passes: u32,
        lanes: u32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Scrypt {
        log_n: u8,
        r: u32,
        p: u32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Pbkdf2 {
        digest: Digest,
        iterations: NonZeroU32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
}

/// What is done to a password before bcrypt, which reads 72 bytes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    /// Django: SHA-256 in hexadecimal.
    Sha256Hex,
    /// passlib's first version: SHA-256 in base64.
    Sha256Base64,
    /// passlib's second version: HMAC-SHA-256 with the salt's text as its key, in base64.
    HmacBase64(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

/// Why a hash can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("is no password hash of a known kind")]
    Unknown,
    #[error("is a password hash that would take too long to compute")]
    TooDear,
}

impl Hash {
    /// Reads a hash of bcrypt, argon2, scrypt or PBKDF2, as this gateway, Django, Werkzeug and passlib
    /// write them.
    pub fn read(text: &str, scheme: Scheme) -> Result<Hash, Unreadable> {
        if text.len() > MOST_TEXT {
            return Err(Unreadable::Unknown);
        }
        let kind = read(text).ok_or(Unreadable::Unknown)?;
        if kind.is_too_dear(scheme.most_bcrypt()) {
            return Err(Unreadable::TooDear);
        }
        Ok(Hash(kind))
    }
}

impl Kind {
    fn is_too_dear(&self, most_bcrypt: u32) -> bool {
        match self {
            Kind::Bcrypt { text, .. } => cost(text).is_none_or(|cost| cost > most_bcrypt),
            Kind::Argon2 {
                kib, passes, lanes, ..
            } => {
                *kib > MOST_ARGON2_KIB
                    || kib.saturating_mul(*passes) > MOST_ARGON2_WORK
                    || *lanes > MOST_LANES
            }
            Kind::Scrypt { log_n, r, p, .. } => {
                let blocks = 1_u64
                    .checked_shl(u32::from(*log_n))
                    .unwrap_or(u64::MAX)
                    .saturating_mul(u64::from(*r));
                blocks > MOST_SCRYPT_BLOCKS
                    || blocks.saturating_mul(u64::from(*p)) > MOST_SCRYPT_WORK
            }
            Kind::Pbkdf2 {
                iterations,
                output,
                digest,
                ..
            } => {
                let blocks = output.len().div_ceil(digest.bytes());
                let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
                iterations.get().saturating_mul(blocks) > MOST_ITERATIONS
            }
        }
    }
}

impl Digest {
    fn of(name: &str) -> Option<Digest> {
        match name {
            "sha1" => Some(Digest::Sha1),
            "sha256" => Some(Digest::Sha256),
            "sha512" => Some(Digest::Sha512),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Digest::Sha1 => 20,
            Digest::Sha256 => 32,
            Digest::Sha512 => 64,
        }
    }
}

fn read(text: &str) -> Option<Kind> {
    if let Some(rest) = text.strip_prefix("$bcrypt-sha256$") {
        return passlib_bcrypt(rest);
    }
    if let Some(rest) = text.strip_prefix("$scrypt$") {
        return passlib_scrypt(rest);
    }
    if let Some(rest) = text.strip_prefix("$pbkdf2") {
        return passlib_pbkdf2(rest);
    }
    if text.starts_with("$argon2") {
        return argon2(text);
    }
    if text.starts_with("$2") {
        return bcrypt(text.to_owned(), Before::Nothing);
    }
    if let Some(rest) = text.strip_prefix("scrypt:") {
        return werkzeug_scrypt(rest);
    }
    if let Some(rest) = text.strip_prefix("pbkdf2:") {
        return werkzeug_pbkdf2(rest);
    }
    let (algorithm, rest) = text.split_once('$')?;
    match algorithm {
        "bcrypt" => bcrypt(rest.to_owned(), Before::Nothing),
        "bcrypt_sha256" => bcrypt(rest.to_owned(), Before::Sha256Hex),
        "argon2" => argon2(&format!("${rest}")),
        "scrypt" => django_scrypt(rest),
        _ => {
            let digest = Digest::of(algorithm.strip_prefix("pbkdf2_")?)?;
            let [iterations, salt, output] = parts(rest, '$')?;
            pbkdf2(digest, iterations, salt.into(), base64(output)?)
        }
    }
}

/// `$2b$12$` and 22 characters of salt and 31 of output.
fn bcrypt(text: String, before: Before) -> Option<Kind> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "./".contains(c);
    let body = text.get(7..)?;
    let is_known = ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|ident| text.starts_with(ident));
    cost(&text)?;
    (is_known && body.len() == 53 && body.chars().all(is_fit))
        .then_some(Kind::Bcrypt { before, text })
}

fn cost(text: &str) -> Option<u32> {
    let digits = text.get(4..7)?.strip_suffix('$')?;
    number(digits).filter(|cost| (4..=31).contains(cost))
}

/// `v=2,t=2b,r=12$salt$output` or `2b,12$salt$output`.
fn passlib_bcrypt(rest: &str) -> Option<Kind> {
    let [settings, salt, output] = parts(rest, '$')?;
    let (ident, rounds, before) = match parts(settings, ',') {
        Some(["v=2", ident, rounds]) => (
            ident.strip_prefix("t=")?,
            rounds.strip_prefix("r=")?,
            Before::HmacBase64(salt.to_owned()),
        ),
        Some(_) => return None,
        None => {
            let [ident, rounds] = parts(settings, ',')?;
            (ident, rounds, Before::Sha256Base64)
        }
    };
    let rounds = number(rounds)?;
    bcrypt(format!("${ident}${rounds:02}${salt}{output}"), before)
}

/// `$argon2id$v=19$m=65536,t=3,p=4$salt$output`; without `v` it is the version before.
fn argon2(text: &str) -> Option<Kind> {
    let rest = text.strip_prefix('$')?;
    let (algorithm, rest) = rest.split_once('$')?;
    let algorithm = match algorithm {
        "argon2d" => Algorithm::Argon2d,
        "argon2i" => Algorithm::Argon2i,
        "argon2id" => Algorithm::Argon2id,
        _ => return None,
    };
    let (version, rest) = match rest.strip_prefix("v=19$") {
        Some(rest) => (Version::V0x13, rest),
        None => (Version::V0x10, rest.strip_prefix("v=16$").unwrap_or(rest)),
    };
    let [settings, salt, output] = parts(rest, '$')?;
    let [kib, passes, lanes] = parts(settings, ',')?;
    Some(Kind::Argon2 {
        algorithm,
        version,
        kib: number(kib.strip_prefix("m=")?)?,
        passes: number(passes.strip_prefix("t=")?)?,
        lanes: number(lanes.strip_prefix("p=")?)?,
        salt: base64(salt)?,
        output: output_of(base64(output)?)?,
    })
}

/// `ln=16,r=8,p=1$salt$output`.
fn passlib_scrypt(rest: &str) -> Option<Kind> {
    let [settings, salt, output] = parts(rest, '$')?;
    let [log_n, r, p] = parts(settings, ',')?;
    Some(Kind::Scrypt {
        log_n: log_n.strip_prefix("ln=")?.parse().ok()?,
        r: number(r.strip_prefix("r=")?)?,
        p: number(p.strip_prefix("p=")?)?,
        salt: base64(salt)?,
        output: output_of(base64(output)?)?,
    })
}

/// `32768:8:1$salt$output`, the output in hexadecimal.
fn werkzeug_scrypt(rest: &str) -> Option<Kind> {
    let [settings, salt, output] = parts(rest, '$')?;
    let [n, r, p] = parts(settings, ':')?;
    Some(Kind::Scrypt {
        log_n: logarithm(n)?,
        r: number(r)?,
        p: number(p)?,
        salt: salt.into(),
        output: output_of(hexadecimal(output)?)?,
    })
}

/// `16384$salt$8$1$output`.
fn django_scrypt(rest: &str) -> Option<Kind> {
    let [n, salt, r, p, output] = parts(rest, '$')?;
    Some(Kind::Scrypt {
        log_n: logarithm(n)?,
        r: number(r)?,
        p: number(p)?,
        salt: salt.into(),
        output: output_of(base64(output)?)?,
    })
}

/// `sha256:600000$salt$output`, the output in hexadecimal.
fn werkzeug_pbkdf2(rest: &str) -> Option<Kind> {
    let [settings, salt, output] = parts(rest, '$')?;
    let [digest, iterations] = parts(settings, ':')?;
    pbkdf2(
        Digest::of(digest)?,
        iterations,
        salt.into(),
        hexadecimal(output)?,
    )
}

/// `-sha256$29000$salt$output`; SHA-1 has no name.
fn passlib_pbkdf2(rest: &str) -> Option<Kind> {
    let [digest, iterations, salt, output] = parts(rest, '$')?;
    let digest = match digest.strip_prefix('-') {
        Some(name) => Digest::of(name)?,
        None if digest.is_empty() => Digest::Sha1,
        None => return None,
    };
    pbkdf2(digest, iterations, base64(salt)?, base64(output)?)
}

fn pbkdf2(digest: Digest, iterations: &str, salt: Vec<u8>, output: Vec<u8>) -> Option<Kind> {
    Some(Kind::Pbkdf2 {
        digest,
        iterations: NonZeroU32::new(number(iterations)?)?,
        salt,
        output: output_of(output)?,
    })
}

/// The parts between separators if there are that many.
fn parts<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    parts.try_into().ok()
}

/// Digits alone: what a parser would take besides is not what any of these systems writes.
fn number(text: &str) -> Option<u32> {
    let is_number = text.chars().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn logarithm(text: &str) -> Option<u8> {
    let number = number(text).filter(|number| number.is_power_of_two())?;
    u8::try_from(number.ilog2()).ok()
}

/// Too short an output would be matched by many passwords.
fn output_of(output: Vec<u8>) -> Option<Vec<u8>> {
    OUTPUTS.contains(&output.len()).then_some(output)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace('.', "+")).ok()
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    pairs.iter().map(byte).collect()
}
