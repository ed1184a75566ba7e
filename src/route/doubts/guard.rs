//! How much a route asks of its callers.

use http::Method;

use super::SAFE;
use crate::config::checked::{AuthMode, Route};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Guard {
    /// Nothing: `none`, `optional` without rules, or all in shadow.
    None,
    /// To be in one of some networks, and no more.
    Network,
    /// To be somebody.
    Identity,
    /// To be somebody whom `allow` lets through.
    Rules,
}

impl Guard {
    pub(super) fn of(route: &Route) -> Guard {
        // What is in shadow asks nothing of anybody; `ip` never is.
        let has_no_rules = route.allow.is_empty() || route.shadow.allow;
        let open = match names_networks(route) {
            true => Guard::Network,
            false => Guard::None,
        };
        match (route.auth, has_no_rules) {
            (AuthMode::None, _) | (AuthMode::Optional, true) => open,
            (AuthMode::Required, true) if route.shadow.auth => open,
            (AuthMode::Required, true) => Guard::Identity,
            (AuthMode::Optional | AuthMode::Required, false) => Guard::Rules,
        }
    }

    /// Who may use such a route, which is looser than another: one with rules is none.
    pub(super) fn words(self) -> &'static str {
        match self {
            Guard::None => "which anybody may use",
            Guard::Network => "which anybody may use from some networks",
            Guard::Identity | Guard::Rules => "which anybody may use who is signed in",
        }
    }
}

/// Whether a route is for some networks alone; one that keeps some out is for everybody else, and in all of IPv4 or
/// IPv6 is about everybody, too.
fn names_networks(route: &Route) -> bool {
    let allow = &route.ip.allow;
    !allow.is_empty() && allow.of_everybody().next().is_none()
}

/// Whether a route lets through whom another that comes before it would not, and nobody can have meant it.
///
/// Callers without identity, be it from some networks, where the other asks who is calling; and callers from anywhere,
/// where the other asks from where and no more: always. Callers whom `allow` would refuse, or from anywhere who
/// are signed in: where the other is about reading at most, or all methods. A route that names methods that write, with
/// a rule for them, stands before a general one on purpose, as in "change your own posts, read everybody's".
pub(super) fn is_looser(looser: &Route, guarded: &Route) -> bool {
    let is_safe = |method: &Method| SAFE.contains(method);
    let names_writing = !guarded.methods.iter().all(is_safe);
    match (Guard::of(guarded), Guard::of(looser)) {
        (Guard::None, _) => false,
        (_, Guard::None) => true,
        (Guard::Identity | Guard::Rules, Guard::Network) => true,
        (Guard::Rules, Guard::Identity) => !names_writing,
        (Guard::Network | Guard::Identity, Guard::Identity) => {
            names_networks(guarded) && !names_networks(looser) && !names_writing
        }
        // Networks are not held against networks, nor rules against what they may ask.
        (Guard::Network, Guard::Network) | (_, Guard::Rules) => false,
    }
}
