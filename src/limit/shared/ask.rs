//! Small limits: a request asks Redis, which knows what all gateways have let through, and waits for a few
//! milliseconds at most.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::RedisError;
use smallvec::SmallVec;
use tokio::runtime::Handle;

use super::link::{Answer, Asked, Hindrance, LinkError, Phase, within};
use super::queue::Dirty;
use super::run::PATIENCE;
use super::{Shared, lease};
use crate::limit::clock::Clock;
use crate::limit::meter::Quota;
use crate::limit::slots::Key;

/// How long a request waits for Redis. Timers may be a millisecond late.
pub(super) const DEADLINE: Duration = Duration::from_millis(4);
/// So many requests in a row without an answer, and no more are asked.
const MISSES: u32 = 3;

/// What goes along with a request that asks.
pub(super) struct Along {
    pub(super) dirty: Dirty,
    /// What was let through without asking, so that it is counted first; in the counter's units, as what is next.
    pub(super) untold: i32,
    /// What the request takes itself.
    pub(super) once: i32,
}

pub(super) type Alongs = SmallVec<[Along; 2]>;
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Answer, RedisError>> + Send>>;

/// What has to be made good when a request asks no more, also because its client has left: what went along is told again
/// unless Redis has counted it.
pub(super) struct Pending<'s> {
    pub(super) shared: &'s Arc<Shared>,
    pub(super) along: Alongs,
    /// Once it was sent.
    pub(super) asking: Option<Asking>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let along = std::mem::take(&mut self.along);
        let Some(asking) = self.asking.take() else {
            return self.shared.note_again(untold(along));
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(Arc::clone(self.shared).hear_late(asking, along));
        }
    }
}

fn untold(along: Alongs) -> impl Iterator<Item = (Dirty, i32)> {
    along.into_iter().map(|along| (along.dirty, along.untold))
}

impl Shared {
    /// Asks whether all of these pass, and charges them if they do and `charge` says so: how each stands
    /// then. `None` when there was no answer in time, and for what shares a counter here because there are too many:
    /// made-up keys would fill Redis, which has no bound of its own.
    pub(in crate::limit) async fn ask(
        self: &Arc<Self>,
        asked: &[(&Quota, Key)],
        charge: bool,
        clock: &Clock,
    ) -> Option<(bool, SmallVec<[u64; 2]>)> {
        let link = self.link.load_full().filter(|_| self.is_trusted())?;
        let begun = clock.now();
        if !asked.iter().all(|(_, key)| self.slots.has_own(*key, begun)) {
            return None;
        }
        let mut counters = Vec::with_capacity(asked.len());
        let mut pending = Pending {
            shared: self,
            along: Alongs::new(),
            asking: None,
        };
        for (quota, key) in asked {
            let (number, lease) = self.slots.lease(*key)?;
            let dirty = Dirty::of(quota.span(), *key, number);
            let along = Along {
                untold: lease::take_ahead(lease),
                once: dirty.unit().of_nanos(quota.amount()),
                dirty,
            };
            let told = self.told(&dirty, along.untold, begun);
            pending.along.push(along);
            counters.push(Asked {
                told: told?,
                whole: quota.whole(),
                amount: quota.amount(),
            });
        }
        let shared = Arc::clone(self);
        let asking = pending.asking.insert(Box::pin(async move {
            link.ask(shared.call(begun), &counters, charge).await
        }));
        let answer = within(DEADLINE, asking).await;
        if !matches!(answer, Err(LinkError::Late)) {
            pending.asking = None;
        }
        match answer {
            Ok(Answer::Counted(charged, owed)) => {
                self.misses.store(0, Ordering::Relaxed);
                let now = clock.now();
                for (along, owed) in pending.along.drain(..).zip(&owed) {
                    self.hear(&along.dirty, *owed, now);
                }
                Some((charged, owed.into()))
            }
            Ok(Answer::Not(Hindrance::IsNew)) => {
                self.set_phase(Phase::New);
                self.metrics.redis_missed();
                None
            }
            Ok(Answer::Not(Hindrance::IsLate)) => {
                self.missed(LinkError::Late);
                None
            }
            Err(error) => {
                if !matches!(error, LinkError::Late) {
                    self.put_back(untold(std::mem::take(&mut pending.along)));
                }
                self.missed(error);
                None
            }
        }
    }

    fn hear(&self, dirty: &Dirty, owed: u64, now: u64) {
        if let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) {
            lease::hear(lease);
        }
        self.take_over(dirty, owed, now);
    }

    /// Goes on waiting for an answer that came too late for its request. If it was charged there, that is taken back:
    /// it is charged here, or was not served.
    pub(super) async fn hear_late(
        self: Arc<Self>,
        answer: impl Future<Output = Result<Answer, RedisError>>,
        along: Alongs,
    ) {
        match within(PATIENCE, answer).await {
            Ok(Answer::Counted(true, _)) => {
                let twice = along.iter().map(|along| (along.dirty, -along.once));
                self.note_again(twice);
            }
            Ok(Answer::Counted(false, _)) => {}
            Ok(Answer::Not(_)) => self.note_again(untold(along)),
            Err(_) => self.put_back(untold(along)),
        }
    }

    fn missed(&self, error: LinkError) {
        self.metrics.redis_missed();
        let misses = self.misses.fetch_add(1, Ordering::Relaxed) + 1;
        if misses >= MISSES || matches!(error, LinkError::Redis(_)) {
            self.link.store(None);
            *self.fault() = Some(error);
            self.broken.notify_one();
        }
    }
}
