//! Overlong UTF-8: more bytes than a character needs. No text has them (RFC 3629, section 3), and decoders that do not
//! ask for the shortest form take `%c0%ae` for a dot.

/// What such a decoder makes of a path. Bytes of text in other encodings may look like these forms, and would be control
/// characters there: those stay as they are, but for the NUL, at which a path ends for whoever has it as a C string.
pub(super) fn as_ascii(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let (byte, length) = match ascii_at(&path[at..]) {
            Some((0, _)) => break,
            Some((byte, length)) if !byte.is_ascii_control() => (byte, length),
            _ => (path[at], 1),
        };
        out.push(byte);
        at += length;
    }
    out
}

/// The character of ASCII that the bytes begin with in two bytes or more, also in the forms of five and six
/// that UTF-8 once had, and how many they are.
fn ascii_at(bytes: &[u8]) -> Option<(u8, usize)> {
    let length = match *bytes.first()? {
        // IIS did not look whether the second byte continues anything: `%c0%2f` was a slash.
        0xc0 | 0xc1 => 2,
        0xe0 => 3,
        0xf0 => 4,
        0xf8 => 5,
        0xfc => 6,
        _ => return None,
    };
    let (last, before) = bytes.get(..length)?.split_last()?;
    let (next, zeros) = before.split_last()?;
    let is_ascii = match zeros {
        [] => true,
        // Bits beyond the lowest seven.
        [_, zeros @ ..] => {
            matches!(next, 0x80 | 0x81)
                && zeros.iter().all(|byte| *byte == 0x80)
                && last & 0xc0 == 0x80
        }
    };
    is_ascii.then_some(((next & 1) << 6 | last & 0x3f, length))
}

/// Whether two bytes begin such a form.
pub(super) fn begins_with(first: u8, second: u8) -> bool {
    match first {
        0xc0 | 0xc1 => true,
        0xe0 => (0x80..0xa0).contains(&second),
        0xf0 => (0x80..0x90).contains(&second),
        0xf8 => (0x80..0x88).contains(&second),
        0xfc => (0x80..0x84).contains(&second),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::is_plain;

    #[test]
    fn only_what_is_too_long_for_ascii_is_read_as_ascii() {
        for (overlong, read) in [
            (&b"/\xc0\xae\xe0\x80\xaf\xc1\xbe"[..], &b"/./~"[..]),
            (b"/\xf0\x80\x80\xae\xf8\x80\x80\x80\xae", b"/.."),
            (b"/\xc0/\xc0n\xc1\x9c", b"//.\\"),
            (b"/\xfc\x80\x80\x80\x80\xaf", b"//"),
        ] {
            assert_eq!(as_ascii(overlong), read, "{overlong:?}");
            assert!(!is_plain(overlong), "{overlong:?}");
        }
        for other in [
            "/é/ठ/😀/ࠀ/𐀀".as_bytes(),
            b"/\xc2\xae\xe0\x80",
            b"/\xe0\x82\xae",
            b"/\xf0\x80\xae",
            b"/\xff\x80\x80\x80\x80\x80\x80",
        ] {
            assert_eq!(as_ascii(other), other, "{other:?}");
        }
        assert_eq!(as_ascii(b"/\xc0"), b"/\xc0");
        assert!(is_plain("/é/ठ/😀/ࠀ/𐀀".as_bytes()));
    }

    #[test]
    fn control_characters_are_none_but_for_the_nul_at_which_a_path_ends() {
        // A word in EUC-KR.
        assert_eq!(as_ascii(b"/\xc0\xcc\xb8\xa7"), b"/\xc0\xcc\xb8\xa7");
        assert_eq!(as_ascii(b"/\xc0\x8d\xc1\xbf"), b"/\xc0\x8d\xc1\xbf");
        for nul in [&b"/a\xc0\x80/b"[..], b"/a\xe0\x80\x80", b"/a\xc0@b"] {
            assert_eq!(as_ascii(nul), b"/a", "{nul:?}");
            assert!(!is_plain(nul), "{nul:?}");
        }
    }
}
