//! portcullis: accounts, tokens, route policies and rate limits in front of an unmodified backend.

#![forbid(unsafe_code)]

pub mod authn;
pub mod authz;
pub mod config;
pub mod limit;
pub mod request;
pub mod route;
