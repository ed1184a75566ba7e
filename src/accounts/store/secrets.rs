//! Encrypted keys, as they are kept.

use super::Millis;

/// An encrypted key. Only its number and what it is next for may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What it is for.
    pub name: String,
    pub kid: String,
    pub algorithm: String,
    /// Its ciphertext with the tag, and the nonce that it was made with.
    pub ciphertext: Vec<u8>,
    pub nonce: Vec<u8>,
    /// Made for the next rotation.
    pub is_next: bool,
    pub created_at: Millis,
}

/// What to write about the keys.
#[derive(Debug)]
pub enum SecretEdit {
    /// One more, the newest of its name.
    Add(Sealed),
    /// The key of this `kid` is for now.
    Promote(String),
    Remove(String),
}
