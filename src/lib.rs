//! portcullis: accounts, tokens, route policies and rate limits in front of an unmodified backend.

#![forbid(unsafe_code)]

pub mod accounts;
pub mod admin;
pub mod api;
pub mod authn;
pub mod authz;
pub mod boot;
pub mod cli;
pub mod config;
pub mod forward;
pub mod gateway;
pub mod limit;
pub mod listener;
pub mod policy;
pub mod request;
pub mod route;
pub mod single_flight;
pub mod telemetry;
