//! Attacks that broke other gateways, one test for each, named after its row in docs/security.md.

#[path = "../harness/mod.rs"]
mod harness;
