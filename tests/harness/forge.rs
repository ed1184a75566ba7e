//! Tokens that no gateway should have made.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// A token taken apart, to be changed and put together again.
#[derive(Clone, Debug)]
pub struct Jwt {
    pub header: Value,
    pub claims: Value,
}

impl Jwt {
    #[track_caller]
    pub fn parse(token: &str) -> Jwt {
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3, "three parts: {token}");
        let decode = |part: &str| serde_json::from_slice(&unbase64(part)).unwrap();
        Jwt {
            header: decode(parts[0]),
            claims: decode(parts[1]),
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Jwt {
        self.header[name] = value.into();
        self
    }

    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Jwt {
        self.claims[name] = value.into();
        self
    }

    pub fn without_claim(mut self, name: &str) -> Jwt {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    pub fn without_header(mut self, name: &str) -> Jwt {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    pub fn signed(&self, secret: &[u8]) -> String {
        sign(&self.header.to_string(), &self.claims.to_string(), secret)
    }

    /// With the signature left empty.
    pub fn unsigned(&self) -> String {
        format!(
            "{}.{}.",
            base64url(self.header.to_string()),
            base64url(self.claims.to_string())
        )
    }
}

/// Signs header and claims as they are, whatever they say, with HMAC-SHA256.
pub fn sign(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", base64url(header), base64url(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", base64url(tag))
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[track_caller]
pub fn unbase64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The forms in which an RSA public key lies about as a file: an attacker who signs with HMAC hopes that
/// the verifier takes one of them for a secret.
pub fn rsa_public_key_files(jwk: &Value) -> Vec<Vec<u8>> {
    let number = |name: &str| {
        let mut bytes = unbase64(jwk[name].as_str().unwrap());
        if bytes[0] >= 0x80 {
            bytes.insert(0, 0);
        }
        der(0x02, &bytes)
    };
    let pkcs1 = der(0x30, &[number("n"), number("e")].concat());
    // rsaEncryption (1.2.840.113549.1.1.1) with NULL parameters, RFC 3279 section 2.3.1.
    let algorithm = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let bits = der(0x03, &[&[0][..], &pkcs1].concat());
    let spki = der(0x30, &[&algorithm[..], &bits].concat());
    let spki_pem = pem("PUBLIC KEY", &spki);
    let pkcs1_pem = pem("RSA PUBLIC KEY", &pkcs1);
    vec![
        spki_pem.trim_end().as_bytes().to_vec(),
        spki_pem.into_bytes(),
        pkcs1_pem.trim_end().as_bytes().to_vec(),
        pkcs1_pem.into_bytes(),
        unbase64(jwk["n"].as_str().unwrap()),
        spki,
        pkcs1,
    ]
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        length @ 0..0x80 => bytes.push(length as u8),
        length @ 0x80..0x100 => bytes.extend([0x81, length as u8]),
        length => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    bytes.extend_from_slice(content);
    bytes
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
