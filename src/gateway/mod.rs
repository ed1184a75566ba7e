//! The pipeline: the one place where a request goes through all stages, in order.

mod additions;
mod body;
pub mod cors;
mod handle;
pub mod ingress;
mod ledger;
pub mod respond;
mod security;
mod snapshot;
mod tunnel;
mod worker;

pub use additions::Additions;
pub use body::{ApiBody, ApiRequestBody, Body};
pub use handle::handle;
pub use ingress::Connection;
pub use security::Security;
pub use snapshot::{AuthApi, AuthApiFuture, RouteNames, Snapshot, Snapshots};
pub use worker::Worker;
