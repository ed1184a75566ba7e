//! What the command line prints, and the codes that it exits with. Whoever reads it may be gone, or the disk
//! full: nothing here panics over that.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _, stderr};

use serde_json::Value;
use tracing_subscriber::EnvFilter;

use crate::config::Report;
use crate::config::text::visible;

/// Exit codes beside clap's own 2 for bad usage.
pub const GOOD: i32 = 0;
pub const FAILED: i32 = 1;
pub const USAGE: i32 = 2;
/// The request would be refused.
pub const REFUSED: i32 = 3;
/// The policy would be looser.
pub const LOOSENED: i32 = 4;

/// A text on stdout. Whoever closed the pipe has seen enough.
pub fn print(text: &str) -> i32 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => GOOD,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => FAILED,
        Err(error) => fail_with(format!("cannot write to standard output: {error}")),
    }
}

pub fn print_json(value: &Value) -> i32 {
    print(&format!("{value:#}\n"))
}

/// The exit code `code`, unless what it is about could not be printed.
pub fn once_printed(printed: i32, code: i32) -> i32 {
    match printed {
        GOOD => code,
        failed => failed,
    }
}

/// A text on stderr. Where that fails there is nobody left to tell.
pub fn say(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

/// An error and what caused it, on stderr.
pub fn fail(error: &dyn Error) -> i32 {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their cause.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    fail_with(text)
}

/// The same of what is no error by itself.
pub fn fail_with(why: impl Display) -> i32 {
    say(&format!("error: {}\n", visible(&why.to_string())));
    FAILED
}

pub fn bad_usage(why: impl Display) -> i32 {
    fail_with(why);
    USAGE
}

/// What is wrong with a file.
pub fn refuse(report: &Report) -> i32 {
    say(&report.render(colour()));
    FAILED
}

/// Colour is for terminals, unless <https://no-color.org> says otherwise.
pub fn colour() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The program's own log, on stderr.
pub fn log_at(level: &str) {
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(colour())
        .with_env_filter(EnvFilter::new(level))
        .with_target(false)
        // It would tell them by what panics when nobody reads it.
        .log_internal_errors(false)
        .init();
}
