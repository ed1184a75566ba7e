//! A private key that signs tokens: from PKCS#8 in PEM, its algorithm found from the key itself.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The signatures with a public half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyAlgorithm {
    EdDsa,
    Es256,
    Rs256,
}

impl KeyAlgorithm {
    pub const ALL: [KeyAlgorithm; 3] = [
        KeyAlgorithm::EdDsa,
        KeyAlgorithm::Es256,
        KeyAlgorithm::Rs256,
    ];

    /// As a token's `alg` names it (RFC 7518, section 3.1; RFC 8037, section 3.1).
    pub fn as_str(self) -> &'static str {
        match self {
            KeyAlgorithm::EdDsa => "EdDSA",
            KeyAlgorithm::Es256 => "ES256",
            KeyAlgorithm::Rs256 => "RS256",
        }
    }
}

/// Why some bytes are no key; never says what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("holds no private key in PKCS#8 PEM")]
    NotPem,
    #[error("holds a public key or a certificate, not a private key")]
    Public,
    #[error("holds a private key under a passphrase")]
    Encrypted,
    #[error("holds a private key in an older form than PKCS#8")]
    Traditional,
    #[error("holds more than one key")]
    Several,
    #[error("holds no key of Ed25519, P-256 or RSA of 2048 to 8192 bits")]
    Unsupported,
}

impl KeyFault {
    pub fn hint(self) -> &'static str {
        match self {
            KeyFault::Encrypted | KeyFault::Traditional => {
                "rewrite it: `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW`"
            }
            _ => "make one: `portcullis key generate --out FILE`",
        }
    }
}

/// Shown without its private half by `Debug`; wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    algorithm: KeyAlgorithm,
    /// PKCS#8, written anew: one key has one form, whatever its file looks like.
    der: Zeroizing<Vec<u8>>,
    /// A JWK's required members.
    public: Value,
}

impl PrivateKey {
    pub fn generate(algorithm: KeyAlgorithm) -> Result<PrivateKey, Unspecified> {
        match algorithm {
            KeyAlgorithm::EdDsa => PrivateKey::ed25519(&Ed25519KeyPair::generate()?),
            KeyAlgorithm::Es256 => {
                PrivateKey::p256(&EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?)
            }
            KeyAlgorithm::Rs256 => PrivateKey::rsa(&RsaKeyPair::generate(KeySize::Rsa2048)?),
        }
    }

    /// RFC 7468: one key and, around it, any text.
    pub fn from_pem(pem: &[u8]) -> Result<PrivateKey, KeyFault> {
        let text = std::str::from_utf8(pem).map_err(|_| KeyFault::NotPem)?;
        let Some((_, rest)) = text.split_once(BEGIN) else {
            return Err(other_label(text));
        };
        let (body, after) = rest.split_once(END).ok_or(KeyFault::NotPem)?;
        if after.contains("-----BEGIN") {
            return Err(KeyFault::Several);
        }
        let body: Zeroizing<Vec<u8>> =
            Zeroizing::new(body.bytes().filter(|b| !b.is_ascii_whitespace()).collect());
        let der = STANDARD.decode(&*body).map_err(|_| KeyFault::NotPem)?;
        PrivateKey::from_der(&Zeroizing::new(der))
    }

    /// From PKCS#8 in DER.
    pub fn from_der(der: &[u8]) -> Result<PrivateKey, KeyFault> {
        let key = if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            PrivateKey::ed25519(&pair)
        } else if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            PrivateKey::p256(&pair)
        } else if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            PrivateKey::rsa(&pair)
        } else {
            Err(Unspecified)
        };
        key.map_err(|_| KeyFault::Unsupported)
    }

    fn ed25519(pair: &Ed25519KeyPair) -> Result<PrivateKey, Unspecified> {
        let x = pair.public_key().as_ref();
        Ok(PrivateKey {
            algorithm: KeyAlgorithm::EdDsa,
            der: Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec()),
            public: json!({ "crv": "Ed25519", "kty": "OKP", "x": base64url(x) }),
        })
    }

    fn p256(pair: &EcdsaKeyPair) -> Result<PrivateKey, Unspecified> {
        // The uncompressed form of SEC 1: 04, x, y.
        let point = pair.public_key().as_ref();
        let halves = point.get(1..).and_then(|xy| xy.split_at_checked(32));
        let (x, y) = halves.ok_or(Unspecified)?;
        Ok(PrivateKey {
            algorithm: KeyAlgorithm::Es256,
            der: Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec()),
            public: json!({
                "crv": "P-256", "kty": "EC", "x": base64url(x), "y": base64url(y)
            }),
        })
    }

    fn rsa(pair: &RsaKeyPair) -> Result<PrivateKey, Unspecified> {
        let public = pair.public_key();
        let n = public.modulus().big_endian_without_leading_zero();
        let e = public.exponent().big_endian_without_leading_zero();
        Ok(PrivateKey {
            algorithm: KeyAlgorithm::Rs256,
            der: Zeroizing::new(pair.as_der()?.as_ref().to_vec()),
            public: json!({ "e": base64url(e), "kty": "RSA", "n": base64url(n) }),
        })
    }

    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// PKCS#8 in DER, the same for the same key.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// PKCS#8 in PEM (RFC 7468).
    pub fn to_pem(&self) -> Zeroizing<Vec<u8>> {
        let body = Zeroizing::new(STANDARD.encode(&self.der));
        let mut pem = Zeroizing::new(Vec::with_capacity(body.len() * 2));
        pem.extend_from_slice(BEGIN.as_bytes());
        for line in body.as_bytes().chunks(64) {
            pem.push(b'\n');
            pem.extend_from_slice(line);
        }
        pem.push(b'\n');
        pem.extend_from_slice(END.as_bytes());
        pem.push(b'\n');
        pem
    }

    /// A JWK's required members: `kty` and the public numbers.
    pub fn public(&self) -> &Value {
        &self.public
    }

    /// The public half as a JSON Web Key (RFC 7517).
    pub fn to_jwk(&self, kid: &str) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = json!(kid);
        jwk["alg"] = json!(self.algorithm.as_str());
        jwk["use"] = json!("sig");
        jwk
    }

    /// RFC 7638: the required members alone, in lexicographic order and without spaces, which is how
    /// serde_json writes a map.
    pub fn thumbprint(&self) -> String {
        let text = self.public.to_string();
        base64url(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}, ***)", self.algorithm.as_str(), self.thumbprint())
    }
}

/// What stands in a file in place of a key.
fn other_label(text: &str) -> KeyFault {
    let has = |label: &str| text.contains(&format!("-----BEGIN {label}-----"));
    if has("ENCRYPTED PRIVATE KEY") {
        KeyFault::Encrypted
    } else if has("EC PRIVATE KEY") || has("RSA PRIVATE KEY") {
        KeyFault::Traditional
    } else if has("PUBLIC KEY") || has("RSA PUBLIC KEY") || has("CERTIFICATE") {
        KeyFault::Public
    } else {
        KeyFault::NotPem
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_reads_back_as_what_it_is() {
        for algorithm in KeyAlgorithm::ALL {
            let key = PrivateKey::generate(algorithm).unwrap();
            let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
            assert_eq!(again, key);
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(again.thumbprint(), key.thumbprint());
            let shown = format!("{key:?}");
            assert!(!shown.contains(&STANDARD.encode(key.der())), "{shown}");
        }
    }

    /// RFC 8037, appendix A: the key, its JWK and its thumbprint.
    #[test]
    fn the_thumbprint_of_a_published_key() {
        let pem = "a comment\n-----BEGIN PRIVATE KEY-----\r\n\
                   MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\r\n\
                   -----END PRIVATE KEY-----\r\n";
        let key = PrivateKey::from_pem(pem.as_bytes()).unwrap();
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        assert_eq!(key.public()["x"], x);
        let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(key.thumbprint(), thumbprint);
        assert_eq!(key.to_jwk("k1")["kid"], "k1");
        assert_eq!(key.to_jwk("k1").get("d"), None);
    }

    #[test]
    fn what_is_no_key() {
        let pem = |label: &str, body: &[u8]| {
            let body = STANDARD.encode(body);
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
        };
        let key = PrivateKey::generate(KeyAlgorithm::EdDsa).unwrap();
        let fault = |bytes: &[u8]| PrivateKey::from_pem(bytes).unwrap_err();
        assert_eq!(fault(b""), KeyFault::NotPem);
        assert_eq!(fault(b"\xff\xfe"), KeyFault::NotPem);
        assert_eq!(fault(key.der()), KeyFault::NotPem);
        assert_eq!(fault(&pem("CERTIFICATE", b"x")), KeyFault::Public);
        assert_eq!(fault(&pem("PUBLIC KEY", b"x")), KeyFault::Public);
        assert_eq!(fault(&pem("EC PRIVATE KEY", b"x")), KeyFault::Traditional);
        assert_eq!(fault(&pem("RSA PRIVATE KEY", b"x")), KeyFault::Traditional);
        let sealed = pem("ENCRYPTED PRIVATE KEY", b"x");
        assert_eq!(fault(&sealed), KeyFault::Encrypted);
        assert_eq!(fault(&pem("PRIVATE KEY", b"x")), KeyFault::Unsupported);
        let twice = [key.to_pem().to_vec(), key.to_pem().to_vec()].concat();
        assert_eq!(fault(&twice), KeyFault::Several);
        let whole = key.to_pem();
        for end in 0..whole.len() - 2 {
            assert!(PrivateKey::from_pem(&whole[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn other_curves_and_short_moduli_are_refused() {
        use aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING;
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let der = p384.to_pkcs8v1().unwrap();
        assert_eq!(
            PrivateKey::from_der(der.as_ref()),
            Err(KeyFault::Unsupported)
        );
        let short = include_bytes!("../../tests/config/rsa-1024.pem");
        assert_eq!(PrivateKey::from_pem(short), Err(KeyFault::Unsupported));
    }
}
