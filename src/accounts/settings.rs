//! What of the configuration the accounts go by. A reload replaces it as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::lockout::Policy;
use super::store::{Free, Millis};
use super::tokens::TokenContents;
use crate::config::Config;
use crate::config::checked::{PasswordPolicy, Registration, Route, Tier, UsernameReuse};

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
    /// Of the file.
    pub tiers: BTreeMap<String, Tier>,
    /// The routes, each with the names of its limits that are charged before it is known who calls.
    pub routes: BTreeMap<String, BTreeSet<String>>,
    pub contents: TokenContents,
    pub lockout: Policy,
    /// The accounts are another application's: here they are only mirrored.
    pub is_mirror: bool,
    username_reuse: UsernameReuse,
}

impl Settings {
    pub fn free_for_accounts(&self, now: Millis) -> Free<'_> {
        Free {
            names_since: match self.username_reuse {
                UsernameReuse::Never => Millis::MIN,
                UsernameReuse::After(time) => now.saturating_sub(millis(time)),
            },
            tiers: &self.tiers,
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
            tiers: config.tiers.clone(),
            routes: config.routes.iter().map(early_limits).collect(),
            contents: TokenContents::of(config),
            lockout: Policy::of(&auth.lockout),
            is_mirror: auth.users.is_some(),
            username_reuse: auth.username_reuse,
        }
    }
}

fn early_limits(route: &Route) -> (String, BTreeSet<String>) {
    let limits = route.limits.iter().flatten();
    let early = limits.filter(|limit| limit.key.is_early());
    let names = early.map(|limit| limit.name.clone()).collect();
    (route.name.clone(), names)
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
