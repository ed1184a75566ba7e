//! Headers that tell browsers to take no more from a response than it says.

use http::header::{self, Entry, HeaderMap, HeaderValue};

use crate::config::checked::SecurityHeaders;

/// Whether a response has them, and over what it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    #[default]
    Off,
    Http,
    Https,
}

impl Security {
    /// `scheme` is asked for only where it counts.
    pub fn of(mode: SecurityHeaders, scheme: impl FnOnce() -> &'static str) -> Self {
        match mode {
            SecurityHeaders::Off => Security::Off,
            SecurityHeaders::Standard if scheme() == "https" => Security::Https,
            SecurityHeaders::Standard => Security::Http,
        }
    }

    /// What stands there already stays: its application knows better what it needs.
    pub fn tell(self, headers: &mut HeaderMap) {
        if self == Security::Off {
            return;
        }
        // A browser that finds `frame-ancestors` looks at `X-Frame-Options` no more, so the one must not
        // undo the other.
        if !headers.contains_key(header::X_FRAME_OPTIONS) {
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
            let none = HeaderValue::from_static("frame-ancestors 'none'");
            insert_where_none(headers, header::CONTENT_SECURITY_POLICY, none);
        }
        for (name, value) in [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
        ] {
            insert_where_none(headers, name, HeaderValue::from_static(value));
        }
        // Over http browsers do not believe it (RFC 6797, section 8.1).
        if self == Security::Https {
            let year = HeaderValue::from_static("max-age=31536000");
            insert_where_none(headers, header::STRICT_TRANSPORT_SECURITY, year);
        }
    }
}

fn insert_where_none(headers: &mut HeaderMap, name: http::HeaderName, value: HeaderValue) {
    if let Entry::Vacant(vacant) = headers.entry(name) {
        vacant.insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(security: Security, before: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(*name, HeaderValue::from_static(value));
        }
        security.tell(&mut headers);
        let lines = headers.iter();
        let mut lines: Vec<String> = lines
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn all_of_them_where_there_are_none() {
        let http = [
            "content-security-policy: frame-ancestors 'none'",
            "referrer-policy: strict-origin-when-cross-origin",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ];
        assert_eq!(told(Security::Http, &[]), http);
        let mut https = http.to_vec();
        https.insert(2, "strict-transport-security: max-age=31536000");
        assert_eq!(told(Security::Https, &[]), https);
        assert_eq!(told(Security::Off, &[]), Vec::<String>::new());
    }

    #[test]
    fn what_the_application_says_stays() {
        let own = [
            ("referrer-policy", "no-referrer"),
            ("strict-transport-security", "max-age=1"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "SAMEORIGIN"),
        ];
        let lines = own.map(|(name, value)| format!("{name}: {value}"));
        assert_eq!(told(Security::Https, &own), lines);
        let policy = [("content-security-policy", "frame-ancestors 'self'")];
        let lines = told(Security::Http, &policy);
        assert_eq!(lines[0], "content-security-policy: frame-ancestors 'self'");
        assert!(lines.contains(&"x-frame-options: DENY".to_owned()));
    }

    #[test]
    fn https_is_what_the_scheme_says() {
        let standard = SecurityHeaders::Standard;
        assert_eq!(Security::of(standard, || "https"), Security::Https);
        assert_eq!(Security::of(standard, || "http"), Security::Http);
        let off = Security::of(SecurityHeaders::Off, || "https");
        assert_eq!(off, Security::Off);
    }
}
