//! Where the parts are wired together. Nothing else imports the control plane's APIs.

mod admission;
mod counters;
mod in_force;
mod parts;
mod reload;
mod run;

use std::path::Path;

use crate::api;
use crate::config::{self, Config, Doubt, File, Loaded, Report};
use crate::route::{self, Tries};

pub use api::{ask as ask_auth_api, compat_paths, endpoints, openapi};
pub use reload::Origin;
pub use run::{BootError, Serving, serve};

/// Reads a file, and warns of routes that the auth API hides or that are doubtful among themselves.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    config::load_with(path, &doubts)
}

/// The same of a file that was read.
fn parse(file: &File) -> Result<Loaded, Report> {
    config::parse_file(file, &doubts)
}

fn doubts(config: &Config) -> Vec<Doubt> {
    let tries = Tries::default();
    let mut doubts = api::hidden_routes(config, &tries);
    doubts.extend(route::doubts(config, &tries));
    doubts
}
