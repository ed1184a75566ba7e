//! Attacks that broke other gateways, one test for each, named after its row in docs/security.md.

#[path = "../harness/mod.rs"]
mod harness;

mod accounts;
mod concurrency;
mod configuration;
mod exposure;
mod floods;
mod identity;
mod limiter;
mod paths;
mod redis;
mod rules;
mod sessions;
mod settings;
mod smuggling;
mod tokens;
mod websockets;
