//! Stage 3, decide: may this caller use this route? The answer is a [`Permit`], or a refusal.

mod explain;
mod policy;
#[cfg(test)]
mod tests;

pub use explain::{RuleOutcome, explain};
pub use policy::{Permit, Policies, decide};
