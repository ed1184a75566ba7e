//! Stage 5, forward: a request with its [`Ticket`](crate::limit::Ticket) goes to the upstream.

mod body;
mod exchange;
mod explain;
mod headers;
mod identity;
mod pool;
mod reserved;
mod target;
mod template;

pub use body::ResponseBody;
pub use exchange::{Context, Trace, Upstreams, WorkerPools, send};
pub use explain::{Circumstances, Outgoing, explain};
pub use headers::{Hop, X_REQUEST_ID, set_host};
pub use target::Directory;
