//! Stage 4, limit: addresses that a route is not for, and budgets by address, header and route, before
//! authentication ([`admit`]); budgets by user and tier after it ([`take`]), which gives out a [`Ticket`].
//!
//! All workers share one set of counters ([`Slots`]), so a limit holds exactly however many there
//! are. A counter belongs to a value of a limit, for quotas of one length: it outlives reloads, and a
//! caller whose tier changes goes on with what is used up. All limits of a route must pass, and when
//! one refuses the others get back what they were charged.

mod address;
mod at_once;
mod charge;
mod clock;
mod counters;
mod explain;
mod failures;
mod headers;
mod kept;
mod live;
mod meter;
mod names;
mod policy;
mod pool;
#[cfg(test)]
mod properties;
mod rules;
mod scopes;
mod seats;
mod shared;
mod slots;
mod stage;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_rules;
#[cfg(test)]
mod tests_of_shadow;
#[cfg(test)]
mod tests_of_spans;
mod value;
mod word;

pub use address::{AccountLimit, AddressLimit, Budget};
pub use at_once::at_once;
pub use clock::{Clock, Hands};
pub use counters::Counters;
pub use explain::{Bucket, Cap, explain, explain_cap};
pub use failures::{hold_back, note_failure};
pub use kept::{Keeper, Kept};
pub use live::{Listed, Live, Subject, Told, UnderWay};
pub use policy::{CONCURRENCY, Limits};
pub use seats::Seat;
pub use slots::Slots;
pub use stage::{Admission, Ticket, admit, check_address, kept_out, take, take_ahead};
pub use value::Value;
