//! The time that limits go by: nanoseconds since the process started counting, never backwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One for the process: every counter measures from the same start.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Monotonic(Instant),
    Manual(Arc<AtomicU64>),
}

/// Moves a clock that was made by [`Clock::manual`].
#[derive(Debug, Clone)]
pub struct Hands(Arc<AtomicU64>);

impl Clock {
    /// Starts at zero now.
    pub fn start() -> Self {
        Clock(Source::Monotonic(Instant::now()))
    }

    /// A clock that stands at zero until it is moved.
    pub fn manual() -> (Self, Hands) {
        let nanos = Arc::new(AtomicU64::new(0));
        (Clock(Source::Manual(Arc::clone(&nanos))), Hands(nanos))
    }

    /// Nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        match &self.0 {
            Source::Monotonic(start) => nanos(start.elapsed()),
            Source::Manual(nanos) => nanos.load(Ordering::Acquire),
        }
    }
}

impl Hands {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(nanos(by), Ordering::AcqRel);
    }
}

/// Saturates after 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole seconds that are never less than `nanos`.
pub(super) fn whole_seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_by_hand_alone() {
        let (clock, hands) = Clock::manual();
        assert_eq!(clock.now(), 0);
        hands.advance(Duration::from_micros(3));
        assert_eq!(clock.clone().now(), 3_000);
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(
            [0, 1, 1_000_000_000, 1_000_000_001].map(whole_seconds),
            [0, 1, 1, 2]
        );
    }
}
