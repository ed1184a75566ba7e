//! The pipeline: the one place where a request goes through all stages, in order.

mod body;
mod handle;
pub mod ingress;
mod ledger;
pub mod respond;
mod snapshot;
mod worker;

pub use body::{ApiBody, ApiRequestBody, Body};
pub use handle::handle;
pub use ingress::Connection;
pub use snapshot::{AuthApi, AuthApiFuture, RouteNames, Snapshot, Snapshots};
pub use worker::Worker;
