//! Stage 2, identify: from a bearer token to a [`Principal`].

mod changes;
mod claims;
mod keys;
mod principal;

pub use changes::{AccountState, Changes};
pub use claims::{ACCESS_TOKEN_TYPE, Claims, TokenType};
pub use keys::{VerifyingKey, VerifyingKeys};
pub use principal::{Principal, Told, User};
