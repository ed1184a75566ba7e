//! Which limits a request is held to, without charging any. Asked by people, not by requests.

use std::num::NonZeroU32;

use crate::authn::Principal;
use crate::config::checked::Rate;
use crate::request::Facts;
use crate::route::Matched;

use super::policy::{Limit, Limits};
use super::slots::{Network, Value};
use super::stage::{early_value, late};

/// A limit as one caller meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    /// Whose budget it is: `user ID`, `ip ADDRESS`, `header VALUE` or `route`.
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
    let bucket = |limit: &Limit, is_shadow, tier: Option<&str>, value: Value<'_>| Bucket {
        name: limit.name.clone(),
        key: match value {
            Value::User(id) => format!("user {id}"),
            Value::Address(network) => format!("ip {}", text(network)),
            Value::Header(value) => format!("header {}", String::from_utf8_lossy(value)),
            Value::Route => "route".to_owned(),
        },
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
            early_value(limit, client, facts),
        )
    });
    let mut buckets: Vec<Bucket> = early.collect();
    let Some(principal) = principal else {
        return buckets;
    };
    let user = principal.user();
    let tier = user.map(|user| user.tier.as_str());
    let value = || user.map_or(Value::Address(client), |user| Value::User(user.id));
    let late = late(limits, route, index, tier, facts).into_iter();
    buckets.extend(late.map(|(limit, is_shadow)| bucket(limit, is_shadow, tier, value())));
    buckets
}

fn text(network: Network) -> String {
    match network {
        Network::V4(bits) => std::net::Ipv4Addr::from_bits(bits).to_string(),
        Network::V6(bits) => {
            let first = std::net::Ipv6Addr::from_bits(u128::from(bits) << 64);
            format!("{first}/64")
        }
    }
}
