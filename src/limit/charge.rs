//! All limits of a request at once: each has room, or none is charged.

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::clock::whole_seconds;
use super::counters::Taken;
use super::headers::{self, Entry};
use super::meter::{Denied, Standing};
use super::policy::{Limits, Policy};
use super::pool::Charge;
use super::slots::Key;
use crate::request::{Code, Refusal};

/// A counter that is to be charged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// An index into [`Limits::policies`].
    pub(super) policy: usize,
    pub(super) key: Key,
    pub(super) is_shadow: bool,
}

#[derive(Debug)]
pub(super) struct Charged {
    due: Due,
    taken: Taken,
    pub(super) entry: Entry,
}

/// What came of the limits so far.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) charged: SmallVec<[Charged; 2]>,
    /// Policies in shadow that had no room, by their index.
    pub(super) would_refuse: Vec<usize>,
}

/// The limit that one has to wait longest for, by its policy's index.
pub(super) type Refused = (usize, Denied);

/// A request that waits for an answer. When its client leaves meanwhile, it is given back what it was charged before: nobody
/// was served for it, and what others share would be used up by what the answer refuses.
struct Asking<'a> {
    limits: &'a Limits,
    account: &'a mut Account,
    is_answered: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.limits.give_back(self.account);
        }
    }
}

impl Charged {
    pub(super) fn is_shadow(&self) -> bool {
        self.due.is_shadow
    }
}

impl Limits {
    /// Charges all that is due, or nothing: then what was charged before is given back too. What is in
    /// shadow is charged where there is room.
    pub(super) async fn charge(
        &self,
        due: impl Iterator<Item = Due>,
        account: &mut Account,
    ) -> Result<(), Refused> {
        let mut due = due.peekable();
        if due.peek().is_none() {
            return Ok(());
        }
        let now = self.counters.clock.now();
        // Every limit is asked, so that the wait told is long enough for all of them.
        let mut refused = None;
        let mut to_ask: SmallVec<[Due; 2]> = SmallVec::new();
        for due in due {
            match self.asks(&due) {
                true => to_ask.push(due),
                false => self.charge_here(due, now, account, &mut refused),
            }
        }
        if !to_ask.is_empty() {
            let mut asking = Asking {
                limits: self,
                account,
                is_answered: false,
            };
            // Apart, because few requests ask, and all have to carry what they might need for that.
            Box::pin(self.charge_there(&to_ask, asking.account, &mut refused)).await;
            asking.is_answered = true;
        }
        let Some(refused) = refused else {
            return Ok(());
        };
        self.give_back(account);
        Err(refused)
    }

    /// Of what refused and what is due next, the limit that one has to wait longest for. Nothing is charged.
    pub(super) async fn longest(
        &self,
        due: impl Iterator<Item = Due>,
        refused: Refused,
    ) -> Refused {
        let now = self.counters.clock.now();
        let mut longest = Some(refused);
        let mut to_ask: SmallVec<[Due; 2]> = SmallVec::new();
        for due in due.filter(|due| !due.is_shadow) {
            if self.asks(&due) {
                to_ask.push(due);
                continue;
            }
            let policy = &self.policies[due.policy];
            if let Err(denied) = self.counters.look(policy, due.key, now) {
                wait_for(due.policy, denied, &mut longest);
            }
        }
        if !to_ask.is_empty() {
            self.charge_there(&to_ask, &mut Account::default(), &mut longest)
                .await;
        }
        longest.unwrap_or(refused)
    }

    pub(super) fn give_back(&self, account: &mut Account) {
        let now = self.counters.clock.now();
        for Charged { due, taken, .. } in account.charged.drain(..) {
            match (due.is_shadow, taken) {
                // What is in shadow is nobody else's.
                (true, Taken::Here(charge)) => {
                    let _ = self.counters.slots.refund(due.key, &charge, now);
                }
                (_, taken) => {
                    let policy = &self.policies[due.policy];
                    self.counters.give_back(policy, due.key, &taken, now);
                }
            }
        }
    }

    fn asks(&self, due: &Due) -> bool {
        !due.is_shadow && self.counters.asks(&self.policies[due.policy])
    }

    fn charge_here(
        &self,
        due: Due,
        now: u64,
        account: &mut Account,
        refused: &mut Option<Refused>,
    ) {
        let policy = &self.policies[due.policy];
        let outcome = match due.is_shadow {
            true => policy.quota.charge(&self.counters.slots, due.key, now),
            false => self.counters.charge(policy, due.key, now),
        };
        let outcome =
            outcome.map(|(standing, charge): (Standing, Charge)| (standing, Taken::Here(charge)));
        settle(due, outcome, account, refused);
    }

    /// Asks whoever knows what all gateways have let through, and decides alone when there is no answer. Charges
    /// nothing when something refused already.
    async fn charge_there(
        &self,
        due: &[Due],
        account: &mut Account,
        refused: &mut Option<Refused>,
    ) {
        let Some(shared) = &self.counters.shared else {
            return;
        };
        let quota = |due: &Due| &self.policies[due.policy].quota;
        let asked: SmallVec<[_; 2]> = due.iter().map(|due| (quota(due), due.key)).collect();
        let clock = &self.counters.clock;
        let answer = shared.ask(&asked, refused.is_none(), clock).await;
        let (is_charged, owed) = answer.unwrap_or_default();
        for (due, owed) in due.iter().zip(owed) {
            let outcome = match is_charged {
                true => Ok((quota(due).left_of(owed), Taken::There)),
                false => match quota(due).after(owed) {
                    // There is room, and another limit has none.
                    Ok(_) => continue,
                    Err(denied) => Err(denied),
                },
            };
            settle(*due, outcome, account, refused);
        }
        // Nothing was charged, and nobody said why: there was no answer.
        if !is_charged && refused.is_none() {
            for due in due {
                self.charge_here(*due, clock.now(), account, refused);
            }
        }
    }

    /// What the client is told.
    pub(super) fn refusal(&self, (policy, denied): Refused) -> Refusal {
        let mut refusal = rate_limited(&self.policies[policy], denied);
        let entry = Entry {
            policy,
            standing: Standing {
                remaining: 0,
                full_in: denied.full_in,
            },
        };
        let mut lines: SmallVec<[(HeaderName, HeaderValue); 5]> = SmallVec::new();
        headers::write(self.headers, &self.policies, &[entry], |name, value| {
            lines.push((name.clone(), value));
        });
        for (name, value) in lines {
            refusal = refusal.with_header(name, value);
        }
        refusal
    }
}

fn settle(
    due: Due,
    outcome: Result<(Standing, Taken), Denied>,
    account: &mut Account,
    refused: &mut Option<Refused>,
) {
    let policy = due.policy;
    match outcome {
        Ok((standing, taken)) => account.charged.push(Charged {
            due,
            taken,
            entry: Entry { policy, standing },
        }),
        Err(_) if due.is_shadow => account.would_refuse.push(policy),
        Err(denied) => wait_for(policy, denied, refused),
    }
}

/// The longer wait counts.
fn wait_for(policy: usize, denied: Denied, refused: &mut Option<Refused>) {
    if refused.is_none_or(|(_, before)| before.wait < denied.wait) {
        *refused = Some((policy, denied));
    }
}

/// 429 with `Retry-After`.
pub(super) fn rate_limited(policy: &Policy, denied: Denied) -> Refusal {
    let seconds = whole_seconds(denied.wait);
    Refusal::new(
        Code::RateLimited,
        "This limit is used up; try again after the seconds that Retry-After tells.",
    )
    .by_limit(&policy.name)
    .retry_after(seconds)
}
