//! The statements, for either database.

mod accounts;
mod api_keys;
mod attempts;
mod audit;
mod changes;
mod counters;
mod edit;
mod listing;
mod mirror;
mod names;
mod rows;
mod schema;
mod secrets;
mod sessions;
mod tier_limits;
mod tiers;
