//! How far an import is, drawn over and over in one line of a terminal.

use std::io::{Write, stderr};
use std::time::{Duration, Instant};

/// Characters between the brackets.
const WIDTH: usize = 30;

pub(super) struct Bar {
    /// `None`: nobody watches.
    started: Option<Instant>,
}

impl Bar {
    pub fn new(is_watched: bool) -> Bar {
        Bar {
            started: is_watched.then(Instant::now),
        }
    }

    /// `done` from 0 to 1.
    pub fn show(&mut self, done: f64, rows: usize, refused: usize) {
        if let Some(started) = self.started {
            let line = line(done, rows, refused, started.elapsed());
            // The bar is a comfort: what becomes of it does not matter. It ends what the last one said.
            let _ = write!(stderr(), "\r{line}\x1b[K");
        }
    }

    pub fn end(&self) {
        if self.started.is_some() {
            let _ = writeln!(stderr());
        }
    }
}

fn line(done: f64, rows: usize, refused: usize, taken: Duration) -> String {
    let done = done.clamp(0.0, 1.0);
    let filled = (done * WIDTH as f64) as usize;
    let (bar, rest) = ("#".repeat(filled), ".".repeat(WIDTH - filled));
    let percent = (done * 100.0) as u32;
    let left = if done > 0.0 {
        taken.as_secs_f64() / done * (1.0 - done)
    } else {
        0.0
    };
    format!("[{bar}{rest}] {percent:3} %  {rows} rows, {refused} refused, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_what_is_done() {
        let at = |done| line(done, 1200, 3, Duration::from_secs(10));
        assert_eq!(
            at(0.25),
            "[#######.......................]  25 %  1200 rows, 3 refused, 30 s left"
        );
        assert!(at(0.0).starts_with("[..............................]   0 %"));
        assert!(at(7.0).starts_with("[##############################] 100 %"));
    }
}
