//! The gateway from outside: the real binary, real sockets, an origin that can misbehave.

#[path = "../harness/mod.rs"]
mod harness;

mod access;
mod auth_api;
mod headers;
mod limits;
mod proxying;
mod routing;
mod signing;
mod streaming;
mod upstream_failures;
