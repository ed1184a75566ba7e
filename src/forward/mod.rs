//! Stage 5, forward: a request with its [`Ticket`](crate::limit::Ticket) goes to the upstream.

mod assertion;
mod body;
mod deliver;
mod exchange;
mod explain;
mod headers;
mod identity;
mod look_up;
mod outbound;
mod pool;
mod reserved;
mod rewrite;
mod target;
mod template;
mod tunnel;
mod upgrade;

pub use assertion::{ASSERTION_TYPE, AssertionClaims, Assertions, Sign};
pub use body::ResponseBody;
pub use exchange::{Context, Trace, Upstreams, WorkerPools, send};
pub use explain::{Outgoing, explain};
pub use headers::{Hop, X_REQUEST_ID, host_of, scheme, set_host};
pub use look_up::{Asker, LookUps};
pub use outbound::Outbound;
pub use rewrite::target as rewritten;
pub use target::Directory;
pub use tunnel::{Broken, Way, carry};
pub use upgrade::Handshake;
