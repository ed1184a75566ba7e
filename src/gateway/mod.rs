//! The pipeline: the one place where a request goes through all stages, in order.

mod additions;
mod body;
mod connection;
pub mod cors;
mod due;
mod handle;
pub mod ingress;
mod kept;
mod ledger;
pub mod respond;
mod security;
mod snapshot;
mod standing;
mod tunnel;
mod worker;

pub use additions::Additions;
pub use body::{ApiBody, ApiRequestBody, Body};
pub use connection::Connection;
pub use handle::handle;
pub use kept::{DecidingHeaders, Kept};
pub use security::Security;
pub use snapshot::{AuthApi, AuthApiFuture, RouteNames, RuleSet, Snapshot, Snapshots};
pub use worker::Worker;
