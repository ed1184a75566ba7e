//! Upstreams and their targets.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;

use super::super::checked::{Admin, Listen, Target, Upstream};
use super::super::decode::{At, AtLeastOne, Field, Named};
use super::super::diagnose::{Findings, shown};
use super::super::own::{address_of, is_own};
use super::super::raw::{RawRoute, RawUpstream};
use super::{check_name, positive};

/// The upstreams in the order of the file; an invalid one still has its place.
pub fn upstreams(raw: &Field<Named<RawUpstream>>, findings: &mut Findings) -> Vec<Upstream> {
    let Some(At { value: named, span }) = raw.given() else {
        return Vec::new();
    };
    if named.0.is_empty() {
        findings
            .error(*span, "no upstream is declared here")
            .hint("for example `app: { targets: [http://127.0.0.1:8000] }`");
    }
    let none = RawUpstream::default();
    let mut all = Vec::new();
    for (name, upstream) in &named.0 {
        check_name(name, "an upstream", findings);
        let raw = upstream.get().unwrap_or(&none);
        let seconds = Duration::from_secs;
        all.push(Upstream {
            name: name.value.clone(),
            targets: targets(&raw.targets, findings),
            connect_timeout: positive(&raw.connect_timeout, seconds(2), findings),
            response_timeout: positive(&raw.response_timeout, seconds(30), findings),
            idle_timeout: positive(&raw.idle_timeout, seconds(60), findings),
        });
    }
    all
}

fn targets(
    raw: &Field<super::super::decode::OneOrMore<String>>,
    findings: &mut Findings,
) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut seen = HashSet::new();
    for at in raw.get().map_or(&[][..], |list| &list.0) {
        match target(&at.value) {
            Ok(target) if !seen.insert(target.clone()) => {
                findings.error(
                    at.span,
                    format!("the target {} stands here twice", shown(&at.value)),
                );
            }
            Ok(target) => targets.push(target),
            Err((message, hint)) => {
                if at.value.contains('@') {
                    findings.hide(at.span);
                }
                findings.error(at.span, message).hint(hint);
            }
        }
    }
    targets
}

fn target(text: &str) -> Result<Target, (String, String)> {
    let refuse = |message: String, hint: &str| Err((message, hint.to_owned()));
    const EXAMPLE: &str = "for example `http://127.0.0.1:8000`";
    // Told first, for no other message may hold the password.
    if text.contains('@') {
        let message = "a target takes no user name or password".to_owned();
        return refuse(message, EXAMPLE);
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return refuse(format!("{} is no URL", shown(text)), EXAMPLE);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" | "h2c" | "unix" => {
            let message = format!("targets in `{scheme}` are not supported by this version");
            return refuse(message, "expected `http://` and an address");
        }
        _ if !rest.starts_with("//") => {
            let hint = format!("write `http://{text}`");
            return Err((format!("{} has no scheme", shown(text)), hint));
        }
        _ => return refuse(format!("{} is no http URL", shown(text)), EXAMPLE),
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return refuse(format!("{} is no URL", shown(text)), EXAMPLE);
    };
    let Some(authority) = uri.authority().filter(|a| !a.host().is_empty()) else {
        return refuse(format!("{} has no host", shown(text)), EXAMPLE);
    };
    if text.contains(['?', '#']) || !matches!(uri.path(), "" | "/") {
        let message = format!("the target {} has a path", shown(text));
        return refuse(
            message,
            "requests keep the path they came with: give only host and port",
        );
    }
    let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
        None => 80,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return refuse(format!("{} is no port", shown(port)), EXAMPLE),
        },
    };
    let host = authority.host();
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    Ok(Target {
        host: inner.unwrap_or(host).to_ascii_lowercase(),
        port,
    })
}

/// A gateway that is its own upstream would ask itself until it has no connections left, or tell the public
/// what is for its operators.
pub fn refuse_loops(
    upstreams: &Field<Named<RawUpstream>>,
    listen: &[Listen],
    admin: &Admin,
    findings: &mut Findings,
) {
    let named = upstreams.get().map_or(&[][..], |named| &named.0);
    let lists = named.iter().filter_map(|(_, raw)| raw.get()?.targets.get());
    for at in lists.flat_map(|list| &list.0) {
        let Ok(target) = target(&at.value) else {
            continue;
        };
        let Some(ip) = address_of(&target.host) else {
            continue;
        };
        let is_own = |own| is_own(SocketAddr::new(ip, target.port), own);
        let what = if listen.iter().any(|listen| is_own(listen.address)) {
            "listens"
        } else if admin.address.is_some_and(is_own) {
            "serves administration"
        } else {
            continue;
        };
        let message = format!("{} is where this gateway {what}", shown(&at.value));
        findings
            .error(at.span, message)
            .hint("a target is the address of the backend");
    }
}

pub fn warn_of_unused(
    upstreams: &Field<Named<RawUpstream>>,
    routes: &Field<AtLeastOne<RawRoute>>,
    findings: &mut Findings,
) {
    // A route that is wrong may have meant any of them.
    let (Some(upstreams), Some(routes), false) =
        (upstreams.get(), routes.get(), findings.has_errors())
    else {
        return;
    };
    let used: HashSet<&String> = routes
        .0
        .iter()
        .filter_map(|r| r.value.upstream.get())
        .collect();
    for (name, _) in &upstreams.0 {
        if !used.contains(&name.value) {
            let message = format!("no route goes to the upstream {}", shown(&name.value));
            findings.warn(name.span, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_and_ports() {
        let parsed = |text| target(text).map(|t| (t.host, t.port)).unwrap();
        assert_eq!(parsed("http://127.0.0.1:8000"), ("127.0.0.1".into(), 8000));
        assert_eq!(parsed("http://App.internal/"), ("app.internal".into(), 80));
        assert_eq!(parsed("http://[::1]:8000"), ("::1".into(), 8000));
        assert_eq!(parsed("HTTP://app"), ("app".into(), 80));
    }

    #[test]
    fn what_is_no_target() {
        for bad in [
            "",
            "app",
            "app:8000",
            "127.0.0.1:8000",
            "https://app",
            "unix:/run/app.sock",
            "h2c://app",
            "ftp://app",
            "http:app",
            "http://",
            "http://:80",
            "http:///x",
            "http://app/x",
            "http://app?x",
            "http://app#x",
            "http://u:p@app",
            "http://app:0",
            "http://app:65536",
            "http://app:",
            "http://a b",
            "http://[::1",
            "http://é",
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
        assert_eq!(target("app:8000").unwrap_err().1, "write `http://app:8000`");
    }
}
