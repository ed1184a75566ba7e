//! The meter against an exact oracle, by one thread and by many.

use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use uuid::Uuid;

use crate::config::Plans;
use crate::config::checked::{Limit, LimitKey, Rate};
use crate::route::sample;

use super::at_once;
use super::charge::{Account, Due};
use super::clock::Clock;
use super::counters::Counters;
use super::meter::Quota;
use super::policy::Limits;
use super::slots::{Key, Slots};
use super::tests::{limit, route};
use super::value::{Network, Value};

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn rate(count: u32, seconds: u64, burst: u32) -> Rate {
    Rate {
        count: number(count),
        period: Duration::from_secs(seconds),
        burst: number(burst),
    }
}

fn some_key(slots: &Slots) -> Key {
    slots.key(slots.scope("test", 1000), Value::Address(Network::V4(1)))
}

/// A bucket of time: a request takes `amount` nanoseconds of it, and it fills as time passes.
struct Bucket {
    amount: u64,
    whole: u64,
    level: u64,
}

impl Bucket {
    fn new(rate: &Rate, cost: u32) -> Self {
        let count = u64::from(rate.count.get());
        let of_one = u64::try_from(rate.period.as_nanos())
            .unwrap()
            .div_ceil(count);
        let whole = of_one * u64::from(rate.burst.get().max(cost));
        Bucket {
            amount: of_one * u64::from(cost),
            whole,
            level: whole,
        }
    }

    fn fill(&mut self, nanos: u64) {
        self.level = self.whole.min(self.level + nanos);
    }
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let seconds = prop::sample::select(vec![1, 60, 3600, 86_400]);
    (1..2000_u32, seconds, 1..60_u32).prop_map(|(count, s, burst)| rate(count, s, burst))
}

proptest! {
    #[test]
    fn the_meter_is_exact(
        rate in any_rate(),
        cost in 1..5_u32,
        steps in prop::collection::vec((0..4_u8, 0..1000_u64), 1..200),
    ) {
        let slots = Slots::with_capacity(8);
        let key = some_key(&slots);
        let quota = Quota::new(&rate, number(cost));
        let mut bucket = Bucket::new(&rate, cost);
        let mut now = 0;
        for (kind, parts) in steps {
            // In parts of what a request takes, so that most decisions are near the edge.
            let pause = match kind {
                0 => 0,
                1 => bucket.amount,
                _ => bucket.amount * parts / 700,
            };
            now += pause;
            bucket.fill(pause);
            let owed = slots.owed(key, now);
            prop_assert_eq!(owed, bucket.whole - bucket.level);
            let told = quota.after(owed);
            prop_assert_eq!(told.map(|s| u64::from(s.remaining)).unwrap_or(0), bucket.level / bucket.amount);
            let charged = quota.charge(&slots, key, now);
            prop_assert_eq!(charged.map(drop).err(), told.err());
            match charged {
                Ok((standing, _)) => {
                    prop_assert!(bucket.level >= bucket.amount, "over the limit");
                    bucket.level -= bucket.amount;
                    prop_assert_eq!(u64::from(standing.remaining), bucket.level / bucket.amount);
                    prop_assert_eq!(standing.full_in, bucket.whole - bucket.level);
                }
                Err(denied) => {
                    prop_assert!(bucket.level < bucket.amount, "refused while under the limit");
                    prop_assert_eq!(denied.wait, bucket.amount - bucket.level);
                    prop_assert_eq!(denied.full_in, bucket.whole - bucket.level);
                }
            }
        }
    }

    #[test]
    fn no_quota_is_too_large(count: u32, days in 1..40_000_u64, burst: u32, cost: u32, now in 0..1_u64 << 57) {
        let rate = rate(count.max(1), days * 86_400, burst.max(1));
        let slots = Slots::with_capacity(8);
        let key = some_key(&slots);
        let quota = Quota::new(&rate, number(cost.max(1)));
        let (standing, charge) = quota.charge(&slots, key, now).expect("the first request passes");
        prop_assert_eq!(standing.full_in, charge.full_at - now);
        let second = quota.charge(&slots, key, now);
        prop_assert_eq!(second.is_ok(), standing.remaining > 0);
    }

    #[test]
    fn shares_together_grant_no_more_than_the_whole(
        rate in any_rate(),
        cost in 1..5_u32,
        shares in 1..9_u32,
        pauses in prop::collection::vec(0..3000_u64, 1..20),
    ) {
        let quota = Quota::new(&rate, number(cost));
        let share = quota.divided(shares);
        let slots = Slots::with_capacity(8);
        let key = some_key(&slots);
        // What one gateway lets through, of as many as share, each with as much to do.
        let (mut now, mut passed) = (0, 0_u64);
        for pause in pauses {
            now += quota.amount() * pause / 1000;
            passed += (0..).take_while(|_| share.charge(&slots, key, now).is_ok()).count() as u64;
        }
        let all = passed * u64::from(shares) * quota.amount();
        // One request at least is everybody's.
        let at_once = quota.whole().max(quota.amount() * u64::from(shares));
        prop_assert!(all <= at_once + now, "{all}");
    }

    #[test]
    fn a_refund_is_as_if_it_never_happened(rate in any_rate(), before in 0..60_u32, pause in 0..1_000_000_u64) {
        let slots = Slots::with_capacity(8);
        let key = some_key(&slots);
        let quota = Quota::new(&rate, NonZeroU32::MIN);
        for _ in 0..before {
            let _ = quota.charge(&slots, key, 0);
        }
        let Ok((first, charge)) = quota.charge(&slots, key, pause) else {
            return Ok(());
        };
        slots.refund(key, &charge, pause);
        let again = quota.charge(&slots, key, pause).map(|(standing, _)| standing);
        prop_assert_eq!(again, Ok(first));
    }
}

#[test]
fn a_million_requests_pass_exactly_what_the_rate_and_the_burst_allow() {
    let slots = Slots::with_capacity(8);
    let key = some_key(&slots);
    let quota = Quota::new(&rate(1000, 1, 50), NonZeroU32::MIN);
    // Ten requests in each millisecond that one may have.
    let passed = (0..1_000_000_u64).filter(|n| quota.charge(&slots, key, n * 100_000).is_ok());
    assert_eq!(passed.count(), 50 + 99_999);
}

#[test]
fn workers_together_pass_exactly_the_burst() {
    const WORKERS: usize = 4;
    const BURST: u32 = 10_000;
    let slots = Slots::with_capacity(8);
    let key = some_key(&slots);
    let quota = Quota::new(&rate(1, 3600, BURST), NonZeroU32::MIN);
    let passed: usize = thread::scope(|scope| {
        let worker = || {
            (0..BURST)
                .filter(|_| quota.charge(&slots, key, 77).is_ok())
                .count()
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    assert_eq!(passed, BURST as usize);
}

proptest! {
    // A million requests in all.
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn a_million_requests_of_many_users_pass_as_an_exact_oracle_says(
        rates in prop::collection::vec((any_rate(), 1..4_u32), 3),
        seed: u64,
    ) {
        const REQUESTS: u64 = 125_000;
        const USERS: u64 = 40;
        // Less than counters have room for.
        const LASTING: u64 = 1 << 57;
        let (clock, hands) = Clock::manual();
        let counters = Counters::new(Slots::with_capacity(1024), clock);
        // Two limits by user, and one of all together.
        let keys = [LimitKey::User, LimitKey::User, LimitKey::Route];
        let of_route = rates.iter().zip(keys).enumerate().map(|(n, ((rate, cost), key))| Limit {
            cost: number(*cost),
            ..limit(&n.to_string(), key, *rate)
        });
        let config = sample::config(vec![route("a", Some(of_route.collect()))]);
        let limits = Limits::build(&config, &Plans::default(), counters);
        let own = &limits.routes[0];
        let of_user = own.late.as_ref().unwrap();
        let all = [&of_user[0], &of_user[1], &own.early[0]];
        let mut oracle: Vec<Vec<Bucket>> = rates
            .iter()
            .zip([USERS, USERS, 1])
            .map(|((rate, cost), count)| (0..count).map(|_| Bucket::new(rate, *cost)).collect())
            .collect();
        // As often at the edge as away from it.
        let pace = oracle.iter().map(|buckets| buckets[0].amount / buckets.len() as u64).max();
        let longest = (pace.unwrap() * 2).min(LASTING / REQUESTS);
        let mut random = SmallRng::seed_from_u64(seed);
        for _ in 0..REQUESTS {
            let pause = random.random_range(0..=longest);
            hands.advance(Duration::from_nanos(pause));
            oracle.iter_mut().flatten().for_each(|bucket| bucket.fill(pause));
            let user = random.random_range(0..USERS);
            let whose = [user, user, 0];
            let value = Value::User(Uuid::from_u128(user.into()));
            let values = [value, value, Value::Everyone];
            let due = all.iter().zip(values).map(|(limit, value)| {
                let policy = limit.policy.unwrap();
                let scope = limits.policies[policy].scope;
                Due { policy, key: limits.counters.slots.key(scope, value), is_shadow: false }
            });
            let account = &mut Account::default();
            let charged = async { limits.charge(due, account).await.map_err(|refused| limits.refusal(refused)) };
            let outcome = at_once(charged);
            let mut met = oracle.iter_mut().zip(whose).map(|(b, n)| &mut b[n as usize]).collect::<Vec<_>>();
            let has_room = met.iter().all(|bucket| bucket.level >= bucket.amount);
            if has_room {
                met.iter_mut().for_each(|bucket| bucket.level -= bucket.amount);
            }
            prop_assert_eq!(outcome.is_ok(), has_room);
            if let Err(refusal) = outcome {
                // Who waits as told finds room.
                let told = &refusal.headers()[0].1;
                let wait: u64 = told.to_str().unwrap().parse().unwrap();
                let missing = met.iter().map(|bucket| bucket.amount.saturating_sub(bucket.level));
                let missing = missing.max().unwrap();
                prop_assert!(wait * 1_000_000_000 >= missing);
                prop_assert!((wait - 1) * 1_000_000_000 < missing, "no longer than it takes");
            }
        }
    }
}
