//! `rewrite`: a path's beginning that is exchanged, and the host that the upstream is told.

use http::HeaderValue;

use super::super::checked::{HostPattern, HostRewrite, PathOptions, Pattern, Rewrite, Segment};
use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, nearest, shown};
use super::super::raw::RawRewrite;
use super::{pattern, route};

/// `path` is the route's pattern, when it could be read.
pub fn rewrite(
    raw: &Field<RawRewrite>,
    path: Option<&Pattern>,
    options: PathOptions,
    findings: &mut Findings,
) -> Rewrite {
    let Some(raw) = raw.get() else {
        return Rewrite::default();
    };
    let strip = raw.strip_prefix.given().and_then(|at| {
        let segments = prefix(at, findings)?;
        if segments.is_empty() {
            findings
                .error(at.span, "`/` is no prefix that could be stripped")
                .hint("remove the key");
        } else if let Some(path) = path
            && !begins_with(path, &segments, options.case_insensitive)
        {
            let message = format!("not every path of the route begins with `{}`", at.value);
            findings
                .error(at.span, message)
                .hint("it has to be what the route's path begins with, parameters left out");
        }
        Some(joined(&segments))
    });
    let set = raw
        .set_prefix
        .given()
        .and_then(|at| prefix(at, findings))
        .map(|segments| joined(&segments));
    Rewrite {
        strip_prefix: strip.unwrap_or_default(),
        strip_any_case: options.case_insensitive,
        set_prefix: set.unwrap_or_default(),
        host: raw
            .host
            .given()
            .and_then(|at| host(at, findings))
            .unwrap_or_default(),
    }
}

fn prefix(at: &At<String>, findings: &mut Findings) -> Option<Vec<String>> {
    match pattern::prefix(&at.value) {
        Ok(Pattern::Prefix(segments)) => Some(segments),
        Ok(Pattern::Path(_) | Pattern::Regex(_)) => None,
        Err(fault) => {
            route::report(at, fault, findings);
            None
        }
    }
}

fn joined(segments: &[String]) -> String {
    segments.iter().flat_map(|s| ["/", s]).collect()
}

fn begins_with(path: &Pattern, prefix: &[String], in_any_case: bool) -> bool {
    let literals: Vec<&String> = match path {
        Pattern::Prefix(literals) => literals.iter().collect(),
        Pattern::Path(segments) => {
            let literals = segments.iter().map_while(|segment| match segment {
                Segment::Literal(literal) => Some(literal),
                Segment::Param(_) | Segment::Rest(_) => None,
            });
            literals.collect()
        }
        Pattern::Regex(regex) => regex.leading_segments().iter().collect(),
    };
    let is_same = |(literal, wanted): (&&String, &String)| match in_any_case {
        true => literal.eq_ignore_ascii_case(wanted),
        false => *literal == wanted,
    };
    literals.len() >= prefix.len() && literals.iter().zip(prefix).all(is_same)
}

fn host(at: &At<String>, findings: &mut Findings) -> Option<HostRewrite> {
    const WORDS: [&str; 2] = ["preserve", "upstream"];
    match at.value.as_str() {
        "preserve" => return Some(HostRewrite::Preserve),
        "upstream" => return Some(HostRewrite::Upstream),
        _ => {}
    }
    // A mistyped word would be a host that nobody has.
    if let Some(word) = nearest(&at.value, WORDS) {
        let message = format!("{} is nearly `{word}`", shown(&at.value));
        findings.error(at.span, message).hint(format!(
            "write `{word}`, or give the host its port, as in `name:80`"
        ));
        return None;
    }
    match HeaderValue::from_str(&at.value) {
        Ok(value) if is_authority(&at.value) => Some(HostRewrite::Name(value)),
        _ => {
            let message = format!("expected a host, found {}", shown(&at.value));
            findings
                .error(at.span, message)
                .hint("`preserve`, `upstream`, or a name such as `app.internal:8080`");
            None
        }
    }
}

/// A host, or a host and a port.
pub fn is_authority(text: &str) -> bool {
    let host = pattern::host(text);
    matches!(host, Ok(HostPattern::Exact(_) | HostPattern::ExactPort(..)))
}
