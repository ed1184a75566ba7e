//! `cors`: the pages of other origins that may call, each written as browsers send it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::super::checked::{Cors, Origins};
use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, shown};
use super::super::raw::RawCors;
use super::super::source::Span;
use super::methods;
use super::rewrite::is_authority;

const DEFAULT_MAX_AGE: Duration = Duration::from_secs(600);
/// What a page needs for a bearer token and a body in JSON.
const DEFAULT_HEADERS: [HeaderName; 2] = [http::header::AUTHORIZATION, http::header::CONTENT_TYPE];

/// `None` where no origin is named: there the gateway neither writes nor removes anything.
pub fn cors(raw: &Field<RawCors>, findings: &mut Findings) -> Option<Arc<Cors>> {
    let raw = raw.get()?;
    let credentials = raw.credentials.copied().unwrap_or(false);
    let methods = methods::methods(&raw.methods, findings).unwrap_or_default();
    let headers = match raw.headers.get() {
        Some(list) => names(list, findings),
        None => DEFAULT_HEADERS.to_vec(),
    };
    let expose = raw
        .expose
        .get()
        .map_or_else(Vec::new, |list| names(list, findings));
    let Some(list) = raw.origins.get() else {
        if raw.origins.is_absent()
            && let Some(span) = without_effect(raw)
        {
            findings
                .error(span, "`cors` without `origins` has no effect")
                .hint("add `origins: [https://app.example.com]`, or write `cors: {}`");
        }
        return None;
    };
    let mut listed = Vec::new();
    let mut any = None;
    for at in &list.0 {
        match at.value.as_str() {
            "*" => any = Some(at.span),
            _ => listed.extend(origin(at, findings)),
        }
    }
    if let Some(span) = any {
        if credentials {
            findings
                .error(span, "`*` and `credentials: true` exclude each other")
                .hint("any page could act for whoever looks at it: list the origins");
        } else if list.0.len() > 1 {
            findings
                .error(span, "`*` says all that the others say")
                .hint("list the origins, or write `*` alone");
        }
    }
    Some(Arc::new(Cors {
        origins: match any {
            Some(_) => Origins::Any,
            None => Origins::Listed(listed),
        },
        methods,
        headers,
        exposed: exposed(&expose),
        expose,
        credentials,
        max_age: raw.max_age.copied().unwrap_or(DEFAULT_MAX_AGE),
    }))
}

/// What the gateway itself says on responses, and the names of the file. A header that is not there is no
/// matter.
fn exposed(names: &[HeaderName]) -> HeaderValue {
    const OWN: &str = "link, ratelimit, ratelimit-policy, retry-after, x-ratelimit-limit, \
                       x-ratelimit-remaining, x-ratelimit-reset, x-request-id";
    let mut all = OWN.to_owned();
    for name in names {
        all = all + ", " + name.as_str();
    }
    // Names of headers are always a valid value.
    HeaderValue::try_from(all).unwrap_or(HeaderValue::from_static(OWN))
}

/// Where a key stands that says something of origins which are not there.
fn without_effect(raw: &RawCors) -> Option<Span> {
    let spans = [
        raw.methods.span(),
        raw.headers.span(),
        raw.expose.span(),
        raw.credentials.span(),
        raw.max_age.span(),
    ];
    spans.into_iter().flatten().next()
}

/// An origin is compared byte for byte, so another way to write one would never match.
fn origin(at: &At<String>, findings: &mut Findings) -> Option<HeaderValue> {
    let text = at.value.as_str();
    let example = "for example `https://app.example.com` or `http://localhost:5173`";
    let (message, hint) = match text.split_once("://") {
        _ if text == "null" => (
            "`null` is what pages send that hide their origin, whosever they are".to_owned(),
            "list the origins that may call".to_owned(),
        ),
        None => (
            format!("expected an origin, found {}", shown(text)),
            match is_authority(text) && text.contains('.') {
                true => format!("with its scheme: `https://{text}`"),
                false => example.to_owned(),
            },
        ),
        Some((scheme, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let plain = plain(scheme, authority);
            match plain {
                Some(plain) if plain == text => return HeaderValue::from_str(text).ok(),
                Some(plain) => (
                    format!("browsers send the origin {} in another form", shown(text)),
                    format!("write `{plain}`"),
                ),
                None if authority.contains('*') => (
                    format!("{} is no origin", shown(text)),
                    "an origin is listed with its whole name".to_owned(),
                ),
                None => (
                    format!("expected an origin, found {}", shown(text)),
                    example.to_owned(),
                ),
            }
        }
    };
    findings.error(at.span, message).hint(hint);
    None
}

/// An origin as the Fetch standard serializes it: in lower case, without the scheme's own port.
fn plain(scheme: &str, authority: &str) -> Option<String> {
    let scheme = scheme.to_ascii_lowercase();
    let mut bytes = scheme.bytes();
    let is_scheme = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let authority = authority.to_ascii_lowercase();
    if !is_scheme || !is_authority(&authority) {
        return None;
    }
    let own_port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(own_port).unwrap_or(&authority);
    Some(format!("{scheme}://{authority}"))
}

fn names(list: &[At<String>], findings: &mut Findings) -> Vec<HeaderName> {
    let mut all = Vec::new();
    for at in list {
        match HeaderName::from_bytes(at.value.as_bytes()) {
            Ok(name) if name != "*" => all.push(name),
            _ => {
                let message = format!("{} is no name of a header", shown(&at.value));
                let finding = findings.error(at.span, message);
                finding.hint(match at.value.as_str() {
                    "*" => "list them: `*` would not cover `authorization`",
                    _ => "for example `content-type`",
                });
            }
        }
    }
    all
}
