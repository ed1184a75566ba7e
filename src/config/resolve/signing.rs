//! `auth.signing`: an algorithm, a secret, or a list of private keys.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::super::checked::{KeyAlgorithm, PrivateKey, Signing, SigningKey};
use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, shown};
use super::super::raw::{Algorithm, RawSigning, RawSigningKey};
use super::super::source::Span;
use super::{check_name, secret};

/// An RSA key of 8192 bits takes 7 KiB.
const LARGEST_FILE: u64 = 64 * 1024;

const STAND_IN: Signing = Signing::Generated(KeyAlgorithm::EdDsa);

pub fn signing(raw: &Field<RawSigning>, dir: &Path, findings: &mut Findings) -> Signing {
    let Some(At { value: raw, span }) = raw.given() else {
        return STAND_IN;
    };
    if matches!(raw.algorithm, Field::Invalid) {
        return STAND_IN;
    }
    let algorithm = raw.algorithm.copied();
    if algorithm == Some(Algorithm::Hs256) {
        let at = raw.algorithm.span().unwrap_or(*span);
        return hs256(raw, at, dir, findings);
    }
    for at in [raw.secret.span(), raw.secret_file.span()]
        .into_iter()
        .flatten()
    {
        findings
            .error(at, "a secret is used by `algorithm: HS256` only")
            .hint("remove it, or name the algorithm: the others sign with a private key");
    }
    let algorithm = algorithm.map(|algorithm| match algorithm {
        Algorithm::Es256 => KeyAlgorithm::Es256,
        Algorithm::Rs256 => KeyAlgorithm::Rs256,
        Algorithm::EdDsa | Algorithm::Hs256 => KeyAlgorithm::EdDsa,
    });
    let Some(items) = raw.keys.get() else {
        return Signing::Generated(algorithm.unwrap_or(KeyAlgorithm::EdDsa));
    };
    let keys: Vec<Option<SigningKey>> = items
        .0
        .iter()
        .map(|item| key(&item.value, dir, findings))
        .collect();
    if let (Some(algorithm), Some(Some(first))) = (algorithm, keys.first())
        && first.key.algorithm() != algorithm
    {
        let (found, wanted) = (first.key.algorithm().as_str(), algorithm.as_str());
        let at = items.0.first().and_then(|item| item.value.file.span());
        findings
            .error(
                at.unwrap_or(*span),
                format!("the first key signs, and it is one for {found}, not for {wanted}"),
            )
            .hint("put a key of the algorithm first, or remove `algorithm`: the key tells it");
    }
    check_kids(&items.0, &keys, findings);
    Signing::Keys(keys.into_iter().flatten().collect())
}

fn hs256(raw: &RawSigning, at: Span, dir: &Path, findings: &mut Findings) -> Signing {
    if let Some(span) = raw.keys.span() {
        findings
            .error(span, "HS256 signs with a `secret`, not with `keys`")
            .hint("remove one of the two: with `keys`, a key's algorithm is found from its file");
        return STAND_IN;
    }
    if raw.secret.is_absent() && raw.secret_file.is_absent() {
        findings
            .error(at, "HS256 needs a `secret` or a `secret_file`")
            .hint(format!(
                "for example `secret: \"${{SECRET_KEY}}\"`; {}",
                secret::HINT
            ));
        return STAND_IN;
    }
    let secret = secret::HS256.read(&raw.secret, &raw.secret_file, dir, findings);
    secret.map_or(STAND_IN, Signing::Hs256)
}

fn key(raw: &RawSigningKey, dir: &Path, findings: &mut Findings) -> Option<SigningKey> {
    if let Some(kid) = raw.kid.given() {
        check_name(kid, "a key", findings);
    }
    let At { value: file, span } = raw.file.given()?;
    if file.contains("PRIVATE KEY") {
        findings.hide(*span);
        findings
            .error(*span, "expected the path of a key, found a key")
            .hint("write it to a file of mode 600, and name that");
        return None;
    }
    let path = dir.join(file);
    let shown_path = shown(&path.to_string_lossy());
    let pem = match read(&path) {
        Ok(pem) => pem,
        Err(error) => {
            findings.error(*span, format!("cannot read {shown_path}: {error}"));
            return None;
        }
    };
    match PrivateKey::from_pem(&pem) {
        Ok(key) => Some(SigningKey {
            kid: raw.kid.get().cloned().unwrap_or_else(|| key.thumbprint()),
            file: path,
            key,
        }),
        Err(fault) => {
            findings
                .error(*span, format!("{shown_path} {fault}"))
                .hint(fault.hint());
            None
        }
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = secret::open(path)?;
    let mut content = Zeroizing::new(Vec::new());
    file.take(LARGEST_FILE + 1).read_to_end(&mut content)?;
    match content.len() as u64 > LARGEST_FILE {
        true => Err(io::Error::other("it is larger than a key can be")),
        false => Ok(content),
    }
}

/// A token names its key by the `kid`, so none may stand for two.
fn check_kids(items: &[At<RawSigningKey>], keys: &[Option<SigningKey>], findings: &mut Findings) {
    let mut seen = HashSet::new();
    for (item, key) in items.iter().zip(keys) {
        let Some(key) = key else { continue };
        if !seen.insert(key.kid.as_str()) {
            let span = item.value.kid.span().or(item.value.file.span());
            findings
                .error(
                    span.unwrap_or(item.span),
                    format!("two keys are called {}", shown(&key.kid)),
                )
                .hint("give each a `kid` of its own; without one it is the key's thumbprint");
        }
    }
}
