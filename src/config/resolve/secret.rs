//! The secrets of `auth`: where they come from, and whether they can be guessed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, shown};
use super::super::secret::Secret;
use super::super::source::Span;

/// RFC 7518, 3.2: a key as long as the hash's output.
const SHORTEST: usize = 32;
const LARGEST_FILE: u64 = 64 * 1024;
pub const HINT: &str = "make one: `openssl rand -base64 48`";

/// Keys that stand in tutorials and templates as they are.
const PUBLISHED: &[&str] = &[
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "7f820bef39dd81f92e9935b30f029a74af7b7d1c5d8c85c855d6b22d093d485c",
];

/// Letters and digits that only a placeholder has in a row.
const PLACEHOLDERS: &[&str] = &[
    "supersecret",
    "secretkey",
    "yoursecret",
    "mysecret",
    "jwtsecret",
    "256bitsecret",
    "256bits",
    "changeme",
    "changethis",
    "changeit",
    "replaceme",
    "replacethis",
    "placeholder",
    "insecure",
    "opensslrand",
    "donotuse",
    "password",
    "secretsecret",
];

/// What a secret is for.
pub struct Kind {
    /// The key that it stands under; `_file` behind it names a file.
    key: &'static str,
    user: &'static str,
}

/// The secret that HS256 signs with.
pub const HS256: Kind = Kind {
    key: "secret",
    user: "HS256",
};

/// The key that other keys are encrypted under.
pub const MASTER: Kind = Kind {
    key: "master_key",
    user: "a master key",
};

impl Kind {
    /// The secret given in the file or by the file that it names; `None` when there is none that
    /// holds, which has been reported if one was meant.
    pub fn read(
        &self,
        secret: &Field<Secret>,
        file: &Field<String>,
        dir: &Path,
        findings: &mut Findings,
    ) -> Option<Secret> {
        let (secret, span) = match (secret, file) {
            (Field::Given(At { value, span }), Field::Absent) => (value.clone(), *span),
            (Field::Absent, Field::Given(At { value, span })) => {
                (from_file(&dir.join(value), *span, findings)?, *span)
            }
            (Field::Absent, _) | (_, Field::Absent) => return None,
            (secret, file) => {
                let at = file.span().or(secret.span()).unwrap_or_default();
                let key = self.key;
                findings
                    .error(at, "the secret is given twice")
                    .hint(format!("keep `{key}` or `{key}_file`"));
                return None;
            }
        };
        if let Some(why) = weakness(secret.expose(), self.user) {
            findings.error(span, why).hint(HINT);
            return None;
        }
        Some(secret)
    }
}

pub fn from_file(path: &Path, span: Span, findings: &mut Findings) -> Option<Secret> {
    let shown_path = shown(&path.to_string_lossy());
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text));
    match read {
        Err(error) => {
            findings.error(span, format!("cannot read {shown_path}: {error}"));
            None
        }
        Ok(_) if text.len() as u64 > LARGEST_FILE => {
            findings.error(span, format!("{shown_path} is larger than a secret can be"));
            None
        }
        // Editors and `echo` end a file with a line break that nobody means.
        Ok(_) => Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())),
    }
}

/// A file that is there. Opening a pipe waits for a writer, and reading a device might never end.
pub fn open(path: &Path) -> io::Result<File> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(path)
}

/// Why a secret must not be used; never says what it is.
fn weakness(secret: &str, user: &str) -> Option<String> {
    let bytes = secret.as_bytes();
    if bytes.len() < SHORTEST {
        return Some(format!(
            "the secret has {} bytes: {user} needs at least {SHORTEST}",
            bytes.len()
        ));
    }
    let letters: String = secret
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if PUBLISHED.contains(&letters.as_str()) || PLACEHOLDERS.iter().any(|p| letters.contains(p)) {
        return Some("the secret is a well-known sample".to_owned());
    }
    let distinct = bytes.iter().collect::<HashSet<_>>().len();
    if distinct < 8 || is_repeated(bytes) || is_counted(bytes) {
        return Some("the secret is easy to guess: it follows a pattern".to_owned());
    }
    None
}

/// A piece of at most half the length, again and again.
fn is_repeated(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.len().min(512)];
    (1..=bytes.len() / 2).any(|period| bytes.iter().zip(&bytes[period..]).all(|(a, b)| a == b))
}

/// Mostly characters that follow one another, as in `abcdefgh` or `01234567`.
fn is_counted(bytes: &[u8]) -> bool {
    let steps = bytes.windows(2).filter(|w| w[0].abs_diff(w[1]) == 1);
    steps.count() * 4 > bytes.len() * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_can_be_guessed() {
        for bad in [
            "",
            "short",
            "your-256-bit-secret",
            "a-string-secret-at-least-256-bits-long",
            "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
            "09D25E094FAA6CA2556C818166B7A9563B93F7099F6F0F4CAA6CF63B88E8D3E7",
            "supersecretkeythatisverylongindeed!",
            "my-super-secret-key-for-jwt-signing",
            "change-me-change-me-change-me-now!",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "secretsecretsecretsecretsecretsecret",
            "k3Yk3Yk3Yk3Yk3Yk3Yk3Yk3Yk3Yk3Yk3Yk3Y",
            "qwertzuiop12qwertzuiop12qwertzuiop12",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "0101101010011011010101010110101010100101",
            "django-insecure-8f$k2l!m9x@q7w3e5r1t6y",
        ] {
            assert!(weakness(bad, "HS256").is_some(), "{bad}");
        }
    }

    #[test]
    fn secrets_that_hold() {
        for good in [
            "b7e23ec29af22b0b4e41da31e868d57226121c84a3f1c5d9",
            "Zt1kq8V0mJxw2c5yHn7LrQe4UoSbGdAf",
            "correct horse battery staple and more besides",
        ] {
            assert_eq!(weakness(good, "HS256"), None, "{good}");
        }
    }
}
