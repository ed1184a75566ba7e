//! What a route has in shadow, and whether there is anything to it.

use super::super::checked::{AuthMode, Guard, Shadow};
use super::super::decode::At;
use super::super::diagnose::Findings;
use super::super::raw::RawRoute;

pub fn shadow(raw: &RawRoute, findings: &mut Findings) -> Shadow {
    let list = raw.shadow.get().map_or(&[][..], Vec::as_slice);
    let mut seen: Vec<Guard> = Vec::new();
    for At { value: guard, span } in list {
        let name = guard.as_str();
        if seen.contains(guard) {
            findings.error(*span, format!("`{name}` stands here twice"));
        } else if let Some((message, hint)) = idle(*guard, raw) {
            findings.error(*span, message).hint(hint);
        }
        seen.push(*guard);
    }
    let shadow = Shadow::of(seen);
    if let Some(at) = list.iter().find(|at| at.value == Guard::Auth)
        && raw.auth.copied() == Some(AuthMode::Required)
    {
        if raw.allow.is_absent() || shadow.allow {
            let message = "with `auth` in shadow this route is open to everybody";
            findings
                .warn(at.span, message)
                .hint("what would be refused is counted and logged; remove it here to refuse it");
        } else {
            let message = "`allow` refuses whom `auth` in shadow lets pass without identity";
            findings
                .warn(at.span, message)
                .hint("put `allow` in shadow as well");
        }
    }
    if let Some(at) = list.iter().find(|at| at.value == Guard::Allow)
        && let Some(to_whom) = open_without_rules(shadow, raw)
    {
        let message = format!("with `allow` in shadow this route is open to {to_whom}");
        findings
            .warn(at.span, message)
            .hint("whom it would refuse is counted and logged; remove it here to refuse them");
    }
    shadow
}

/// To whom a route is open while its rules are in shadow; `None` where that is told of `auth`.
fn open_without_rules(shadow: Shadow, raw: &RawRoute) -> Option<&'static str> {
    if raw.allow.is_absent() {
        return None;
    }
    match raw.auth.copied()? {
        AuthMode::Required if shadow.auth => None,
        AuthMode::Required => Some("everybody who is signed in"),
        AuthMode::Optional => Some("everybody"),
        AuthMode::None => None,
    }
}

/// Why a guard in shadow would change nothing, and what to do.
fn idle(guard: Guard, raw: &RawRoute) -> Option<(&'static str, &'static str)> {
    match guard {
        Guard::Auth if raw.auth.copied() == Some(AuthMode::None) => Some((
            "`auth` in shadow has no effect with `auth: none`",
            "what would be asked for is for `auth` to say: write `auth: required`",
        )),
        Guard::Allow if raw.allow.is_absent() => Some((
            "`allow` in shadow has no effect: this route has no `allow`",
            "write the rules that are to be tried out",
        )),
        Guard::Limits
            if raw.concurrency.is_absent() && raw.limits.get().is_some_and(Vec::is_empty) =>
        {
            Some((
                "`limits` in shadow has no effect with `limits: []`",
                "write the limits that are to be tried out, or remove `limits: []` to try the tier's",
            ))
        }
        Guard::Auth | Guard::Allow | Guard::Limits => None,
    }
}
