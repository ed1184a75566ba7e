//! gateway.yaml: read with every error at its place, checked, and resolved to [`Config`].

pub mod checked;
mod secret;

pub use checked::Config;
pub use secret::Secret;
