//! Who gets a counter, who keeps it, and what a refund gives back.

use std::sync::Barrier;
use std::thread;

use super::*;

/// What a request takes, in nanoseconds.
const AMOUNT: u64 = 10;

fn id(key: u64) -> Id {
    Id {
        key,
        overflow: 0,
        name: Name::default(),
    }
}

/// GCRA as governor does it: `burst` at once, then one every [`AMOUNT`].
fn ask(pool: &Pool, key: u64, now: u64, burst: u64) -> Option<Charge> {
    let decide = |full_at: Option<u64>| {
        let next = full_at.unwrap_or(now).max(now) + AMOUNT;
        if next > now + burst * AMOUNT {
            return Err(());
        }
        Ok(((), next))
    };
    let charged = pool.charge(id(key), now, AMOUNT, || 0, decide);
    charged.ok().map(|((), charge)| charge)
}

/// How many requests of a key pass at once.
fn passes(pool: &Pool, key: u64, now: u64, burst: u64) -> u64 {
    (0..)
        .take_while(|_| ask(pool, key, now, burst).is_some())
        .count() as u64
}

fn cells_of(pool: &Pool, key: u64) -> usize {
    let keys = (0..pool.buckets).flat_map(|bucket| {
        let first = pool.first + bucket * BUCKET;
        pool.cells[first..first + BUCKET].iter().step_by(CELLS)
    });
    keys.filter(|cell| cell.load(Ordering::Acquire) == key)
        .count()
}

/// Keys of a pool with one bucket, all in use until `full_at` for a burst of one.
fn crowded() -> Pool {
    let pool = Pool::new(WAYS);
    for key in 1..=WAYS as u64 {
        assert!(ask(&pool, key, 0, 1).is_some());
    }
    pool
}

#[test]
fn keys_do_not_share_a_counter_while_there_is_room() {
    let pool = Pool::new(1024);
    for key in 1..=512_u64 {
        let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert_eq!(passes(&pool, spread, 5, 3), 3);
        assert_eq!(cells_of(&pool, spread), 1);
    }
    assert_eq!(pool.overflows[0].load(Ordering::Acquire), 0);
}

#[test]
fn a_counter_in_use_is_never_given_away() {
    let pool = crowded();
    for stranger in 100..200 {
        ask(&pool, stranger, AMOUNT - 1, 1);
    }
    for key in 1..=WAYS as u64 {
        assert_eq!(cells_of(&pool, key), 1);
        assert!(
            ask(&pool, key, AMOUNT - 1, 1).is_none(),
            "{key} got a fresh budget"
        );
    }
}

#[test]
fn a_full_counter_is_given_to_another_key() {
    let pool = crowded();
    assert!(ask(&pool, 100, AMOUNT, 1).is_some());
    assert_eq!(cells_of(&pool, 100), 1);
    let kept: usize = (1..=WAYS as u64).map(|key| cells_of(&pool, key)).sum();
    assert_eq!(kept, WAYS - 1);
}

#[test]
fn a_counter_that_changes_hands_during_a_decision_is_not_charged() {
    let pool = crowded();
    let is_first = std::cell::Cell::new(true);
    let decide = |full_at: Option<u64>| {
        if is_first.take() {
            for stranger in 100..100 + WAYS as u64 {
                assert!(ask(&pool, stranger, AMOUNT, 1).is_some());
            }
        }
        Ok::<_, ()>(((), full_at.unwrap_or(AMOUNT).max(AMOUNT) + AMOUNT))
    };
    let ((), charge) = pool.charge(id(1), AMOUNT, AMOUNT, || 0, decide).unwrap();
    assert_eq!(charge.place, Place::Overflow(0));
    for stranger in 100..100 + WAYS as u64 {
        let charge = ask(&pool, stranger, AMOUNT, 2).unwrap();
        assert_eq!(charge.full_at, 3 * AMOUNT);
    }
}

#[test]
fn without_room_keys_share_one_budget() {
    let pool = crowded();
    let passed: u64 = (100..200)
        .map(|stranger| passes(&pool, stranger, 1, 3))
        .sum();
    assert_eq!(passed, 3);
}

#[test]
fn a_key_that_moves_from_the_overflow_to_a_counter_takes_its_debt_along() {
    let pool = crowded();
    assert_eq!(passes(&pool, 100, 0, 3), 3);
    // The counters are full again, what the newcomer used up in the overflow is not.
    assert_eq!(passes(&pool, 100, AMOUNT, 3), 1);
    assert_eq!(cells_of(&pool, 100), 1);
    assert_eq!(passes(&pool, 100, AMOUNT, 3), 0);
}

#[test]
fn a_worker_with_an_older_time_does_not_find_a_key_emptier_than_it_was() {
    let pool = crowded();
    // By this worker's time all counters are full, and it needs all of them.
    for stranger in 100..100 + WAYS as u64 {
        assert!(ask(&pool, stranger, 1000, 1).is_some());
    }
    // The other read the clock before that, and the first counter is long full.
    let charge = ask(&pool, 1, 500, 100).unwrap();
    assert!(charge.full_at >= 1000 + AMOUNT);
}

#[test]
fn a_worker_with_an_older_time_refuses_nobody_who_is_new() {
    let pool = Pool::new(64);
    assert!(ask(&pool, 1, 1000, 1).is_some());
    assert!(ask(&pool, 2, 999, 1).is_some());
    assert!(ask(&pool, 2, 1000 + AMOUNT - 1, 1).is_none());
    assert!(ask(&pool, 2, 1000 + AMOUNT, 1).is_some());
}

#[test]
fn a_refund_gives_back_all_of_a_charge() {
    let pool = Pool::new(WAYS);
    let first = ask(&pool, 1, 0, 3).unwrap();
    let second = ask(&pool, 1, 0, 3).unwrap();
    assert_eq!(passes(&pool, 1, 0, 3), 1);
    pool.refund(&first, 0);
    pool.refund(&second, 0);
    assert_eq!(passes(&pool, 1, 0, 3), 2);
}

#[test]
fn a_refund_from_a_counter_that_was_busy_throughout_is_whole_after_any_time() {
    let pool = Pool::new(WAYS);
    assert_eq!(passes(&pool, 1, 0, 5), 5);
    let late = ask(&pool, 1, AMOUNT, 5).unwrap();
    let until = late.full_at;
    pool.refund(&late, 3 * AMOUNT);
    let next = ask(&pool, 1, 3 * AMOUNT, 5).unwrap();
    assert_eq!(next.full_at, until);
}

#[test]
fn a_refund_does_not_give_what_time_has_given_already() {
    let pool = Pool::new(WAYS);
    let old = ask(&pool, 1, 0, 3).unwrap();
    // The counter filled up in between.
    assert_eq!(passes(&pool, 1, 2 * AMOUNT, 3), 3);
    pool.refund(&old, 2 * AMOUNT);
    assert_eq!(passes(&pool, 1, 2 * AMOUNT, 3), 0);
}

#[test]
fn a_refund_does_not_reach_the_counter_s_next_key() {
    let pool = crowded();
    let old = ask(&pool, 1, AMOUNT, 1).unwrap();
    for stranger in 100..100 + WAYS as u64 {
        assert!(ask(&pool, stranger, 2 * AMOUNT, 1).is_some());
    }
    pool.refund(&old, 2 * AMOUNT);
    for stranger in 100..100 + WAYS as u64 {
        assert!(ask(&pool, stranger, 2 * AMOUNT, 1).is_none());
    }
}

#[test]
fn workers_that_meet_a_new_key_at_once_make_one_counter() {
    const WORKERS: usize = 4;
    let pool = Pool::new(1024);
    for key in 1..200_u64 {
        let key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let barrier = Barrier::new(WORKERS);
        let passed: u64 = thread::scope(|scope| {
            let worker = || {
                barrier.wait();
                passes(&pool, key, 7, 5)
            };
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        assert_eq!(passed, 5);
        assert_eq!(cells_of(&pool, key), 1);
    }
}

#[test]
fn keys_that_fight_for_counters_never_pass_more_than_their_rate() {
    const WORKERS: u64 = 4;
    const KEYS: u64 = 24;
    const BURST: u64 = 3;
    let pool = Pool::new(WAYS);
    let clock = AtomicU64::new(0);
    let passed: Vec<AtomicU64> = (0..=KEYS).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (pool, clock, passed) = (&pool, &clock, &passed);
            scope.spawn(move || {
                let mut seed = worker + 1;
                for _ in 0..20_000 {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let key = 1 + (seed >> 33) % KEYS;
                    let now = clock.fetch_add((seed >> 60) & 1, Ordering::AcqRel);
                    if let Some(charge) = ask(pool, key, now, BURST) {
                        if seed >> 62 == 0 {
                            pool.refund(&charge, clock.load(Ordering::Acquire));
                        } else {
                            passed[key as usize].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let most = BURST + clock.into_inner() / AMOUNT;
    let passed = passed.into_iter().map(AtomicU64::into_inner);
    for (key, passed) in passed.enumerate() {
        assert!(passed <= most, "{key}: {passed} of at most {most}");
    }
}

#[test]
fn a_million_keys_have_a_counter_each_in_120_bytes_or_less() {
    let pool = Pool::new(1 << 21);
    let keys = || (1..=1_000_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1));
    for key in keys() {
        assert!(ask(&pool, key, 1, 1).is_some());
    }
    assert!(keys().all(|key| ask(&pool, key, 1, 1).is_none()));
    assert_eq!(pool.overflows[0].load(Ordering::Acquire), 0);
    let bytes = pool.cells.len() * size_of::<AtomicU64>() + pool.names.bytes();
    assert!(bytes <= 120 * 1_000_000, "{bytes} bytes");
}

/// Resident memory of this process in bytes.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes = line.split_ascii_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn an_unused_pool_takes_no_memory() {
    // So large that other tests' memory does not count beside it.
    let before = resident();
    let pool = Pool::new(1 << 26);
    let grown = resident().saturating_sub(before);
    assert!(
        grown < 256 << 20,
        "{grown} bytes for {} cells",
        pool.cells.len()
    );
}
