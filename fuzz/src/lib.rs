//! What the targets share: rules that are written a second time, apart from the gateway's code, and
//! gateways to hold to them.

pub mod expressions;
pub mod gateways;
pub mod names;
pub mod policies;
pub mod servers;
pub mod templates;
