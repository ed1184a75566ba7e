//! A limit by address for what is not a route: the auth API's unauthenticated endpoints.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::config::checked::Rate;
use crate::request::Refusal;

use super::clock::Clock;
use super::policy::Policy;
use super::scopes::Scope;
use super::slots::Slots;
use super::stage::rate_limited;
use super::value::{Network, Value};

/// One budget for each address.
pub struct AddressLimit {
    slots: Arc<Slots>,
    clock: Clock,
    scope: Scope,
    /// `None` does not limit.
    policy: Option<Policy>,
}

impl AddressLimit {
    /// Limits of the same name over the same slots share their counters.
    pub fn new(slots: Arc<Slots>, clock: Clock, name: &str, rate: Option<Rate>) -> Self {
        AddressLimit {
            scope: slots.scope(&["address", name]),
            policy: rate.map(|rate| Policy::new(name, rate, NonZeroU32::MIN)),
            slots,
            clock,
        }
    }

    /// Charges one request from `address`.
    ///
    /// # Errors
    ///
    /// 429 `rate-limited` with `Retry-After`.
    pub fn take(&self, address: IpAddr) -> Result<(), Refusal> {
        let Some(policy) = &self.policy else {
            return Ok(());
        };
        let value = Value::Address(Network::from(address));
        let key = self.slots.key(self.scope, value);
        match policy.quota.charge(&self.slots, key, self.clock.now()) {
            Ok(_) => Ok(()),
            Err(denied) => Err(rate_limited(policy, denied)),
        }
    }
}
