//! What is said to Redis, and how its answers are read.

use super::*;

#[test]
fn times_are_told_to_the_nanosecond() {
    for (nanos, text) in [
        (0, "0.000"),
        (1, "0.001"),
        (1_234_567, "1234.567"),
        (-1_500, "-1.500"),
        (-20, "-0.020"),
    ] {
        assert_eq!(micros(nanos), text);
    }
    assert_eq!(nanos(7), 7000);
    assert_eq!(nanos(-7), 0);
}

#[test]
fn of_pages_of_which_some_did_nothing_each_counter_has_its_own_answer() {
    let page = |owed: i64, counters: usize| Ok([owed, 2].repeat(counters));
    let settled = Settled::of(PAGE + 3, vec![Ok(vec![-2]), page(7, 3)]).unwrap();
    assert!(settled.stands[..PAGE].iter().all(Option::is_none));
    let told = Some(Stands {
        owed: 7000,
        share: Some(2),
    });
    assert_eq!(settled.stands[PAGE..], [told; 3]);
    assert!(matches!(settled.fault, Some(LinkError::Late)));
    for undone in [Ok(vec![-1]), Err(unexpected())] {
        let settled = Settled::of(PAGE + 3, vec![page(0, PAGE), undone]).unwrap();
        assert!(settled.stands[..PAGE].iter().all(Option::is_some));
        assert_eq!(settled.stands[PAGE..], [None; 3]);
        assert!(settled.fault.is_some());
    }
}

#[test]
fn answers_of_another_form_say_nothing() {
    let page = |counters: usize| vec![1; 2 * counters];
    for answers in [
        vec![],
        vec![page(PAGE)],
        vec![page(PAGE), page(2)],
        vec![page(PAGE), vec![1; 5]],
        vec![page(PAGE), vec![]],
        vec![page(PAGE), vec![-3]],
        vec![page(PAGE + 3)],
        vec![page(PAGE), page(3), page(1)],
    ] {
        let pages = answers.iter().cloned().map(Ok).collect();
        assert!(Settled::of(PAGE + 3, pages).is_none(), "{answers:?}");
    }
    let settled = Settled::of(1, vec![Ok(vec![-5, -5])]).unwrap();
    let nothing = Stands {
        owed: 0,
        share: None,
    };
    assert_eq!(settled.stands, [Some(nothing)]);
}

#[test]
fn a_new_redis_is_told_and_trusted_by_and_by_whatever_it_says() {
    let phase = |since, now| {
        let beat = Beat {
            living: 1,
            back: 1,
            before: 1,
            since,
            now,
            took: Duration::ZERO,
        };
        beat.phase()
    };
    let after = |millis: i64| phase(1_000_000, (1_000_000 + millis) * 1000);
    assert_eq!(after(-1), Phase::New);
    assert_eq!(after(3_999), Phase::New);
    assert_eq!(after(4_000), Phase::Told);
    assert_eq!(after(5_499), Phase::Told);
    assert_eq!(after(5_500), Phase::Trusted);
    assert_eq!(phase(i64::MIN, i64::MAX), Phase::Trusted);
    assert_eq!(phase(i64::MAX, i64::MIN), Phase::New);
}
