//! The leaf that every stage may import: what a request is, and how one is refused.

mod facts;
mod refusal;
pub mod schema;
mod site;

pub use facts::{Facts, HeldBack, ListedOrigin, Peer};
pub use refusal::{Code, FieldError, Part, Refusal, Shape};
pub use site::Site;
