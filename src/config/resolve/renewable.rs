//! Limits and caps whose counters callers can leave behind.

use super::super::checked::{Auth, AuthMode, Limit, LimitKey, Route};
use super::super::decode::{AtLeastOne, Field};
use super::super::diagnose::Findings;
use super::super::raw::RawRoute;

/// Warns where a route has no limits but such as count by what callers can change, or a cap that does.
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
        warn_of_limits(&raw.value, route, auth, findings);
        warn_of_cap(&raw.value, route, auth, findings);
    }
}

fn warn_of_limits(raw: &RawRoute, route: &Route, auth: &Auth, findings: &mut Findings) {
    let limits = route.limits.as_deref().unwrap_or_default();
    let is_firm = |limit: &Limit| renewal(&limit.key, route.auth, auth).is_none();
    if limits.iter().any(is_firm) {
        return;
    }
    let raw = raw.limits.get().map_or(&[][..], Vec::as_slice);
    for (raw, limit) in raw.iter().zip(limits) {
        if let (Some(key), Some(Renewal { why, firm })) =
            (raw.value.key.given(), renewal(&limit.key, route.auth, auth))
        {
            let message = format!("no limit of this route bounds its callers: {why}");
            findings
                .warn(key.span, message)
                .hint(format!("add a limit by `{firm}` beside it"));
        }
    }
}

/// No limit beside it bounds how much is under way at once.
fn warn_of_cap(raw: &RawRoute, route: &Route, auth: &Auth, findings: &mut Findings) {
    let key = raw.concurrency.get().and_then(|raw| raw.key.given());
    let cap = route.concurrency.as_ref();
    let renewal = cap.and_then(|cap| renewal(&cap.key, route.auth, auth));
    if let (Some(key), Some(Renewal { why, firm })) = (key, renewal) {
        let message = format!("`concurrency` bounds no caller of this route: {why}");
        findings
            .warn(key.span, message)
            .hint(format!("count by `{firm}`"));
    }
}

/// How a caller comes to another counter.
struct Renewal {
    why: String,
    /// The key that they stay with.
    firm: &'static str,
}

fn renewal(key: &LimitKey, mode: AuthMode, auth: &Auth) -> Option<Renewal> {
    let is_known = mode != AuthMode::None;
    let by_user = |why: &str| Renewal {
        why: why.to_owned(),
        firm: "user",
    };
    match key {
        LimitKey::Header(name) if mode != AuthMode::Required => Some(Renewal {
            why: format!("whoever sends another `{name}` has another budget"),
            firm: "ip",
        }),
        LimitKey::ApiKey if is_known && auth.lets_keys_be_made() => {
            Some(by_user("users make API keys, and each has another budget"))
        }
        LimitKey::Claim(name) if is_known => match name.as_str() {
            "sid" => Some(by_user("every login has another `sid`")),
            "exp" => Some(by_user("every token has another `exp`")),
            // Another application's accounts are changed there.
            "username" | "email" | "name" if auth.lets_accounts_change() => {
                Some(by_user(&format!("users change their `{name}`")))
            }
            _ => None,
        },
        _ => None,
    }
}
