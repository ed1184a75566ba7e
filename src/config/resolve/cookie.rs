//! The cookie that refresh tokens travel in.

use super::super::checked::{Cookie, HostPattern, SameSite};
use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, shown};
use super::super::raw::RawCookie;
use super::pattern;

pub fn cookie(raw: &Field<RawCookie>, base_path: &str, findings: &mut Findings) -> Cookie {
    let none = RawCookie::default();
    let whole = raw.span();
    let raw = raw.get().unwrap_or(&none);
    let cookie = Cookie {
        name: raw
            .name
            .get()
            .map_or("refresh_token", String::as_str)
            .to_owned(),
        secure: raw.secure.copied().unwrap_or(true),
        same_site: raw.same_site.copied().unwrap_or(SameSite::Lax),
        path: raw.path.get().map_or(base_path, String::as_str).to_owned(),
        domain: raw.domain.get().cloned().flatten(),
    };
    if cookie.same_site == SameSite::None && !cookie.secure {
        let span = raw.same_site.span().or(whole).unwrap_or_default();
        findings
            .error(span, "`same_site: none` needs `secure: true`")
            .hint("browsers drop such a cookie otherwise");
    }
    if let Some(name) = raw.name.given() {
        check_cookie_name(name, &cookie, findings);
    }
    if let Some(At { value, span }) = raw.path.given() {
        let is_fit = |c: char| (c.is_ascii_graphic() || c == ' ') && c != ';';
        if !value.starts_with('/') || !value.chars().all(is_fit) {
            let message = format!("{} is no path of a cookie", shown(value));
            findings
                .error(*span, message)
                .hint("it begins with `/` and has no `;`");
        } else if !is_sent_to(value, base_path) {
            let message =
                format!("browsers do not send the cookie to `{base_path}/refresh` with this path");
            findings
                .warn(*span, message)
                .hint(format!("leave `path` out: it is `{base_path}` then"));
        }
    }
    if let Some(At {
        value: Some(value),
        span,
    }) = raw.domain.given()
    {
        let is_fit = matches!(
            pattern::host(value.strip_prefix('.').unwrap_or(value)),
            Ok(HostPattern::Exact(_))
        );
        if !is_fit {
            let message = format!("{} is no domain of a cookie", shown(value));
            findings
                .error(*span, message)
                .hint("for example `domain: example.com`");
        }
    }
    cookie
}

/// RFC 6265, 5.1.4, for every path below `base_path`.
fn is_sent_to(cookie_path: &str, base_path: &str) -> bool {
    base_path
        .strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'))
        || cookie_path.strip_suffix('/') == Some(base_path)
}

/// RFC 6265, 4.1.1: a token; and what browsers ask of the two prefixes.
fn check_cookie_name(name: &At<String>, cookie: &Cookie, findings: &mut Findings) {
    let text = name.value.as_str();
    let is_fit = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
    if text.is_empty() || !text.chars().all(is_fit) {
        let message = format!("{} is no name of a cookie", shown(text));
        findings
            .error(name.span, message)
            .hint("letters, digits, `-` and `_`");
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("__secure-") && !cookie.secure {
        findings.error(name.span, "a `__Secure-` cookie needs `secure: true`");
    }
    if lower.starts_with("__host-")
        && (!cookie.secure || cookie.path != "/" || cookie.domain.is_some())
    {
        findings
            .error(
                name.span,
                "a `__Host-` cookie needs `secure: true`, `path: /` and no `domain`",
            )
            .hint("browsers drop it otherwise");
    }
}
