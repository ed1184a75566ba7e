//! The headers by which a route is chosen.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue};

use super::super::checked::{Route, RouteHeader};
use super::super::decode::{At, Field, Named};
use super::super::diagnose::{Findings, shown};
use super::super::field_names::folded;
use super::super::source::Span;
use super::headers::Taken;

/// By their names; `None` when one of them is unusable, so that nothing can be said about what the route matches.
pub fn headers(
    raw: &Field<Named<String>>,
    taken: &Taken,
    findings: &mut Findings,
) -> Option<Vec<RouteHeader>> {
    let Field::Given(given) = raw else {
        return raw.is_absent().then(Vec::new);
    };
    let entries = &given.value.0;
    if entries.is_empty() {
        findings
            .error(given.span, "this mapping is empty")
            .hint("name at least one header, or remove the key");
        return None;
    }
    let mut all: Vec<RouteHeader> = Vec::new();
    for (name, value) in entries {
        let name_and_value = (header_name(name, taken, findings), value.given());
        let (Some(header), Some(value)) = name_and_value else {
            continue;
        };
        if all.iter().any(|known| known.name == header) {
            findings
                .error(
                    name.span,
                    format!("{} stands here twice", shown(&name.value)),
                )
                .hint("the case of a header's name does not count");
        }
        if let Some(value) = header_value(value, findings) {
            all.push(RouteHeader {
                name: header,
                value,
            });
        }
    }
    all.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    (all.len() == entries.len()).then_some(all)
}

/// Reports routes that go by two spellings of what is one header to many servers: whichever of them a client
/// sends, an upstream may take it for the other. `spans` are the places of the patterns.
pub fn refuse_alike(routes: &[Route], spans: &[Span], findings: &mut Findings) {
    let mut known: HashMap<String, &HeaderName> = HashMap::new();
    for (route, span) in routes.iter().zip(spans) {
        let alike = route.headers_asked().find_map(|name| {
            let first = *known.entry(folded(name.as_str())).or_insert(name);
            (first != name).then_some((first, name))
        });
        if let Some((first, name)) = alike {
            let message = format!(
                "`{name}`, by which this route goes, and `{first}` are one header to many servers"
            );
            findings
                .error(*span, message)
                .hint("write one of them everywhere");
        }
    }
}

fn header_name(name: &At<String>, taken: &Taken, findings: &mut Findings) -> Option<HeaderName> {
    let Ok(header) = HeaderName::from_bytes(name.value.as_bytes()) else {
        let message = format!("{} is no name of a header", shown(&name.value));
        findings
            .error(name.span, message)
            .hint("for example `X-Beta`");
        return None;
    };
    if taken.is_of_callers(&header) {
        return Some(header);
    }
    let message = format!(
        "a route cannot be chosen by the header {}",
        shown(&name.value)
    );
    let finding = findings.error(name.span, message);
    match header.as_str() {
        "host" => finding.hint("write `hosts: [api.example.com]`"),
        _ => finding.hint(
            "callers may send whatever they like there, or the gateway takes it for itself: \
             choose a header of your own",
        ),
    }
    None
}

fn header_value(value: &At<String>, findings: &mut Findings) -> Option<HeaderValue> {
    let text = value.value.as_str();
    let is_fit = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text == text.trim();
    match HeaderValue::from_str(text) {
        Ok(value) if is_fit => Some(value),
        _ => {
            let message = format!("{} cannot be the value of a header", shown(text));
            findings.error(value.span, message).hint(
                "visible ASCII, with spaces only inside: nothing else arrives as it was sent",
            );
            None
        }
    }
}
