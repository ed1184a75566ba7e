//! `portcullis serve`: the gateway in front of a real backend.

use std::path::PathBuf;

use super::output::{GOOD, fail, log_at, refuse};
use crate::boot::{self, Origin};
use crate::config::Loaded;

/// Serves by the file until a signal ends it; returns the exit code.
pub fn run(path: PathBuf) -> i32 {
    let Loaded {
        config,
        warnings,
        digest,
        ..
    } = match boot::load(&path) {
        Ok(loaded) => loaded,
        Err(report) => return refuse(&report),
    };
    log_at(&config.log.level);
    for warning in &warnings {
        tracing::warn!("{}", warning.render(false));
    }
    match boot::serve(config, Some(Origin { path, digest }), async |_| Ok(())) {
        Ok(()) => GOOD,
        Err(error) => fail(&error),
    }
}
