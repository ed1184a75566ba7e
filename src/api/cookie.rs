//! The refresh cookie (RFC 6265).

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::config::checked::{Cookie, SameSite};

/// A `Set-Cookie` that gives the token for so many seconds.
pub(super) fn set(
    cookie: &Cookie,
    token: &str,
    max_age: u64,
) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut text = format!(
        "{}={token}; Path={}; Max-Age={max_age}; HttpOnly; SameSite={}",
        cookie.name,
        cookie.path,
        match cookie.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        }
    );
    if cookie.secure {
        text.push_str("; Secure");
    }
    if let Some(domain) = &cookie.domain {
        text.push_str("; Domain=");
        text.push_str(domain);
    }
    HeaderValue::try_from(text)
}

/// A `Set-Cookie` that takes it away.
pub(super) fn clear(cookie: &Cookie) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    set(cookie, "", 0)
}

/// Every value of the cookie, in the order sent. A neighbouring host can plant a second one, so the
/// first need not be ours.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).into_iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie() -> Cookie {
        Cookie {
            name: "refresh_token".into(),
            secure: true,
            same_site: SameSite::Lax,
            path: "/api/v1".into(),
            domain: None,
        }
    }

    #[test]
    fn attributes() {
        assert_eq!(
            set(&cookie(), "abc", 60).unwrap(),
            "refresh_token=abc; Path=/api/v1; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        let plain = Cookie {
            secure: false,
            same_site: SameSite::Strict,
            domain: Some("example.com".into()),
            ..cookie()
        };
        assert_eq!(
            clear(&plain).unwrap(),
            "refresh_token=; Path=/api/v1; Max-Age=0; HttpOnly; SameSite=Strict; \
             Domain=example.com"
        );
    }

    #[test]
    fn all_values_are_found_on_all_lines() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; refresh_token=x"));
        headers.append(
            COOKIE,
            HeaderValue::from_static("xrefresh_token=no;refresh_token=y="),
        );
        headers.append(
            COOKIE,
            HeaderValue::from_static("refresh_token=; Refresh_Token=no"),
        );
        let found: Vec<&str> = values(&headers, "refresh_token").collect();
        assert_eq!(found, ["x", "y="]);
    }
}
