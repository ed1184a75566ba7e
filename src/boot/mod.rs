//! Where the parts are wired together. Nothing else imports the control plane's APIs.

mod in_force;
mod parts;
mod reload;
mod run;

pub use crate::api::compat_paths;
pub use run::{BootError, Serving, serve};
