//! What is told to Redis: what was let through of counters, and to one that may have lost them what was used up before.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Shared;
use super::lease::{self, Lease};
use super::link::{GRACE, Link, LinkError, Settled, Stands, within};
use super::queue::Dirty;
use super::run::{BEAT, PATIENCE};
use crate::limit::clock::{Clock, nanos};
use crate::limit::slots::Known;

/// Counters that are told of in one exchange: requests that ask wait behind it.
const PAGE: usize = 256;
/// Counters that a Redis is told of that has lost them, those first of which most is used up.
const MOST_RECOVERED: usize = 100_000;

/// How long the last telling of a gateway that ends may take.
const LAST: Duration = Duration::from_secs(5);

/// What is left of a telling: whatever ends it, the rest waits on.
pub(super) struct Rest<'s> {
    pub(super) shared: &'s Shared,
    pub(super) waiting: Vec<Dirty>,
}

impl Rest<'_> {
    pub(super) fn next_page(&mut self) -> Option<Vec<Dirty>> {
        let left = self.waiting.len().saturating_sub(PAGE);
        let page = self.waiting.split_off(left);
        (!page.is_empty()).then_some(page)
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        for dirty in self.waiting.drain(..) {
            if let Some(lease) = self.shared.slots.lease_at(dirty.key, dirty.number) {
                self.shared.queue(dirty, lease);
            }
        }
    }
}

/// Counters that are being told of, and what of each: whatever ends that, what may not have been told is told again.
struct Page<'s> {
    shared: &'s Shared,
    taken: Vec<(Dirty, i32)>,
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.shared.put_back(self.taken.drain(..));
    }
}

/// When the next heartbeat is due in the middle of something.
struct Pace(Instant);

impl Pace {
    fn new() -> Self {
        Pace(Instant::now())
    }

    fn is_due(&mut self) -> bool {
        let is_due = self.0.elapsed() > BEAT;
        if is_due {
            self.0 = Instant::now();
        }
        is_due
    }
}

impl Shared {
    pub(super) async fn recover(&self, link: &Link, clock: &Clock) -> Result<(), LinkError> {
        let (now, least) = (clock.now(), nanos(GRACE));
        let mut known = Vec::new();
        for Known { name, key, span } in self.slots.known(now, least, MOST_RECOVERED) {
            let Some((number, lease)) = self.slots.lease(key) else {
                continue;
            };
            let dirty = Dirty::of(span, key, number);
            let before = Lease::of(lease);
            if !before.is_queued() {
                known.push((name, self.owed_by_all(&dirty, before, now)));
                lease::tell_whole(lease);
            }
        }
        // What waits to be told is told when all have had the time for this; what was used up before it is told now.
        for dirty in self.queue.waiting() {
            let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
                continue;
            };
            let told = self.told(&dirty, Lease::of(lease).untold(), now);
            let told = told.filter(|told| told.believed > least);
            known.extend(told.map(|told| (told.name, told.believed)));
        }
        let mut pace = Pace::new();
        for page in known.chunks(PAGE) {
            self.keep_up(link, &mut pace, clock).await?;
            within(PATIENCE, link.recover(page)).await?;
        }
        if !known.is_empty() && self.recovered.load(Ordering::Relaxed) != 0 {
            tracing::warn!(
                counters = known.len(),
                "Redis may have lost what was used up: it was told, and limits are held by each gateway at its share until all have done so"
            );
        }
        Ok(())
    }

    /// Tells all that waits.
    pub(super) async fn tell(&self, link: &Link, clock: &Clock) -> Result<(), LinkError> {
        self.tell_all(self.queue.take(), link, clock).await
    }

    async fn tell_all(
        &self,
        waiting: Vec<Dirty>,
        link: &Link,
        clock: &Clock,
    ) -> Result<(), LinkError> {
        let mut rest = Rest {
            shared: self,
            waiting,
        };
        let mut pace = Pace::new();
        while let Some(page) = rest.next_page() {
            // Once a request has found fault, what waits is about to be charged for all.
            self.keep_up(link, &mut pace, clock).await?;
            self.tell_page(link, &page, clock).await?;
        }
        Ok(())
    }

    /// Says within a long telling that this gateway lives, and ends it when requests have found Redis to be of no use.
    async fn keep_up(&self, link: &Link, pace: &mut Pace, clock: &Clock) -> Result<(), LinkError> {
        if let Some(error) = self.fault().take() {
            return Err(error);
        }
        if pace.is_due() {
            let beat = self.beat(link, clock).await?;
            self.count_in(self.phase(), beat.living, clock);
        }
        Ok(())
    }

    async fn tell_page(&self, link: &Link, page: &[Dirty], clock: &Clock) -> Result<(), LinkError> {
        let now = clock.now();
        let mut told = Vec::new();
        let mut telling = Page {
            shared: self,
            taken: Vec::new(),
        };
        for dirty in page {
            // The counter may be another key's by now: then it was full, and there is nothing to tell.
            let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
                continue;
            };
            let untold = lease::take(lease);
            if let Some(counter) = self.told(dirty, untold, now) {
                telling.taken.push((*dirty, untold));
                told.push(counter);
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        let settled = within(PATIENCE, link.settle(&self.call(now), &told)).await;
        let Settled { stands, fault } = settled?;
        let now = clock.now();
        for ((dirty, untold), stands) in telling.taken.drain(..).zip(stands) {
            match stands {
                Some(stands) => self.learn(&dirty, stands, now),
                None => self.queue_again(dirty, untold),
            }
        }
        fault.map_or(Ok(()), Err)
    }

    fn learn(&self, dirty: &Dirty, stands: Stands, now: u64) {
        if let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) {
            lease::learn(lease, stands.share, now);
        }
        self.take_over(dirty, stands.owed, now);
    }

    /// Tells the rest, and that this gateway is gone. Called when no request is served any more.
    pub async fn leave(&self, clock: &Clock) {
        let Some(link) = self.link.load_full() else {
            return;
        };
        let mut untold = Vec::new();
        self.slots
            .each_lease(clock.now(), |span, key, number, lease| {
                if Lease::of(lease).untold() != 0 {
                    untold.push(Dirty::of(span, key, number));
                }
            });
        let _ = timeout(LAST, self.tell_all(untold, &link, clock)).await;
        let _ = within(PATIENCE, link.leave(&self.id)).await;
    }
}
