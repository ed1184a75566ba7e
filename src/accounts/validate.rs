//! What a name, an e-mail and a password must be.

use crate::config::checked::PasswordPolicy;
use crate::request::FieldError;

use super::hashes::MAX_BYTES;
use super::store::NAMELESS;

/// The most bytes of an e-mail address (RFC 5321, section 4.5.3.1, less the angle brackets).
const EMAIL_BYTES: usize = 254;

/// `/users/me` is the caller's own account, so nobody can have that name.
const RESERVED: &str = "me";

/// Characters of an URL, and of an id in the application behind.
const URL_CHARS: usize = 2048;
const EXTERNAL_ID_CHARS: usize = 255;

/// Characters of a name that another application gave.
const FOREIGN_CHARS: usize = 255;
const KEY_NAME_CHARS: usize = 60;

const SCOPES: usize = 32;
const SCOPE_CHARS: usize = 64;

const ROLES: usize = 32;
const ROLE_CHARS: usize = 64;

pub fn username(text: &str) -> Result<(), FieldError> {
    if text == RESERVED {
        return Err(field("username", "is reserved"));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if (2..=20).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(());
    }
    Err(field(
        "username",
        "must have 2 to 20 characters, each a lower-case letter, a digit or an underscore",
    ))
}

pub fn name(text: &str) -> Result<(), FieldError> {
    if !(2..=30).contains(&text.chars().count()) {
        return Err(field("name", "must have 2 to 30 characters"));
    }
    if text.chars().any(char::is_control) {
        return Err(field("name", "must not hold control characters"));
    }
    if text.trim() != text {
        return Err(field("name", "must not begin or end with a space"));
    }
    Ok(())
}

/// A name that another application gave, and that its own upstreams take: only what can't stand in a
/// header or as a segment of a path, or is a name of this gateway's making, is refused.
pub fn foreign_username(text: &str) -> bool {
    let is_path = matches!(text, "." | "..");
    is_plain_line(text, FOREIGN_CHARS) && !text.starts_with(NAMELESS) && !is_path
}

/// A name shown to people, likewise.
pub fn foreign_name(text: &str) -> bool {
    is_plain_line(text, FOREIGN_CHARS)
}

/// An e-mail address, likewise.
pub fn foreign_email(text: &str) -> bool {
    is_plain_line(text, EMAIL_BYTES) && text.contains('@') && !text.contains(char::is_whitespace)
}

fn is_plain_line(text: &str, most_chars: usize) -> bool {
    (1..=most_chars).contains(&text.chars().count())
        && !text.contains(char::is_control)
        && text.trim() == text
}

/// Sane rather than exact: whether an address exists is known only by writing to it.
pub fn email(text: &str) -> Result<(), FieldError> {
    let is_sane = text.rsplit_once('@').is_some_and(|(local, domain)| {
        let labels: Vec<&str> = domain.split('.').collect();
        !local.is_empty()
            && local.len() <= 64
            && labels.len() >= 2
            && labels.iter().all(|label| is_label(label))
    });
    let is_foreign = |c: char| c.is_control() || c.is_whitespace() || "@()<>[]:;,\\\"".contains(c);
    let local = text.rsplit_once('@').map_or("", |(local, _)| local);
    if is_sane && text.len() <= EMAIL_BYTES && !local.contains(is_foreign) {
        return Ok(());
    }
    Err(field(
        "email",
        "must be an e-mail address such as ann@example.com",
    ))
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

pub fn profile_image_url(text: &str) -> Result<(), FieldError> {
    let is_web = text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    if is_web && text.len() <= URL_CHARS {
        return Ok(());
    }
    Err(field(
        "profile_image_url",
        "must be an http or https URL of at most 2048 characters",
    ))
}

/// It stands in a header toward the upstream.
pub fn external_id(text: &str) -> Result<(), FieldError> {
    let is_fit = (1..=EXTERNAL_ID_CHARS).contains(&text.chars().count())
        && !text.contains(char::is_control)
        && text.trim() == text;
    if is_fit {
        return Ok(());
    }
    Err(field(
        "external_id",
        "must have 1 to 255 characters, no control characters and no space at an end",
    ))
}

/// They stand in a header with commas between.
pub fn roles(roles: &[String]) -> Result<(), FieldError> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "_-.:/".contains(c);
    let is_role =
        |role: &String| (1..=ROLE_CHARS).contains(&role.len()) && role.chars().all(is_fit);
    let is_once = |(index, role)| !roles.iter().take(index).any(|other| other == role);
    if roles.len() <= ROLES && roles.iter().all(is_role) && roles.iter().enumerate().all(is_once) {
        return Ok(());
    }
    Err(field(
        "roles",
        "must be at most 32 different words of letters, digits and _ - . : /",
    ))
}

/// Of an API key; it stands on terminals.
pub fn key_name(text: &str) -> Result<(), FieldError> {
    let is_fit = (1..=KEY_NAME_CHARS).contains(&text.chars().count())
        && !text.contains(char::is_control)
        && text.trim() == text;
    if is_fit {
        return Ok(());
    }
    Err(field(
        "name",
        "must have 1 to 60 characters, no control characters and no space at an end",
    ))
}

/// RFC 6749, section 3.3. They stand in a header with spaces between.
pub fn scopes(scopes: &[String]) -> Result<(), FieldError> {
    let is_fit = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    let is_scope =
        |scope: &String| (1..=SCOPE_CHARS).contains(&scope.len()) && scope.chars().all(is_fit);
    let is_once = |(index, scope)| !scopes.iter().take(index).any(|other| other == scope);
    if scopes.len() <= SCOPES
        && scopes.iter().all(is_scope)
        && scopes.iter().enumerate().all(is_once)
    {
        return Ok(());
    }
    Err(field(
        "scopes",
        "must be at most 32 different words of 1 to 64 visible ASCII characters without \" and \\",
    ))
}

pub fn password(text: &str, policy: &PasswordPolicy) -> Result<(), FieldError> {
    if text.len() > MAX_BYTES {
        return Err(field("password", "must have at most 72 bytes in UTF-8"));
    }
    if text.chars().count() < policy.min_length {
        return Err(FieldError {
            field: "password".into(),
            message: format!("must have at least {} characters", policy.min_length).into(),
        });
    }
    if policy.complexity && !is_complex(text) {
        return Err(field(
            "password",
            "must hold a lower-case letter, an upper-case letter, a digit and another character",
        ));
    }
    Ok(())
}

pub fn is_complex(text: &str) -> bool {
    let is_other = |c: char| !c.is_lowercase() && !c.is_uppercase() && !c.is_numeric();
    text.contains(char::is_lowercase)
        && text.contains(char::is_uppercase)
        && text.contains(char::is_numeric)
        && text.contains(is_other)
}

fn field(name: &'static str, message: &'static str) -> FieldError {
    FieldError {
        field: name.into(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames() {
        for good in ["ab", "a_1", "0123456789abcdefghij"] {
            assert!(username(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "Ann",
            "a b",
            "a-b",
            "ä1",
            "me",
            "a@b",
            "0123456789abcdefghijk",
            "ab\n",
        ] {
            assert!(username(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names() {
        for good in ["Al", "Ann Lee", "Zoë", &"é".repeat(30)] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "a\tb",
            "a\r\nX: y",
            " Ann",
            "Ann ",
            &"é".repeat(31),
            "a\u{85}b",
        ] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_of_another_application() {
        for good in [
            "a",
            "Ann Lee",
            "ann@example.com",
            "ä-1.x",
            "me",
            &"x".repeat(255),
        ] {
            assert!(foreign_username(good) && foreign_name(good), "{good}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "a\r\nX-Admin: 1",
            "a\u{85}b",
            &"x".repeat(256),
        ] {
            assert!(!foreign_username(bad) && !foreign_name(bad), "{bad:?}");
        }
        assert!(!foreign_username("~0198c5f0"), "names of the gateway's own");
        for bad in [".", ".."] {
            assert!(!foreign_username(bad), "{bad}: no segment of a path");
        }
        assert!(foreign_email("root@localhost"));
        for bad in ["", "ann", "a b@c.de", "a@b.de\n"] {
            assert!(!foreign_email(bad), "{bad:?}");
        }
    }

    #[test]
    fn emails() {
        for good in [
            "a@b.co",
            "Ann.Lee+x@mail.example.com",
            "ö@müller.de",
            "o'neil@example.org",
        ] {
            assert!(email(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a@b.",
            "a@.co",
            "a b@c.de",
            "a@b@c.de",
            "a@b..de",
            "a@-b.de",
            "a@b.de\n",
            "a@b.de,c@d.ef",
            "<a@b.de>",
            "a\0@b.de",
            &long,
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn images() {
        for good in ["https://a.example/b.png?c=d", "http://[::1]:80/"] {
            assert!(profile_image_url(good).is_ok(), "{good}");
        }
        let long = format!("https://a.example/{}", "a".repeat(URL_CHARS));
        for bad in [
            "",
            "a.png",
            "/a.png",
            "javascript:alert(1)",
            "ftp://a/b",
            "https://a b",
            &long,
        ] {
            assert!(profile_image_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn external_ids() {
        for good in ["1", "auth0|5f7c8ec7", "ünï", &"x".repeat(255)] {
            assert!(external_id(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "a\r\nX-Admin: 1", &"x".repeat(256)] {
            assert!(external_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn role_lists() {
        let list = |roles: &[&str]| roles.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>();
        for good in [&[][..], &["editor"], &["a:b", "c/d", "e_f.g-h"]] {
            assert!(roles(&list(good)).is_ok(), "{good:?}");
        }
        let many: Vec<String> = (0..33).map(|n| format!("r{n}")).collect();
        assert!(roles(&many).is_err());
        for bad in [&[""][..], &["a,b"], &["a b"], &["a", "a"], &["é"]] {
            assert!(roles(&list(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys() {
        for good in ["x", "CI, staging", &"é".repeat(60)] {
            assert!(key_name(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a\u{1b}[2J", &"x".repeat(61)] {
            assert!(key_name(bad).is_err(), "{bad:?}");
        }
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        for good in [&[][..], &["posts:write", "https://a/b", "x"]] {
            assert!(scopes(&list(good)).is_ok(), "{good:?}");
        }
        let many: Vec<String> = (0..33).map(|n| format!("s{n}")).collect();
        assert!(scopes(&many).is_err());
        for bad in [
            &[""][..],
            &["a b"],
            &["a", "a"],
            &["é"],
            &["a\"b"],
            &["a\r\nX: y"],
        ] {
            assert!(scopes(&list(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn passwords() {
        let strict = PasswordPolicy {
            min_length: 8,
            complexity: true,
            hash: crate::config::checked::PasswordHash::Bcrypt,
            bcrypt_cost: 4,
        };
        assert!(password("Aa1!aaaa", &strict).is_ok());
        assert!(password("Ää1 ääää", &strict).is_ok());
        for bad in ["Aa1!aaa", "aa1!aaaa", "AA1!AAAA", "Aab!aaaa", "Aa11aaaa"] {
            assert!(password(bad, &strict).is_err(), "{bad}");
        }
        let lax = PasswordPolicy {
            complexity: false,
            ..strict
        };
        assert!(password("aaaaaaaa", &lax).is_ok());
        assert!(password(&"a".repeat(72), &lax).is_ok());
        assert!(password(&"a".repeat(73), &lax).is_err());
        assert!(
            password(&"é".repeat(37), &lax).is_err(),
            "bytes count, not characters"
        );
    }
}
