//! Routes: their patterns, rules, limits and the names they refer to.

use std::collections::{HashMap, HashSet};

use super::super::checked::{AuthMode, HostPattern, PathOptions, Pattern, Route};
use super::super::decode::{At, AtLeastOne, Field};
use super::super::diagnose::{Findings, shown};
use super::super::raw::{RawConfig, RawRoute};
use super::super::source::Span;
use super::methods::methods;
use super::names::Names;
use super::{
    address, check_name, cors, headers, limit, match_headers, pattern, positive, rewrite, rule,
    shadow, ties,
};

const DEFAULT_MAX_BODY: u64 = 10 * 1024 * 1024;

pub fn routes(
    raw: &Field<AtLeastOne<RawRoute>>,
    names: &Names<'_>,
    findings: &mut Findings,
) -> Vec<Route> {
    let items = raw.get().map_or(&[][..], |list| &list.0);
    let mut seen: HashMap<&str, Span> = HashMap::new();
    let mut all = Vec::with_capacity(items.len());
    let mut spans = Vec::with_capacity(items.len());
    for item in items {
        let name = item.value.name.given();
        if let Some(name) = name {
            check_name(name, "a route", findings);
            if seen.insert(&name.value, name.span).is_some() {
                let message = format!("two routes have the name {}", shown(&name.value));
                findings
                    .error(name.span, message)
                    .hint("give each route a name of its own");
            }
        }
        if let Some(route) = route(item, names, findings) {
            spans.push(pattern_span(item));
            all.push(route);
        }
    }
    ties::refuse(&all, &spans, findings);
    match_headers::refuse_alike(&all, &spans, findings);
    all
}

/// Where the pattern of a route stands in a file that holds: its routes are all there, in order.
pub fn route_span(raw: &RawConfig, route: usize) -> Span {
    let item = raw.routes.get().and_then(|list| list.0.get(route));
    item.map_or_else(Span::default, pattern_span)
}

fn pattern_span(at: &At<RawRoute>) -> Span {
    let raw = &at.value;
    let patterns = [&raw.path, &raw.prefix, &raw.regex];
    patterns
        .iter()
        .find_map(|field| field.span())
        .unwrap_or(at.span)
}

/// `None` when the pattern is unusable, so that nothing can be said about what it matches.
fn route(at: &At<RawRoute>, names: &Names<'_>, findings: &mut Findings) -> Option<Route> {
    let raw = &at.value;
    let path_options = path_options(raw);
    let pattern = pattern(raw, at.span, path_options, names, findings);
    let auth = raw.auth.copied();
    let allow = match raw.allow.given() {
        None => Vec::new(),
        Some(rules) => {
            if auth == Some(AuthMode::None) {
                findings
                    .error(rules.span, "`allow` has no effect with `auth: none`")
                    .hint("without authentication nobody is known: write `auth: required`");
            }
            let rules = rules.value.0.iter();
            rules
                .map(|at| rule::rule(at, pattern.as_ref(), path_options, names, findings))
                .collect()
        }
    };
    let limits = raw
        .limits
        .get()
        .map(|list| limit::limits(list, auth, names, findings));
    let concurrency = limit::concurrency(&raw.concurrency, findings);
    let methods = methods(&raw.methods, findings);
    let hosts = hosts(&raw.hosts, findings);
    let headers = match_headers::headers(&raw.headers, &names.headers, findings);
    let upstream = raw
        .upstream
        .given()
        .map_or(0, |name| names.upstream(name, findings));
    let timeout = raw
        .timeout
        .copied()
        .map(|t| positive(&raw.timeout, t, findings));
    let edits = |field, what, findings: &mut Findings| {
        headers::edits(field, what, pattern.as_ref(), &names.headers, findings)
    };
    let request_headers = edits(&raw.request_headers, headers::Of::Request, findings);
    let response_headers = edits(&raw.response_headers, headers::Of::Response, findings);
    let cors = match raw.cors.is_absent() {
        true => names.cors.clone(),
        false => cors::cors(&raw.cors, findings),
    };
    let rewrite = rewrite::rewrite(&raw.rewrite, pattern.as_ref(), path_options, findings);
    Some(Route {
        name: raw.name.get().cloned().unwrap_or_default(),
        pattern: pattern?,
        methods: methods?,
        hosts: hosts?,
        headers: headers?,
        auth: auth.unwrap_or(AuthMode::Required),
        allow,
        limits,
        concurrency,
        upstream,
        max_body: raw
            .max_body
            .copied()
            .map_or(DEFAULT_MAX_BODY, |size| size.0),
        timeout,
        rewrite,
        security_headers: raw.security_headers.copied().unwrap_or_default(),
        path_options,
        request_headers,
        response_headers,
        cors,
        shadow: shadow::shadow(raw, findings),
        ip: address::rules(&raw.ip, findings),
    })
}

fn pattern(
    raw: &RawRoute,
    at: Span,
    options: PathOptions,
    names: &Names<'_>,
    findings: &mut Findings,
) -> Option<Pattern> {
    let regex = |text: &str| pattern::regex(text, options, names.folds);
    type Read<'r> = &'r dyn Fn(&str) -> Result<Pattern, pattern::Fault>;
    let kinds: [(&Field<String>, Read<'_>); 3] = [
        (&raw.path, &pattern::path),
        (&raw.prefix, &pattern::prefix),
        (&raw.regex, &regex),
    ];
    let mut given = kinds.iter().filter(|(field, _)| !field.is_absent());
    let Some((field, read)) = given.next() else {
        findings
            .error(at, "a route needs `path`, `prefix` or `regex`")
            .hint(
                "`path: /users/{id}` for exactly that, `prefix: /users` for all below it as well",
            );
        return None;
    };
    if let Some((other, _)) = given.next() {
        let span = other.span().unwrap_or(at);
        findings
            .error(span, "a route has one of `path`, `prefix` and `regex`")
            .hint("make two routes of it");
    }
    let text = field.given()?;
    match read(&text.value) {
        Ok(pattern) => Some(pattern),
        Err(fault) => {
            report(text, fault, findings);
            None
        }
    }
}

pub(super) fn path_options(raw: &RawRoute) -> PathOptions {
    let Some(raw) = raw.path_options.get() else {
        return PathOptions::default();
    };
    PathOptions {
        case_insensitive: raw.case_insensitive.copied().unwrap_or_default(),
        merge_slashes: raw.merge_slashes.copied().unwrap_or_default(),
        trailing_slash: raw.trailing_slash.copied().unwrap_or_default(),
    }
}

/// Points into the text where the file has it as it is, else at the whole of it.
pub fn report(text: &At<String>, fault: pattern::Fault, findings: &mut Findings) {
    let length = text.span.end.saturating_sub(text.span.start);
    // Quotes are one byte on either side, unless something within is escaped.
    let start = match length.checked_sub(text.value.len()) {
        Some(0) => Some(0),
        Some(2) => Some(1),
        _ => None,
    };
    let span = match start {
        Some(start) if !fault.range.is_empty() => text
            .span
            .part(fault.range.start + start..fault.range.end + start),
        _ => text.span,
    };
    let finding = findings.error(span, fault.message);
    if !fault.hint.is_empty() {
        finding.hint(fault.hint);
    }
}

fn hosts(raw: &Field<AtLeastOne<String>>, findings: &mut Findings) -> Option<Vec<HostPattern>> {
    let list = match raw {
        Field::Absent => return Some(Vec::new()),
        Field::Invalid => return None,
        Field::Given(list) => &list.value.0,
    };
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for at in list {
        match pattern::host(&at.value) {
            Ok(host) if !seen.insert(host.clone()) => {
                findings.error(at.span, format!("{} stands here twice", shown(&at.value)));
            }
            Ok(host) => all.push(host),
            Err(fault) => report(at, fault, findings),
        }
    }
    (all.len() == list.len()).then_some(all)
}
