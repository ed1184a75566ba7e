//! Whatever a gateway.yaml holds, reading it ends, and what is wrong can be told.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use portcullis::config;

fuzz_target!(|text: &str| {
    let env = |name: &str| (name.len() % 2 == 0).then(|| name.to_owned());
    match config::parse(text, Path::new("gateway.yaml"), &env) {
        Ok(loaded) => {
            assert!(!loaded.config.routes.is_empty());
            for warning in &loaded.warnings {
                warning.render(true);
            }
        }
        Err(report) => {
            assert!(!report.diagnostics.is_empty());
            report.render(true);
            report.to_json();
        }
    }
});
