//! A limit by address for what is not a route: the auth API's unauthenticated endpoints.

use std::net::IpAddr;
use std::num::NonZeroU32;

use crate::config::checked::Rate;
use crate::request::Refusal;

use super::charge::rate_limited;
use super::counters::Counters;
use super::policy::Policy;
use super::value::{Network, Value};

/// One budget for each address.
pub struct AddressLimit {
    counters: Counters,
    /// `None` does not limit.
    policy: Option<Policy>,
}

impl AddressLimit {
    /// Limits of the same name over the same counters share them.
    pub fn new(counters: Counters, name: &str, rate: Option<Rate>) -> Self {
        AddressLimit {
            policy: rate.map(|rate| {
                let limit = format!("address {name}");
                counters.policy(&limit, name, rate, NonZeroU32::MIN)
            }),
            counters,
        }
    }

    /// Charges one request from `address`.
    ///
    /// # Errors
    ///
    /// 429 `rate-limited` with `Retry-After`.
    pub async fn take(&self, address: IpAddr) -> Result<(), Refusal> {
        let Some(policy) = &self.policy else {
            return Ok(());
        };
        let value = Value::Address(Network::from(address));
        let key = self.counters.slots.key(policy.scope, value);
        let charged = self.counters.charge_one(policy, key).await;
        charged.map_err(|denied| rate_limited(policy, denied))
    }
}
