//! Stage 4, limit: budgets by address, header and route before authentication ([`admit`]), by user
//! and tier after it ([`take`]), which gives out a [`Ticket`].
//!
//! All workers share one set of counters ([`Slots`]), so a limit holds exactly however many there
//! are. A counter belongs to (route, limit, value) and never to a quota: it outlives reloads, and a
//! caller whose tier changes goes on with what is used up. All limits of a route must pass, and when
//! one refuses the others get back what they were charged.

mod address;
mod clock;
mod explain;
mod headers;
mod meter;
mod policy;
mod pool;
#[cfg(test)]
mod properties;
mod rules;
mod slots;
mod stage;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_rules;
mod word;

pub use address::AddressLimit;
pub use clock::{Clock, Hands};
pub use explain::{Bucket, explain};
pub use policy::Limits;
pub use slots::Slots;
pub use stage::{Admission, Ticket, admit, take, take_ahead};
