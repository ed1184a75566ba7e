//! Stage 3, decide: may this caller use this route? The answer is a [`Permit`], or a refusal.

mod policy;

pub use policy::{Permit, Policies, decide};
