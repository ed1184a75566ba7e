//! The keys that refresh tokens are derived with.

use std::path::{Path, PathBuf};

use aws_lc_rs::{hkdf, hmac, rand};
use zeroize::Zeroizing;

use super::{KeysError, files};

/// Bytes of a key that is made here.
pub const LEN: usize = 32;

/// Keeps this use of a signing key apart from every other.
const DERIVED: &[u8] = b"portcullis refresh tokens";

/// The first makes tokens, all verify them.
pub struct RefreshKeys {
    first: hmac::Key,
    others: Vec<hmac::Key>,
}

impl RefreshKeys {
    pub fn new(first: hmac::Key, others: Vec<hmac::Key>) -> RefreshKeys {
        RefreshKeys { first, others }
    }

    pub fn first(&self) -> &hmac::Key {
        &self.first
    }

    pub fn iter(&self) -> impl Iterator<Item = &hmac::Key> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Makes a key in the folder when there is none.
pub fn ensure(folder: &Path) -> Result<(), KeysError> {
    files::ensure_folder(folder)?;
    files::load_or_create(&path(folder), new).map(drop)
}

/// The key of the folder, if it is there.
pub fn find(folder: &Path) -> Result<Option<RefreshKeys>, KeysError> {
    let path = path(folder);
    let Some(bytes) = files::load_if_there(&path)? else {
        return Ok(None);
    };
    if bytes.len() != LEN {
        return Err(KeysError::NotARefreshKey {
            path: path.display().to_string(),
            len: bytes.len(),
        });
    }
    Ok(of(&[bytes]))
}

/// Keys that stand in this order; `None` when there are none.
pub fn of(keys: &[Zeroizing<Vec<u8>>]) -> Option<RefreshKeys> {
    let mut keys = keys
        .iter()
        .map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes));
    Some(RefreshKeys::new(keys.next()?, keys.collect()))
}

/// Keys that follow from others, in the same order: whoever has those has these.
pub fn derived<'a>(from: impl Iterator<Item = &'a [u8]>) -> Result<Option<RefreshKeys>, KeysError> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"portcullis");
    let derive = |secret| {
        let prk = salt.extract(secret);
        let okm = prk.expand(&[DERIVED], hmac::HMAC_SHA256)?;
        Ok(hmac::Key::from(okm))
    };
    let keys: Vec<hmac::Key> = from.map(derive).collect::<Result<_, KeysError>>()?;
    let mut keys = keys.into_iter();
    Ok(keys
        .next()
        .map(|first| RefreshKeys::new(first, keys.collect())))
}

fn path(folder: &Path) -> PathBuf {
    folder.join("refresh.key")
}

fn new() -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let mut bytes = Zeroizing::new(vec![0; LEN]);
    rand::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_are_one_for_one_and_in_order() {
        let keys = |from: &[&[u8]]| derived(from.iter().copied()).unwrap().unwrap();
        let tag = |key: &hmac::Key| hmac::sign(key, b"x").as_ref().to_vec();
        let both = keys(&[b"a", b"b"]);
        let tags: Vec<_> = both.iter().map(tag).collect();
        assert_eq!(tags[0], tag(keys(&[b"a"]).first()));
        assert_eq!(tags[1], tag(keys(&[b"b"]).first()));
        assert_ne!(tags[0], tags[1]);
        let itself = hmac::Key::new(hmac::HMAC_SHA256, b"a");
        assert_ne!(tags[0], tag(&itself), "a secret has one use only");
        assert!(derived(std::iter::empty()).unwrap().is_none());
    }
}
