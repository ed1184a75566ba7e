//! The exchange with Redis, in the background: when what is told, how many gateways there are, how far Redis is believed,
//! and that a connection is replaced which is of no use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use redis::Client;
use tokio::time::{MissedTickBehavior, interval_at, sleep};

use super::ask::DEADLINE;
use super::lease::Lease;
use super::link::{self, Beat, Link, LinkError, Phase, within};
use super::queue::Dirty;
use super::{Shared, debt, lease};
use crate::config::checked::Redis;
use crate::limit::clock::{Clock, nanos};

/// A heartbeat that took longer does not tell what time it is.
const SOON_ANSWERED: Duration = Duration::from_millis(20);
/// How often gateways say that they live.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// How long an answer is waited for that no request waits for: longer than a busy machine lets it wait.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// Answers in time that Redis has to give in a row before requests ask it.
const PROOFS: usize = 3;
/// How long it is left alone after a failure; longer each time that it fails soon again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(10);
/// Heartbeats for which the others are waited for after Redis was out of reach: longer than the pause between two tries.
const AWAITED: u32 = 4;

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
                    self.set_phase(self.phase());
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
        // To the others it is back when it has told what it let through.
        let prove = || within(DEADLINE, link.beat(&self.id, None, 0, 1));
        let mut last = prove().await?;
        for _ in 1..PROOFS {
            last = prove().await?;
        }
        self.set_clock(last, true, clock);
        let was_here = self.recovered.load(Ordering::Relaxed) != 0;
        if was_here || last.before.max(last.living) > 1 {
            self.count_in(Phase::Told, last.before.max(last.living), clock);
            self.awaited.store(AWAITED, Ordering::Relaxed);
            self.back_at.store(last.now / 1000, Ordering::Relaxed);
            last.back = 1;
        }
        self.heed(&link, last, clock).await?;
        let beat = self.beat(&link, clock).await?;
        self.count_in(self.phase(), beat.living, clock);
        self.misses.store(0, Ordering::Relaxed);
        // Requests that were under way may have found fault with the connection before until now.
        self.fault().take();
        Ok(link)
    }

    /// Says that this gateway lives.
    pub(super) async fn beat(&self, link: &Link, clock: &Clock) -> Result<Beat, LinkError> {
        let at = Some(self.time_there(clock.now()));
        let back_at = self.back_at.load(Ordering::Relaxed);
        within(PATIENCE, link.beat(&self.id, at, back_at, self.replicas())).await
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
                Turn::Beat => match self.beat(link, clock).await {
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
        let phase = match self.waits_for_others(beat.back) {
            true => beat.phase().min(Phase::Told),
            false => beat.phase(),
        };
        self.count_in(phase, beat.living, clock);
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
        // Before it is believed.
        if phase != Phase::New && !self.is_trusted() {
            self.tell(link, clock).await?;
        }
        self.set_phase(phase);
        Ok(())
    }

    /// Whether gateways that were there before Redis was out of reach have not come back yet, of which so many have: they
    /// may have let through what it does not know of. After a few heartbeats they are gone.
    pub(super) fn waits_for_others(&self, back: u32) -> bool {
        let left = self.awaited.load(Ordering::Relaxed);
        let is_awaited = left > 0 && back < self.replicas();
        let left = if is_awaited { left - 1 } else { 0 };
        self.awaited.store(left, Ordering::Relaxed);
        is_awaited
    }

    /// While Redis is not believed, what is untold was charged for as many gateways as there are: when more come, it counts as
    /// charged for those as well.
    pub(super) fn count_in(&self, phase: Phase, living: u32, clock: &Clock) {
        let before = self.replicas();
        self.count(match phase {
            Phase::Trusted => living,
            // The others come back when they do.
            _ => living.max(before),
        });
        let after = self.replicas();
        if after <= before || !self.is_for_all.load(Ordering::Relaxed) {
            return;
        }
        let now = clock.now();
        self.slots.each_lease(now, |span, key, number, lease| {
            let dirty = Dirty::of(span, key, number);
            self.rate_higher(&dirty, lease, (before, after), now);
        });
    }

    /// What is untold of a counter was charged for so many gateways, and counts as charged for more.
    fn rate_higher(&self, dirty: &Dirty, lease: &AtomicU64, (before, after): (u32, u32), now: u64) {
        let owed = self.slots.owed(dirty.key, now);
        // What has come back is not charged again.
        let still_owed = owed.div_ceil(before.max(1).into());
        let untold = debt(dirty.unit().nanos(Lease::of(lease).untold())).min(still_owed);
        let more = untold.saturating_mul(after.saturating_sub(before).into());
        let owed = owed.saturating_add(more);
        self.slots.raise(dirty.key, now, now.saturating_add(owed));
    }

    /// What waits to be told was charged for the gateways at the counter, and counts from now on as charged for all, as
    /// what comes is.
    pub(super) fn rate_for_all(&self, clock: &Clock) {
        if self.is_for_all.swap(true, Ordering::Relaxed) {
            return;
        }
        let now = clock.now();
        for dirty in self.queue.waiting() {
            let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
                continue;
            };
            let Some(last) = Lease::of(lease).last_share() else {
                continue;
            };
            lease::learn(lease, None, now);
            self.rate_higher(&dirty, lease, (last, self.replicas()), now);
        }
    }

    /// Counters that are not believed any more to owe what the others might have let through are told of again, to hear
    /// what they do owe.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.metrics.redis_is_up(phase == Phase::Trusted);
        if phase == Phase::Trusted {
            if self.is_up() {
                self.is_for_all.store(false, Ordering::Relaxed);
            }
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
}
