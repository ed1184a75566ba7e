//! Routes: their patterns, rules, limits and the names they refer to.

use std::collections::{BTreeMap, HashMap, HashSet};

use http::Method;

use super::super::checked::{
    AuthMode, HostPattern, Limit, LimitKey, Owner, Pattern, Rate, Route, Rule, Segment, Tier,
};
use super::super::decode::{At, AtLeastOne, Field, Named};
use super::super::diagnose::{Findings, nearest, one_of, shown};
use super::super::raw::{RawLimit, RawOwner, RawRoute, RawRule, RawUpstream};
use super::super::source::Span;
use super::{check_name, pattern, positive, quota, ties};

const DEFAULT_MAX_BODY: u64 = 10 * 1024 * 1024;

/// The methods of the IANA registry that a backend may serve, and `PURGE`, which caches use.
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
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
    pub tiers: &'a BTreeMap<String, Tier>,
    /// False when the tiers could not be read, so that none can be said to be missing.
    pub tiers_are_known: bool,
    pub upstreams: Option<&'a Named<RawUpstream>>,
}

impl Names<'_> {
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
        let Some(upstreams) = self.upstreams else {
            return 0;
        };
        let index = upstreams.names().position(|n| n == name.value);
        if index.is_none() {
            unknown("upstream", name, upstreams.names(), findings);
        }
        index.unwrap_or(0)
    }
}

fn unknown<'a>(
    what: &str,
    name: &At<String>,
    known: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) {
    let known: Vec<&str> = known.collect();
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
    let mut all = Vec::new();
    let mut spans = Vec::new();
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
    all
}

fn pattern_span(at: &At<RawRoute>) -> Span {
    let raw = &at.value;
    raw.path.span().or(raw.prefix.span()).unwrap_or(at.span)
}

/// `None` when the pattern is unusable, so that nothing can be said about what it matches.
fn route(at: &At<RawRoute>, names: &Names<'_>, findings: &mut Findings) -> Option<Route> {
    let raw = &at.value;
    let pattern = pattern(raw, at.span, findings);
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
                .map(|at| rule(at, pattern.as_ref(), names, findings))
                .collect()
        }
    };
    let limits = raw.limits.get().map(|list| limits(list, names, findings));
    let methods = methods(&raw.methods, findings);
    let hosts = hosts(&raw.hosts, findings);
    let upstream = raw
        .upstream
        .given()
        .map_or(0, |name| names.upstream(name, findings));
    let timeout = raw
        .timeout
        .copied()
        .map(|t| positive(&raw.timeout, t, findings));
    Some(Route {
        name: raw.name.get().cloned().unwrap_or_default(),
        pattern: pattern?,
        methods: methods?,
        hosts: hosts?,
        auth: auth.unwrap_or(AuthMode::Required),
        allow,
        limits,
        upstream,
        max_body: raw
            .max_body
            .copied()
            .map_or(DEFAULT_MAX_BODY, |size| size.0),
        timeout,
    })
}

fn pattern(raw: &RawRoute, at: Span, findings: &mut Findings) -> Option<Pattern> {
    if raw.path.is_absent() && raw.prefix.is_absent() {
        findings.error(at, "a route needs `path` or `prefix`").hint(
            "`path: /users/{id}` for exactly that, `prefix: /users` for all below it as well",
        );
        return None;
    }
    if !raw.path.is_absent() && !raw.prefix.is_absent() {
        let span = raw.prefix.span().unwrap_or(at);
        findings
            .error(span, "a route has `path` or `prefix`, not both")
            .hint("make two routes of it");
    }
    let (text, read): (_, fn(&str) -> _) = match raw.path.given() {
        Some(path) => (path, pattern::path),
        None => (raw.prefix.given()?, pattern::prefix),
    };
    match read(&text.value) {
        Ok(pattern) => Some(pattern),
        Err(fault) => {
            report(text, fault, findings);
            None
        }
    }
}

/// Points into the text where the file has it as it is, else at the whole of it.
fn report(text: &At<String>, fault: pattern::Fault, findings: &mut Findings) {
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
    findings.error(span, fault.message).hint(fault.hint);
}

fn methods(raw: &Field<AtLeastOne<String>>, findings: &mut Findings) -> Option<Vec<Method>> {
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
                } else if upper == "CONNECT" {
                    finding.hint("the gateway refuses CONNECT on every route");
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
    let mut all = Vec::new();
    for at in list {
        match pattern::host(&at.value) {
            Ok(host) if all.contains(&host) => {
                findings.error(at.span, format!("{} stands here twice", shown(&at.value)));
            }
            Ok(host) => all.push(host),
            Err(fault) => report(at, fault, findings),
        }
    }
    (all.len() == list.len()).then_some(all)
}

fn rule(
    at: &At<RawRule>,
    pattern: Option<&Pattern>,
    names: &Names<'_>,
    findings: &mut Findings,
) -> Rule {
    let raw = &at.value;
    let says_nothing = raw.superuser.is_absent()
        && raw.owner.is_absent()
        && raw.tiers.is_absent()
        && raw.min_tier.is_absent()
        && raw.roles.is_absent()
        && raw.scopes.is_absent();
    if says_nothing {
        findings
            .error(at.span, "a rule without conditions would admit everyone")
            .hint("name a condition, or remove `allow` to admit every caller that `auth` admits");
    }
    let tiers = texts(&raw.tiers);
    for tier in &tiers {
        names.tier(tier, findings);
    }
    let min_tier = raw
        .min_tier
        .given()
        .and_then(|name| names.tier(name, findings));
    let roles = texts(&raw.roles);
    for role in &roles {
        check_word(role, "role", findings);
    }
    let scopes = texts(&raw.scopes);
    for scope in &scopes {
        check_word(scope, "scope", findings);
    }
    let values = |list: Vec<&At<String>>| list.into_iter().map(|at| at.value.clone()).collect();
    Rule {
        superuser: raw.superuser.copied(),
        owner: raw
            .owner
            .get()
            .and_then(|raw| owner(raw, pattern, findings)),
        tiers: values(tiers),
        min_rank: min_tier.map(|tier| tier.rank),
        roles: values(roles),
        scopes: values(scopes),
    }
}

fn texts(field: &Field<AtLeastOne<String>>) -> Vec<&At<String>> {
    field
        .get()
        .map_or_else(Vec::new, |list| list.0.iter().collect())
}

/// Roles and scopes travel in headers, with commas and spaces between them.
fn check_word(word: &At<String>, what: &str, findings: &mut Findings) {
    let is_fit = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '"' | '\\');
    if word.value.is_empty() || !word.value.chars().all(is_fit) {
        let message = format!("{} cannot be a {what}", shown(&word.value));
        findings
            .error(word.span, message)
            .hint("expected visible ASCII without spaces, commas, quotes or backslashes");
    }
}

fn owner(raw: &RawOwner, pattern: Option<&Pattern>, findings: &mut Findings) -> Option<Owner> {
    let At { value: text, span } = &raw.parameter;
    let Some(name) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
        findings
            .error(
                *span,
                format!(
                    "expected a parameter such as `{{username}}`, found {}",
                    shown(text)
                ),
            )
            .hint("it names a parameter of the route's path, with braces and in quotes");
        return None;
    };
    let segments = match pattern? {
        Pattern::Path(segments) => segments,
        Pattern::Prefix(_) => {
            findings
                .error(*span, "a prefix has no parameters that could name an owner")
                .hint(
                    "write `path:` with the parameter in it, and `{*rest}` at its end if need be",
                );
            return None;
        }
    };
    let is_param = |s: &&Segment| matches!(s, Segment::Param(_));
    let params = || {
        segments
            .iter()
            .filter(is_param)
            .filter_map(pattern::name_of)
    };
    if !params().any(|p| p == name) {
        let message = format!("the path has no parameter {}", shown(text));
        let finding = findings.error(*span, message);
        if let Some(near) = nearest(name, params()) {
            finding.hint(format!("did you mean `{{{near}}}`?"));
        } else if segments.contains(&Segment::Rest(name.to_owned())) {
            finding.hint("`{*…}` covers several segments and cannot name an owner");
        } else if params().next().is_none() {
            finding.hint("the path has no parameters at all");
        } else {
            finding.hint(format!("it has {}", one_of(params())));
        }
        return None;
    }
    Some(Owner {
        parameter: name.to_owned(),
        equals: raw.equals,
    })
}

fn limits(list: &[At<RawLimit>], names: &Names<'_>, findings: &mut Findings) -> Vec<Limit> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for At { value: raw, .. } in list {
        if let Some(name) = raw.name.given() {
            check_name(name, "a limit", findings);
            if !seen.insert(&name.value) {
                let message = format!(
                    "two limits of this route have the name {}",
                    shown(&name.value)
                );
                findings
                    .error(name.span, message)
                    .hint("give each a name of its own");
            }
        }
        all.push(limit(raw, names, findings));
    }
    all
}

fn limit(raw: &RawLimit, names: &Names<'_>, findings: &mut Findings) -> Limit {
    let key = raw.key.get().cloned().unwrap_or(LimitKey::User);
    if let Some(span) = raw.tiers.span()
        && key != LimitKey::User
    {
        findings
            .error(span, "quotas by tier need `key: user`")
            .hint("other limits are charged before it is known who calls");
    }
    let rate = quota::rate(&raw.rate, &raw.burst, findings);
    check_cost(raw, rate, None, findings);
    let mut tiers = BTreeMap::new();
    for (name, quota) in raw.tiers.get().map_or(&[][..], |named| &named.0) {
        names.tier(name, findings);
        if let Some(quota) = quota.get() {
            let rate = quota::limited(&quota.rate, &quota.burst, findings);
            check_cost(raw, rate, Some(&name.value), findings);
            tiers.insert(name.value.clone(), rate);
        }
    }
    Limit {
        name: raw.name.get().cloned().unwrap_or_default(),
        key,
        rate,
        tiers,
        cost: raw.cost.copied().unwrap_or(std::num::NonZeroU32::MIN),
    }
}

fn check_cost(raw: &RawLimit, rate: Option<Rate>, tier: Option<&str>, findings: &mut Findings) {
    if let (Some(cost), Some(rate)) = (raw.cost.given(), rate)
        && cost.value > rate.burst
    {
        let whose = tier.map_or(String::new(), |t| format!(" of the tier {}", shown(t)));
        let message = format!(
            "a request costs {}, and the burst{whose} is {}: none would ever pass",
            cost.value, rate.burst
        );
        findings
            .error(cost.span, message)
            .hint("raise `burst`, or lower `cost`");
    }
}
