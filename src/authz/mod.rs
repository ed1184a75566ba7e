//! Stage 3, decide: may this caller use this route? The answer is a [`Permit`], or a refusal.

mod judge;
mod policy;
#[cfg(test)]
mod tests;
mod variables;

pub use judge::{Key, Outcome};
pub use policy::{Permit, Policies, decide, explain};
