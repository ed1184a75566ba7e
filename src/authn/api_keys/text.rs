//! What a key looks like.

use uuid::Uuid;

/// What every key begins with, so that people and scanners of leaked secrets know one.
pub const KEY_PREFIX: &str = "pck_";

/// The id in a key: `pck_`, 32 hexadecimal digits, `_` and the secret. `None` for what can't be a key.
pub fn id_of(key: &str) -> Option<Uuid> {
    let (id, secret) = key.strip_prefix(KEY_PREFIX)?.split_once('_')?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // 256 bits in base64url.
    if id.len() != 32 || secret.len() != 43 || !secret.bytes().all(is_base64) {
        return None;
    }
    id.bytes().all(is_hex).then(|| Uuid::try_parse(id).ok())?
}
