//! The exchange with Redis, in the background: what was let through is told, gateways are counted, and a
//! connection that is of no use is replaced.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use redis::Client;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::ask::DEADLINE;
use super::link::{self, Beat, GRACE, Link, LinkError, Stands, within};
use super::queue::Dirty;
use super::{Shared, lease, taken};
use crate::config::checked::Redis;
use crate::limit::clock::{Clock, nanos};
use crate::limit::slots::Known;

/// A heartbeat that took longer does not tell what time it is.
const SOON_ANSWERED: Duration = Duration::from_millis(20);
/// How often gateways say that they live.
const BEAT: Duration = Duration::from_secs(1);
/// How long an answer is waited for that no request waits for: longer than a busy machine lets it wait.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// Answers in time that Redis has to give in a row before requests ask it.
const PROOFS: usize = 3;
/// How long it is left alone after a failure; longer each time that it fails soon again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(10);
/// Counters that are told of in one exchange: requests that ask wait behind it.
const PAGE: usize = 256;
/// Counters that a Redis is told of that has lost them, those first of which most is used up.
const MOST_RECOVERED: usize = 100_000;

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

/// What the exchange does next.
enum Turn {
    Beat,
    Tell,
    Stop,
}

impl Shared {
    /// Exchanges with Redis for as long as it is polled. `tried` is called once it is known whether Redis
    /// answers.
    pub async fn run(self: Arc<Self>, redis: Redis, clock: Clock, tried: impl FnOnce()) {
        let client = match link::client(redis.url.expose()) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "shared.redis is no address that can be used");
                return tried();
            }
        };
        let mut tried = Some(tried);
        let mut pause = FIRST_PAUSE;
        let mut is_told = false;
        loop {
            let error = match self.open(&client, &clock).await {
                Ok(link) => {
                    let since = Instant::now();
                    tracing::info!(
                        redis = redis.shown,
                        "limits are held together with other gateways"
                    );
                    is_told = false;
                    self.link.store(Some(Arc::new(link.clone())));
                    if let Some(tried) = tried.take() {
                        tried();
                    }
                    let error = self.exchange(&link, &clock).await;
                    self.link.store(None);
                    if since.elapsed() > SOON {
                        pause = FIRST_PAUSE;
                    }
                    error
                }
                Err(error) => error,
            };
            self.metrics.redis_is_up(false);
            if !is_told {
                is_told = true;
                tracing::warn!(
                    %error,
                    redis = redis.shown,
                    share = format!("1/{}", self.replicas.load(Ordering::Relaxed)),
                    "Redis is of no use: limits are held by each gateway alone, at its share"
                );
            }
            if let Some(tried) = tried.take() {
                tried();
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A connection that has shown that it answers in time, and knows what was let through without it.
    async fn open(&self, client: &Client, clock: &Clock) -> Result<Link, LinkError> {
        // Of the connection before.
        self.fault().take();
        let link = Link::open(client).await?;
        let mut last = within(DEADLINE, link.beat(&self.id)).await?;
        for _ in 1..PROOFS {
            last = within(DEADLINE, link.beat(&self.id)).await?;
        }
        // One count, however often it was asked: the others come back to a Redis that has lost all when they do.
        self.heed(&link, last, clock).await?;
        if !last.is_new {
            self.tell(&link, false, clock).await?;
        }
        self.misses.store(0, Ordering::Relaxed);
        // Requests that were under way may have found fault with the connection before until now.
        self.fault().take();
        Ok(link)
    }

    /// Why it came to an end.
    async fn exchange(&self, link: &Link, clock: &Clock) -> LinkError {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // What is told is told to its end, or put back: only the waiting is given up for something else.
            let turn = tokio::select! {
                _ = beat.tick() => Turn::Beat,
                () = self.queue.wait(), if self.is_trusted() => Turn::Tell,
                () = self.broken.notified() => Turn::Stop,
            };
            let outcome = match turn {
                Turn::Beat => match within(PATIENCE, link.beat(&self.id)).await {
                    Ok(beat) => self.heed(link, beat, clock).await,
                    Err(error) => Err(error),
                },
                Turn::Tell => self.tell(link, false, clock).await,
                Turn::Stop => self.fault().take().map_or(Ok(()), Err),
            };
            if let Err(error) = outcome {
                return error;
            }
        }
    }

    /// Counts the gateways, and tells a Redis that may have lost its counters what they were. What was let through
    /// since is told when all have had the time to do so.
    async fn heed(&self, link: &Link, beat: Beat, clock: &Clock) -> Result<(), LinkError> {
        self.count(beat.living);
        self.set_clock(beat, clock);
        let last = self.recovered.load(Ordering::Relaxed);
        // To a gateway that has just started a Redis that knows of others is none that has lost anything.
        let is_other = last != beat.since && (last != 0 || beat.is_new);
        if is_other || beat.is_new {
            self.is_new.store(true, Ordering::Relaxed);
            self.metrics.redis_is_up(false);
        }
        if is_other {
            self.recover(link, clock).await?;
        }
        // Not before: what broke off half-way is told again.
        self.recovered.store(beat.since, Ordering::Relaxed);
        if beat.is_new {
            return Ok(());
        }
        if self.is_new.load(Ordering::Relaxed) {
            self.tell(link, true, clock).await?;
            if !beat.is_told {
                return Ok(());
            }
            self.is_new.store(false, Ordering::Relaxed);
        }
        self.metrics.redis_is_up(true);
        Ok(())
    }

    /// Learns by how much the clock of Redis is ahead, of a heartbeat that did not take long: of others nobody knows
    /// which part of the way took how long.
    fn set_clock(&self, beat: Beat, clock: &Clock) {
        let is_known = self.clock_ahead.load(Ordering::Relaxed) != 0;
        if beat.took > SOON_ANSWERED && is_known {
            return;
        }
        let half_way = nanos(beat.took) / 2;
        let here = clock.now().saturating_sub(half_way) / 1000;
        let here = i64::try_from(here).unwrap_or(i64::MAX);
        let ahead = beat.now.saturating_mul(1000) - here;
        self.clock_ahead.store(ahead, Ordering::Relaxed);
    }

    async fn recover(&self, link: &Link, clock: &Clock) -> Result<(), LinkError> {
        let (now, least) = (clock.now(), nanos(GRACE));
        let mut known = Vec::new();
        for Known { name, owed, lease } in self.slots.known(now, least, MOST_RECOVERED) {
            match lease {
                Some(lease) if lease::Lease::of(lease).is_queued() => {}
                lease => {
                    // A hundredth of the burst at most, which is told as what all gateways took.
                    lease.into_iter().for_each(lease::tell_whole);
                    known.push((name, owed));
                }
            }
        }
        // What waits to be told is told when all have had the time for this; what was used up before it is told now.
        for dirty in self.queue.waiting() {
            let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
                continue;
            };
            let untold = lease::Lease::of(lease).untold();
            let told = self.told(dirty.key, dirty.amount, untold, now);
            let told = told.filter(|told| told.believed > least);
            known.extend(told.map(|told| (told.name, told.believed)));
        }
        let mut pace = Pace::new();
        for page in known.chunks(PAGE) {
            within(PATIENCE, link.recover(page)).await?;
            self.keep_up(link, &mut pace).await?;
        }
        if !known.is_empty() {
            tracing::warn!(
                counters = known.len(),
                "Redis may have lost what was used up: it was told, and limits are held by each gateway at its share until all have done so"
            );
        }
        Ok(())
    }

    /// Tells all that waits, to a Redis that may have lost what was used up before, if `is_lost`.
    async fn tell(&self, link: &Link, is_lost: bool, clock: &Clock) -> Result<(), LinkError> {
        let waiting = self.queue.take();
        let mut pages = waiting.chunks(PAGE);
        let mut pace = Pace::new();
        while let Some(page) = pages.next() {
            let mut outcome = self.tell_page(link, is_lost, page, clock).await;
            if outcome.is_ok() {
                outcome = self.keep_up(link, &mut pace).await;
            }
            if let Err(error) = outcome {
                // Whatever was let through is told when somebody answers again.
                for dirty in pages.flatten() {
                    if let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) {
                        self.queue(*dirty, lease);
                    }
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Says within a long telling that this gateway lives, and ends it when requests have found Redis to be of no use.
    async fn keep_up(&self, link: &Link, pace: &mut Pace) -> Result<(), LinkError> {
        if let Some(error) = self.fault().take() {
            return Err(error);
        }
        if pace.is_due() {
            let beat = within(PATIENCE, link.beat(&self.id)).await?;
            self.count(beat.living);
        }
        Ok(())
    }

    async fn tell_page(
        &self,
        link: &Link,
        is_lost: bool,
        page: &[Dirty],
        clock: &Clock,
    ) -> Result<(), LinkError> {
        let now = clock.now();
        let (mut kept, mut told) = (Vec::new(), Vec::new());
        for dirty in page {
            // The counter may be another key's by now: then it was full, and there is nothing to tell.
            let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
                continue;
            };
            let requests = lease::take(lease);
            if let Some(counter) = self.told(dirty.key, dirty.amount, requests, now) {
                kept.push((*dirty, requests));
                told.push(counter);
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        let until = self.until(now);
        match within(PATIENCE, link.settle(&self.id, is_lost, &told, until)).await {
            Ok(stands) => {
                let now = clock.now();
                let mut late = Vec::new();
                for ((dirty, requests), stands) in kept.into_iter().zip(stands) {
                    match stands {
                        Some(stands) => self.hear(&dirty, stands, now),
                        None => late.push((dirty, requests)),
                    }
                }
                if late.is_empty() {
                    return Ok(());
                }
                self.note_again(late);
                Err(LinkError::Late)
            }
            Err(error) => {
                self.put_back(kept);
                Err(error)
            }
        }
    }

    /// Takes over how a counter stands, and adds what was let through meanwhile.
    fn hear(&self, dirty: &Dirty, stands: Stands, now: u64) {
        let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
            return;
        };
        lease::learn(lease, stands.share, now);
        let untold = lease::Lease::of(lease).untold();
        let ahead = taken(untold, dirty.amount, self.share(dirty.key, now));
        let mut owed = stands.owed.saturating_add(ahead);
        if !self.is_trusted() {
            // The others may not have told yet what they let through while Redis was away, or before it lost that.
            owed = owed.max(self.slots.owed(dirty.key, now));
        }
        self.slots.rebase(dirty.key, now, now.saturating_add(owed));
    }

    /// Gateways come at once, and go only when they are missing for a while: a Redis that has lost all does
    /// not give everybody everything.
    pub(in crate::limit) fn count(&self, living: u32) {
        let last = self.last_counts.lock();
        let mut last = last.unwrap_or_else(PoisonError::into_inner);
        last.rotate_left(1);
        if let Some(newest) = last.last_mut() {
            *newest = living;
        }
        let most = last
            .iter()
            .copied()
            .max()
            .unwrap_or(1)
            .clamp(1, lease::MOST_SHARES);
        self.replicas.store(most, Ordering::Relaxed);
        self.metrics.replicas_are(most);
    }

    /// Tells the rest, and that this gateway is gone. Called when no request is served any more.
    pub async fn leave(&self, clock: &Clock) {
        if let Some(link) = self.link.load_full() {
            let is_new = self.is_new.load(Ordering::Relaxed);
            let _ = self.tell(&link, is_new, clock).await;
            let _ = within(PATIENCE, link.leave(&self.id)).await;
        }
    }
}
