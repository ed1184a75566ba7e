//! Since when a request would have to be decided on anew.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// For how long a request may go on by rules that are no longer in force.
const LONGEST: Duration = Duration::from_secs(60);

/// By which rules a request stands, and since when others are in force.
pub struct Due<R> {
    stands_by: RefCell<R>,
    since: Cell<Option<Instant>>,
}

impl<R: PartialEq> Due<R> {
    pub fn new(let_in_by: R) -> Self {
        Due {
            stands_by: RefCell::new(let_in_by),
            since: Cell::new(None),
        }
    }

    /// Whether rules other than those that it stands by are in force. Its time begins when that is first asked.
    pub fn is_due(&self, in_force: &R, now: Instant) -> bool {
        let is_due = *self.stands_by.borrow() != *in_force;
        if is_due {
            self.since.set(self.since.get().or(Some(now)));
        }
        is_due
    }

    /// Whether that was so for too long, whatever the reason. Rules that came meanwhile give it no more time.
    pub fn is_overdue(&self, now: Instant) -> bool {
        let since = self.since.get();
        since.is_some_and(|since| now.saturating_duration_since(since) > LONGEST)
    }

    /// These rules let it in.
    pub fn stands_by(&self, rules: R) {
        self.stands_by.replace(rules);
        self.since.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is due by some rules, and overdue, so many seconds after the first.
    fn after(due: &Due<u8>, first: Instant, seconds: u64, in_force: u8) -> (bool, bool) {
        let now = first + Duration::from_secs(seconds);
        (due.is_due(&in_force, now), due.is_overdue(now))
    }

    #[test]
    fn the_time_begins_when_other_rules_are_in_force() {
        let (due, first) = (Due::new(1), Instant::now());
        assert_eq!(after(&due, first, 0, 1), (false, false));
        assert_eq!(after(&due, first, 1000, 1), (false, false));
        assert_eq!(after(&due, first, 1001, 2), (true, false));
        assert_eq!(after(&due, first, 1061, 2), (true, false));
        assert_eq!(after(&due, first, 1062, 2), (true, true));
    }

    #[test]
    fn whatever_is_decided_in_time_stays() {
        let (due, first) = (Due::new(1), Instant::now());
        assert_eq!(after(&due, first, 0, 2), (true, false));
        assert_eq!(after(&due, first, 10, 2), (true, false));
        due.stands_by(2);
        assert_eq!(after(&due, first, 61, 2), (false, false));
        // The next has a minute of its own.
        assert_eq!(after(&due, first, 70, 3), (true, false));
        assert_eq!(after(&due, first, 130, 3), (true, false));
        assert_eq!(after(&due, first, 131, 3), (true, true));
    }

    #[test]
    fn newer_rules_give_no_more_time() {
        let (due, first) = (Due::new(1), Instant::now());
        for seconds in 0..=60 {
            let in_force = 2 + u8::try_from(seconds).unwrap();
            assert_eq!(after(&due, first, seconds, in_force), (true, false));
        }
        assert_eq!(after(&due, first, 61, 200), (true, true));
    }
}
