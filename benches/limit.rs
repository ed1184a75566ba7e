//! What it costs to charge a limit: `cargo bench --bench limit` prints the table of docs/performance.md. With the
//! URL of a Redis behind `--`, what it costs where gateways hold limits together as well.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use portcullis::config::Secret;
use portcullis::config::checked::{Rate, Redis};
use portcullis::limit::{AddressLimit, Clock, Counters, Slots, at_once};
use portcullis::telemetry::Metrics;

const ROUNDS: usize = 21;
const HITS: u32 = 1_000_000;
const MANY: u32 = 1_000_000;

fn main() {
    let redis = std::env::args().skip(1).find(|a| a.starts_with("redis://"));
    let before = resident();
    let alone = Side::new(Counters::new(Slots::new(), Clock::start()));
    let bytes = (resident() - before) as f64 / f64::from(MANY);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    println!("| figure | median [min–max] | target |");
    println!("|---|---|---|");
    let [one, many] = rounds(|| [alone.one(), alone.many()]);
    println!("| a hit, one user | {} ns | ≤ 100 |", told(&one));
    println!("| a hit, 1,000,000 users | {} ns | ≤ 300 |", told(&many));
    let [own, shared] = rounds(|| {
        [
            alone.together(threads, false),
            alone.together(threads, true),
        ]
    });
    println!(
        "| a hit on {threads} threads at once, a user each | {} ns | |",
        told(&own)
    );
    println!(
        "| a hit on {threads} threads at once, all of one user | {} ns | |",
        told(&shared)
    );
    println!("| memory of 1,000,000 users, each | {bytes:.0} bytes | ≤ 120 |");
    let Some(url) = redis else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let counters = Counters::shared(Slots::new(), Clock::start(), Arc::new(Metrics::default()));
    let (tell, told_so) = std::sync::mpsc::channel();
    let redis = Redis {
        shown: url.clone(),
        url: Secret::new(url),
    };
    runtime.spawn(counters.clone().exchange(redis, move || {
        let _ = tell.send(());
    }));
    told_so.recv().expect("Redis answers");
    let together = Side::new(counters);
    let [alone, together] = rounds(|| [alone.one(), together.one()]);
    println!(
        "| a hit under a large limit that gateways share | {} ns | |",
        told(&together)
    );
    let added = together
        .iter()
        .zip(&alone)
        .map(|(with, without)| with - without);
    println!(
        "| what sharing adds to it | {} ns | |",
        told(&added.collect::<Vec<_>>())
    );
}

/// Two figures, measured in turn so that what else the machine does meets both alike.
fn rounds(mut measure: impl FnMut() -> [f64; 2]) -> [Vec<f64>; 2] {
    let mut figures = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (all, figure) in figures.iter_mut().zip(measure()) {
            all.push(figure);
        }
    }
    figures
}

/// A limit of a few callers, and one of many, whose counters stay in use for as long as this runs. Neither
/// refuses.
struct Side {
    few: AddressLimit,
    many: AddressLimit,
}

impl Side {
    fn new(counters: Counters) -> Side {
        let rate = |count, seconds, burst| {
            let number = |n| NonZeroU32::new(n).expect("more than none");
            Some(Rate {
                count: number(count),
                period: Duration::from_secs(seconds),
                burst: number(burst),
            })
        };
        let side = Side {
            few: AddressLimit::new(counters.clone(), "few", rate(1_000_000, 1, u32::MAX)),
            many: AddressLimit::new(counters, "many", rate(1, 3600, 10_000)),
        };
        for n in 0..MANY {
            at_once(side.many.take(address(n))).expect("there is room");
        }
        side
    }

    /// Nanoseconds for a hit of one caller.
    fn one(&self) -> f64 {
        measure(|_| at_once(self.few.take(address(7))).is_ok())
    }

    /// The same over all callers, in no order that a cache would like.
    fn many(&self) -> f64 {
        measure(|n| {
            let whose = address(n.wrapping_mul(2_654_435_761) % MANY);
            at_once(self.many.take(whose)).is_ok()
        })
    }

    /// The same on several threads, each with a caller of its own or all with one.
    fn together(&self, threads: usize, is_one: bool) -> f64 {
        let begun = Instant::now();
        thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    let whose = address(if is_one { 7 } else { thread as u32 * 9973 });
                    measure(|_| at_once(self.few.take(whose)).is_ok())
                });
            }
        });
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(HITS)
    }
}

fn measure(hit: impl Fn(u32) -> bool) -> f64 {
    let begun = Instant::now();
    for n in 0..HITS {
        assert!(hit(black_box(n)), "it never refuses");
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(HITS)
}

fn address(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

fn told(figures: &[f64]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
    format!("{:.0} [{first:.0}–{last:.0}]", sorted[sorted.len() / 2])
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
