//! The gateway from outside: the real binary, real sockets, an origin that can misbehave.

#[path = "../harness/mod.rs"]
mod harness;

mod access;
mod addresses;
mod admin;
mod api_keys;
mod assertions;
mod auth_api;
mod backtest;
mod bad_requests;
mod command_line;
mod cors;
mod demo;
mod diff;
mod examples;
mod first_steps;
mod headers;
mod import_openapi;
mod keys;
mod let_in_once;
mod life;
mod lifecycle;
mod limits;
mod look_ups;
mod members;
mod policy;
mod proxying;
mod reload;
mod replicas;
mod rewrites;
mod routing;
mod rules;
mod shadow;
mod signing;
mod stores;
mod streaming;
mod templates;
mod tiers;
mod told_and_served;
mod tunnels;
mod upstream_failures;
mod websockets;
