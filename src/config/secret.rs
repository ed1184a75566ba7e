//! A string that no log, error or dump shows.

use std::fmt;
use std::ops::Range;

use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

/// What stands for a secret where people look.
pub const HIDDEN: &str = "***";

/// Parts of keys whose value is a secret, wherever such a key stands and whether it is known there.
const KEY_PARTS: [&str; 4] = ["secret", "passw", "token", "master_key"];
/// Parts of the names of headers that hold a credential.
const HEADER_PARTS: [&str; 6] = ["authorization", "cookie", "key", "token", "secret", "passw"];

/// Where in `text` the name of a secret begins, if one is there. A path to a secret is none.
pub fn key_in(text: &str) -> Option<usize> {
    let is_end = |c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_'));
    let mut at = 0;
    for word in text.split_inclusive(is_end) {
        if is_key(word.trim_end_matches(is_end)) {
            return Some(at);
        }
        at += word.len();
    }
    None
}

fn is_key(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let names_secret = KEY_PARTS.iter().any(|part| lower.contains(part));
    // No key of the file itself has a hyphen or a capital, as `key` and `forward_authorization` have not.
    let is_of_header = word.contains('-')
        || word.contains(|c: char| c.is_ascii_uppercase())
        || matches!(word, "authorization" | "cookie");
    (names_secret && !lower.ends_with("_file")) || (is_of_header && is_header(&lower))
}

/// Whether a header holds a credential, as far as its name tells.
pub fn is_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    HEADER_PARTS.iter().any(|part| name.contains(part))
}

/// The value of a header as people are shown it.
pub fn shown_header(name: &HeaderName, value: &HeaderValue) -> String {
    match is_header(name.as_str()) {
        true => HIDDEN.to_owned(),
        false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    }
}

/// Where in `text` the credentials of a URL stand, as in `scheme://user:password@host`.
pub fn credentials_in(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("://").filter_map(|(at, mark)| {
        let from = at + mark.len();
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
        let url = text[from..].split(is_end).next().unwrap_or_default();
        // A password may hold a slash or another `@`.
        url.rfind('@').map(|end| from..from + end)
    })
}

/// Shown as `***` by `Debug`; wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Secret(Zeroizing::new(text))
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets() {
        for key in [
            "secret",
            "Client_Secret",
            "password",
            "passwd",
            "auth_token",
            "master_key",
            "Authorization",
            "authorization",
            "cookie",
            "x-vault-key",
            "APIKEY",
        ] {
            assert!(key_in(key).is_some(), "{key}");
        }
        for key in [
            "secret_file",
            "upstream",
            "keys_dir",
            "key",
            "forward_authorization",
            "X-Org",
        ] {
            assert_eq!(key_in(key), None, "{key}");
        }
        assert_eq!(key_in("  secret: x"), Some(2));
        assert_eq!(key_in("{ secret_file: x, é: y, \"X-Key\": z"), Some(26));
    }

    #[test]
    fn credentials_of_urls() {
        let found = |text: &str| -> Vec<String> {
            let ranges = credentials_in(text);
            ranges.map(|range| text[range].to_owned()).collect()
        };
        assert_eq!(found("store: postgres://u:p@db/app"), ["u:p"]);
        assert_eq!(found("[ \"http://u:p/@w@a\", 'http://b' ]"), ["u:p/@w"]);
        assert_eq!(found("http://a:1 http://u@b"), ["u"]);
        assert!(found("http://a/b c@d").is_empty());
    }
}
