//! What operators see: metrics and the access log. Imports nothing else of the crate.

mod access_log;
mod metrics;
mod shard;

pub use access_log::{AccessLog, Entry, Format, WouldRefuse};
pub use metrics::Metrics;
pub use shard::{Label, LimitDecision, Shard};
