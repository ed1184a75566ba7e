//! portcullis: accounts, tokens, route policies and rate limits in front of an unmodified backend.

#![forbid(unsafe_code)]

pub mod accounts;
pub mod api;
pub mod authn;
pub mod cli;
pub mod config;
pub mod request;
