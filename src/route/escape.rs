//! Percent-encoding (RFC 3986, section 2.1) of path segments.

/// The byte that the escape at the start of `bytes` stands for.
fn escape_at(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Every `%` begins an escape.
pub(super) fn is_well_formed(path: &[u8]) -> bool {
    let mut signs = path.iter().enumerate().filter(|(_, b)| **b == b'%');
    signs.all(|(at, _)| escape_at(&path[at..]).is_some())
}

/// Decodes the escapes whose byte `wanted` admits; others, and a `%` that begins none, stay.
pub(super) fn decode(path: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        match escape_at(&path[at..]).filter(|byte| wanted(*byte)) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

/// The same path with the hexadecimal digits of escapes in upper case, which is the same path
/// (RFC 3986, section 6.2.2.1) and of the same length.
pub(super) fn with_upper_case_escapes(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    for at in 0..out.len() {
        if escape_at(&out[at..]).is_some() {
            out[at + 1..at + 3].make_ascii_uppercase();
        }
    }
    out
}

/// A segment as a client has to write it: all but `pchar` (RFC 3986, section 3.3) escaped.
pub(super) fn encode_segment(plain: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(plain.len());
    for &byte in plain {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(byte);
        } else {
            let (high, low) = (byte >> 4, byte & 15);
            out.extend([b'%', HEX[usize::from(high)], HEX[usize::from(low)]]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_is_wanted_and_keeps_the_rest() {
        assert_eq!(decode(b"/a%2Fb%20c%", |_| true), b"/a/b c%");
        assert_eq!(decode(b"/a%2fb%20c%zz", |b| b != b'/'), b"/a%2fb c%zz");
    }

    #[test]
    fn knows_broken_escapes() {
        assert!(is_well_formed(b"/a%2Fb%aa"));
        for broken in [&b"/%"[..], b"/%2", b"/%zz", b"/%2%46", b"/%u0041"] {
            assert!(!is_well_formed(broken), "{broken:?}");
        }
    }

    #[test]
    fn spells_escapes_in_one_way() {
        assert_eq!(with_upper_case_escapes(b"/aa%c3%a9%"), b"/aa%C3%A9%");
        assert_eq!(encode_segment("a é:%".as_bytes()), b"a%20%C3%A9:%25");
    }
}
