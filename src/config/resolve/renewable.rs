//! Limits whose counters callers can leave behind.

use super::super::checked::{Auth, AuthMode, Group, Limit, LimitKey, Route};
use super::super::decode::{AtLeastOne, Field};
use super::super::diagnose::Findings;
use super::super::raw::RawRoute;

/// Warns where a route has no limits but such as count by what callers can change.
pub fn warn(
    raw: &Field<AtLeastOne<RawRoute>>,
    routes: &[Route],
    auth: &Auth,
    findings: &mut Findings,
) {
    // Only in a file that holds are the routes all there, in order.
    let (Some(raw), false) = (raw.get(), findings.has_errors()) else {
        return;
    };
    for (raw, route) in raw.0.iter().zip(routes) {
        let limits = route.limits.as_deref().unwrap_or_default();
        let is_firm = |limit: &Limit| renewal(&limit.key, route.auth, auth).is_none();
        if limits.iter().any(is_firm) {
            continue;
        }
        let raw = raw.value.limits.get().map_or(&[][..], Vec::as_slice);
        for (raw, limit) in raw.iter().zip(limits) {
            if let (Some(key), Some((why, hint))) =
                (raw.value.key.given(), renewal(&limit.key, route.auth, auth))
            {
                let message = format!("no limit of this route bounds its callers: {why}");
                findings.warn(key.span, message).hint(hint);
            }
        }
    }
}

/// How a caller comes to another counter, and what to do about it.
fn renewal(key: &LimitKey, mode: AuthMode, auth: &Auth) -> Option<(String, &'static str)> {
    let by_user = "add a limit by `user` beside it";
    let is_known = mode != AuthMode::None;
    let serves = |group| auth.serve.contains(&group);
    match key {
        LimitKey::Header(name) if mode != AuthMode::Required => Some((
            format!("whoever sends another `{name}` has another budget"),
            "add a limit by `ip` beside it",
        )),
        LimitKey::ApiKey if is_known && auth.api_keys.enabled && serves(Group::ApiKeys) => Some((
            "users make API keys, and each has another budget".to_owned(),
            by_user,
        )),
        LimitKey::Claim(name) if is_known => {
            let why = match name.as_str() {
                "sid" => "every login has another `sid`".to_owned(),
                "exp" => "every token has another `exp`".to_owned(),
                // Another application's accounts are changed there.
                "username" | "email" | "name" if auth.users.is_none() && serves(Group::Users) => {
                    format!("users change their `{name}`")
                }
                _ => return None,
            };
            Some((why, by_user))
        }
        _ => None,
    }
}
