//! Which limits a request is held to, without charging any. Asked by people, not by requests.

use std::num::NonZeroU32;

use crate::authn::{Principal, User};
use crate::config::checked::{LimitKey, Rate};
use crate::request::Facts;
use crate::route::Matched;

use super::policy::{Limit, Limits};
use super::stage::{cap_value, early_value, late, late_value};
use super::value::{Network, Value};

/// A limit as one caller meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    /// Whose budget it is: `user ID`, `api_key ID`, `claim TEXT`, `ip ADDRESS`, `header VALUE` or `route`.
    pub key: String,
    /// `None` does not limit this caller.
    pub rate: Option<Rate>,
    pub cost: NonZeroU32,
    /// It is charged before the caller is known.
    pub is_early: bool,
    /// It refuses nobody.
    pub is_shadow: bool,
}

/// The limits of the matched route. Those by user are left out when no caller is known, because the
/// request got no further.
pub fn explain(
    limits: &Limits,
    matched: &Matched,
    facts: &Facts<'_>,
    principal: Option<&Principal>,
) -> Vec<Bucket> {
    let Some((index, route)) = matched
        .route()
        .and_then(|index| Some((index, limits.routes.get(index)?)))
    else {
        return Vec::new();
    };
    let client = Network::from(facts.peer.client);
    let bucket = |limit: &Limit, is_shadow, tier: Option<&str>, value: Value| Bucket {
        name: limit.name.clone(),
        key: told(
            &limit.key,
            value,
            facts,
            principal.and_then(Principal::user).map(|user| &**user),
        ),
        rate: limit
            .policy(tier)
            .map(|policy| limits.policies[policy].rate),
        cost: limit.cost,
        is_early: false,
        is_shadow,
    };
    let early = route.early.iter();
    let early = early.map(|limit| Bucket {
        is_early: true,
        ..bucket(
            limit,
            limit.is_shadow,
            None,
            early_value(&limit.key, client, facts),
        )
    });
    let mut buckets: Vec<Bucket> = early.collect();
    let Some(principal) = principal else {
        return buckets;
    };
    let user = principal.user().map(|user| &**user);
    let tier = user.map(|user| user.tier.as_str());
    let late = late(limits, route, index, tier, facts).into_iter();
    buckets.extend(late.map(|(limit, is_shadow)| {
        let value = late_value(&limit.key, client, user);
        bucket(limit, is_shadow, tier, value)
    }));
    buckets
}

/// The cap on requests under way as one caller meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// Whose requests are counted together, as in [`Bucket::key`].
    pub key: String,
    pub max: NonZeroU32,
    /// It refuses nobody.
    pub is_shadow: bool,
}

/// The cap of the matched route, if it has one.
pub fn explain_cap(
    limits: &Limits,
    matched: &Matched,
    facts: &Facts<'_>,
    principal: &Principal,
) -> Option<Cap> {
    let route = limits.routes.get(matched.route()?)?;
    let cap = route.concurrency.as_ref()?;
    let client = Network::from(facts.peer.client);
    let user = principal.user().map(|user| &**user);
    let value = cap_value(&cap.key, client, user, facts);
    Some(Cap {
        key: told(&cap.key, value, facts, user),
        max: cap.max,
        is_shadow: route.is_shadow,
    })
}

/// A value as people know it.
fn told(key: &LimitKey, value: Value, facts: &Facts<'_>, user: Option<&User>) -> String {
    match (key, value) {
        (LimitKey::Claim(name), Value::Claim(_)) => {
            let text = user.and_then(|user| user.claim(name)?.text());
            format!("claim {}", text.unwrap_or_default())
        }
        (LimitKey::Header(name), Value::Header(_)) => {
            let value = facts.value_of(name).unwrap_or_default();
            format!("header {}", String::from_utf8_lossy(&value))
        }
        (_, value) => value.to_string(),
    }
}
