//! Limits for what is not a route, by address or by account: the auth API's endpoints.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use uuid::Uuid;

use crate::config::checked::Rate;
use crate::request::Refusal;

use super::charge::rate_limited;
use super::counters::Counters;
use super::policy::Policy;
use super::value::{Network, Value};

/// How often an account that is no superuser's may make or change something: each time is an entry of the audit
/// trail, and a million of those are kept.
pub const CHANGES: Rate = a_day(1000);

/// How often an account may give itself another name: names can be kept from others for good.
pub const RENAMES: Rate = a_day(10);

const fn a_day(count: u32) -> Rate {
    let count = NonZeroU32::MIN.saturating_add(count - 1);
    Rate {
        count,
        period: Duration::from_secs(86_400),
        burst: count,
    }
}

/// One budget for each address.
pub struct AddressLimit(Alone);

/// One budget for each account.
pub struct AccountLimit(Alone);

/// A limit that is charged by itself.
struct Alone {
    counters: Counters,
    /// `None` does not limit.
    policy: Option<Policy>,
}

impl AddressLimit {
    /// Limits of the same name over the same counters share them.
    pub fn new(counters: Counters, name: &str, rate: Option<Rate>) -> Self {
        AddressLimit(Alone::new(counters, "address", name, rate))
    }

    /// Charges one request from `address`.
    ///
    /// # Errors
    ///
    /// 429 `rate-limited` with `Retry-After`.
    pub async fn take(&self, address: IpAddr) -> Result<(), Refusal> {
        self.0.take(Value::Address(Network::from(address))).await
    }
}

impl AccountLimit {
    /// Limits of the same name over the same counters share them.
    pub fn new(counters: Counters, name: &str, rate: Option<Rate>) -> Self {
        AccountLimit(Alone::new(counters, "account", name, rate))
    }

    /// Charges one call of the account.
    ///
    /// # Errors
    ///
    /// 429 `rate-limited` with `Retry-After`.
    pub async fn take(&self, account: Uuid) -> Result<(), Refusal> {
        self.0.take(Value::User(account)).await
    }
}

impl Alone {
    fn new(counters: Counters, kind: &str, name: &str, rate: Option<Rate>) -> Self {
        Alone {
            policy: rate.map(|rate| {
                let limit = format!("{kind} {name}");
                counters.policy(&limit, name, rate, NonZeroU32::MIN)
            }),
            counters,
        }
    }

    async fn take(&self, value: Value) -> Result<(), Refusal> {
        let Some(policy) = &self.policy else {
            return Ok(());
        };
        let key = self.counters.slots.key(policy.scope, value);
        let charged = self.counters.charge_one(policy, key).await;
        charged.map_err(|denied| rate_limited(policy, denied))
    }
}
