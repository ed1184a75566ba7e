//! Overlong UTF-8: more bytes than a character needs. Such are not valid (RFC 3629, section 3), and decoders that do not
//! ask for the shortest form take `%c0%ae` for a dot.

/// What such a decoder makes of a path.
pub(super) fn as_ascii(path: &[u8]) -> Vec<u8> {
    with_ascii(path, |form, byte, out| {
        let is_whole = form.last().is_some_and(|last| is_continued(*last));
        match is_whole {
            true => out.push(byte),
            false => out.push(form[0]),
        }
        if is_whole { form.len() } else { 1 }
    })
}

/// What one makes of it that does not look whether the second byte of `%c0` or `%c1` continues anything: to IIS `%c0%2f` was
/// a slash. Text in other encodings has such bytes as well, so what would be a control character stays as it is.
pub(super) fn as_ascii_by_bits(path: &[u8]) -> Vec<u8> {
    with_ascii(path, |form, byte, out| {
        match byte.is_ascii_control() {
            true => out.extend_from_slice(form),
            false => out.push(byte),
        }
        form.len()
    })
}

/// Where it ends for one that has it as a C string, and takes the two bytes for a NUL.
pub(super) fn ended_by_nul(path: &[u8]) -> Vec<u8> {
    let is_nul = |at: &usize| matches!(ascii_at(&path[*at..]), Some((0, _)));
    let end = (0..path.len()).find(is_nul);
    path[..end.unwrap_or(path.len())].to_vec()
}

/// Whether it has such forms of several lengths. Decoders differ in which of them they know.
pub(super) fn is_mixed(path: &[u8]) -> bool {
    let lengths = (0..path.len()).filter_map(|at| {
        let (_, length) = ascii_at(&path[at..])?;
        is_continued(path[at + length - 1]).then_some(length)
    });
    let mut lengths = lengths.peekable();
    let first = lengths.peek().copied();
    lengths.any(|length| Some(length) != first)
}

/// Has `write` write each such form, with the character that it is, and say how many bytes of it that was.
fn with_ascii(path: &[u8], write: impl Fn(&[u8], u8, &mut Vec<u8>) -> usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(first) = rest.first() {
        let length = match ascii_at(rest) {
            Some((byte, length)) => write(&rest[..length], byte, &mut out),
            None => {
                out.push(*first);
                1
            }
        };
        rest = &rest[length..];
    }
    out
}

/// The character of ASCII that the bytes begin with in two bytes or more, also in the forms of five and six
/// that UTF-8 once had, and how many they are. Of two, the second may be any.
fn ascii_at(bytes: &[u8]) -> Option<(u8, usize)> {
    let length = match *bytes.first()? {
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
                && is_continued(*last)
        }
    };
    is_ascii.then_some(((next & 1) << 6 | last & 0x3f, length))
}

fn is_continued(byte: u8) -> bool {
    byte & 0xc0 == 0x80
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
            (&b"/\xc0\xae\xe0\x80\xaf\xc1\xbf"[..], &b"/./\x7f"[..]),
            (b"/\xf0\x80\x80\xae\xf8\x80\x80\x80\xae", b"/.."),
            (b"/\xfc\x80\x80\x80\x80\xaf", b"//"),
            (b"/\xc0\x80\xe0\x80\x80", b"/\0\0"),
        ] {
            assert_eq!(as_ascii(overlong), read, "{overlong:?}");
            assert!(!is_plain(overlong), "{overlong:?}");
        }
        for other in [
            "/é/ठ/😀/ࠀ/𐀀".as_bytes(),
            b"/\xc0",
            b"/\xc0.",
            b"/\xc1/\xae",
            b"/\xc2\xae\xe0\x80",
            b"/\xe0\x82\xae",
            b"/\xf0\x80\xae",
            b"/\xff\x80\x80\x80\x80\x80\x80",
        ] {
            assert_eq!(as_ascii(other), other, "{other:?}");
        }
        assert!(is_plain("/é/ठ/😀/ࠀ/𐀀".as_bytes()));
    }

    #[test]
    fn forms_of_several_lengths_are_told() {
        assert!(is_mixed(b"/\xc0\xae/\xe0\x80\xae"));
        assert!(is_mixed(b"/\xfc\x80\x80\x80\x80\xaf\xf8\x80\x80\x80\xae"));
        for same in [
            &b"/\xc0\xae\xc1\x9c"[..],
            b"/\xe0\x80\xae\xc0/",
            "/é".as_bytes(),
        ] {
            assert!(!is_mixed(same), "{same:?}");
        }
        assert_eq!(ended_by_nul(b"/a\xc0@/b"), b"/a");
        assert_eq!(ended_by_nul(b"/a\xc0\xae"), b"/a\xc0\xae");
    }

    #[test]
    fn by_its_bits_any_second_byte_makes_a_character() {
        for (overlong, read) in [
            (&b"/\xc0/\xc0n\xc1\x9c\xc1\x1c"[..], &b"//.\\\\"[..]),
            (b"/\xc0\xae\xe0\x80\xaf", b"/./"),
        ] {
            assert_eq!(as_ascii_by_bits(overlong), read, "{overlong:?}");
            assert!(!is_plain(overlong), "{overlong:?}");
        }
        // The second is a word in EUC-KR.
        for control in [&b"/\xc0\x80\xc0@"[..], b"/\xc0\xcc\xb8\xa7", b"/\xc1\xbf"] {
            assert_eq!(as_ascii_by_bits(control), control, "{control:?}");
        }
    }
}
