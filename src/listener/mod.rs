//! Sockets and the threads behind them: one acceptor deals connections to workers.

mod accept;
mod connection;
mod drain;
mod stream;
mod worker;

pub use accept::{Acceptor, connection_limit};
pub use worker::{Settings, Workers};
