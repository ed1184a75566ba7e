//! What of the configuration the accounts go by. A reload replaces it as a whole.

use std::collections::BTreeSet;
use std::time::Duration;

use super::lockout::Policy;
use super::store::Millis;
use super::tokens::TokenContents;
use crate::config::Config;
use crate::config::checked::{PasswordPolicy, Registration, UsernameReuse};

pub(super) struct Settings {
    pub issuer: String,
    pub audience: Vec<String>,
    pub leeway: Millis,
    pub access_ttl: Millis,
    pub refresh_ttl: Millis,
    pub reuse_grace: Millis,
    pub password: PasswordPolicy,
    pub registration: Registration,
    pub default_tier: String,
    pub tiers: BTreeSet<String>,
    pub contents: TokenContents,
    pub lockout: Policy,
    username_reuse: UsernameReuse,
}

impl Settings {
    /// Names that nobody has had since then may be given to somebody else.
    pub fn names_free_since(&self, now: Millis) -> Millis {
        match self.username_reuse {
            UsernameReuse::Never => Millis::MIN,
            UsernameReuse::After(time) => now.saturating_sub(millis(time)),
        }
    }

    pub fn of(config: &Config) -> Settings {
        let auth = &config.auth;
        Settings {
            issuer: auth.issuer.clone(),
            audience: auth.audience.clone(),
            leeway: millis(auth.leeway),
            access_ttl: millis(auth.access_token_ttl),
            refresh_ttl: millis(auth.refresh_token.ttl),
            reuse_grace: millis(auth.refresh_token.reuse_grace),
            password: auth.password.clone(),
            registration: auth.registration,
            default_tier: auth.default_tier.clone(),
            tiers: config.tiers.keys().cloned().collect(),
            contents: TokenContents::of(config),
            lockout: Policy::of(&auth.lockout),
            username_reuse: auth.username_reuse,
        }
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
