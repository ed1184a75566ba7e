//! Counters that outlive the process: those that somebody owes much to are written down from time to time,
//! and read again at start. Requests take no part in it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::clock::Clock;
use super::slots::{Counted, Owner, Slots};

/// A counter that is full again sooner is not worth a write: a minute's quota never is, a day's soon is.
const WORTH: u64 = 60 * 1_000_000_000;
/// Strangers can make up addresses and headers, so a process writes down not more of theirs than that.
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

/// The last bit of a counter's note, which otherwise is the time that was written down: it was this process that
/// gave it a place. A nanosecond makes no difference.
const OWN: u64 = 1;

/// Whose counters are bounded.
const STRANGERS: &[Owner] = &[Owner::Address, Owner::Header];

/// Takes counters out of the slots and puts them back.
pub struct Keeper {
    slots: Arc<Slots>,
    clock: Clock,
    most_of_strangers: usize,
}

/// Which counters that are not written down may be.
struct Places {
    /// So many.
    free: usize,
    /// Those that are full again no sooner than that, in nanoseconds since the start.
    since: u64,
}

impl Keeper {
    pub fn new(slots: Arc<Slots>, clock: Clock) -> Self {
        Keeper {
            slots,
            clock,
            most_of_strangers: MOST_OF_STRANGERS,
        }
    }

    /// What has changed since the last time, in the order of their names: at most so many of accounts, and
    /// as many of strangers. `today` is now, in milliseconds since 1970.
    ///
    /// What is given out counts as written down; see [`Keeper::forget`] for when it could not be.
    pub fn changed(&self, today: i64, most: usize) -> Vec<Kept> {
        let now = self.clock.now();
        let mut all = Vec::new();
        let for_all = Places {
            free: usize::MAX,
            since: 0,
        };
        for (owners, places) in [
            (&[Owner::Account][..], for_all),
            (STRANGERS, self.places(now, most)),
        ] {
            let (mut taken, mut new) = (0, 0);
            let mut take = |counted: Counted<'_>| {
                let noted = counted.noted.load(Ordering::Relaxed);
                let is_new = noted <= now;
                let has_place = !is_new || (new < places.free && counted.full_at >= places.since);
                let is_written = noted & !OWN == counted.full_at & !OWN;
                if is_written || taken == most || !has_place {
                    return;
                }
                let Some(scope) = self.slots.write_scope(counted.scope) else {
                    return;
                };
                let own = if is_new { OWN } else { noted & OWN };
                let note = counted.full_at & !OWN | own;
                counted.noted.store(note, Ordering::Relaxed);
                taken += 1;
                new += usize::from(is_new);
                let owed = (counted.full_at - now).div_ceil(MILLISECOND);
                all.push(Kept {
                    scope,
                    value: counted.value.to_string(),
                    full_at: today.saturating_add(i64::try_from(owed).unwrap_or(i64::MAX)),
                });
            };
            for owner in owners {
                self.slots.each_live(*owner, now + WORTH, &mut take);
            }
        }
        // Gateways that write at the same time then never wait for each other in a circle.
        all.sort_unstable();
        all
    }

    /// Which of strangers' counters come to those that are written down, `most` at a time: the ones that are
    /// owed for longest, and no more than there is room for until others are full again. What other processes wrote
    /// takes up no room: as many gateways may share the store as like.
    fn places(&self, now: u64, most: usize) -> Places {
        let mut written = 0;
        // The first one to give way is on top.
        let mut new = BinaryHeap::new();
        for owner in STRANGERS {
            self.slots.each_live(*owner, now, |counted| {
                let noted = counted.noted.load(Ordering::Relaxed);
                if noted > now {
                    written += usize::from(noted & OWN == OWN);
                } else if counted.full_at > now + WORTH && !counted.scope.is_shadow() {
                    new.push(Reverse(counted.full_at));
                    if new.len() > most {
                        new.pop();
                    }
                }
            });
        }
        let free = self.most_of_strangers.saturating_sub(written).min(most);
        while new.len() > free {
            new.pop();
        }
        Places {
            free,
            since: new.pop().map_or(0, |Reverse(full_at)| full_at),
        }
    }

    /// Takes nothing as written down any more.
    pub fn forget(&self) {
        let now = self.clock.now();
        // What has a place in the store keeps it, and is written again there.
        self.note(|counted, noted| match noted > now {
            true => (counted.full_at & !OWN) - 2 | noted & OWN,
            false => 0,
        });
    }

    /// Takes all that there is as written down by others, or by a process of before, which is not told apart: after
    /// what was written has been put back, and before the first request.
    pub fn remember(&self) {
        self.note(|counted, _| counted.full_at & !OWN);
    }

    fn note(&self, until: impl Fn(&Counted<'_>, u64) -> u64) {
        for owner in Owner::ALL {
            self.slots.each_live(owner, self.clock.now(), |counted| {
                let noted = counted.noted.load(Ordering::Relaxed);
                counted
                    .noted
                    .store(until(&counted, noted), Ordering::Relaxed);
            });
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
    use super::super::value::{Network, Value};
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

    fn network(n: u32) -> Value {
        Value::Address(Network::from(std::net::IpAddr::from(n.to_be_bytes())))
    }

    /// Who is written of.
    fn names(kept: &[Kept]) -> Vec<&str> {
        kept.iter().map(|kept| kept.value.as_str()).collect()
    }

    #[test]
    fn of_strangers_those_that_owe_longest_are_written_and_never_more_than_there_is_room_for() {
        let (mut keeper, hands) = keeper();
        keeper.most_of_strangers = 5;
        for n in 1..=20 {
            owe(&keeper, network(n), 1000 + u64::from(n));
            owe(&keeper, Value::User(Uuid::from_u128(n.into())), 1000);
        }
        let kept = keeper.changed(TODAY, 100);
        let of_strangers: Vec<_> = kept.iter().filter(|k| k.value.starts_with("ip")).collect();
        assert_eq!(kept.len(), 25, "accounts have no bound");
        let expected = [
            "ip 0.0.0.16",
            "ip 0.0.0.17",
            "ip 0.0.0.18",
            "ip 0.0.0.19",
            "ip 0.0.0.20",
        ];
        let written: Vec<_> = of_strangers.iter().map(|k| k.value.as_str()).collect();
        assert_eq!(written, expected);
        // Who is in the store stays there and is written anew; nobody else comes, whatever is owed.
        owe(&keeper, network(18), 10);
        owe(&keeper, network(3), 5000);
        let kept = keeper.changed(TODAY, 100);
        assert_eq!(names(&kept), ["ip 0.0.0.18"]);
        // When places are free again, they are taken.
        hands.advance(Duration::from_secs(1018));
        let kept = keeper.changed(TODAY, 100);
        assert_eq!(names(&kept), ["ip 0.0.0.3"]);
        for n in 30..=40 {
            owe(&keeper, network(n), 500 + u64::from(n));
        }
        let kept = keeper.changed(TODAY, 100);
        // 3, 18, 19 and 20 have theirs.
        assert_eq!(names(&kept), ["ip 0.0.0.40"]);
    }

    #[test]
    fn a_page_at_a_time_the_bound_is_the_same() {
        let (mut keeper, _hands) = keeper();
        keeper.most_of_strangers = 5;
        for n in 1..=20 {
            owe(&keeper, network(n), 1000 + u64::from(n));
        }
        let pages: Vec<_> = (0..4).map(|_| keeper.changed(TODAY, 2)).collect();
        let names: Vec<_> = pages.iter().map(|page| names(page)).collect();
        assert_eq!(names[0], ["ip 0.0.0.19", "ip 0.0.0.20"]);
        assert_eq!(names[1], ["ip 0.0.0.17", "ip 0.0.0.18"]);
        assert_eq!(names[2], ["ip 0.0.0.16"]);
        assert!(names[3].is_empty());
        // What could not be written is so the next time, and takes nobody else's place.
        keeper.forget();
        let again = keeper.changed(TODAY, 100);
        assert_eq!(again.len(), 5);
        assert_eq!(again[0].value, "ip 0.0.0.16");
    }

    #[test]
    fn what_was_put_back_keeps_its_place_and_takes_none_from_what_comes() {
        // As many as one process may write, of two others that share the store.
        let kept = [1..=5, 6..=10].into_iter().flat_map(|numbers| {
            let (mut before, _hands) = keeper();
            before.most_of_strangers = 5;
            for n in numbers {
                owe(&before, network(n), 1000);
            }
            before.changed(TODAY, 100)
        });
        let kept: Vec<_> = kept.collect();
        assert_eq!(kept.len(), 10);
        let (mut after, _hands) = keeper();
        after.most_of_strangers = 5;
        after.restore(kept, TODAY);
        after.remember();
        assert_eq!(after.changed(TODAY, 100), []);
        for n in 11..=20 {
            owe(&after, network(n), 5000 + u64::from(n));
        }
        let own = [
            "ip 0.0.0.16",
            "ip 0.0.0.17",
            "ip 0.0.0.18",
            "ip 0.0.0.19",
            "ip 0.0.0.20",
        ];
        assert_eq!(names(&after.changed(TODAY, 100)), own);
        // Whoever wrote it first, it is written anew, and that makes it no more than it was.
        owe(&after, network(5), 10_000);
        owe(&after, network(20), 10);
        let changed = after.changed(TODAY, 100);
        assert_eq!(names(&changed), ["ip 0.0.0.20", "ip 0.0.0.5"]);
        after.forget();
        assert_eq!(after.changed(TODAY, 100).len(), 15);
        owe(&after, network(11), 20_000);
        assert_eq!(after.changed(TODAY, 100), []);
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
