//! The counters of the process, the clock that they go by, and whoever else charges them.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::clock::Clock;
use super::kept::Keeper;
use super::meter::{Denied, Standing};
use super::policy::Policy;
use super::pool::Charge;
use super::shared::{Dirty, Shared};
use super::slots::{Counted, Key, Slots};
use crate::config::checked::{Rate, Redis};
use crate::telemetry::Metrics;

/// What outlives every configuration of a process.
#[derive(Clone)]
pub struct Counters {
    pub(super) slots: Arc<Slots>,
    pub(super) clock: Clock,
    /// `None`: nobody else.
    pub(super) shared: Option<Arc<Shared>>,
}

/// What a request was charged, to be given back.
#[derive(Debug)]
pub(super) enum Taken {
    Here(Charge),
    /// Where all gateways are charged.
    There,
}

impl Counters {
    pub fn new(slots: Slots, clock: Clock) -> Self {
        Counters {
            slots: Arc::new(slots),
            clock,
            shared: None,
        }
    }

    /// Counters that other gateways charge too.
    pub fn shared(slots: Slots, clock: Clock, metrics: Arc<Metrics>) -> Self {
        metrics.redis_is_asked();
        let slots = Arc::new(slots.with_leases());
        Counters {
            shared: Some(Shared::new(Arc::clone(&slots), metrics)),
            slots,
            clock,
        }
    }

    /// Exchanges with the other gateways for as long as it is polled. `tried` is called once it is known
    /// whether they can be reached.
    pub async fn exchange(self, redis: Redis, tried: impl FnOnce()) {
        if let Some(shared) = self.shared {
            shared.run(redis, self.clock, tried).await;
        }
    }

    /// Tells the other gateways the last of it. No request is served any more.
    pub async fn leave(&self) {
        if let Some(shared) = &self.shared {
            shared.leave(&self.clock).await;
        }
    }

    /// Nothing is used up any more. For requests that nobody sent, which must not count against each other.
    pub fn clear(&self) {
        self.slots.clear();
    }

    pub fn keeper(&self) -> Keeper {
        Keeper::of(self.clone())
    }

    /// See [`Policy::new`].
    pub(super) fn policy(&self, limit: &str, name: &str, rate: Rate, cost: NonZeroU32) -> Policy {
        let policy = Policy::new(&self.slots, limit, name, rate, cost);
        match self.shared {
            Some(_) => policy.shared(),
            None => policy,
        }
    }

    /// Charges without asking anybody.
    pub(super) fn charge(
        &self,
        policy: &Policy,
        key: Key,
        now: u64,
    ) -> Result<(Standing, Charge), Denied> {
        match &self.shared {
            Some(shared) => shared.charge(&policy.quota, key, now),
            None => policy.quota.charge(&self.slots, key, now),
        }
    }

    /// How a request would be charged, without charging it or asking anybody.
    pub(super) fn look(&self, policy: &Policy, key: Key, now: u64) -> Result<Standing, Denied> {
        match &self.shared {
            Some(shared) => shared.look(&policy.quota, key, now),
            None => policy.quota.after(self.slots.owed(key, now)),
        }
    }

    /// Nanoseconds that a counter owes for what was let through: here it may owe more, see [`Shared::owed`].
    pub(super) fn owed(&self, counted: &Counted<'_>, now: u64) -> u64 {
        let owed = counted.full_at.saturating_sub(now);
        let Some(shared) = &self.shared else {
            return owed;
        };
        let key = self.slots.key(counted.scope, counted.value);
        let Some((number, lease)) = self.slots.lease(key) else {
            return owed;
        };
        let dirty = Dirty::of(self.slots.span(counted.scope), key, number);
        shared.owed(&dirty, lease, owed, now)
    }

    /// Whether the other gateways are asked before this is charged.
    pub(super) fn asks(&self, policy: &Policy) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|shared| shared.asks(&policy.quota) && shared.is_up())
    }

    /// Charges one counter alone, where it has to be.
    pub(super) async fn charge_one(&self, policy: &Policy, key: Key) -> Result<(), Denied> {
        if let Some(shared) = self.shared.as_ref().filter(|_| self.asks(policy)) {
            let asked = [(&policy.quota, key)];
            // Apart, because few requests ask, and all have to carry what they might need for that.
            let answer = Box::pin(shared.ask(&asked, true, &self.clock)).await;
            let (is_charged, owed) = answer.unwrap_or_default();
            if is_charged {
                return Ok(());
            }
            for owed in owed {
                policy.quota.after(owed)?;
            }
        }
        self.charge(policy, key, self.clock.now()).map(drop)
    }

    pub(super) fn give_back(&self, policy: &Policy, key: Key, taken: &Taken, now: u64) {
        match (&self.shared, taken) {
            (Some(shared), Taken::Here(charge)) => shared.refund(&policy.quota, key, charge, now),
            (Some(shared), Taken::There) => shared.give_back(&policy.quota, key, now),
            (None, Taken::Here(charge)) => drop(self.slots.refund(key, charge, now)),
            (None, Taken::There) => {}
        }
    }
}
