//! What changes outside of the routes: tiers, and how callers get and keep an identity.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::keys::{self, Meaning};
use super::limits::{Order, order};
use super::{Change, Kind, Part};
use crate::config::checked::Rate;
use crate::config::text::rate_text;
use crate::config::{Config, shown};

const MEANINGS: &[(&str, Meaning)] = &[
    // Where the gateway runs and what it is kept in.
    ("version", Meaning::Nothing),
    ("listen", Meaning::Nothing),
    ("admin", Meaning::Nothing),
    ("workers", Meaning::Nothing),
    ("shutdown", Meaning::Nothing),
    ("store", Meaning::Nothing),
    ("shared", Meaning::Other),
    ("log", Meaning::Nothing),
    ("limits_headers", Meaning::Nothing),
    ("auth.keys_dir", Meaning::Nothing),
    // Compared by themselves.
    ("routes", Meaning::Nothing),
    ("tiers", Meaning::Nothing),
    ("anonymous", Meaning::Nothing),
    ("trusted_proxies", Meaning::Members),
    ("max_header", Meaning::More),
    ("upstreams", Meaning::Other),
    ("identity", Meaning::Other),
    (
        "identity.forward_authorization",
        Meaning::Words(&["false", "true"]),
    ),
    ("auth.base_path", Meaning::Other),
    ("auth.issuer", Meaning::Other),
    ("auth.signing", Meaning::Other),
    ("auth.master_key", Meaning::Other),
    ("auth.default_tier", Meaning::Other),
    ("auth.audience", Meaning::Members),
    ("auth.leeway", Meaning::More),
    ("auth.rate", Meaning::More),
    ("auth.failure_rate", Meaning::More),
    ("auth.access_token.ttl", Meaning::More),
    ("auth.refresh_token.ttl", Meaning::More),
    ("auth.refresh_token.reuse_grace", Meaning::More),
    ("auth.refresh_token.delivery", Meaning::Other),
    ("auth.cookie.name", Meaning::Other),
    ("auth.cookie.secure", Meaning::Words(&["true", "false"])),
    (
        "auth.cookie.same_site",
        Meaning::Words(&["strict", "lax", "none"]),
    ),
    ("auth.password.min_length", Meaning::Less),
    (
        "auth.password.complexity",
        Meaning::Words(&["true", "false"]),
    ),
    (
        "auth.password.hash",
        Meaning::Words(&["argon2id", "bcrypt"]),
    ),
    ("auth.password.bcrypt_cost", Meaning::Less),
    ("auth.registration", Meaning::Words(&["closed", "open"])),
    ("auth.serve", Meaning::Members),
    ("auth.compat", Meaning::Members),
    ("auth.docs", Meaning::Words(&["off", "superuser", "open"])),
    ("auth.username_reuse", Meaning::Less),
    ("auth.lockout.failures", Meaning::More),
    ("auth.lockout", Meaning::Less),
    ("auth.api_keys.enabled", Meaning::Words(&["false", "true"])),
    ("auth.api_keys.header", Meaning::Other),
];

pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let meanings = [MEANINGS, &keys::CORS].concat();
    let mut changes = keys::compare(str::to_owned, &shown(old), &shown(new), &meanings);
    if old.redis.is_some() && new.redis.is_none() {
        let what = "limits hold for each gateway alone, and not for all together".to_owned();
        changes.push(Change::new(Kind::Loosened, "shared", Part::Key, what));
    }
    let strangers = (old.anonymous, new.anonymous);
    changes.extend(quota("anonymous", strangers));
    let names: BTreeSet<&String> = old.tiers.keys().chain(new.tiers.keys()).collect();
    for name in names {
        let about = format!("tier {name}");
        let mut add = |what| changes.push(Change::new(Kind::Changed, &about, Part::Key, what));
        match (old.tiers.get(name), new.tiers.get(name)) {
            (Some(was), Some(is)) if was.rank != is.rank => {
                // Whom that admits is told at the routes.
                add(format!("rank {} → {}", was.rank, is.rank));
            }
            (Some(_), None) => add("is gone from the file".to_owned()),
            (None, Some(_)) => add("is new".to_owned()),
            _ => {}
        }
        changes.extend(quota(&about, (rate_of(old, name), rate_of(new, name))));
    }
    changes
}

/// The quota of a tier on routes that say nothing of limits; one that the file does not have has that of the
/// default tier.
pub fn rate_of(config: &Config, tier: &str) -> Option<Rate> {
    let own = config.tiers.get(tier);
    let tier = own.or_else(|| config.tiers.get(&config.auth.default_tier));
    tier.and_then(|tier| tier.rate)
}

fn quota(about: &str, (was, is): (Option<Rate>, Option<Rate>)) -> Option<Change> {
    let one = NonZeroU32::MIN;
    let kind = match order((was, one), (is, one)) {
        Order::Same => return None,
        Order::Tighter => Kind::Tightened,
        Order::Looser => Kind::Loosened,
    };
    let what = format!("rate {} → {}", rate_text(was), rate_text(is));
    Some(Change::new(kind, about, Part::Limits, what))
}
