//! Routes: their patterns, rules, limits and the names they refer to.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use http::Method;

use super::super::cel::Expression;
use super::super::checked::{AuthMode, Cors, HostPattern, PathOptions, Pattern, Route, Tier};
use super::super::decode::{At, AtLeastOne, Field};
use super::super::diagnose::{Findings, nearest, one_of, shown};
use super::super::raw::{RawConfig, RawRoute};
use super::super::source::Span;
use super::{
    address, check_name, cors, headers, limit, match_headers, pattern, positive, rewrite, rule,
    shadow, ties, vouched,
};

const DEFAULT_MAX_BODY: u64 = 10 * 1024 * 1024;

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

/// What routes may refer to.
pub struct Names<'a> {
    tiers: &'a BTreeMap<String, Tier>,
    /// False when the tiers could not be read, so that none can be said to be missing.
    tiers_are_known: bool,
    /// In the order of the file; `None` when they could not be read.
    upstreams: Option<Vec<&'a str>>,
    upstream_index: HashMap<&'a str, usize>,
    pub headers: headers::Taken,
    /// Of routes that say nothing of it.
    cors: Option<Arc<Cors>>,
    /// People change their own accounts.
    pub changes_itself: bool,
    /// Some route asks for paths to be read without regard to case.
    folds: bool,
    /// Those read so far, by what they say and the parameters that they may: many routes have the same.
    expressions: RefCell<HashMap<ExpressionKey, Expression>>,
}

type ExpressionKey = (String, Option<Vec<String>>);

impl<'a> Names<'a> {
    /// `tiers` are the resolved ones.
    pub fn new(
        raw: &'a RawConfig,
        tiers: &'a BTreeMap<String, Tier>,
        cors: Option<Arc<Cors>>,
    ) -> Names<'a> {
        let upstreams = raw.upstreams.get().map(|u| u.names().collect::<Vec<_>>());
        let places = upstreams.iter().flatten().enumerate();
        Names {
            tiers,
            tiers_are_known: !matches!(raw.tiers, Field::Invalid),
            upstream_index: places.map(|(i, name)| (*name, i)).collect(),
            upstreams,
            headers: headers::Taken::of(raw),
            cors,
            changes_itself: vouched::changes_itself(raw),
            folds: raw.routes.get().is_some_and(|routes| {
                let options = routes.0.iter().map(|at| path_options(&at.value));
                options.into_iter().any(|options| options.case_insensitive)
            }),
            expressions: RefCell::default(),
        }
    }

    /// # Errors
    /// Everything that is wrong with the expression.
    pub fn expression(
        &self,
        source: &str,
        parameters: Option<&[&str]>,
    ) -> Result<Expression, Vec<pattern::Fault>> {
        let owned = parameters.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let key = (source.to_owned(), owned);
        if let Some(known) = self.expressions.borrow().get(&key) {
            return Ok(known.clone());
        }
        let expression = Expression::compile(source, parameters)?;
        let mut expressions = self.expressions.borrow_mut();
        Ok(expressions.entry(key).or_insert(expression).clone())
    }

    /// The tier of a name; reports when the file declares none.
    pub fn tier(&self, name: &At<String>, findings: &mut Findings) -> Option<&Tier> {
        let tier = self.tiers.get(&name.value);
        if tier.is_none() && self.tiers_are_known {
            let known = self.tiers.keys().map(String::as_str);
            unknown("tier", name, known, findings);
        }
        tier
    }

    fn upstream(&self, name: &At<String>, findings: &mut Findings) -> usize {
        let index = self.upstream_index.get(name.value.as_str());
        if let (None, Some(known)) = (index, &self.upstreams) {
            unknown("upstream", name, known.iter().copied(), findings);
        }
        index.copied().unwrap_or(0)
    }
}

fn unknown<'a>(
    what: &str,
    name: &At<String>,
    known: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) {
    // Distances to more names than this take longer than the hint is worth.
    let known: Vec<&str> = known.take(500).collect();
    let near = nearest(&name.value, known.iter().copied());
    let message = format!("the {what} {} is not declared", shown(&name.value));
    let finding = findings.error(name.span, message);
    match near {
        Some(near) => finding.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => {}
        None => finding.hint(format!("declared: {}", one_of(known.into_iter().take(12)))),
    }
}

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

fn path_options(raw: &RawRoute) -> PathOptions {
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
