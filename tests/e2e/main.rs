//! The gateway from outside: the real binary, real sockets, an origin that can misbehave.

#[path = "../harness/mod.rs"]
mod harness;

mod headers;
mod proxying;
mod routing;
mod streaming;
mod upstream_failures;
