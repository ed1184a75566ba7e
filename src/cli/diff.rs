//! `portcullis diff`: what a change of the configuration does to policy.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::output::{FAILED, GOOD, LOOSENED, once_printed, print, print_json, refuse};
use crate::boot;
use crate::config::text::visible;
use crate::config::{self, counted};
use crate::policy::{Change, Kind, Stages, diff};

#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The configuration as it was
    old: PathBuf,
    /// The configuration as it would be
    new: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Returns 0 when nothing is looser than before and 4 when something is.
pub fn run(args: &DiffArgs) -> i32 {
    let (Some(old), Some(new)) = (load(&args.old), load(&args.new)) else {
        return FAILED;
    };
    let changes = diff(&old, &new);
    let looser = changes
        .iter()
        .filter(|change| change.kind.is_looser())
        .count();
    let printed = match args.json {
        true => print_json(&json!({
            "loosened": looser > 0,
            "changes": changes.iter().map(Change::to_json).collect::<Vec<_>>(),
        })),
        false => print(&text(&changes, looser)),
    };
    once_printed(printed, if looser == 0 { GOOD } else { LOOSENED })
}

fn load(path: &Path) -> Option<Stages> {
    match config::load(path) {
        Ok(loaded) => {
            let endpoints = boot::endpoints(&loaded.config.auth);
            Some(Stages::build(loaded.config, endpoints))
        }
        Err(report) => {
            refuse(&report);
            None
        }
    }
}

/// The changes under what they are, the worst first.
fn text(changes: &[Change], looser: usize) -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        let of_kind: Vec<&Change> = changes
            .iter()
            .filter(|change| change.kind == kind)
            .collect();
        if !of_kind.is_empty() {
            text += &format!("{}\n", kind.as_str());
        }
        for change in of_kind {
            text += &format!("  {}: {}\n", change.about, change.what);
        }
    }
    let sum = match (changes.len(), looser) {
        (0, _) => "the policy is the same".to_owned(),
        (all, 0) => format!("{}, nothing is looser", counted(all, "change")),
        (all, looser) => format!("{}, {looser} looser", counted(all, "change")),
    };
    // Names of paths and claims are whatever the files have.
    visible(&text) + &sum + "\n"
}
