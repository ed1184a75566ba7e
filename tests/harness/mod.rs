//! What the tests drive the gateway with: the real binary, an origin that can misbehave, and clients
//! that can send any byte.

#![allow(dead_code, reason = "each test binary uses its part of the harness")]

pub mod application;
pub mod client;
pub mod forge;
pub mod gateway;
pub mod origin;
pub mod postgres;
pub mod redis;
pub mod response;
pub mod websocket;

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives it up. Generous: it is only waited for in full when
/// a test fails.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Polls until `probe` gives a value; panics with `what` at the deadline.
#[track_caller]
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A point that an origin's handler waits at until the test lets it go on.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Panics at the deadline, which fails the test by way of the origin.
    pub fn pass(&self) {
        let (is_open, opened) = &*self.0;
        let (_guard, wait) = opened
            .wait_timeout_while(is_open.lock().unwrap(), DEADLINE, |open| !*open)
            .unwrap();
        assert!(!wait.timed_out(), "a gate was never opened");
    }
}

/// Removes the indentation that the lines have in common, so that YAML can stand in a test's body.
pub fn dedent(text: &str) -> String {
    let margin = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    text.lines()
        .map(|line| line.get(margin..).unwrap_or("").trim_end())
        .skip_while(|line| line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Puts `text` that many columns to the right.
pub fn indent(columns: usize, text: &str) -> String {
    dedent(text)
        .lines()
        .map(|line| format!("{:columns$}{line}\n", ""))
        .collect()
}
