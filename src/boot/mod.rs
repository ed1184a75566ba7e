//! Where the parts are wired together. Nothing else imports the control plane's APIs.

mod in_force;
mod parts;
mod reload;
mod run;

use std::path::Path;

use crate::api;
use crate::config::{self, Loaded, Report};

pub use api::{compat_paths, endpoints, openapi};
pub use run::{BootError, Serving, serve};

/// Reads a file, and warns of routes that the auth API hides.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    config::load_with(path, &api::hidden_routes)
}
