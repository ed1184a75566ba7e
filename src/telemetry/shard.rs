//! Counts of one worker. Its lock is taken by that worker and, now and then, by a scrape.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use http::Method;

/// Upper bounds of the histograms' buckets, in seconds.
pub(super) const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Names of limits and tiers come from the store too, where they may change day by day: pairs of them
/// beyond so many are counted together.
const MOST_PAIRS: usize = 10_000;
const OTHERS: &str = "other";

/// A name that was given a number, so that counting compares no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub(super) u32);

impl Label {
    /// Requests that no route took.
    pub const NONE: Label = Label(0);
}

#[derive(Debug, Default)]
pub struct Shard {
    counts: Mutex<Counts>,
    pub(super) in_flight: AtomicI64,
    pub(super) connections: AtomicI64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: HashMap<(Label, &'static str, u16), u64>,
    pub(super) durations: HashMap<Label, Histogram>,
    pub(super) upstream: HashMap<Label, Histogram>,
    /// By result, reason and method.
    pub(super) auth: HashMap<[&'static str; 3], u64>,
    /// By policy and tier.
    pub(super) limits: HashMap<Box<str>, HashMap<Box<str>, Decisions>>,
    /// Of those, all that came too late.
    others: Decisions,
    pairs: usize,
    /// By route and guard.
    pub(super) would_refuse: HashMap<(Label, &'static str), u64>,
}

/// What a limit says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitDecision {
    Allowed,
    Refused,
    /// It had no room, and let the request pass.
    WouldRefuse,
}

impl LimitDecision {
    pub(super) const ALL: [(LimitDecision, &'static str); 3] = [
        (LimitDecision::Allowed, "allowed"),
        (LimitDecision::Refused, "refused"),
        (LimitDecision::WouldRefuse, "would_refuse"),
    ];
}

/// How often each [`LimitDecision`] was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Decisions(pub(super) [u64; 3]);

impl Decisions {
    fn count(&mut self, decision: LimitDecision) {
        self.0[decision as usize] += 1;
    }

    fn merge(&mut self, other: Decisions) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    pub(super) sum: Duration,
}

impl Shard {
    pub fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn request_begun(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request that has ended, its response sent or given up.
    pub fn request_ended(
        &self,
        route: Label,
        method: &Method,
        status: u16,
        duration: Duration,
        upstream: Option<Duration>,
    ) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let mut counts = self.lock();
        *counts
            .requests
            .entry((route, method_label(method), status))
            .or_default() += 1;
        counts.durations.entry(route).or_default().add(duration);
        if let Some(upstream) = upstream {
            counts.upstream.entry(route).or_default().add(upstream);
        }
    }

    /// How the identify stage ended: `result` is `allowed`, `anonymous`, `refused` or `would_refuse`,
    /// `method` is `jwt`, `api_key` or `none`.
    pub fn authenticated(&self, result: &'static str, reason: &'static str, method: &'static str) {
        let mut counts = self.lock();
        *counts.auth.entry([result, reason, method]).or_default() += 1;
    }

    /// What a limit said to a caller of a tier.
    pub fn limited(&self, policy: &str, tier: &str, decision: LimitDecision) {
        let counts = &mut *self.lock();
        let is_full = counts.pairs >= MOST_PAIRS;
        let of_tier = match counts.limits.get_mut(policy) {
            Some(tiers) => tiers,
            None if is_full => return counts.others.count(decision),
            None => counts.limits.entry(policy.into()).or_default(),
        };
        let decisions = match of_tier.get_mut(tier) {
            Some(decisions) => decisions,
            None if is_full => &mut counts.others,
            None => {
                counts.pairs += 1;
                of_tier.entry(tier.into()).or_default()
            }
        };
        decisions.count(decision);
    }

    /// A request that a guard of its route would have refused, were it not in shadow.
    pub fn would_refuse(&self, route: Label, part: &'static str) {
        *self.lock().would_refuse.entry((route, part)).or_default() += 1;
    }

    // A panic while the lock is held leaves counts that are still counts.
    pub(super) fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Counts {
    /// Adds another worker's counts.
    pub(super) fn merge(&mut self, other: &Counts) {
        for (key, count) in &other.requests {
            *self.requests.entry(*key).or_default() += count;
        }
        for (key, count) in &other.auth {
            *self.auth.entry(*key).or_default() += count;
        }
        for (key, histogram) in &other.durations {
            self.durations.entry(*key).or_default().merge(histogram);
        }
        for (key, histogram) in &other.upstream {
            self.upstream.entry(*key).or_default().merge(histogram);
        }
        for (key, count) in &other.would_refuse {
            *self.would_refuse.entry(*key).or_default() += count;
        }
        if other.others != Decisions::default() {
            let merged = self.limits.entry(OTHERS.into()).or_default();
            merged.entry(OTHERS.into()).or_default().merge(other.others);
        }
        for (policy, tiers) in &other.limits {
            let merged = self.limits.entry(policy.clone()).or_default();
            for (tier, decisions) in tiers {
                merged.entry(tier.clone()).or_default().merge(*decisions);
            }
        }
    }
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().take_while(|bound| seconds > **bound).count();
        self.buckets[bucket] += 1;
        self.sum += duration;
    }

    fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.sum += other.sum;
    }
}

/// Methods outside RFC 9110 share one label: a client must not make new series.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_limits_beyond_a_bound_are_counted_together() {
        let shard = Shard::default();
        for number in 0..MOST_PAIRS + 5 {
            let policy = format!("p{}", number % 7);
            shard.limited(&policy, &number.to_string(), LimitDecision::Refused);
        }
        shard.limited("new", "free", LimitDecision::Allowed);
        shard.limited("p1", "1", LimitDecision::Refused);
        let mut all = Counts::default();
        all.merge(&shard.lock());
        assert_eq!(all.limits[OTHERS][OTHERS].0, [1, 5, 0]);
        assert_eq!(all.limits["p1"]["1"].0, [0, 2, 0]);
        let pairs: usize = all.limits.values().map(HashMap::len).sum();
        assert_eq!(pairs, MOST_PAIRS + 1);
    }
}
