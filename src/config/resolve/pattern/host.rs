//! Patterns of hosts.

use std::net::Ipv6Addr;

use super::super::super::checked::HostPattern;
use super::super::super::diagnose::shown;
use super::{Fault, fault};

/// `api.example.com`, an address, or `*.example.com`, each with or without a port; compared in lower case.
pub fn host(text: &str) -> Result<HostPattern, Fault> {
    let lower = text.to_ascii_lowercase();
    let whole = 0..text.len();
    if lower.parse::<Ipv6Addr>().is_ok() {
        let hint = format!("write `[{lower}]`");
        return fault("an IPv6 address needs brackets", whole, hint);
    }
    let colon = match lower.rfind(']') {
        Some(bracket) => lower[bracket..].find(':').map(|at| bracket + at),
        None => lower
            .find(':')
            .filter(|at| !lower[*at..].starts_with("://")),
    };
    let port = match colon {
        None => None,
        Some(colon) => match lower[colon + 1..].parse::<u16>() {
            Ok(port) if port > 0 && lower.as_bytes()[colon + 1].is_ascii_digit() => Some(port),
            _ => {
                let message = format!("{} is no port", shown(&lower[colon + 1..]));
                return fault(
                    message,
                    colon..text.len(),
                    "for example `api.example.com:8443`",
                );
            }
        },
    };
    let name = &lower[..colon.unwrap_or(lower.len())];
    let exact = |name: String| match port {
        Some(port) => HostPattern::ExactPort(name, port),
        None => HostPattern::Exact(name),
    };
    if let Some(inside) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'))
        && let Ok(address) = inside.parse::<Ipv6Addr>()
    {
        return Ok(exact(format!("[{address}]")));
    }
    if name == "*" {
        let hint = "remove the key: without it every host is admitted";
        return fault("`*` alone is no host", whole, hint);
    }
    let (name, is_wildcard) = match name.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let is_label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        let hint = match name.is_ascii() {
            true => "for example `api.example.com` or `*.example.com`",
            false => "write it as it is sent, in punycode: `xn--…`",
        };
        return fault(format!("{} is no host name", shown(text)), whole, hint);
    }
    let name = name.to_owned();
    Ok(match (is_wildcard, port) {
        (true, Some(port)) => HostPattern::WildcardPort(name, port),
        (true, None) => HostPattern::Wildcard(name),
        (false, _) => exact(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let exact = |text: &str| Ok(HostPattern::Exact(text.to_owned()));
        assert_eq!(host("API.example.com"), exact("api.example.com"));
        assert_eq!(host("localhost"), exact("localhost"));
        assert_eq!(host("10.0.0.1"), exact("10.0.0.1"));
        assert_eq!(host("[::1]"), exact("[::1]"));
        assert_eq!(
            host("*.example.com"),
            Ok(HostPattern::Wildcard("example.com".into()))
        );
        let with_port = |text: &str| host(text).unwrap().to_string();
        for text in ["a.b:80", "*.a.b:8443", "[::1]:65535", "10.0.0.1:1"] {
            assert_eq!(with_port(text), text);
        }
        assert_eq!(host("[0:0:0:0::1]"), exact("[::1]"));
        assert_eq!(host("A:80"), Ok(HostPattern::ExactPort("a".into(), 80)));
        for bad in [
            "",
            "*",
            "*.",
            "a.*.b",
            "*a.b",
            "a..b",
            ".a",
            "a.",
            "-a.b",
            "a-.b",
            "a b",
            "a/b",
            "http://a",
            "*:80",
            "a:",
            "a:0",
            "a:+80",
            "a:65536",
            "a:80:80",
            ":80",
            "::1",
            "é.example",
            "[::1]:",
            "[::1]x",
            "[::1",
            "[a]",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
        assert_eq!(host("a.b:x").unwrap_err().range, 3..5);
    }
}
