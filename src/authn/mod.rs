//! Stage 2, identify: from a bearer token to a [`Principal`].

mod authenticator;
mod changes;
mod claims;
mod jwt;
mod keys;
mod principal;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use authenticator::{Authenticator, bearer, missing};
pub use changes::{AccountState, Changes};
pub use claims::{ACCESS_TOKEN_TYPE, Claims, TokenType};
pub use jwt::{Expiry, JwtError, Verifier};
pub use keys::{VerifyingKey, VerifyingKeys};
pub use principal::{Principal, Told, User};
