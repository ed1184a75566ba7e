//! Stage 3, decide: whether a caller may take a route.

use crate::authn::Principal;
use crate::route::Matched;

/// A request that may pass, as far as its caller is concerned.
#[derive(Debug)]
pub struct Permit {
    matched: Matched,
    principal: Principal,
}

impl Permit {
    pub(crate) fn new(matched: Matched, principal: Principal) -> Self {
        Permit { matched, principal }
    }

    pub fn matched(&self) -> &Matched {
        &self.matched
    }

    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}
