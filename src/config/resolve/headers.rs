//! Headers that the file names: which names it may have, and the templates of their values.

use http::HeaderName;

use super::super::checked::{HeaderEdits, HeaderLine, Pattern, Preset, Template};
use super::super::decode::{At, Field, Named};
use super::super::diagnose::{Findings, shown};
use super::super::field_names::{self, ASSERTION, are_one};
use super::super::raw::{RawConfig, RawHeaderEdits};
use super::super::template::{BRACES, Parameters};
use super::route;

/// What headers belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Request,
    Response,
    /// The identity that is told on all routes.
    Identity,
}

/// What the rest of the file uses up.
pub struct Taken {
    preset: Preset,
    /// The field of API keys, in lower case.
    api_key: String,
    /// That of assertions, if there are any.
    pub assertion: Option<String>,
    /// Those of `identity`, in lower case.
    identity: Vec<String>,
}

impl Taken {
    pub fn of(config: &RawConfig) -> Taken {
        let identity = config.identity.get();
        let api_keys = config.auth.get().and_then(|auth| auth.api_keys.get());
        let api_key = api_keys.and_then(|keys| keys.header.get());
        Taken {
            preset: identity
                .and_then(|i| i.preset.copied())
                .unwrap_or(Preset::XUser),
            api_key: api_key.map_or_else(
                || field_names::API_KEY.to_owned(),
                |name| name.to_ascii_lowercase(),
            ),
            assertion: identity.and_then(|i| i.assertion.get()).map(|raw| {
                let name = raw.header.get().map_or(ASSERTION, String::as_str);
                name.to_ascii_lowercase()
            }),
            identity: identity
                .and_then(|i| i.headers.get())
                .map_or_else(Vec::new, |named| {
                    let names = named.0.iter();
                    names
                        .map(|(name, _)| name.value.to_ascii_lowercase())
                        .collect()
                }),
        }
    }
}

impl Taken {
    pub fn is_api_key(&self, name: &HeaderName) -> bool {
        are_one(name.as_str().as_bytes(), self.api_key.as_bytes())
    }

    /// By a name in lower case.
    pub fn is_assertion(&self, name: &str) -> bool {
        let assertion = self.assertion.as_ref();
        assertion.is_some_and(|known| are_one(name.as_bytes(), known.as_bytes()))
    }

    /// A route or a rule may go by it: it is the caller's own word, and nobody takes it for the gateway's.
    pub fn is_of_callers(&self, name: &HeaderName) -> bool {
        let is_taken =
            self.is_api_key(name) || self.is_identity(name) || self.is_assertion(name.as_str());
        field_names::may_choose_route(name.as_str()) && !is_taken
    }

    /// The gateway says by it who is calling.
    pub fn is_identity(&self, name: &HeaderName) -> bool {
        let mut known = self.identity.iter();
        known.any(|known| are_one(name.as_str().as_bytes(), known.as_bytes()))
    }
}

/// The headers of `identity`.
pub fn identity(
    raw: &Field<Named<String>>,
    taken: &Taken,
    findings: &mut Findings,
) -> Vec<HeaderLine> {
    lines(raw, Of::Identity, Parameters::Everywhere, taken, findings)
}

/// What a route changes. `pattern` is the route's, when it could be read: templates name its parameters.
pub fn edits(
    raw: &Field<RawHeaderEdits>,
    of: Of,
    pattern: Option<&Pattern>,
    taken: &Taken,
    findings: &mut Findings,
) -> HeaderEdits {
    let Some(raw) = raw.get() else {
        return HeaderEdits::default();
    };
    let names = match pattern {
        Some(pattern) => pattern.parameters(),
        None => Vec::new(),
    };
    let parameters = match pattern {
        Some(_) => Parameters::Of(&names),
        None => Parameters::Unknown,
    };
    let mut removed = Vec::new();
    for at in raw.remove.get().map_or(&[][..], Vec::as_slice) {
        removed.extend(name(at, of, true, taken, &removed, findings));
    }
    HeaderEdits {
        remove: removed,
        set: lines(&raw.set, of, parameters, taken, findings),
        add: lines(&raw.add, of, parameters, taken, findings),
    }
}

fn lines(
    raw: &Field<Named<String>>,
    of: Of,
    parameters: Parameters<'_>,
    taken: &Taken,
    findings: &mut Findings,
) -> Vec<HeaderLine> {
    let mut all = Vec::new();
    let mut names = Vec::new();
    for (at, value) in raw.get().map_or(&[][..], |named| &named.0) {
        let name = name(at, of, false, taken, &names, findings);
        names.extend(name.clone());
        let Some(text) = value.given() else { continue };
        match (Template::parse(&text.value, parameters), name) {
            (Ok(value), Some(name)) => all.push(HeaderLine { name, value }),
            (Ok(_), None) => {}
            (Err(_), _) if findings.is_hidden(text.span) => {
                // What is wrong would be said in the words of the value.
                findings
                    .error(text.span, "this is no template of a value")
                    .hint(BRACES);
            }
            (Err(fault), _) => route::report(text, fault, findings),
        }
    }
    all
}

/// A name, unless it is none, stands among `before` already or must not be changed here.
pub fn name(
    at: &At<String>,
    of: Of,
    is_removal: bool,
    taken: &Taken,
    before: &[HeaderName],
    findings: &mut Findings,
) -> Option<HeaderName> {
    let text = at.value.as_str();
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        let message = format!("{} is no name of a header", shown(text));
        findings
            .error(at.span, message)
            .hint("for example `X-Org`, of letters, digits and `-`");
        return None;
    };
    let is_one = |known: &HeaderName| are_one(known.as_str().as_bytes(), name.as_str().as_bytes());
    if before.iter().any(is_one) {
        let message = format!("{} stands here twice", shown(text));
        findings.error(at.span, message);
        return None;
    }
    let folded = field_names::folded(name.as_str());
    let Some((what, hint)) = refusal(&folded, of, is_removal, taken) else {
        return Some(name);
    };
    let message = format!("{} {what}", shown(text));
    findings.error(at.span, message).hint(hint);
    None
}

/// Why a name, in lower case and with `-` for `_`, is not one to change.
fn refusal(
    name: &str,
    of: Of,
    is_removal: bool,
    taken: &Taken,
) -> Option<(&'static str, &'static str)> {
    if field_names::is_framing(name) {
        let hint = match name {
            "host" => "`rewrite: { host: … }` says which host an upstream is told",
            _ => "it is the gateway's, on each of its two connections",
        };
        return Some(("says what the message is, and is not to be changed", hint));
    }
    if of == Of::Response {
        let is_own = field_names::is_told_to_clients(name);
        let is_cors = !is_removal && name.starts_with("access-control-");
        return match (is_own, is_cors) {
            (true, _) => Some(("is the gateway's own on responses", "leave it out")),
            (_, true) => Some(("is what `cors` writes", "say it there")),
            _ => None,
        };
    }
    if is_removal {
        return None;
    }
    if field_names::is_of_preset(name, taken.preset) {
        let hint = "the preset sets it already; `preset: none` leaves it to you";
        return Some(("is the gateway's own word", hint));
    }
    if name == "x-api-key" || are_one(name.as_bytes(), taken.api_key.as_bytes()) {
        return Some(("is where API keys are", "no upstream is to see one"));
    }
    if taken.is_assertion(name) {
        return Some(("is where assertions are", "`identity.assertion` sets it"));
    }
    if field_names::PROXY.contains(&name) {
        return Some((
            "is the gateway's own word",
            "nobody else says it but trusted proxies",
        ));
    }
    if of == Of::Identity && field_names::is_of_message(name) {
        let hint = "name a header that nothing else uses, such as `X-Org`";
        return Some(("means something else already", hint));
    }
    None
}
