//! What a refresh token stands for, for those who may ask (RFC 7662). Access tokens and keys are
//! verified where requests are.

use super::Accounts;
use super::error::AccountsError;
use super::sessions::RefreshToken;
use super::store::{Account, Millis};

/// A refresh token that could be used now.
pub struct LiveRefresh {
    pub account: Account,
    pub used_at: Millis,
    pub expires_at: Millis,
}

impl Accounts {
    /// `None`: it is none of ours, was used, or its session is over.
    pub async fn live_refresh(&self, token: &str) -> Result<Option<LiveRefresh>, AccountsError> {
        let Some(token) = RefreshToken::decode(token, &self.keys.load().refresh) else {
            return Ok(None);
        };
        let Some(known) = self.users.store.session(token.session).await? else {
            return Ok(None);
        };
        let session = &known.session;
        let is_live = !session.has_ended
            && session.counter == token.counter
            && session.expires_at > self.now()
            && known.account.may_sign_in();
        Ok(is_live.then_some(LiveRefresh {
            account: known.account,
            used_at: known.info.last_used_at,
            expires_at: known.info.expires_at,
        }))
    }
}
