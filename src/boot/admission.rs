//! What calls of the auth API are charged to.

use std::sync::Arc;

use crate::api::{Admit, Payer};
use crate::config::checked::{Auth, Rate};
use crate::limit::{AccountLimit, AddressLimit, Budget, Counters};
use crate::request::Refusal;
use crate::telemetry::{LimitDecision, Metrics, Shard};

/// One of the auth API's limits, and how it is counted.
struct Purse<L> {
    limit: L,
    name: &'static str,
    is_limited: bool,
}

/// One for each payer.
struct Purses {
    addresses: Purse<AddressLimit>,
    accounts: Purse<AccountLimit>,
    introspection: Purse<AccountLimit>,
    changes: Purse<AccountLimit>,
    renames: Purse<AccountLimit>,
}

impl<L> Purse<L> {
    fn new(
        budget: Budget,
        (auth, counters): (&Auth, &Counters),
        limit: impl FnOnce(Counters, &str, Option<Rate>) -> L,
    ) -> Self {
        let (name, rate) = (budget.name(), budget.rate(auth));
        Purse {
            limit: limit(counters.clone(), name, rate),
            name,
            is_limited: rate.is_some(),
        }
    }

    /// Counts what the limit let through. The gateway counts what is refused, as for routes.
    fn count(&self, taken: Result<(), Refusal>, shard: &Shard) -> Result<(), Refusal> {
        taken?;
        if self.is_limited {
            shard.limited(self.name, "", LimitDecision::Allowed);
        }
        Ok(())
    }
}

/// Charges calls of the auth API to whoever pays for them.
pub fn admission(auth: &Auth, counters: &Counters, metrics: &Metrics) -> Admit {
    let of_account = |budget| Purse::new(budget, (auth, counters), AccountLimit::new);
    let purses = Arc::new(Purses {
        addresses: Purse::new(Budget::Auth, (auth, counters), AddressLimit::new),
        accounts: of_account(Budget::AuthUser),
        introspection: of_account(Budget::Introspect),
        changes: of_account(Budget::Changes),
        renames: of_account(Budget::Renames),
    });
    let shard = metrics.shard();
    Arc::new(move |payer| {
        let (purses, shard) = (Arc::clone(&purses), Arc::clone(&shard));
        Box::pin(async move {
            let (purse, account) = match payer {
                Payer::Address(address) => {
                    let purse = &purses.addresses;
                    return purse.count(purse.limit.take(address).await, &shard);
                }
                Payer::Account(account) => (&purses.accounts, account),
                Payer::Introspection(account) => (&purses.introspection, account),
                Payer::Changes(account) => (&purses.changes, account),
                Payer::Renames(account) => (&purses.renames, account),
            };
            purse.count(purse.limit.take(account).await, &shard)
        })
    })
}
