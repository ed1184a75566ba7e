//! A bare bcrypt loop, for `benches/accounts/run`: `cargo bench --bench hash -- COST SECONDS` prints
//! hashes a second, on as many threads as the gateway hashes on.

use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let cost = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(10);
    let seconds = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(2);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let hash = bcrypt::hash("Correct-Horse-7", cost).expect("a cost of 4 to 31");
    let end = Instant::now() + Duration::from_secs(seconds);
    let start = Instant::now();
    let count: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..(cores / 2).max(1))
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0;
                    while Instant::now() < end {
                        assert!(bcrypt::verify("Correct-Horse-7", &hash).is_ok_and(|is| is));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("a thread"))
            .sum()
    });
    println!("{}", f64::from(count) / start.elapsed().as_secs_f64());
}
