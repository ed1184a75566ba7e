//! A Redis that is of no use costs nobody an answer, nor the time to wait for it, nor the limit. Left out where
//! there is no Redis.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::client::get;
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, Settings};
use crate::harness::origin::Origin;
use crate::harness::redis::{Detour, Redis, at};

const ROUTES: &str = "
    - { name: small, prefix: /small, auth: none, limits: [ { name: s, key: ip, rate: 1/h, burst: 30 } ], upstream: app }
    - { name: large, prefix: /large, auth: none, limits: [ { name: l, key: ip, rate: 1/h, burst: 300 } ], upstream: app }
    - { name: huge, prefix: /huge, auth: none, limits: [ { name: h, key: ip, rate: 10000/d } ], upstream: app }
    - { name: each, prefix: /each, auth: none, limits: [ { name: e, key: \"header:X-Key\", rate: 1/h, burst: 2 } ], upstream: app }
    - { name: left, prefix: /left, auth: none, limits: [ { name: all, key: route, rate: 1/h, burst: 300 }, { name: own, key: \"header:X-Key\", rate: 1/h, burst: 2 } ], upstream: app }
    - { name: open, prefix: /, auth: none, limits: [], upstream: app }
";

const OF_NO_USE: &str = "Redis is of no use";
const CLIENTS: usize = 4;
/// A gateway asks no more after so many requests in a row without an answer; others may be under way by then.
const MISSES: usize = 3 + CLIENTS;

struct Replicas(Vec<Gateway>);

impl Replicas {
    fn start(origin: &Origin, shared: &str) -> Replicas {
        let settings = Settings::new(origin).routes(ROUTES);
        let gateways: Vec<_> = (0..3)
            .map(|_| settings.clone().top(shared).start())
            .collect();
        let replicas = Replicas(gateways);
        replicas.share();
        replicas
    }

    /// Three of which the first goes by the detour.
    fn first_by(detour: &Detour, redis: &Redis, origin: &Origin) -> Replicas {
        let settings = Settings::new(origin).routes(ROUTES);
        let ways = [detour.address, redis.address, redis.address];
        let gateways = ways.map(|way| settings.clone().top(&at(way)).start());
        let replicas = Replicas(gateways.into());
        replicas.share();
        replicas
    }

    /// Three that have used their shares while Redis was frozen. It goes on, and all but the first, which go by the detour,
    /// hear of it late.
    fn others_late(detour: &Detour, redis: &Redis, origin: &Origin) -> Replicas {
        let settings = Settings::new(origin).routes(ROUTES);
        let ways = [redis.address, detour.address, detour.address];
        let gateways = ways.map(|way| settings.clone().top(&at(way)).start());
        let replicas = Replicas(gateways.into());
        replicas.share();
        redis.signal("STOP");
        for gateway in 0..3 {
            assert!((9..=11).contains(&replicas.passes(gateway, "/small", 40)));
        }
        replicas.part();
        detour.late_by(Duration::from_secs(1));
        redis.signal("CONT");
        replicas
    }

    /// Waits until all use Redis and know of each other.
    fn share(&self) {
        for gateway in &self.0 {
            eventually("limits are shared", || {
                let is_up = gateway.metric("portcullis_redis_up") == 1.0;
                (is_up && gateway.metric("portcullis_replicas") == 3.0).then_some(())
            });
        }
    }

    /// Waits until none uses Redis.
    fn part(&self) {
        for gateway in &self.0 {
            eventually("Redis is given up", || {
                (gateway.metric("portcullis_redis_up") == 0.0).then_some(())
            });
        }
    }

    /// How many of so many requests pass at one of them. All have an answer, and it is no error.
    fn passes(&self, gateway: usize, path: &str, count: usize) -> usize {
        let gateway = &self.0[gateway];
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    scope.spawn(move || {
                        let mut connection = gateway.connect();
                        let turns = (client..count).step_by(CLIENTS);
                        let statuses = turns.map(|_| connection.exchange(&get(path)).status);
                        let passed = statuses.inspect(|s| assert!([200, 429].contains(s), "{s}"));
                        passed.filter(|status| *status == 200).count()
                    })
                })
                .collect();
            clients.into_iter().map(|c| c.join().unwrap()).sum()
        })
    }

    /// How many pass at one of them in the time for which it waits for the others, and a little after.
    fn passes_soon(&self, gateway: usize, path: &str) -> usize {
        let soon = Instant::now() + Duration::from_secs(2);
        let mut all = 0;
        eventually("it has had time", || {
            let passed = self.passes(gateway, path, 4);
            let is_soon = Instant::now() < soon;
            all += if is_soon { passed } else { 0 };
            (!is_soon).then_some(all)
        })
    }

    /// Has all of so many requests used at one of them; how many passed. A busy machine may find Redis too slow for a
    /// while.
    fn use_up(&self, gateway: usize, path: &str, all: usize) -> usize {
        let mut used = 0;
        eventually("all of it is used", || {
            let passed = self.passes(gateway, path, all + 10);
            used += passed;
            let is_up = self.0[gateway].metric("portcullis_redis_up") == 1.0;
            (passed == 0 && is_up).then_some(used)
        })
    }

    /// How often the gateway has found Redis to be of no use.
    fn losses(&self, gateway: usize) -> usize {
        self.warnings()[gateway]
    }

    fn misses(&self, gateway: usize) -> usize {
        self.0[gateway].metric("portcullis_redis_missed_total") as usize
    }

    /// How often each has said that it does without Redis.
    fn warnings(&self) -> Vec<usize> {
        let of = |gateway: &Gateway| {
            let stderr = gateway.stderr();
            let lines = stderr.iter().filter(|line| line.contains(OF_NO_USE));
            lines.count()
        };
        self.0.iter().map(of).collect()
    }
}

/// What was refused by Redis before is remembered, and what is let through without it is each gateway's share.
#[track_caller]
fn alone(replicas: &Replicas, warnings: &[usize], what: &str) {
    for gateway in 0..3 {
        let before = replicas.misses(gateway);
        let small = replicas.passes(gateway, "/small", 40);
        assert!(
            (9..=11).contains(&small),
            "{what}: {small} of a third of 30"
        );
        let large = replicas.passes(gateway, "/large", 160);
        assert!(
            (99..=101).contains(&large),
            "{what}: {large} of a third of 300"
        );
        // Whoever did not ask did not wait.
        let asked = replicas.misses(gateway) - before;
        assert!(asked <= MISSES, "{what}: {asked} requests waited");
        replicas.0[gateway].still_serves("/");
    }
    replicas.part();
    let told: Vec<usize> = warnings.iter().map(|before| before + 1).collect();
    eventually("a line says so", || {
        (replicas.warnings() >= told).then_some(())
    });
    assert_eq!(replicas.warnings(), told, "{what}: and no more than one");
}

#[test]
fn redis_down() {
    let Some(mut redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    let warnings = replicas.warnings();
    redis.stop();
    alone(&replicas, &warnings, "stopped");

    // It comes back with nothing in it, and what it had counted is not given out again.
    redis.run();
    replicas.share();
    let small: usize = (0..3).map(|g| replicas.passes(g, "/small", 30)).sum();
    let large: usize = (0..3).map(|g| replicas.passes(g, "/large", 60)).sum();
    assert!(small <= 3, "{small} more than there were");
    assert!(large <= 3, "{large} more than there were");
}

#[test]
fn redis_down_from_the_start() {
    let Some(mut redis) = Redis::start_if_there() else {
        return;
    };
    redis.stop();
    let origin = Origin::start();
    let settings = Settings::new(&origin).routes(ROUTES);
    let replicas = Replicas(vec![settings.top(&redis.settings()).start()]);
    // It knows of nobody else.
    assert_eq!(replicas.passes(0, "/small", 20), 20);
    assert_eq!(replicas.warnings(), [1]);
    assert_eq!(replicas.misses(0), 0);
    redis.run();
    eventually("limits are shared", || {
        (replicas.0[0].metric("portcullis_redis_up") == 1.0).then_some(())
    });
    let rest = replicas.passes(0, "/small", 20);
    assert!(rest <= 10 + replicas.misses(0), "{rest}");
    replicas.0[0].still_serves("/");
}

#[test]
fn redis_down_frozen() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    let warnings = replicas.warnings();
    redis.signal("STOP");
    alone(&replicas, &warnings, "frozen");
    redis.signal("CONT");
    replicas.share();
    let small: usize = (0..3).map(|g| replicas.passes(g, "/small", 30)).sum();
    assert!(small <= 3, "{small} more than there were");
    // Frozen while nobody asks it, it is given up all the same.
    redis.signal("STOP");
    replicas.part();
    redis.signal("CONT");
    replicas.share();
}

#[test]
fn redis_down_slow() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let detour = Detour::to(redis.address);
    let replicas = Replicas::start(&origin, &at(detour.address));
    let warnings = replicas.warnings();
    detour.late_by(Duration::from_millis(150));
    alone(&replicas, &warnings, "slow");
    detour.late_by(Duration::ZERO);
    replicas.share();
    let small: usize = (0..3).map(|g| replicas.passes(g, "/small", 30)).sum();
    assert!(small <= 3, "{small} more than there were");
}

#[test]
fn redis_down_flushed() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    for path in ["/small", "/large"] {
        let used = replicas.passes(0, path, 400);
        assert!(used > 0);
        eventually("all is told", || {
            (redis.call("DBSIZE") != ":2").then_some(())
        });
        redis.call("FLUSHALL");
        redis.call("SCRIPT FLUSH");
        let again = replicas.passes(0, path, 100);
        // Of a large limit a few may not have been let through in the hurry.
        let left = if path == "/small" {
            replicas.misses(0)
        } else {
            9
        };
        assert!(again <= left, "{path}: {again} after {used}");
        replicas.share();
    }
    replicas.0[0].still_serves("/");
}

#[test]
fn redis_down_flushed_and_asked_elsewhere() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    replicas.use_up(0, "/small", 30);
    redis.call("FLUSHALL");
    // What the others cannot know they hold at their share, until they hear of it.
    for gateway in [1, 2] {
        let passed = replicas.passes(gateway, "/small", 40);
        assert!(passed <= 11, "{passed} of a third of 30");
    }
    replicas.part();
    replicas.share();
    let again: usize = (0..3).map(|g| replicas.passes(g, "/small", 30)).sum();
    assert!(again <= 3, "{again} more than there were");
}

#[test]
fn redis_down_flushed_while_a_little_was_not_told_yet() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    // Of a large limit a hundredth is told at a time, so the last of these are not.
    let used = 1030;
    assert_eq!(replicas.passes(0, "/huge", used), used);
    redis.call("FLUSHALL");
    replicas.part();
    replicas.share();
    assert_eq!(replicas.passes(1, "/huge", 110), 110);
    let counted = || {
        let keys = redis.keys().into_iter();
        let owed = keys.filter(|(key, _)| key.contains("huge"));
        // Each request takes 8.64 seconds.
        owed.map(|(_, time)| (time - 2000) / 8_640).max()
    };
    // But for less than a hundredth at either that is not told yet.
    let counted = eventually("all is counted", || {
        counted().filter(|counted| *counted >= 1030 + 110 - 2 * 100 / 3)
    });
    assert!(counted <= 1030 + 110 + 100, "{counted}");
}

#[test]
fn redis_down_and_back_as_it_was_before() {
    let Some(mut redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    replicas.passes(0, "/small", 1);
    replicas.passes(0, "/large", 1);
    eventually("both are told", || {
        (redis.call("DBSIZE") == ":4").then_some(())
    });
    redis.call("SAVE");
    replicas.use_up(0, "/small", 29);
    let large = 1 + replicas.passes(0, "/large", 400);
    redis.stop();
    redis.run();
    replicas.part();
    replicas.share();
    let again: usize = (0..3).map(|g| replicas.passes(g, "/small", 30)).sum();
    assert!(again <= 3, "{again} more than there were");
    // Others let through a little before they hear of it.
    let mut again = 0;
    for gateway in 0..3 {
        eventually("it hears of it", || {
            let passed = replicas.passes(gateway, "/large", 3);
            again += passed;
            (passed == 0).then_some(())
        });
    }
    assert!(again + large <= 360, "{again} more after {large}");
}

#[test]
fn redis_down_and_told_by_one_that_comes_late() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let detour = Detour::to(redis.address);
    let replicas = Replicas::first_by(&detour, &redis, &origin);
    replicas.use_up(0, "/small", 30);
    detour.late_by(Duration::from_millis(400));
    let is_up = |gateway: usize| replicas.0[gateway].metric("portcullis_redis_up") == 1.0;
    eventually("it is given up", || (!is_up(0)).then_some(()));
    redis.call("FLUSHALL");
    eventually("it is noticed", || (!is_up(1) && !is_up(2)).then_some(()));
    eventually("the others use it", || (is_up(1) && is_up(2)).then_some(()));
    detour.late_by(Duration::ZERO);
    eventually("so does the last", || is_up(0).then_some(()));
    let again: usize = (0..3).map(|g| replicas.passes(g, "/small", 30)).sum();
    assert!(
        again <= 3 + replicas.misses(1),
        "{again} more than there were"
    );
}

#[test]
fn redis_down_while_it_is_told() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let detour = Detour::to(redis.address);
    let replicas = Replicas::first_by(&detour, &redis, &origin);
    let passes = |gateway: usize| {
        let mut connection = replicas.0[gateway].connect();
        let keys = (0..200).map(|n| get("/each").header("X-Key", &n.to_string()));
        let statuses = keys.map(|request| connection.exchange(&request).status);
        statuses.filter(|status| *status == 200).count()
    };
    let is_up = || replicas.0[0].metric("portcullis_redis_up") == 1.0;
    eventually("all is used", || (passes(0) == 0 && is_up()).then_some(()));
    detour.break_at_a_long_request();
    redis.call("FLUSHALL");
    replicas.part();
    replicas.share();
    assert!(!detour.is_to_break());
    let (misses, losses) = (replicas.misses(1), replicas.losses(1));
    let again = passes(1);
    let missed = replicas.misses(1) - misses;
    // On a busy machine it may just have found Redis too slow.
    let is_alone = replicas.losses(1) > losses;
    assert!(
        again <= missed || is_alone,
        "{again} of those that had none"
    );
}

#[test]
fn redis_down_and_reached_by_one_before_the_others() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let detour = Detour::to(redis.address);
    let replicas = Replicas::others_late(&detour, &redis, &origin);
    // Until they have told what they let through, or had the time to, none of it is granted again.
    let again = replicas.passes_soon(0, "/small");
    assert_eq!(again, 0);
    detour.late_by(Duration::ZERO);
    replicas.share();
    eventually("all is told", || {
        (replicas.passes(0, "/small", 4) == 0).then_some(())
    });
}

#[test]
fn redis_down_and_reached_by_one_that_starts() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let detour = Detour::to(redis.address);
    let _replicas = Replicas::others_late(&detour, &redis, &origin);
    let settings = Settings::new(&origin).routes(ROUTES);
    let new = Replicas(vec![settings.top(&redis.settings()).start()]);
    // It has heard of others, and holds its share until they have told what they let through.
    let passed = new.passes_soon(0, "/small");
    assert!(passed <= 10, "{passed}");
}

#[test]
fn redis_down_because_it_is_late() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let detour = Detour::to(redis.address);
    let settings = Settings::new(&origin).routes(ROUTES);
    let gateways = (0..3).map(|_| settings.clone().top(&at(detour.address)).start());
    let replicas = Replicas(gateways.collect());
    replicas.share();
    // In time for nobody, and longer than gateways are counted that are not heard of.
    detour.late_by(Duration::from_millis(150));
    let over = Instant::now() + Duration::from_secs(7);
    eventually("it is late for long", || {
        (Instant::now() > over).then_some(())
    });
    for gateway in 0..3 {
        let passed = replicas.passes(gateway, "/small", 40);
        assert!((9..=11).contains(&passed), "{passed}");
    }
}

#[test]
fn redis_down_frozen_and_gone_on_grants_nothing_again() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    redis.signal("STOP");
    let used: usize = (0..3).map(|g| replicas.passes(g, "/small", 40)).sum();
    replicas.part();
    redis.signal("CONT");
    // For so long they wait for each other, however long a busy machine takes.
    let soon = Instant::now() + Duration::from_secs(3);
    let mut again = 0;
    eventually("all use Redis", || {
        let passed: usize = (0..3).map(|g| replicas.passes(g, "/small", 2)).sum();
        let is_soon = Instant::now() < soon;
        again += if is_soon { passed } else { 0 };
        let mut gateways = replicas.0.iter();
        let are_up = gateways.all(|gateway| gateway.metric("portcullis_redis_up") == 1.0);
        (are_up || !is_soon).then_some(())
    });
    replicas.share();
    assert!(used + again <= 30, "{used}, and {again} again");
}

#[test]
fn redis_down_for_long_locks_nobody_out() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let settings = Settings::new(&origin).routes(
        "
    - { name: small, prefix: /small, auth: none, limits: [ { name: s, key: ip, rate: 20/s, burst: 40 } ], upstream: app }
    - { name: large, prefix: /large, auth: none, limits: [ { name: l, key: ip, rate: 40/s, burst: 80 } ], upstream: app }
",
    );
    let gateways: Vec<_> = (0..3)
        .map(|_| settings.clone().top(&redis.settings()).start())
        .collect();
    let replicas = Replicas(gateways);
    replicas.share();
    redis.signal("STOP");
    // Several times what there is at once, as each gateway's share lets it through.
    for path in ["/small", "/large"] {
        let mut passed = 0;
        eventually("enough has passed", || {
            passed += (0..3).map(|g| replicas.passes(g, path, 4)).sum::<usize>();
            (passed >= 240).then_some(())
        });
    }
    // All of it comes back within two seconds.
    let rested = Instant::now() + Duration::from_secs(3);
    eventually("nothing is used up", || {
        (Instant::now() > rested).then_some(())
    });
    redis.signal("CONT");
    replicas.share();
    for path in ["/small", "/large"] {
        assert_eq!(replicas.passes(0, path, 12), 12, "{path}");
    }
}

#[test]
fn redis_asked_for_who_has_left_charges_nobody() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    let gateway = &replicas.0[0];
    let of = |key: &str| get("/left").header("X-Key", key);
    let mut connection = gateway.connect();
    for _ in 0..2 {
        connection.exchange(&of("own")).expect(200);
    }
    connection.exchange(&of("own")).expect(429);
    for n in 0..200 {
        let mut leaving = gateway.connect();
        leaving.send("GET /left HTTP/1.1\r\nHost: a.test\r\nX-Key: own\r\n\r\n");
        std::thread::sleep(Duration::from_micros(n * 10));
    }
    let passed = (0..320)
        .filter(|n| connection.exchange(&of(&n.to_string())).status == 200)
        .count();
    assert_eq!(passed, 298);
}

#[test]
fn redis_down_takes_nothing_away() {
    let Some(mut redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    redis.stop();
    replicas.part();
    // Less than a gateway's share.
    for (path, count) in [("/small", 6), ("/large", 60)] {
        assert_eq!(replicas.passes(0, path, count), count);
    }
    redis.run();
    replicas.share();
    for (path, left) in [("/small", 24), ("/large", 240)] {
        // In turn, so that each hears of the others' in between.
        let passed: usize = (0..45)
            .map(|n| replicas.passes(n % 3, path, left / 12))
            .sum();
        let least = left - left / 20 - (0..3).map(|g| replicas.misses(g)).sum::<usize>();
        let most = left + left / 3;
        assert!(
            (least..=most).contains(&passed),
            "{path}: {passed} of {left}"
        );
    }
}

#[test]
fn redis_down_while_its_limits_are_asked_for() {
    let Some(mut redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    replicas.use_up(0, "/small", 30);
    redis.stop();
    replicas.part();
    // Who is refused meanwhile has nothing told of him but that; others have their share, which nobody was told of.
    assert_eq!(replicas.passes(0, "/small", 8), 0);
    for gateway in [1, 2] {
        assert_eq!(replicas.passes(gateway, "/small", 12), 10);
    }
    for gateway in 0..3 {
        assert_eq!(replicas.passes(gateway, "/large", 100), 100);
    }
    redis.run();
    let is_up = |gateway: &usize| replicas.0[*gateway].metric("portcullis_redis_up") == 1.0;
    let first = eventually("one of them uses Redis", || (0..3).find(is_up));
    let small = replicas.passes(first, "/small", 30);
    assert!(
        small <= replicas.misses(first).min(3),
        "{small} more than there were"
    );
    let large = replicas.passes(first, "/large", 100);
    assert!(large <= 9, "{large} more than there were");
}

#[test]
fn redis_down_frozen_charges_once() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    redis.signal("STOP");
    // Its share and no more: who is refused is not charged either.
    let used = replicas.passes(0, "/small", 14);
    assert_eq!(used, 10);
    replicas.part();
    redis.signal("CONT");
    replicas.share();
    let counted = || {
        let keys = redis.keys().into_iter();
        let owed = keys.filter(|(key, _)| key.contains("small"));
        // Each request takes an hour.
        owed.map(|(_, time)| (time - 2000 + 3_599_999) / 3_600_000)
            .max()
    };
    eventually("each is counted once", || {
        (counted() == Some(used as i64)).then_some(())
    });
}

#[test]
fn redis_down_is_told_once_what_passed_while_it_was_new() {
    let Some(mut redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    // Asked at one of them alone, or at all.
    for (path, all, gateways) in [("/small", 30, 0..1), ("/large", 300, 0..3)] {
        redis.stop();
        replicas.part();
        redis.run();
        let is_up = |gateway: usize| replicas.0[gateway].metric("portcullis_redis_up") == 1.0;
        let mut passed = 0;
        eventually("all use it", || {
            passed += gateways
                .clone()
                .map(|gateway| replicas.passes(gateway, path, 4))
                .sum::<usize>();
            (0..3).all(is_up).then_some(())
        });
        for turn in 0..2 * all {
            passed += replicas.passes(turn % 3, path, 1);
        }
        let misses: usize = (0..3).map(|g| replicas.misses(g)).sum();
        let slack = misses + all / 20;
        assert!(passed.abs_diff(all) <= slack, "{path}: {passed} of {all}");
    }
}

#[test]
fn redis_down_flushed_gives_a_large_limit_whole_to_nobody() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    replicas.use_up(0, "/large", 290);
    redis.call("FLUSHALL");
    // It has never met the caller, and holds its share until it hears what was used up.
    let passed = replicas.passes(1, "/large", 310);
    assert!(passed <= 101, "{passed} of a third of 300");
}

#[test]
fn redis_down_and_told_by_one_that_was_away_with_what_it_kept() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let mut replicas = Replicas::start(&origin, &redis.settings());
    replicas.use_up(2, "/small", 30);
    let mut away = replicas.0.pop().unwrap();
    away.signal("TERM");
    assert!(away.wait_for_exit().success());
    redis.call("FLUSHALL");
    replicas.part();
    for gateway in &replicas.0 {
        eventually("it uses Redis", || {
            (gateway.metric("portcullis_redis_up") == 1.0).then_some(())
        });
    }
    // Nobody knows but the one that is away.
    assert_eq!(replicas.passes(0, "/small", 1), 1);
    replicas.0.push(away.start_again());
    replicas.share();
    let misses = |replicas: &Replicas| (0..3).map(|g| replicas.misses(g)).sum::<usize>();
    let before = misses(&replicas);
    let again: usize = (0..3).map(|g| replicas.passes(g, "/small", 30)).sum();
    let missed = misses(&replicas) - before;
    assert!(again <= missed, "{again} more than there were");
}

#[test]
fn redis_with_counters_that_cannot_be_locks_nobody_out() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    let small = "portcullis:108000000:route:small:s:ip:127.0.0.1";
    let large = "portcullis:1080000000:route:large:l:ip:127.0.0.1";
    let owed = |name: &str| {
        let keys = redis.keys().into_iter();
        let owed = keys.filter(|(key, _)| key == name);
        owed.map(|(_, time)| time / 3_600_000).max()
    };
    // As after the clock of Redis was set back by years.
    for (path, name, hours) in [("/small", small, 30), ("/large", large, 300)] {
        assert_eq!(redis.call(&format!("HSET {name} t 9e15")), ":1");
        eventually("it owes no more than there is", || {
            replicas.passes(0, path, 1);
            owed(name).filter(|owed| *owed <= hours)
        });
    }
    // Nor is there room for what is no number, or no time.
    for (path, name) in [("/small", small), ("/large", large)] {
        for field in [
            "t nan",
            "t -nan",
            "t inf",
            "t 1e300",
            "k nan",
            "k 1e300",
            "gateway nan",
        ] {
            assert!(redis.call(&format!("HSET {name} {field}")).starts_with(':'));
            replicas.passes(0, path, 1);
            eventually("it is told of", || {
                let time = redis.call(&format!("PTTL {name}"));
                let time: i64 = time.trim_start_matches(':').parse().ok()?;
                (time > 0).then_some(())
            });
        }
        redis.call(&format!("DEL {name}"));
    }
    // What is no counter is replaced by one.
    for (path, name) in [("/small", small), ("/large", large)] {
        redis.call(&format!("DEL {name}"));
        assert_eq!(redis.call(&format!("SET {name} x")), "+OK");
        eventually("there is a counter", || {
            replicas.passes(1, path, 1);
            (redis.call(&format!("TYPE {name}")) == "+hash").then_some(())
        });
    }
    replicas.share();
    // A busy machine may find Redis late, and not at fault.
    for gateway in &replicas.0 {
        let mut stderr = gateway.stderr().into_iter();
        let fault =
            stderr.find(|line| line.contains(OF_NO_USE) && !line.contains("no answer in time"));
        assert_eq!(fault, None);
    }
    // Neither is what Redis knows of gateways.
    redis.call("SET t kept");
    for name in ["portcullis:since", "portcullis:replicas"] {
        redis.call(&format!("DEL {name}"));
        assert_eq!(redis.call(&format!("SET {name} x")), "+OK");
        eventually("it is replaced", || {
            (redis.call(&format!("TYPE {name}")) != "+string").then_some(())
        });
        replicas.share();
    }
    for since in ["-inf", "nan", "1e3", "1000.5"] {
        redis.call(&format!("HSET portcullis:since t {since}"));
        eventually("it is told of", || {
            (redis.call("HGET portcullis:since t") != format!("${}", since.len())).then_some(())
        });
        replicas.share();
    }
    assert_eq!(redis.call("GET t"), "$4", "what is somebody else's stays");
}

#[test]
fn redis_down_because_it_is_full() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let replicas = Replicas::start(&origin, &redis.settings());
    assert_eq!(redis.call("CONFIG SET maxmemory-policy noeviction"), "+OK");
    assert_eq!(redis.call("CONFIG SET maxmemory 1"), "+OK");
    replicas.part();
    for gateway in 0..3 {
        assert!((9..=11).contains(&replicas.passes(gateway, "/small", 40)));
        assert_eq!(replicas.0[gateway].metric("portcullis_replicas"), 3.0);
    }
    assert_eq!(redis.call("CONFIG SET maxmemory 0"), "+OK");
    replicas.share();
}

#[test]
fn redis_that_answers_anything_is_tried_again() {
    let Some(redis) = Redis::start_if_there() else {
        return;
    };
    let origin = Origin::start();
    let false_one = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = false_one.local_addr().unwrap();
    let gateway = Settings::new(&origin).routes(ROUTES).top(&at(address));
    let gateway = std::thread::scope(|scope| {
        // It says one to all that it is asked, on several connections.
        let liar = scope.spawn(|| {
            for client in false_one.incoming().take(3) {
                let mut client = client.unwrap();
                let mut buffer = [0; 16 * 1024];
                while client.read(&mut buffer).is_ok_and(|length| length > 0)
                    && client.write_all(&b":1\r\n".repeat(50)).is_ok()
                {}
            }
        });
        let gateway = gateway.start();
        liar.join().unwrap();
        gateway
    });
    drop(false_one);
    let _detour = Detour::at(address, redis.address);
    eventually("limits are shared", || {
        (gateway.metric("portcullis_redis_up") == 1.0).then_some(())
    });
}
