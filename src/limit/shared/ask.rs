//! Small limits: a request asks Redis, which knows what all gateways have let through, and waits for a few
//! milliseconds at most.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::RedisError;
use smallvec::SmallVec;

use super::link::{Answer, Asked, LinkError, within};
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
        // What was let through without asking goes along, so that it is counted first.
        let mut ahead: SmallVec<[(Dirty, i32); 2]> = SmallVec::new();
        for (quota, key) in asked {
            let lease = self.slots.lease(*key);
            let untold = lease.map_or(0, |(_, lease)| lease::take_ahead(lease));
            if let Some((number, _)) = lease {
                ahead.push((Dirty::of(quota, *key, number), untold));
            }
            counters.push(Asked {
                told: self.told(*key, quota.amount(), untold, begun)?,
                amount: quota.amount(),
                whole: quota.whole(),
            });
        }
        let until = self.until(begun);
        let mut answer = Box::pin(async move { link.ask(&counters, charge, until).await });
        match within(DEADLINE, &mut answer).await {
            Ok(Answer::Counted(charged, owed)) => {
                self.misses.store(0, Ordering::Relaxed);
                let now = clock.now();
                for ((_, key), owed) in asked.iter().zip(&owed) {
                    self.slots.rebase(*key, now, owed.saturating_add(now));
                    if let Some((_, lease)) = self.slots.lease(*key) {
                        lease::hear(lease);
                    }
                }
                Some((charged, owed.into()))
            }
            Ok(Answer::IsNew) => {
                self.is_new.store(true, Ordering::Relaxed);
                self.note_again(ahead);
                self.metrics.redis_missed();
                None
            }
            Ok(Answer::IsLate) => {
                self.note_again(ahead);
                self.missed(LinkError::Late);
                None
            }
            Err(LinkError::Late) => {
                tokio::spawn(Arc::clone(self).hear_late(answer, ahead));
                self.missed(LinkError::Late);
                None
            }
            Err(error) => {
                self.put_back(ahead);
                self.missed(error);
                None
            }
        }
    }

    /// Goes on waiting for an answer that came too late for its request, which is charged here: if it was charged there
    /// as well, that is taken back. What went along is told again unless it was counted.
    pub(super) async fn hear_late(
        self: Arc<Self>,
        answer: impl Future<Output = Result<Answer, RedisError>>,
        ahead: SmallVec<[(Dirty, i32); 2]>,
    ) {
        match within(PATIENCE, answer).await {
            Ok(Answer::Counted(is_charged, _)) => {
                let twice = ahead
                    .iter()
                    .map(|(dirty, _)| (*dirty, -i32::from(is_charged)));
                self.note_again(twice);
            }
            Ok(Answer::IsNew | Answer::IsLate) => self.note_again(ahead),
            Err(_) => self.put_back(ahead),
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
