//! The key that signs access tokens, its public half, and the secret that refresh tokens come from.

use std::path::Path;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::key_files::{self, FileError};
use crate::authn::{VerifyingKey, VerifyingKeys};
use crate::config::checked::{Auth, Signing};

/// Bytes of the secret that refresh tokens are derived with.
const REFRESH_KEY_LEN: usize = 32;

/// Why there are no keys to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "{path} does not hold a private key for {algorithm}: expected one in PKCS#8 PEM; \
         move it away to have a new one made"
    )]
    NotAKey {
        path: String,
        algorithm: &'static str,
    },
    #[error(
        "{path} holds {len} bytes, expected {REFRESH_KEY_LEN}; moving it away signs everyone out"
    )]
    NotARefreshKey { path: String, len: usize },
    #[error("no key could be generated")]
    Generation,
}

impl From<aws_lc_rs::error::Unspecified> for KeysError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        KeysError::Generation
    }
}

/// Everything secret that the accounts need, and what of it may be told.
pub struct Keys {
    pub kid: String,
    pub algorithm: Algorithm,
    pub signing: EncodingKey,
    pub verifying: VerifyingKeys,
    /// A JSON Web Key Set (RFC 7517, section 5); empty when the key is a shared secret.
    pub jwks: Value,
    /// For refresh tokens.
    pub refresh: hmac::Key,
}

impl Keys {
    /// Reads the keys of `auth.keys_dir`, and makes those that are missing.
    pub fn load(auth: &Auth) -> Result<Keys, KeysError> {
        key_files::ensure_folder(&auth.keys_dir)?;
        let refresh = refresh_key(&auth.keys_dir.join("refresh.key"))?;
        let pair = match &auth.signing {
            Signing::EdDsa => pair(&auth.keys_dir, &ED25519)?,
            Signing::Es256 => pair(&auth.keys_dir, &P256)?,
            Signing::Rs256 => pair(&auth.keys_dir, &RSA)?,
            Signing::Hs256(secret) => shared(secret.expose().as_bytes(), &refresh),
        };
        Ok(Keys {
            verifying: VerifyingKeys::new(vec![VerifyingKey {
                kid: pair.kid.clone(),
                algorithm: pair.algorithm,
                key: pair.verifying,
            }]),
            kid: pair.kid,
            algorithm: pair.algorithm,
            signing: pair.signing,
            jwks: pair.jwks,
            refresh,
        })
    }
}

struct Pair {
    kid: String,
    algorithm: Algorithm,
    signing: EncodingKey,
    verifying: DecodingKey,
    jwks: Value,
}

/// What differs from one kind of key pair to the next.
struct Kind {
    file: &'static str,
    name: &'static str,
    algorithm: Algorithm,
    /// A new private key as PKCS#8 DER.
    generate: fn() -> Result<Zeroizing<Vec<u8>>, KeysError>,
    read_pem: fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>,
    /// The public half of what `read_pem` gave, to check with and as a JWK's required members.
    public: fn(&EncodingKey) -> Option<(DecodingKey, Value)>,
}

const ED25519: Kind = Kind {
    file: "eddsa.pem",
    name: "EdDSA (Ed25519)",
    algorithm: Algorithm::EdDSA,
    generate: || Ok(der(Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref())),
    read_pem: EncodingKey::from_ed_pem,
    public: |key| {
        let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).ok()?;
        let x = pair.public_key().as_ref();
        let members = json!({ "crv": "Ed25519", "kty": "OKP", "x": base64url(x) });
        Some((DecodingKey::from_ed_der(x), members))
    },
};

const P256: Kind = Kind {
    file: "es256.pem",
    name: "ES256 (P-256)",
    algorithm: Algorithm::ES256,
    generate: || {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        Ok(der(pair.to_pkcs8v1()?.as_ref()))
    },
    read_pem: EncodingKey::from_ec_pem,
    public: |key| {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_bytes()).ok()?;
        let point = pair.public_key().as_ref();
        // The uncompressed form of SEC 1: 04, x, y.
        let (x, y) = point.get(1..)?.split_at_checked(32)?;
        let members = json!({ "crv": "P-256", "kty": "EC", "x": base64url(x), "y": base64url(y) });
        Some((DecodingKey::from_ec_der(point), members))
    },
};

const RSA: Kind = Kind {
    file: "rs256.pem",
    name: "RS256 (RSA of 2048 bits or more)",
    algorithm: Algorithm::RS256,
    generate: || {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        Ok(der(pair.as_der()?.as_ref()))
    },
    read_pem: EncodingKey::from_rsa_pem,
    public: |key| {
        // The PEM's PKCS#8 shell is gone by now: these are the bytes of a PKCS#1 key.
        let pair = RsaKeyPair::from_der(key.as_bytes()).ok()?;
        let public = pair.public_key();
        let n = public.modulus().big_endian_without_leading_zero();
        let e = public.exponent().big_endian_without_leading_zero();
        let members = json!({ "e": base64url(e), "kty": "RSA", "n": base64url(n) });
        Some((DecodingKey::from_rsa_raw_components(n, e), members))
    },
};

fn pair(folder: &Path, kind: &Kind) -> Result<Pair, KeysError> {
    let path = folder.join(kind.file);
    let pem = key_files::load_or_create(&path, || Ok::<_, KeysError>(to_pem(&(kind.generate)()?)))?;
    let unreadable = || KeysError::NotAKey {
        path: path.display().to_string(),
        algorithm: kind.name,
    };
    let signing = (kind.read_pem)(&pem).map_err(|_| unreadable())?;
    let (verifying, mut jwk) = (kind.public)(&signing).ok_or_else(unreadable)?;
    // RFC 7638: the required members alone, in lexicographic order and without spaces, which is how
    // serde_json writes a map.
    let thumbprint = digest::digest(&digest::SHA256, jwk.to_string().as_bytes());
    let kid = base64url(thumbprint.as_ref());
    jwk["kid"] = json!(kid);
    jwk["alg"] = json!(kind.algorithm);
    jwk["use"] = json!("sig");
    Ok(Pair {
        kid,
        algorithm: kind.algorithm,
        signing,
        verifying,
        jwks: json!({ "keys": [jwk] }),
    })
}

/// The `kid` of a shared secret is keyed, so that it can't be used to guess the secret.
fn shared(secret: &[u8], refresh: &hmac::Key) -> Pair {
    let mut context = hmac::Context::with_key(refresh);
    context.update(b"portcullis kid of a shared secret\0");
    context.update(secret);
    Pair {
        kid: base64url(&context.sign().as_ref()[..16]),
        algorithm: Algorithm::HS256,
        signing: EncodingKey::from_secret(secret),
        verifying: DecodingKey::from_secret(secret),
        jwks: json!({ "keys": [] }),
    }
}

fn refresh_key(path: &Path) -> Result<hmac::Key, KeysError> {
    let bytes = key_files::load_or_create(path, || {
        let mut bytes = Zeroizing::new(vec![0; REFRESH_KEY_LEN]);
        rand::fill(&mut bytes)?;
        Ok::<_, KeysError>(bytes)
    })?;
    if bytes.len() != REFRESH_KEY_LEN {
        return Err(KeysError::NotARefreshKey {
            path: path.display().to_string(),
            len: bytes.len(),
        });
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn der(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.to_vec())
}

/// RFC 7468.
fn to_pem(der: &[u8]) -> Zeroizing<Vec<u8>> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(Vec::with_capacity(body.len() * 2));
    pem.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
    for line in body.as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END PRIVATE KEY-----\n");
    pem
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
