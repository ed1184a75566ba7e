//! Stage 1, route: from a request's host, path and method to a [`Matched`].
//!
//! - Host groups are searched from the tightest: the exact name, then wildcards by their longest
//!   suffix, each with the request's port before without, then the routes that name no host. A group without a match leaves it to the next.
//! - Inside a group paths compare by segment from the left: a literal beats `{name}`, which beats a
//!   regex behind its leading literal segments, which beats `{*name}` and a prefix's end; what still
//!   ties goes by order in the file.
//! - Routes that do not admit the method or the headers are passed over for looser ones; when only such
//!   match, the answer is 405 with every method that would have been admitted, and 404 where it was
//!   headers alone. Of routes of one pattern those with more headers come first.
//! - Unless the route's `path_options` say otherwise, case counts and so does a trailing slash: `/a` and
//!   `/a/` are two paths. `{name}` takes a segment of at least one
//!   character and `{*name}` at least one character; `prefix: /x` takes `/x` and all below `/x/`.
//! - Query and fragment take no part.
//! - A path that servers read in different ways is matched under each reading, and refused when the
//!   readings disagree on the route or on a parameter that decides who may pass (see `readings.rs`).

mod deciding;
mod doubts;
mod escape;
mod explain;
mod find;
mod forms;
mod group;
mod hosts;
mod matched;
mod order;
mod overlong;
#[cfg(test)]
mod properties;
mod readings;
#[cfg(test)]
pub(crate) mod sample;
mod table;
mod templates;
#[cfg(test)]
mod tests;
mod trie;

pub use doubts::{Tries, doubts};
pub use explain::{Miss, Near, canonical, near, readings_of};
pub use find::{NO_PATH, find, find_announced, find_next};
pub use hosts::host_name;
pub use matched::{Destination, Matched};
pub use readings::{all as all_readings, is_plain};
pub use table::{Table, endpoint, parameter_index};
pub use templates::Templates;
