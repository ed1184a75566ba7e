//! Stage 2, identify: from a bearer token or an API key to a [`Principal`].

mod api_keys;
mod authenticator;
mod changes;
mod claim;
mod claims;
mod further;
mod identified;
mod jwt;
mod keys;
mod noted;
mod principal;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use api_keys::{
    ApiKey, ApiKeys, Found, KEY_MEMORY, KEY_PREFIX, LookUp, LookUpFuture, Used, id_of,
};
pub use authenticator::{Authenticator, Listener, bearer, missing};
pub use changes::{AccountState, Changes};
pub use claim::{Claim, TELLING_CLAIMS};
pub use claims::{ACCESS_TOKEN_TYPE, Claims, STANDARD_CLAIMS, TokenType};
pub use further::Further;
pub use identified::Identified;
pub use jwt::{Expiry, JwtError, Verifier, claims_of};
pub use keys::{VerifyingKey, VerifyingKeys};
pub use noted::Noted;
pub use principal::{Method, Principal, Told, User};
