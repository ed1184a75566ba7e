//! What an access token says.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::further::Further;

/// The `typ` of an access token's header (RFC 9068, section 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// The claims of an access token. Times are seconds since 1970.
///
/// Decoding refuses a claim of the wrong type and a claim that stands twice, further ones included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    /// The account's id.
    pub sub: Uuid,
    pub aud: Vec<String>,
    pub exp: u64,
    pub iat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    pub jti: Uuid,
    /// The session.
    pub sid: Uuid,
    /// The account's version when the token was made.
    pub av: u64,
    pub token_type: TokenType,
    pub username: String,
    pub tier: String,
    pub roles: Vec<String>,
    /// Scopes, with single spaces between them (RFC 8693, section 4.2).
    pub scope: String,
    pub is_superuser: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(flatten)]
    pub further: Further,
}

/// The names of [`Claims`] beside the further ones.
pub const STANDARD_CLAIMS: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "sid",
    "av",
    "token_type",
    "username",
    "tier",
    "roles",
    "scope",
    "is_superuser",
    "email",
    "name",
    "external_id",
];

/// Only access tokens are accepted as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenType {
    #[serde(rename = "access")]
    Access,
}
