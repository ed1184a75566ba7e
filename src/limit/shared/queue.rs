//! Counters that wait to be told of. Requests put them in, each at most once; the exchange takes them out.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::lease::Unit;
use crate::limit::slots::Key;

/// In nanoseconds.
const MILLISECOND: u64 = 1_000_000;
const SHARDS: usize = 16;
/// Counters that wait in a shard at most; more wait for their next request.
const ROOM: usize = 4096;
/// How long a counter waits at most, and at least.
const INTERVAL: Duration = Duration::from_millis(5);
const PAUSE: Duration = Duration::from_millis(1);

/// A counter with something to tell.
#[derive(Debug, Clone, Copy)]
pub(in crate::limit) struct Dirty {
    pub(super) key: Key,
    /// Of its slot.
    pub(super) number: usize,
    /// Nanoseconds that there are in all.
    pub(super) whole: u64,
}

impl Dirty {
    /// The counter of a quota of that span, see [`Quota::span`](crate::limit::meter::Quota::span).
    pub(in crate::limit) fn of(span: u64, key: Key, number: usize) -> Dirty {
        Dirty {
            key,
            number,
            whole: span.saturating_mul(MILLISECOND),
        }
    }

    pub(super) fn unit(&self) -> Unit {
        Unit::of(self.whole)
    }
}

#[derive(Default)]
pub(super) struct Queue {
    shards: [Mutex<Vec<Dirty>>; SHARDS],
    some: Notify,
    urgent: Notify,
}

impl Queue {
    /// Whether there was room.
    pub(super) fn push(&self, dirty: Dirty) -> bool {
        let mut shard = self.shard(dirty.number);
        if shard.len() >= ROOM {
            return false;
        }
        shard.push(dirty);
        drop(shard);
        self.some.notify_one();
        true
    }

    /// Somebody is refused what another gateway may not need.
    pub(super) fn hurry(&self) {
        self.urgent.notify_one();
    }

    /// Waits until there is something to tell, and a little longer, so that more comes with it.
    pub(super) async fn wait(&self) {
        // Asked first: whoever stops waiting here for a while has taken a notice along.
        while self.is_empty() {
            self.some.notified().await;
        }
        sleep(PAUSE).await;
        tokio::select! {
            () = sleep(INTERVAL - PAUSE) => {}
            () = self.urgent.notified() => {}
        }
    }

    fn is_empty(&self) -> bool {
        (0..SHARDS).all(|shard| self.shard(shard).is_empty())
    }

    /// All that waits, and goes on waiting.
    pub(super) fn waiting(&self) -> Vec<Dirty> {
        let shards = (0..SHARDS).map(|shard| self.shard(shard).clone());
        shards.flatten().collect()
    }

    /// All that waits.
    pub(super) fn take(&self) -> Vec<Dirty> {
        let shards = (0..SHARDS).map(|shard| std::mem::take(&mut *self.shard(shard)));
        shards.flatten().collect()
    }

    fn shard(&self, number: usize) -> MutexGuard<'_, Vec<Dirty>> {
        let shard = &self.shards[number % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
