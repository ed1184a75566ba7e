//! The names that only the gateway may say to an upstream, and how a client's use of them is found.
//!
//! Servers that map headers to variables (CGI, WSGI, PHP) read `X_User_Id` and `X-User-Id` as one,
//! so names are compared with `_` and `-` alike; case is already folded by [`HeaderName`].

use http::HeaderName;

/// Removed from every client, whatever the preset: identity and request id.
const IDENTITY: &[&str] = &[
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "x-anonymous-consumer",
    // A credential for the gateway, which no backend is to see.
    "x-api-key",
    "x-auth-method",
    "x-auth-request-access-token",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-user",
    "x-consumer-custom-id",
    "x-consumer-groups",
    "x-consumer-id",
    "x-consumer-username",
    "x-credential-identifier",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-user-email",
    "x-user-id",
    "x-user-name",
    "x-user-roles",
    "x-user-scopes",
    "x-user-superuser",
    "x-user-tier",
];

/// Removed from everybody. Some frameworks behind would serve another path or method than the one that
/// was decided on, or believe another address; the proxies in front pass these on as clients send them.
const OVERRIDES: &[&str] = &[
    "forwarded",
    "x-forwarded",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// Removed from clients, believed from trusted proxies in this very spelling.
const PROXY: &[&str] = &[
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-request-id",
];

/// What a message is; an underscore in one of these is an attempt to say it twice.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// Whose word a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The gateway's alone, or nobody's.
    Always,
    /// The gateway's or a trusted proxy's.
    Proxy,
}

/// Says whether a name, in whatever spelling, is reserved.
pub fn reserved(name: &HeaderName) -> Option<Reserved> {
    let name = name.as_str().as_bytes();
    if name.contains(&b'_') && FRAMING.iter().any(|entry| reads_as(name, entry.as_bytes())) {
        return Some(Reserved::Always);
    }
    // Nearly every header of an ordinary request ends here.
    if !matches!(name.first(), Some(b'x' | b'r' | b'f')) {
        return None;
    }
    let is = |list: &[&str]| list.iter().any(|entry| reads_as(name, entry.as_bytes()));
    if is(IDENTITY) || is(OVERRIDES) {
        Some(Reserved::Always)
    } else if is(PROXY) {
        let is_spelled_so = !name.contains(&b'_');
        Some(if is_spelled_so {
            Reserved::Proxy
        } else {
            Reserved::Always
        })
    } else {
        None
    }
}

fn reads_as(name: &[u8], entry: &[u8]) -> bool {
    name.len() == entry.len()
        && name
            .iter()
            .zip(entry)
            .all(|(have, want)| have == want || (*have == b'_' && *want == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<Reserved> {
        reserved(&HeaderName::from_bytes(name.as_bytes()).unwrap())
    }

    #[test]
    fn every_spelling_is_found() {
        for spelling in ["X-User-Id", "x_user_id", "X_USER-ID", "x-user_id"] {
            assert_eq!(of(spelling), Some(Reserved::Always), "{spelling}");
        }
        for entry in IDENTITY {
            assert_eq!(of(&entry.replace('-', "_")), Some(Reserved::Always));
        }
        for entry in PROXY {
            assert_eq!(of(&entry.to_uppercase()), Some(Reserved::Proxy));
            assert_eq!(of(&entry.replace('-', "_")), Some(Reserved::Always));
        }
        for entry in OVERRIDES {
            assert_eq!(of(&entry.replace('-', "_")), Some(Reserved::Always));
        }
    }

    #[test]
    fn framing_is_not_said_twice() {
        assert_eq!(of("Transfer_Encoding"), Some(Reserved::Always));
        assert_eq!(of("content_length"), Some(Reserved::Always));
        assert_eq!(of("content-length"), None);
        assert_eq!(of("transfer-encoding"), None);
    }

    #[test]
    fn ordinary_names_are_left_alone() {
        for name in [
            "x-user-ids",
            "x-requested-with",
            "referer",
            "range",
            "from",
            "x-user",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
