//! The exchange with Redis, in the background: what was let through is told, gateways are counted, and a
//! connection that is of no use is replaced.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use redis::Client;
use tokio::time::{MissedTickBehavior, interval_at, sleep, timeout};

use super::ask::DEADLINE;
use super::lease::Lease;
use super::link::{self, Beat, GRACE, Link, LinkError, Phase, Settled, Stands, within};
use super::queue::Dirty;
use super::{Shared, debt, lease};
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
/// Heartbeats that the others are waited for after Redis was out of reach, as many as they are counted for.
const AWAITED: u32 = 3;
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
                    self.rate_for_all(&clock);
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
        self.set_clock(last, true, clock);
        if self.recovered.load(Ordering::Relaxed) != 0 {
            self.awaited.store(AWAITED, Ordering::Relaxed);
        }
        // One count, however often it was asked: the others come back when they do.
        self.heed(&link, last, clock).await?;
        if self.phase() != Phase::New {
            self.tell(&link, clock).await?;
        }
        self.misses.store(0, Ordering::Relaxed);
        // Requests that were under way may have found fault with the connection before until now.
        self.fault().take();
        Ok(link)
    }

    /// Why it came to an end.
    async fn exchange(&self, link: &Link, clock: &Clock) -> LinkError {
        let mut beat = interval_at(tokio::time::Instant::now() + BEAT, BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // What is told is told to its end, or put back: only the waiting is given up for something else.
            let turn = tokio::select! {
                _ = beat.tick() => Turn::Beat,
                () = self.queue.wait(), if self.phase() != Phase::New => Turn::Tell,
                () = self.broken.notified() => Turn::Stop,
            };
            let outcome = match turn {
                Turn::Beat => match within(PATIENCE, link.beat(&self.id)).await {
                    Ok(beat) => {
                        self.set_clock(beat, false, clock);
                        self.heed(link, beat, clock).await
                    }
                    Err(error) => Err(error),
                },
                Turn::Tell => self.tell(link, clock).await,
                Turn::Stop => self.fault().take().map_or(Ok(()), Err),
            };
            match outcome {
                Ok(()) => {}
                Err(LinkError::IsNew) => {
                    self.set_phase(Phase::New);
                    self.rate_for_all(clock);
                    beat.reset_immediately();
                }
                Err(error) => return error,
            }
        }
    }

    /// Counts the gateways, and tells a Redis that may have lost its counters what they were. What was let through
    /// since is told when all have had the time to do so, and it is believed when all have had the time for that.
    async fn heed(&self, link: &Link, beat: Beat, clock: &Clock) -> Result<(), LinkError> {
        let phase = match self.awaits(beat.awake) {
            true => beat.phase().min(Phase::Told),
            false => beat.phase(),
        };
        self.count_in(phase, beat.living);
        let last = self.recovered.load(Ordering::Relaxed);
        if last != beat.since {
            // A gateway that has just started knows only what it kept, which that Redis may have lost before.
            if last != 0 {
                self.set_phase(Phase::New);
                self.rate_for_all(clock);
            }
            self.recover(link, clock).await?;
            // Not before: what broke off half-way is told again.
            self.recovered.store(beat.since, Ordering::Relaxed);
        }
        if phase != Phase::New && self.phase() != Phase::Trusted {
            self.tell(link, clock).await?;
        }
        self.set_phase(phase);
        Ok(())
    }

    /// Whether gateways that were there before Redis was out of reach have not come back yet, of which so many have: they
    /// may have let through what it does not know of. After a few heartbeats they are gone.
    pub(super) fn awaits(&self, awake: u32) -> bool {
        let left = self.awaited.load(Ordering::Relaxed);
        let is_awaited = left > 0 && awake < self.replicas();
        let left = if is_awaited { left - 1 } else { 0 };
        self.awaited.store(left, Ordering::Relaxed);
        is_awaited
    }

    fn count_in(&self, phase: Phase, living: u32) {
        self.count(match phase {
            Phase::Trusted => living,
            // The others come back when they do.
            _ => living.max(self.replicas()),
        });
    }

    /// What waits to be told was charged for the gateways at the counter, and counts from now on as charged for all, as
    /// what comes is.
    pub(super) fn rate_for_all(&self, clock: &Clock) {
        let now = clock.now();
        for dirty in self.queue.waiting() {
            let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
                continue;
            };
            let Some(last) = Lease::of(lease).last_share() else {
                continue;
            };
            lease::learn(lease, None, now);
            let untold = debt(dirty.unit().nanos(Lease::of(lease).untold()));
            let more = untold.saturating_mul(self.replicas().saturating_sub(last).into());
            let owed = self.slots.owed(dirty.key, now).saturating_add(more);
            self.slots.raise(dirty.key, now, now.saturating_add(owed));
        }
    }

    /// Counters that are not believed any more to owe what the others might have let through are told of again, to hear
    /// what they do owe.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.metrics.redis_is_up(phase == Phase::Trusted);
        if phase == Phase::Trusted {
            for dirty in self.early.take() {
                self.queue_again(dirty, 0);
            }
        }
    }

    /// Learns by how much the clock of Redis is ahead, of a heartbeat that did not take long: of others nobody knows
    /// which part of the way took how long. Of a new connection there is only the first.
    pub(super) fn set_clock(&self, beat: Beat, is_first: bool, clock: &Clock) {
        if beat.took > SOON_ANSWERED && !is_first {
            return;
        }
        let micros = |nanos: u64| i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
        let here = micros(clock.now()) - micros(nanos(beat.took) / 2);
        let ahead = beat.now.saturating_sub(here);
        self.clock_ahead.store(ahead, Ordering::Relaxed);
    }

    async fn recover(&self, link: &Link, clock: &Clock) -> Result<(), LinkError> {
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
            within(PATIENCE, link.recover(page)).await?;
            self.keep_up(link, &mut pace).await?;
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
    async fn tell(&self, link: &Link, clock: &Clock) -> Result<(), LinkError> {
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
            self.tell_page(link, &page, clock).await?;
            self.keep_up(link, &mut pace).await?;
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
            self.count_in(self.phase(), beat.living);
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
