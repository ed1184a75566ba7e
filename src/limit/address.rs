//! Limits for what is not a route, by address or by account: the auth API's endpoints.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use uuid::Uuid;

use crate::config::checked::{Auth, Rate};
use crate::request::Refusal;

use super::charge::rate_limited;
use super::counters::Counters;
use super::policy::Policy;
use super::value::{Network, Value};

/// How often an account that is no superuser's may make or change something: each time is an entry of the audit
/// trail, and a million of those are kept.
const CHANGES: Rate = a_day(1000);

/// How often an account may give itself another name: names can be kept from others for good.
const RENAMES: Rate = a_day(10);

/// What a limit's counters are of, in front of its name.
pub(super) const ADDRESS: &str = "address";
pub(super) const ACCOUNT: &str = "account";

/// The limits of the auth API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    Auth,
    AuthUser,
    Introspect,
    Changes,
    Renames,
}

impl Budget {
    const ALL: [Budget; 5] = [
        Budget::Auth,
        Budget::AuthUser,
        Budget::Introspect,
        Budget::Changes,
        Budget::Renames,
    ];

    /// As clients, metrics and the log are told.
    pub const fn name(self) -> &'static str {
        match self {
            Budget::Auth => "auth",
            Budget::AuthUser => "auth-user",
            Budget::Introspect => "introspect",
            Budget::Changes => "changes",
            Budget::Renames => "renames",
        }
    }

    /// `None` does not limit.
    pub const fn rate(self, auth: &Auth) -> Option<Rate> {
        match self {
            Budget::Auth => auth.rate,
            Budget::AuthUser => auth.user_rate,
            Budget::Introspect => auth.introspect_rate,
            Budget::Changes => Some(CHANGES),
            Budget::Renames => Some(RENAMES),
        }
    }

    /// The one whose counters go by this name.
    pub(super) fn of(limit: &str) -> Option<Budget> {
        let (kind, name) = limit.split_once(' ')?;
        let budget = Budget::ALL.into_iter().find(|b| b.name() == name)?;
        let own = match budget {
            Budget::Auth => ADDRESS,
            _ => ACCOUNT,
        };
        (kind == own).then_some(budget)
    }
}

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
        AddressLimit(Alone::new(counters, ADDRESS, name, rate))
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
        AccountLimit(Alone::new(counters, ACCOUNT, name, rate))
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
