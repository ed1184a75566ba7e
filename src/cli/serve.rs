//! `portcullis serve`: the gateway in front of a real backend.

use std::path::PathBuf;

use super::{FAILED, GOOD, colour, fail, log_at};
use crate::boot;
use crate::config::Loaded;

/// Serves by the file until a signal ends it; returns the exit code.
pub fn run(path: PathBuf) -> i32 {
    let Loaded {
        config, warnings, ..
    } = match boot::load(&path) {
        Ok(loaded) => loaded,
        Err(report) => {
            eprint!("{}", report.render(colour()));
            return FAILED;
        }
    };
    log_at(&config.log.level);
    for warning in &warnings {
        tracing::warn!("{}", warning.render(false));
    }
    match boot::serve(config, Some(path), async |_| Ok(())) {
        Ok(()) => GOOD,
        Err(error) => fail(&error),
    }
}
