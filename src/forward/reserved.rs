//! The names that only the gateway may say to an upstream, and how a client's use of them is found.
//!
//! Servers that map headers to variables (CGI, WSGI, PHP) read `X_User_Id` and `X-User-Id` as one, some
//! `X.User.Id` as well, so in names all that is no letter or digit counts as one character; case is already
//! folded by [`HeaderName`].

use http::HeaderName;

use crate::config::field_names::{API_KEY, FRAMING, IDENTITY, OVERRIDES, PROXY, are_one, is_odd};

/// Whose word a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The gateway's alone, or nobody's.
    Always,
    /// The gateway's or a trusted proxy's.
    Proxy,
}

/// Says whether a name, in whatever spelling, is reserved. `api_key` is where clients put their keys.
pub fn reserved(name: &HeaderName, api_key: &HeaderName) -> Option<Reserved> {
    let name = name.as_str().as_bytes();
    let is_one = |entry: &&str| are_one(name, entry.as_bytes());
    if is_odd(name) && FRAMING.iter().any(is_one) {
        return Some(Reserved::Always);
    }
    // A credential for the gateway, which no backend is to see.
    if is_one(&api_key.as_str()) {
        return Some(Reserved::Always);
    }
    // Nearly every header of an ordinary request ends here.
    if !matches!(name.first(), Some(b'x' | b'r' | b'f')) {
        return None;
    }
    let is = |list: &[&str]| list.iter().any(is_one);
    if is(IDENTITY) || is(OVERRIDES) || is_one(&API_KEY) {
        Some(Reserved::Always)
    } else if is(PROXY) {
        Some(if is_odd(name) {
            Reserved::Always
        } else {
            Reserved::Proxy
        })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<Reserved> {
        let api_key = HeaderName::from_static("app-key");
        reserved(&HeaderName::from_bytes(name.as_bytes()).unwrap(), &api_key)
    }

    #[test]
    fn the_api_key_is_nobody_s_whatever_field_it_is_in() {
        for spelling in ["App-Key", "APP_KEY", "app_key", "X-Api-Key", "x_api_key"] {
            assert_eq!(of(spelling), Some(Reserved::Always), "{spelling}");
        }
        assert_eq!(of("app-keys"), None);
    }

    #[test]
    fn every_spelling_is_found() {
        for spelling in [
            "X-User-Id",
            "x_user_id",
            "X_USER-ID",
            "x-user_id",
            "X.User.Id",
            "X~User!Id",
        ] {
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
        assert_eq!(of("content.length"), Some(Reserved::Always));
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
