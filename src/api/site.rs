//! Whether a call that bears the refresh cookie, or is to be given it, comes from a page that may make it.
//!
//! A browser sends the cookie along from wherever the call is made. It also says from where: by
//! `Origin`, and by `Sec-Fetch-Site` when it sends no origin.

use http::header::ORIGIN;
use http::request::Parts;

use crate::request::{Code, ListedOrigin, Peer, Refusal, Site};

/// 403 for a call by or for a cookie from a foreign page.
pub(super) fn check(parts: &Parts, peer: &Peer, issuer: Option<&Site>) -> Result<(), Refusal> {
    let is_allowed = if parts.extensions.get::<ListedOrigin>().is_some() {
        true
    } else if parts.headers.contains_key(ORIGIN) {
        Site::is_own(parts, peer, issuer)
    } else {
        let site = parts.headers.get("sec-fetch-site");
        site.is_none_or(|site| !site.as_bytes().eq_ignore_ascii_case(b"cross-site"))
    };
    if is_allowed {
        return Ok(());
    }
    Err(Refusal::new(
        Code::Forbidden,
        "The refresh cookie is neither taken from another site's page nor given to one.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(is_trusted: bool, headers: &[(&str, &str)]) -> bool {
        let mut request = http::Request::builder().uri("/api/v1/refresh");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer = Peer {
            socket: ([127, 0, 0, 1], 1).into(),
            client: [127, 0, 0, 1].into(),
            is_trusted,
        };
        let issuer = Site::of("https://id.example.com/realm");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts, &peer, issuer.as_ref()).is_ok()
    }

    #[test]
    fn without_an_origin_the_browsers_word_counts() {
        assert!(is_allowed(false, &[("host", "a.example")]));
        for (site, allowed) in [
            ("same-origin", true),
            ("same-site", true),
            ("none", true),
            ("cross-site", false),
            ("Cross-Site", false),
        ] {
            let headers = [("host", "a.example"), ("sec-fetch-site", site)];
            assert_eq!(is_allowed(false, &headers), allowed, "{site}");
        }
    }

    #[test]
    fn the_requests_own_origin_and_the_issuer_pass() {
        for (host, origin, allowed) in [
            ("a.example:8080", "http://a.example:8080", true),
            ("a.example", "http://A.Example:80", true),
            ("a.example", "https://id.example.com", true),
            ("a.example", "https://id.example.com:443", true),
            ("a.example", "https://a.example", false),
            ("a.example", "http://a.example:8080", false),
            ("a.example", "http://b.a.example", false),
            ("a.example", "http://a.example.evil.test", false),
            ("a.example", "http://id.example.com", false),
            ("a.example", "null", false),
            ("a.example", "", false),
            ("a.example", "file://a.example", false),
        ] {
            let headers = [("host", host), ("origin", origin)];
            assert_eq!(is_allowed(false, &headers), allowed, "{host} {origin}");
        }
    }

    #[test]
    fn a_foreign_origin_is_not_mended_by_other_headers() {
        assert!(!is_allowed(
            false,
            &[
                ("host", "a.example"),
                ("origin", "http://evil.test"),
                ("sec-fetch-site", "same-origin"),
            ]
        ));
        assert!(!is_allowed(
            false,
            &[
                ("host", "a.example"),
                ("origin", "http://a.example"),
                ("origin", "http://evil.test"),
            ]
        ));
    }

    #[test]
    fn an_origin_that_the_file_lists_passes() {
        let request = http::Request::builder().header("origin", "https://app.example");
        let peer = Peer {
            socket: ([127, 0, 0, 1], 1).into(),
            client: [127, 0, 0, 1].into(),
            is_trusted: false,
        };
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        assert!(check(&parts, &peer, None).is_err());
        parts.extensions.insert(ListedOrigin);
        assert!(check(&parts, &peer, None).is_ok());
    }

    #[test]
    fn only_a_trusted_proxy_says_that_it_was_https() {
        for (scheme, is_https) in [("https", true), ("wss", true), ("ws", false), ("", false)] {
            let headers = [
                ("host", "a.example"),
                ("x-forwarded-proto", scheme),
                ("origin", "https://a.example"),
            ];
            assert_eq!(is_allowed(true, &headers), is_https, "{scheme}");
            assert!(!is_allowed(false, &headers), "{scheme}");
        }
    }
}
