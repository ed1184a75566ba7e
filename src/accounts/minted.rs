//! Access tokens that nobody signed in for, made on the command line to test with.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use uuid::Uuid;

use super::error::AccountsError;
use super::store::{By, Key, Millis, NewSession};
use super::{Accounts, tokens};
use crate::authn::Further;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error("the account is disabled or deleted: its tokens would be refused")]
    MayNotSignIn,
}

pub struct Minted {
    pub access_token: String,
    /// Seconds.
    pub expires_in: u64,
    pub session: Uuid,
}

impl Accounts {
    /// An access token for an account. It is in a session of its own, because what ends tokens is
    /// remembered for as long as sessions say that there are any; no refresh token is given out. No
    /// other token of the gateway has `further` claims.
    pub async fn mint(
        &self,
        username: &str,
        ttl: Duration,
        further: Further,
    ) -> Result<Minted, MintError> {
        let settings = self.users.settings.load_full();
        let now = self.now();
        let ttl = Millis::try_from(ttl.as_millis()).unwrap_or(Millis::MAX);
        let expires_at = tokens::expiry_in(now, ttl);
        let session = NewSession {
            id: Uuid::now_v7(),
            now,
            expires_at,
            tokens_expire_at: expires_at,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user_agent: Some("portcullis token mint"),
        };
        let store = &self.users.store;
        let begun = store
            .begin_minted_session(Key::Username(username), &session, &By::command_line())
            .await
            .map_err(AccountsError::from)?;
        let account = begun
            .ok_or(AccountsError::NoSuchAccount)?
            .ok_or(MintError::MayNotSignIn)?;
        let keys = self.keys.load_full();
        let token = tokens::mint(
            &keys, &settings, &account, session.id, now, expires_at, further,
        );
        Ok(Minted {
            access_token: token.map_err(AccountsError::from)?,
            expires_in: tokens::seconds(expires_at).saturating_sub(tokens::seconds(now)),
            session: session.id,
        })
    }
}
