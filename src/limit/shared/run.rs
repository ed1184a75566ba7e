//! The exchange with Redis, in the background: what was let through is told, gateways are counted, and a
//! connection that is of no use is replaced.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::Client;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::link::{Link, LinkError, Stands, Told, within};
use super::queue::Dirty;
use super::{DEADLINE, Shared, lease};
use crate::config::checked::Redis;
use crate::limit::clock::Clock;

/// How often gateways say that they live.
const BEAT: Duration = Duration::from_secs(1);
/// How long the exchange waits for an answer, of which no request knows.
const PATIENCE: Duration = Duration::from_millis(50);
/// Answers in time that Redis has to give in a row before requests ask it.
const PROOFS: usize = 3;
/// How long it is left alone after a failure; longer each time that it fails soon again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(10);
/// Counters that are told of in one exchange.
const PAGE: usize = 1024;

impl Shared {
    /// Exchanges with Redis for as long as it is polled. `tried` is called once it is known whether Redis
    /// answers.
    pub async fn run(self: Arc<Self>, redis: Redis, clock: Clock, tried: impl FnOnce()) {
        let client = match Client::open(redis.url.expose()) {
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
            let error = match self.open(&client).await {
                Ok(link) => {
                    let since = Instant::now();
                    self.metrics.redis_is_up(true);
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

    /// A connection that has shown that it answers in time.
    async fn open(&self, client: &Client) -> Result<Link, LinkError> {
        let link = Link::open(client).await?;
        for _ in 0..PROOFS {
            let living = within(DEADLINE, link.beat(&self.id)).await?;
            self.count(living);
        }
        self.misses.store(0, Ordering::Relaxed);
        Ok(link)
    }

    /// Why it came to an end.
    async fn exchange(&self, link: &Link, clock: &Clock) -> LinkError {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let outcome = tokio::select! {
                _ = beat.tick() => {
                    let living = within(PATIENCE, link.beat(&self.id)).await;
                    living.map(|living| self.count(living))
                }
                () = self.queue.wait() => self.tell(link, clock).await,
                () = self.broken.notified() => {
                    match self.link.load().is_none() {
                        true => Err(LinkError::Late),
                        // Said of a connection before this one.
                        false => Ok(()),
                    }
                }
            };
            if let Err(error) = outcome {
                return error;
            }
        }
    }

    /// Tells all that waits.
    async fn tell(&self, link: &Link, clock: &Clock) -> Result<(), LinkError> {
        let waiting = self.queue.take();
        let mut pages = waiting.chunks(PAGE);
        while let Some(page) = pages.next() {
            if let Err(error) = self.tell_page(link, page, clock).await {
                // Whatever was let through is told when somebody answers again.
                for dirty in pages.flatten() {
                    if let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) {
                        lease::leave_queue(lease);
                    }
                }
                return Err(error);
            }
        }
        Ok(())
    }

    async fn tell_page(&self, link: &Link, page: &[Dirty], clock: &Clock) -> Result<(), LinkError> {
        let now = clock.now();
        let mut told = Vec::with_capacity(page.len());
        for dirty in page {
            // The counter may be another key's by now: then it was full, and there is nothing to tell.
            let lease = self.slots.lease_at(dirty.key, dirty.number);
            let (Some(lease), Some(name)) = (lease, self.slots.name_of(dirty.key)) else {
                continue;
            };
            let requests = lease::take(lease);
            let amount = i64::try_from(dirty.amount).unwrap_or(i64::MAX);
            let used = i64::from(requests).saturating_mul(amount);
            let counter = Told {
                name,
                used,
                believed: self.believed(dirty.key, requests, dirty.amount, now),
                whole: dirty.whole,
            };
            told.push((dirty, requests, counter));
        }
        if told.is_empty() {
            return Ok(());
        }
        let (kept, counters): (Vec<_>, Vec<_>) = told
            .into_iter()
            .map(|(dirty, requests, counter)| ((dirty, requests), counter))
            .unzip();
        match within(PATIENCE, link.settle(&self.id, &counters)).await {
            Ok(stands) => {
                let now = clock.now();
                for ((dirty, _), stands) in kept.iter().zip(stands) {
                    self.hear(dirty, stands, now);
                }
                Ok(())
            }
            Err(error) => {
                for (dirty, requests) in kept {
                    if let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) {
                        lease::put_back(lease, requests);
                    }
                }
                Err(error)
            }
        }
    }

    /// Takes over how a counter stands, and adds what was let through meanwhile.
    fn hear(&self, dirty: &Dirty, stands: Stands, now: u64) {
        let Some(lease) = self.slots.lease_at(dirty.key, dirty.number) else {
            return;
        };
        lease::learn(lease, stands.share);
        let untold = u64::try_from(lease::Lease::of(lease).untold()).unwrap_or(0);
        let owed = stands
            .owed
            .saturating_add(untold.saturating_mul(dirty.amount));
        self.slots.rebase(dirty.key, now, now.saturating_add(owed));
    }

    /// Gateways come at once, and go only when they are missing for a while: a Redis that has lost all does
    /// not give everybody everything.
    pub(super) fn count(&self, living: u32) {
        let mut last = self
            .last_counts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
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
            let _ = self.tell(&link, clock).await;
            let _ = within(PATIENCE, link.leave(&self.id)).await;
        }
    }
}
