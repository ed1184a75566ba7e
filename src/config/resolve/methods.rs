//! The methods that a route names.

use http::Method;

use super::super::decode::{AtLeastOne, Field};
use super::super::diagnose::{Findings, nearest, shown};

/// The methods of the IANA registry that a backend may serve, and `PURGE`, which caches use.
pub const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

pub fn methods(raw: &Field<AtLeastOne<String>>, findings: &mut Findings) -> Option<Vec<Method>> {
    let list = match raw {
        Field::Absent => return Some(Vec::new()),
        Field::Invalid => return None,
        Field::Given(list) => &list.value.0,
    };
    let mut all = Vec::new();
    for at in list {
        let text = at.value.as_str();
        let upper = text.to_ascii_uppercase();
        let known = METHODS.contains(&text);
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if known && all.contains(&method) => {
                findings.error(at.span, format!("{} stands here twice", shown(text)));
            }
            Ok(method) if known => all.push(method),
            _ => {
                let message = format!("{} is no method that a route can have", shown(text));
                let finding = findings.error(at.span, message);
                if matches!(upper.as_str(), "*" | "ANY" | "ALL") {
                    finding.hint("remove the key: without it every method is admitted");
                } else if matches!(upper.as_str(), "CONNECT" | "TRACE") {
                    finding.hint(format!("the gateway refuses {upper} on every route"));
                } else if let Some(near) = nearest(&upper, METHODS.iter().copied()) {
                    finding.hint(format!("did you mean `{near}`?"));
                } else {
                    finding.hint("without the key `methods` every method is admitted");
                }
            }
        }
    }
    (all.len() == list.len()).then_some(all)
}
