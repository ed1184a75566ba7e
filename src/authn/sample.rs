//! Claims for tests, with nothing in them but what every token has.

use uuid::Uuid;

use super::claims::{Claims, TokenType};
use super::further::Further;

/// An access token of the account with this number, from 2096.
pub(crate) fn claims(account: u128) -> Claims {
    Claims {
        iss: "http://localhost".into(),
        sub: Uuid::from_u128(account),
        aud: vec!["api".into()],
        exp: 4_000_000_000,
        iat: 0,
        nbf: None,
        jti: Uuid::nil(),
        sid: Uuid::from_u128(account << 64),
        av: 1,
        token_type: TokenType::Access,
        username: "alice".into(),
        tier: "free".into(),
        roles: Vec::new(),
        scope: String::new(),
        is_superuser: false,
        email: None,
        name: None,
        external_id: None,
        further: Further::default(),
    }
}
