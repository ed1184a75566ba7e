//! What the identify stage makes of a request for its route.

use super::principal::Principal;
use crate::config::checked::Shadow;
use crate::request::Refusal;

/// Who is calling, as far as the next stages are concerned.
#[derive(Debug)]
pub struct Identified {
    pub principal: Principal,
    /// Why the request would have been refused, where `auth` is in shadow: nobody is calling then.
    pub would_refuse: Option<Refusal>,
}

impl Identified {
    /// # Errors
    /// What `outcome` is refused for, unless the route has `auth` in shadow.
    pub fn of(outcome: Result<Principal, Refusal>, shadow: Shadow) -> Result<Self, Refusal> {
        match outcome {
            Err(refusal) if shadow.auth => Ok(Identified {
                principal: Principal::Anonymous,
                would_refuse: Some(refusal),
            }),
            outcome => Ok(Identified {
                principal: outcome?,
                would_refuse: None,
            }),
        }
    }
}
