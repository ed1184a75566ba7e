//! Stage 3, decide: may this caller use this route? The answer is a [`Permit`], or a refusal.

mod judge;
mod owners;
mod policy;
mod spelling;
#[cfg(test)]
mod tests;
mod variables;

pub use judge::{Key, Outcome};
pub use owners::{Asking, Owners, Question, Unknown};
pub use policy::{Decision, Permit, Policies, decide, explain};
