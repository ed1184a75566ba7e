//! API keys as they are kept.

use uuid::Uuid;

use super::{Account, Millis};

/// A key as it is told to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    pub id: Uuid,
    pub name: String,
    pub scopes: Vec<String>,
    pub created_at: Millis,
    pub expires_at: Option<Millis>,
    /// Within a minute or so.
    pub last_used_at: Option<Millis>,
}

/// A key with its owner, to be compared with what was presented.
pub struct StoredKey {
    pub info: KeyInfo,
    pub grant: Uuid,
    pub hash: String,
    pub has_ended: bool,
    pub account: Account,
}

/// New values; `None` leaves the old one. An inner `None` takes the value away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyEdit {
    pub name: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub expires_at: Option<Option<Millis>>,
}

/// Why a key was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKept {
    NoSuchAccount,
    /// It is deleted.
    Deleted,
    TooMany,
}

impl KeyEdit {
    /// The key after the change.
    pub fn applied(&self, key: &KeyInfo) -> KeyInfo {
        KeyInfo {
            name: self.name.clone().unwrap_or_else(|| key.name.clone()),
            scopes: self.scopes.clone().unwrap_or_else(|| key.scopes.clone()),
            expires_at: self.expires_at.unwrap_or(key.expires_at),
            ..key.clone()
        }
    }
}
