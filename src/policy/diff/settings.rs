//! What changes outside of the routes: tiers, and how callers get and keep an identity.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::keys::{self, Meaning};
use super::limits::{Order, order};
use super::{Change, Kind, Part, default_tier, listeners, upstreams};
use crate::config::checked::{Rate, Signing, Tier};
use crate::config::text::rate_text;
use crate::config::{Config, shown};

pub const MEANINGS: &[(&str, Meaning)] = &[
    // Where the gateway runs and what it is kept in.
    ("version", Meaning::Nothing),
    ("workers", Meaning::Nothing),
    ("shutdown", Meaning::Nothing),
    ("store", Meaning::Nothing),
    ("shared.redis", Meaning::Other),
    ("log", Meaning::Nothing),
    ("limits_headers", Meaning::Nothing),
    ("auth.keys_dir", Meaning::Nothing),
    // Compared by themselves.
    ("listen", Meaning::Nothing),
    ("admin", Meaning::Nothing),
    ("routes", Meaning::Nothing),
    ("tiers", Meaning::Nothing),
    ("anonymous", Meaning::Nothing),
    ("upstreams", Meaning::Nothing),
    ("auth.default_tier", Meaning::Nothing),
    // One that is not trusted is a client itself, with an address that `ip` may admit.
    ("trusted_proxies", Meaning::Unknown),
    ("max_header", Meaning::More),
    // What upstreams are told of a caller, and what clients can't say because of it.
    ("identity", Meaning::Unknown),
    ("identity.assertion.ttl", Meaning::More),
    (
        "identity.forward_authorization",
        Meaning::Words(&["false", "true"]),
    ),
    // Its endpoints are told by asking both tables.
    ("auth.base_path", Meaning::Other),
    // Tokens of another gateway may be good.
    ("auth.issuer", Meaning::Unknown),
    ("auth.audience", Meaning::Members),
    ("auth.signing", Meaning::Unknown),
    ("auth.signing.keys", Meaning::Members),
    ("auth.master_key", Meaning::Other),
    // Whose accounts sign in.
    ("auth.users", Meaning::Unknown),
    ("auth.leeway", Meaning::More),
    ("auth.rate", Meaning::More),
    ("auth.user_rate", Meaning::More),
    ("auth.introspect_rate", Meaning::More),
    ("auth.failure_rate", Meaning::More),
    ("auth.access_token.ttl", Meaning::More),
    ("auth.refresh_token.ttl", Meaning::More),
    ("auth.refresh_token.reuse_grace", Meaning::More),
    // What is in a body, scripts of a page can read.
    (
        "auth.refresh_token.delivery",
        Meaning::Words(&["cookie", "body"]),
    ),
    // Browsers hold cookies to their names' prefixes; path and domain say who is sent one.
    ("auth.cookie", Meaning::Unknown),
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
    ("auth.lockout.window", Meaning::Less),
    ("auth.lockout.base", Meaning::Less),
    ("auth.lockout.max", Meaning::Less),
    ("auth.api_keys.enabled", Meaning::Words(&["false", "true"])),
    // Upstreams are sent keys that clients put into a field of before.
    ("auth.api_keys.header", Meaning::Unknown),
];

pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let meanings = [MEANINGS, &keys::CORS].concat();
    let (shown_old, shown_new) = (shown(old), shown(new));
    let mut changes = keys::compare(str::to_owned, &shown_old, &shown_new, &meanings);
    let secret = |config: &Config| match &config.auth.signing {
        Signing::Hs256(secret) => Some(secret.clone()),
        Signing::Generated(_) | Signing::Keys(_) => None,
    };
    let unshown = [
        ("auth.signing.secret", secret(old) != secret(new)),
        (
            "identity.headers",
            old.identity.headers != new.identity.headers,
        ),
    ];
    let shown = (&shown_old, &shown_new);
    let unshown = unshown.iter();
    let unshown = unshown.filter_map(|(way, is)| keys::unshown(way, way, *is, shown));
    changes.extend(unshown);
    changes.extend(listeners::changes(old, new));
    changes.extend(default_tier::changes(old, new));
    changes.extend(upstreams::changes(&shown_old, &shown_new));
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
        // The rate is that of its quota below.
        let rank = |Tier { rank, rate: _ }: &Tier| *rank;
        let ranks = [old, new].map(|config| config.tiers.get(name).map(rank));
        match ranks.into() {
            (Some(was), Some(is)) if was != is => {
                // Whom that admits is told at the routes.
                add(format!("rank {was} → {is}"));
            }
            (Some(_), None) => add("is gone from the file".to_owned()),
            (None, Some(_)) => add("is new".to_owned()),
            _ => {}
        }
        changes.extend(quota(&about, (rate_of(old, name), rate_of(new, name))));
    }
    changes
}

/// The quota of a tier on routes that say nothing of limits.
pub fn rate_of(config: &Config, tier: &str) -> Option<Rate> {
    match config.tiers.get(tier) {
        Some(tier) => tier.rate,
        None => rate_of_others(config),
    }
}

/// That of a tier that the file does not have: the default tier's.
pub fn rate_of_others(config: &Config) -> Option<Rate> {
    config.tiers.get(&config.auth.default_tier)?.rate
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
