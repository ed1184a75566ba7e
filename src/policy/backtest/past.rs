//! What was decided on a request when it came.

use super::record::Record;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    Allowed,
    /// By a code that a policy can give.
    Denied(&'static str),
    /// Served or refused by the auth API itself.
    AuthApi,
    /// The log does not say what the policy decided.
    Untold(&'static str),
}

/// Codes by which a policy refuses.
const OF_POLICY: [&str; 9] = [
    "token-missing",
    "token-invalid",
    "token-expired",
    "token-revoked",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "ambiguous-path",
    "rate-limited",
];

/// Codes of what the policy had let through.
const BEHIND_POLICY: [&str; 5] = [
    "upstream-unreachable",
    "upstream-timeout",
    "upstream-overloaded",
    "body-too-large",
    "request-timeout",
];

/// Codes that are given where no route was found.
const WITHOUT_ROUTE: [&str; 3] = ["not-found", "method-not-allowed", "ambiguous-path"];

impl Past {
    pub fn of(record: &Record) -> Past {
        let reason = record.reason.as_deref().unwrap_or_default();
        let known = |codes: &[&'static str]| codes.iter().find(|code| **code == reason).copied();
        match record.decision.as_str() {
            "allow" if record.route.is_some() => Past::Allowed,
            "allow" => Past::AuthApi,
            "deny" => match (known(&OF_POLICY), &record.route) {
                (Some(code), Some(_)) => Past::Denied(code),
                (Some(code), None) if WITHOUT_ROUTE.contains(&code) => Past::Denied(code),
                (None, Some(_)) if known(&BEHIND_POLICY).is_some() => Past::Allowed,
                (None, Some(_)) => Past::Untold("refused for what the log does not hold"),
                (_, None) if reason == "bad-request" || reason == "header-too-large" => {
                    Past::Untold("refused for what the log does not hold")
                }
                (_, None) => Past::AuthApi,
            },
            _ => Past::Untold("the client left"),
        }
    }

    /// By which a request without a good credential was refused, or would have been but for the shadow.
    pub fn missed(&self, record: &Record) -> Option<&'static str> {
        let in_shadow = record
            .would_refuse
            .iter()
            .find_map(|refusal| refusal.strip_prefix("auth: "));
        let code = match self {
            Past::Denied(code) => Some(*code),
            _ => OF_POLICY.into_iter().find(|code| Some(*code) == in_shadow),
        };
        code.filter(|code| code.starts_with("token-"))
    }
}
