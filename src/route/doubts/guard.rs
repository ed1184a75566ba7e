//! How much a route asks of its callers.

use crate::config::checked::{AuthMode, Route};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Guard {
    /// Nothing: `none`, `optional` without rules, or all in shadow.
    None,
    /// To be somebody.
    Identity,
    /// To be somebody whom `allow` lets through.
    Rules,
}

impl Guard {
    pub(super) fn of(route: &Route) -> Guard {
        // What is in shadow asks nothing of anybody.
        let has_no_rules = route.allow.is_empty() || route.shadow.allow;
        match (route.auth, has_no_rules) {
            (AuthMode::None, _) | (AuthMode::Optional, true) => Guard::None,
            (AuthMode::Required, true) if route.shadow.auth => Guard::None,
            (AuthMode::Required, true) => Guard::Identity,
            (AuthMode::Optional | AuthMode::Required, false) => Guard::Rules,
        }
    }

    /// Who may use such a route.
    pub(super) fn words(self) -> &'static str {
        match self {
            Guard::None => "which anybody may use",
            Guard::Identity => "which anybody may use who is signed in",
            Guard::Rules => "which has rules of its own",
        }
    }
}
