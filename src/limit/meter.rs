//! One decision: governor's GCRA over a counter of ours.
//!
//! A governor limiter is made for each decision, which costs a multiplication: its quota may then
//! change between two requests of a key, and its time is the one reading of the clock that all limits
//! of a request share.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::direct::NotKeyed;
use governor::{Quota as Cells, RateLimiter};

use crate::config::checked::Rate;

use super::clock::nanos;
use super::pool::{Charge, settled};
use super::slots::{Key, Slots};

/// No counter takes longer to fill up, in nanoseconds, which leaves room in its word.
const LONGEST: u64 = Rate::LONGEST.as_nanos() as u64;
const MILLISECOND: u64 = 1_000_000;
/// So many times more than the whole may be owed for what several gateways let through at once.
const MOST_IN_A_HURRY: u64 = 15;

/// What a limit grants, and what a request takes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quota {
    cells: Cells,
    cost: NonZeroU32,
    /// Nanoseconds that a request takes.
    amount: u64,
    /// Nanoseconds to fill up from nothing.
    whole: u64,
    /// Nanoseconds that may be owed beyond that, where others charge the counter too.
    overdraft: u64,
}

/// What is left after a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Requests that would pass now.
    pub(super) remaining: u32,
    /// Nanoseconds until the counter is full.
    pub(super) full_in: u64,
}

/// A refusal; nothing was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Denied {
    /// Nanoseconds until a request can pass.
    pub(super) wait: u64,
    pub(super) full_in: u64,
}

impl Denied {
    /// The same for whoever had better wait so many nanoseconds more.
    pub(super) fn later(self, more: u64) -> Self {
        Denied {
            wait: self.wait.saturating_add(more),
            ..self
        }
    }
}

impl Quota {
    /// A burst smaller than the cost would let nothing through, ever: it counts as the cost.
    pub(super) fn new(rate: &Rate, cost: NonZeroU32) -> Self {
        // Rounded up, so that the rate is never exceeded.
        let interval = nanos(rate.period).div_ceil(u64::from(rate.count.get()));
        let interval = interval.clamp(1, LONGEST / u64::from(cost.get()));
        let most = u32::try_from(LONGEST / interval).unwrap_or(u32::MAX);
        let burst = rate
            .burst
            .max(cost)
            .min(NonZeroU32::new(most).unwrap_or(cost));
        Quota {
            cells: cells(interval, burst),
            cost,
            amount: interval * u64::from(cost.get()),
            whole: interval * u64::from(burst.get()),
            overdraft: 0,
        }
    }

    /// The same where gateways that have not heard of each other may together let through several times as much
    /// at once: what is owed for that is not forgiven.
    pub(super) fn shared(self) -> Self {
        Quota {
            overdraft: overdraft(self.whole),
            ..self
        }
    }

    /// One of so many equal shares: a request takes that many times more of the same whole.
    pub(super) fn divided(&self, shares: u32) -> Self {
        if shares <= 1 {
            return *self;
        }
        let cost = u64::from(self.cost.get());
        let interval = (self.amount / cost).saturating_mul(u64::from(shares));
        let interval = interval.min(LONGEST / cost);
        let burst = u32::try_from(self.whole / interval).unwrap_or(u32::MAX);
        let burst = NonZeroU32::new(burst).map_or(self.cost, |burst| burst.max(self.cost));
        Quota {
            cells: cells(interval, burst),
            cost: self.cost,
            amount: interval * cost,
            whole: interval * u64::from(burst.get()),
            overdraft: self.overdraft,
        }
    }

    /// Nanoseconds that a request takes.
    pub(super) fn amount(&self) -> u64 {
        self.amount
    }

    /// Nanoseconds that there are in all.
    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// Requests that pass at once.
    pub(super) fn requests(&self) -> u64 {
        self.whole / self.amount
    }

    /// The whole in milliseconds, rounded up: quotas of one limit that have the same share their counters.
    pub(super) fn span(&self) -> u64 {
        self.whole.div_ceil(MILLISECOND)
    }

    /// Whether less than half is left.
    pub(super) fn is_half_empty(&self, standing: &Standing) -> bool {
        u64::from(standing.remaining) < self.requests() / 2
    }

    /// Charges a request to a counter. `now` is in nanoseconds since the start.
    pub(super) fn charge(
        &self,
        slots: &Slots,
        key: Key,
        now: u64,
    ) -> Result<(Standing, Charge), Denied> {
        let counter = Counter {
            slots,
            key,
            now,
            amount: self.amount,
            charge: Cell::new(None),
        };
        let readings = Readings {
            next: Cell::new(Nanos::new(0)),
            then: Nanos::new(now),
        };
        let limiter: RateLimiter<_, _, _, StateInformationMiddleware> =
            RateLimiter::new(self.cells, counter, readings);
        let outcome = limiter.check_n(self.cost);
        match (outcome, limiter.into_state_store().charge.get()) {
            (Ok(Ok(state)), Some(charge)) => {
                let standing = Standing {
                    remaining: state.remaining_burst_capacity() / self.cost,
                    full_in: charge.full_at.saturating_sub(now),
                };
                Ok((standing, charge))
            }
            (Ok(Err(refused)), _) => {
                let mut wait = nanos(refused.wait_time_from(Nanos::new(now)));
                if wait > self.amount + self.overdraft {
                    self.settle(slots, key, now);
                    wait = self.amount;
                }
                Err(Denied {
                    wait,
                    full_in: wait + self.whole - self.amount,
                })
            }
            // A burst below the cost, which no quota has, or a passing decision without a charge.
            _ => Err(Denied {
                wait: self.whole,
                full_in: self.whole,
            }),
        }
    }
}

impl Quota {
    /// What is left of a counter that owes so many nanoseconds.
    pub(super) fn left_of(&self, owed: u64) -> Standing {
        let left = self.whole.saturating_sub(owed);
        Standing {
            remaining: u32::try_from(left / self.amount).unwrap_or(u32::MAX),
            full_in: owed,
        }
    }

    /// How a counter stands that owes so many nanoseconds, and what a request would wait for.
    pub(super) fn after(&self, owed: u64) -> Result<Standing, Denied> {
        let most = self.whole + self.overdraft;
        // Nobody was ever granted that much: see `settle`.
        let owed = if owed > most { self.whole } else { owed };
        let wait = (owed + self.amount).saturating_sub(self.whole);
        if wait > 0 {
            return Err(Denied {
                wait,
                full_in: owed,
            });
        }
        Ok(self.left_of(owed))
    }

    /// A counter may have been told, or read from the store, to owe more time than its quotas ever grant. It
    /// counts as used up, no more.
    #[cold]
    fn settle(&self, slots: &Slots, key: Key, now: u64) {
        let used_up = now + self.whole;
        settled(slots.charge(key, now, 0, |full_at| {
            Ok(((), full_at.unwrap_or(0).min(used_up)))
        }));
    }
}

/// Nanoseconds that may be owed beyond the whole of a quota where several gateways charge it.
pub(super) fn overdraft(whole: u64) -> u64 {
    whole.saturating_mul(MOST_IN_A_HURRY).min(LONGEST)
}

fn cells(interval: u64, burst: NonZeroU32) -> Cells {
    Cells::with_period(Duration::from_nanos(interval))
        .unwrap_or(Cells::per_second(burst))
        .allow_burst(burst)
}

/// One counter as governor sees it.
struct Counter<'a> {
    slots: &'a Slots,
    key: Key,
    now: u64,
    amount: u64,
    charge: Cell<Option<Charge>>,
}

impl StateStore for Counter<'_> {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let decide = |full_at: Option<u64>| {
            let (value, next) = decide(full_at.map(Nanos::new))?;
            Ok((value, next.as_u64()))
        };
        let (value, charge) = self.slots.charge(self.key, self.now, self.amount, decide)?;
        self.charge.set(Some(charge));
        Ok(value)
    }
}

/// Shows governor the start of the process first, which is what a limiter measures from that reads
/// the clock when it is made, and the time of the request then.
struct Readings {
    next: Cell<Nanos>,
    then: Nanos,
}

impl Clock for Readings {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.next.replace(self.then)
    }
}
