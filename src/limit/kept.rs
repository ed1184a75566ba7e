//! Counters that outlive the process: those that somebody owes much to are written down from time to time,
//! and read again at start. Requests take no part in it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::clock::Clock;
use super::slots::{Owner, Slots};

/// A counter that is full again sooner is not worth a write: a minute's quota never is, a day's soon is.
const WORTH: u64 = 60 * 1_000_000_000;
/// Strangers can make up addresses and headers, so not more of theirs than that are written down.
const MOST_OF_STRANGERS: usize = 100_000;
const MILLISECOND: u64 = 1_000_000;

/// A counter as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// Which limit's.
    pub scope: String,
    /// Whose.
    pub value: String,
    /// When it is full again, in milliseconds since 1970.
    pub full_at: i64,
}

/// Takes counters out of the slots and puts them back.
pub struct Keeper {
    slots: Arc<Slots>,
    clock: Clock,
}

impl Keeper {
    pub fn new(slots: Arc<Slots>, clock: Clock) -> Self {
        Keeper { slots, clock }
    }

    /// What has changed since the last time, in the order of their names: at most so many of accounts, and
    /// as many of strangers. `today` is now, in milliseconds since 1970.
    ///
    /// What is given out counts as written down; see [`Keeper::forget`] for when it could not be.
    pub fn changed(&self, today: i64, most: usize) -> Vec<Kept> {
        let now = self.clock.now();
        let mut all = Vec::new();
        for owner in Owner::ALL {
            let (mut taken, mut known) = (0, 0);
            self.slots.each_live(owner, now + WORTH, |counted| {
                let noted = counted.noted.load(Ordering::Relaxed);
                let is_new = noted == 0;
                known += usize::from(!is_new);
                let has_room = owner == Owner::Account || !is_new || known < MOST_OF_STRANGERS;
                if noted == counted.full_at || taken == most || !has_room {
                    return;
                }
                let Some(scope) = self.slots.write_scope(counted.scope) else {
                    return;
                };
                counted.noted.store(counted.full_at, Ordering::Relaxed);
                taken += 1;
                known += usize::from(is_new);
                let owed = (counted.full_at - now).div_ceil(MILLISECOND);
                all.push(Kept {
                    scope,
                    value: counted.value.to_string(),
                    full_at: today.saturating_add(i64::try_from(owed).unwrap_or(i64::MAX)),
                });
            });
        }
        // Gateways that write at the same time then never wait for each other in a circle.
        all.sort_unstable();
        all
    }

    /// Takes nothing as written down any more.
    pub fn forget(&self) {
        for owner in Owner::ALL {
            let forget = |counted: super::slots::Counted<'_>| {
                counted.noted.store(0, Ordering::Relaxed);
            };
            self.slots.each_live(owner, self.clock.now(), forget);
        }
    }

    /// Puts back what was written down. What is not understood, or is full by now, is left out.
    pub fn restore(&self, kept: impl IntoIterator<Item = Kept>, today: i64) {
        let now = self.clock.now();
        for Kept {
            scope,
            value,
            full_at,
        } in kept
        {
            let owed = u64::try_from(full_at.saturating_sub(today)).unwrap_or(0);
            let scope = self.slots.read_scope(&scope);
            if let (Some(scope), Ok(value), 1..) = (scope, value.parse(), owed) {
                let key = self.slots.key(scope, value);
                let until = now.saturating_add(owed.saturating_mul(MILLISECOND));
                self.slots.raise(key, now, until);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::super::clock::Hands;
    use super::super::pool::settled;
    use super::super::value::Value;
    use super::*;

    const TODAY: i64 = 1_800_000_000_000;
    const SECOND: u64 = 1_000_000_000;
    const SPAN: u64 = 86_400_000;

    fn keeper() -> (Keeper, Hands) {
        let (clock, hands) = Clock::manual();
        (
            Keeper::new(Arc::new(Slots::with_capacity(64)), clock),
            hands,
        )
    }

    /// Has the counter owe so many seconds more.
    fn owe(keeper: &Keeper, value: Value, seconds: u64) {
        let (slots, now) = (&keeper.slots, keeper.clock.now());
        let key = slots.key(slots.scope("route a b", SPAN), value);
        let amount = seconds * SECOND;
        settled(slots.charge(key, now, amount, |full_at| {
            Ok(((), full_at.unwrap_or(0).max(now) + amount))
        }));
    }

    /// What of it a request would find, in seconds.
    fn owed(keeper: &Keeper, value: Value) -> u64 {
        let (slots, now) = (&keeper.slots, keeper.clock.now());
        let key = slots.key(slots.scope("route a b", SPAN), value);
        let ((), charge) = slots
            .charge(key, now, 0, |full_at| {
                Ok::<_, ()>(((), full_at.unwrap_or(0)))
            })
            .unwrap();
        charge.full_at.saturating_sub(now) / SECOND
    }

    #[test]
    fn what_is_owed_for_long_is_there_after_a_restart() {
        let (before, hands) = keeper();
        hands.advance(Duration::from_secs(5000));
        let user = Value::User(Uuid::from_u128(7));
        let header = Value::of_header(b"acme");
        owe(&before, user, 3600);
        owe(&before, header, 86_400);
        owe(&before, Value::Everyone, 60);
        let kept = before.changed(TODAY, 100);
        let names: Vec<_> = kept.iter().map(|kept| kept.value.as_str()).collect();
        assert_eq!(names, [header.to_string(), user.to_string()]);
        assert_eq!(kept[1].scope, "86400000 route a b");
        assert_eq!(kept[1].full_at, TODAY + 3_600_000);

        // Ten minutes later, in a process whose clock begins anew.
        let (after, _hands) = keeper();
        after.restore(kept, TODAY + 600_000);
        assert_eq!(owed(&after, user), 3000);
        assert_eq!(owed(&after, header), 85_800);
        assert_eq!(owed(&after, Value::Everyone), 0);
    }

    #[test]
    fn only_what_changed_is_written_again() {
        let (keeper, hands) = keeper();
        let user = |n| Value::User(Uuid::from_u128(n));
        for n in 0..10 {
            owe(&keeper, user(n), 1000);
        }
        let pages: Vec<_> = (0..4).map(|_| keeper.changed(TODAY, 4).len()).collect();
        assert_eq!(pages, [4, 4, 2, 0]);
        owe(&keeper, user(3), 1);
        assert_eq!(keeper.changed(TODAY, 4).len(), 1);
        keeper.forget();
        assert_eq!(keeper.changed(TODAY, 100).len(), 10);
        hands.advance(Duration::from_secs(950));
        keeper.forget();
        assert_eq!(keeper.changed(TODAY, 100).len(), 0);
    }

    #[test]
    fn what_is_past_or_makes_no_sense_is_left_out() {
        let (keeper, _hands) = keeper();
        let user = Value::User(Uuid::from_u128(1));
        let kept = |value: &str, full_at| Kept {
            scope: "86400000 route a b".into(),
            value: value.into(),
            full_at,
        };
        keeper.restore(
            [
                kept(&user.to_string(), TODAY),
                kept("nobody", TODAY + 1000),
                kept(&Value::Everyone.to_string(), i64::MAX),
            ],
            TODAY,
        );
        assert_eq!(owed(&keeper, user), 0);
        // As much as a counter can hold, and no overflow.
        assert!(owed(&keeper, Value::Everyone) > 86_400 * 365);
    }

    #[test]
    fn a_counter_that_owes_more_already_keeps_that() {
        let (keeper, _hands) = keeper();
        let user = Value::User(Uuid::from_u128(1));
        owe(&keeper, user, 500);
        keeper.restore(
            [Kept {
                scope: "86400000 route a b".into(),
                value: user.to_string(),
                full_at: TODAY + 100_000,
            }],
            TODAY,
        );
        assert_eq!(owed(&keeper, user), 500);
    }
}
