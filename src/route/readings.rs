//! The readings of a path: what servers that decode, merge, resolve or cut it make of the same bytes.
//!
//! nginx decodes once, merges slashes and resolves dots; Node's `URL` takes `\` for `/`, `%2e` for a dot
//! and what stands behind two slashes for a host; servlet containers drop `;parameters` first; routers
//! such as Express split before they decode; a proxy in between may decode once more. The order differs
//! as well, so the readings are everything that these steps reach in any order. Filters may cut a path at its first `;`,
//! and careless decoders take overlong UTF-8 for ASCII (`overlong.rs`). A gateway that settles for one of these
//! can be led past its own rules (`/public/..%2fadmin`, `/public/..;/admin`, `/%252e%252e/`).

use std::ops::ControlFlow;

use super::escape;
use super::overlong;

/// Beyond this many readings, or this many bytes of a path that has more than one, it is refused:
/// the work that a stranger can ask for stays small.
const MAX_READINGS: usize = 48;
const MAX_LENGTH: usize = 4096;

/// Why a path cannot be read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    BrokenEscape,
    ControlByte,
    /// Of several lengths.
    OverlongForms,
    TooManyReadings,
}

/// All servers read these bytes alike. Almost every path is plain, so this is the whole cost then.
pub fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for (at, &byte) in path.iter().enumerate() {
        match byte {
            b'%' | b'\\' | b';' | b'?' | b'#' | 0..0x20 | 0x7f => return false,
            _ if overlong::begins_with(before, byte) => return false,
            b'/' if before == b'/' => return false,
            b'.' if before == b'/' => {
                let segment = &path[at + 1..];
                let after_dots = segment.strip_prefix(b".").unwrap_or(segment);
                if matches!(segment.first(), None | Some(b'/'))
                    || matches!(after_dots.first(), None | Some(b'/'))
                {
                    return false;
                }
            }
            _ => {}
        }
        before = byte;
    }
    true
}

/// Shows `each` every distinct reading of `path` until it breaks. The first is the path as it came,
/// with its escapes in upper case, so byte positions in it are positions in `path`.
pub(super) fn visit<B>(
    path: &[u8],
    mut each: impl FnMut(&[u8]) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, Unreadable> {
    if !escape::is_well_formed(path) {
        return Err(Unreadable::BrokenEscape);
    }
    if path.len() > MAX_LENGTH {
        return Err(Unreadable::TooManyReadings);
    }
    let mut known = vec![Reading {
        bytes: escape::with_upper_case_escapes(path),
        decodings: 0,
    }];
    let mut next = 0;
    while next < known.len() {
        if has_control_byte(&known[next].bytes) {
            return Err(Unreadable::ControlByte);
        }
        if overlong::is_mixed(&known[next].bytes) {
            return Err(Unreadable::OverlongForms);
        }
        let is_new = known[..next].iter().all(|k| k.bytes != known[next].bytes);
        if is_new && let ControlFlow::Break(value) = each(&known[next].bytes) {
            return Ok(ControlFlow::Break(value));
        }
        for reading in known[next].steps() {
            // The same bytes with fewer decodings behind them lead wherever these would.
            let leads_nowhere_new =
                |k: &Reading| k.bytes == reading.bytes && k.decodings <= reading.decodings;
            if !known.iter().any(leads_nowhere_new) {
                known.push(reading);
            }
        }
        if known.len() > MAX_READINGS {
            return Err(Unreadable::TooManyReadings);
        }
        next += 1;
    }
    Ok(ControlFlow::Continue(()))
}

/// What a server makes of it that folds case as Unicode does, where characters beyond ASCII are letters of
/// ASCII to it: `K` (U+212A) is a `k`, `ſ` an `s`, `ﬁ` two letters. `None` when there is none of these.
pub(super) fn with_letters_folded(path: &[u8]) -> Option<Vec<u8>> {
    if path.is_ascii() {
        return None;
    }
    let mut is_folded = false;
    let mut out = Vec::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            let start = out.len();
            // To Java this is an `i` as well, to others an `i` with a mark of its own.
            let letter = if c == 'İ' { 'i' } else { c };
            for upper in letter.to_lowercase().flat_map(char::to_uppercase) {
                out.extend_from_slice(
                    upper
                        .to_ascii_lowercase()
                        .encode_utf8(&mut [0; 4])
                        .as_bytes(),
                );
            }
            let is_own = c.is_ascii() || !out[start..].is_ascii();
            if is_own {
                out.truncate(start);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            is_folded |= !is_own;
        }
        out.extend_from_slice(chunk.invalid());
    }
    is_folded.then_some(out)
}

/// Every distinct reading of a path; `None` when it cannot be read.
pub fn all(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let visited = visit(path, |reading| {
        found.push(reading.to_vec());
        ControlFlow::<()>::Continue(())
    });
    visited.ok().map(|_| found)
}

struct Reading {
    bytes: Vec<u8>,
    /// How often percent-decoding has taken place: at most twice.
    decodings: u8,
}

impl Reading {
    /// What one more step makes of it.
    fn steps(&self) -> Vec<Reading> {
        let read = |step: fn(&[u8]) -> Vec<u8>, decodings| Reading {
            bytes: step(&self.bytes),
            decodings,
        };
        let mut readings = Vec::with_capacity(8);
        if self.decodings < 2 {
            for step in [decode, decode_inside_segments] {
                readings.push(read(step, self.decodings + 1));
            }
        }
        for step in [
            backslashes_as_slashes,
            without_parameters,
            cut_at_parameters,
            overlong::as_ascii,
            overlong::as_ascii_by_bits,
            overlong::ended_by_nul,
            with_merged_slashes,
            without_host,
            with_dots_resolved,
            without_dots_at_the_end,
            cut_at_query,
        ] {
            readings.push(read(step, self.decodings));
        }
        readings
    }
}

fn has_control_byte(path: &[u8]) -> bool {
    path.iter().any(|byte| byte.is_ascii_control())
}

fn decode(path: &[u8]) -> Vec<u8> {
    escape::decode(path, |_| true)
}

/// As routers do that split the path first and decode each segment then.
fn decode_inside_segments(path: &[u8]) -> Vec<u8> {
    escape::decode(path, |byte| !matches!(byte, b'/' | b'\\'))
}

fn backslashes_as_slashes(path: &[u8]) -> Vec<u8> {
    let slash = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    path.iter().map(slash).collect()
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let mut in_parameter = false;
    let kept = path.iter().copied().filter(|byte| {
        match byte {
            b';' => in_parameter = true,
            b'/' => in_parameter = false,
            _ => {}
        }
        !in_parameter
    });
    kept.collect()
}

fn with_merged_slashes(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    out.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    out
}

/// What begins with two slashes begins with a host for whoever resolves it as a reference (RFC 3986, section
/// 4.2); to the web's URL parsers further slashes are none.
fn without_host(path: &[u8]) -> Vec<u8> {
    if !path.starts_with(b"//") {
        return path.to_vec();
    }
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    let host_and_path = &path[slashes..];
    match host_and_path.iter().position(|byte| *byte == b'/') {
        Some(end) => host_and_path[end..].to_vec(),
        None => b"/".to_vec(),
    }
}

/// RFC 3986, section 5.2.4; an empty segment counts as one.
fn with_dots_resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_dots = matches!(segment, b"." | b"..");
        if segment == b".." {
            kept.pop();
        } else if !is_dots {
            kept.push(segment);
        }
        if is_dots && segments.peek().is_none() {
            kept.push(b"");
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    out
}

/// Go's `path.Clean` leaves no slash where a last `.` or `..` stood, as RFC 3986 would.
fn without_dots_at_the_end(path: &[u8]) -> Vec<u8> {
    let last = path.rsplit(|byte| *byte == b'/').next();
    if !matches!(last, Some(b"." | b"..")) {
        return path.to_vec();
    }
    let mut out = with_dots_resolved(path);
    if out.len() > 1 && out.ends_with(b"/") {
        out.pop();
    }
    out
}

/// A decoded `?` or `#` ends the path for whoever splits off the query after decoding.
fn cut_at_query(path: &[u8]) -> Vec<u8> {
    cut_at(path, |byte| matches!(byte, b'?' | b'#'))
}

/// The first `;` ends the path, with all segments that follow, for whoever takes parameters to be of the last alone:
/// Shiro before 1.5.2, and filters that split at it.
fn cut_at_parameters(path: &[u8]) -> Vec<u8> {
    cut_at(path, |byte| byte == b';')
}

fn cut_at(path: &[u8], ends: impl Fn(u8) -> bool) -> Vec<u8> {
    let end = path.iter().position(|byte| ends(*byte));
    path[..end.unwrap_or(path.len())].to_vec()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn all(path: &str) -> Result<Vec<String>, Unreadable> {
        let mut found = Vec::new();
        let _: ControlFlow<Infallible> = visit(path.as_bytes(), |reading| {
            found.push(String::from_utf8_lossy(reading).into_owned());
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    #[test]
    fn plain_paths_are_told_from_awkward_ones() {
        for plain in [
            "/",
            "/a",
            "/a/",
            "/a/b.c",
            "/.well-known/x",
            "/..a/...",
            "/é",
        ] {
            assert!(is_plain(plain.as_bytes()), "{plain}");
            assert_eq!(all(plain).unwrap(), [plain]);
        }
        for awkward in [
            "//", "/a//b", "/.", "/..", "/a/./b", "/a/../b", "/a/..", "/%41", "/a;b", "/a\\b",
        ] {
            assert!(!is_plain(awkward.as_bytes()), "{awkward}");
        }
    }

    #[test]
    fn a_path_that_is_not_plain_to_the_scan_has_one_reading_only_when_it_has_no_other() {
        assert_eq!(all("/a%20b").unwrap(), ["/a%20b", "/a b"]);
        assert_eq!(all("/a/./b").unwrap(), ["/a/./b", "/a/b"]);
        assert_eq!(all("/a//b").unwrap(), ["/a//b", "/a/b"]);
        assert_eq!(all("/a;x=1/b").unwrap(), ["/a;x=1/b", "/a/b", "/a"]);
        assert_eq!(all("/a\\b").unwrap(), ["/a\\b", "/a/b"]);
    }

    #[test]
    fn every_order_of_the_steps_is_read() {
        let reaches = |path: &str, reading: &str| {
            let readings = all(path).unwrap();
            assert!(
                readings.iter().any(|r| r == reading),
                "{path}: {readings:?}"
            );
        };
        reaches("/public/../admin", "/admin");
        reaches("/public/%2e%2e/admin", "/admin");
        reaches("/public/..%2fadmin", "/admin");
        reaches("/public/..;/admin", "/admin");
        reaches("/public/..%3b/admin", "/admin");
        reaches("/public/%252e%252e/admin", "/admin");
        reaches("/public/..\\admin", "/admin");
        reaches("/public/..%255cadmin", "/admin");
        reaches("/a//../b", "/a/b");
        reaches("/a//../b", "/b");
        reaches("/admin%23/x", "/admin");
        reaches("/admin%253f/x", "/admin");
        reaches("/a%2Fb/%20", "/a%2Fb/ ");
        reaches("/a/..", "/");
        reaches("/a/b/.", "/a/b/");
        reaches("/a/b/.", "/a/b");
        reaches("/a/b/c/..", "/a/b");
        reaches("//x/admin", "/admin");
        reaches("//x", "/");
        reaches("///x/admin", "/admin");
        reaches("/\\x/admin", "/admin");
        reaches("/%2fx/admin", "/admin");
        reaches("//x/a/../admin", "/admin");
        reaches("/.%2e/admin;x=/../y", "/../admin");
        reaches("/.%2e/admin%3bx=/../y", "/admin");
        reaches("/a;b/c;d", "/a");
        reaches("/%c0%ae%C0%ae/admin", "/admin");
        reaches("/x%c0%af..%c1%9cadmin", "/admin");
        reaches("/%e0%80%ae%e0%80%ae/admin", "/admin");
        reaches("/%f0%80%80%ae%f0%80%80%ae/admin", "/admin");
        reaches("/%fc%80%80%80%80%ae./admin", "/admin");
        reaches("/%c0%a561dmin", "/admin");
        reaches("/%25c0%25ae./admin", "/admin");
        reaches("/x%c0%2f..%c0%2fadmin", "/admin");
        reaches("/%c0%6e%c1%6e/admin", "/.n/admin");
        reaches("/x%c1/%c0%ae%c0%ae/%c0%ae%c0%ae/admin", "/admin");
        reaches("/%c0%c0/%c0%ae%c0%ae/admin", "/admin");
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        assert_eq!(all("/a%zz"), Err(Unreadable::BrokenEscape));
        for control in ["/a%00", "/a%0d%0ab", "/%7f", "/%2500", "/%c0%80", "/%c0%89"] {
            assert_eq!(all(control), Err(Unreadable::ControlByte), "{control}");
        }
        // A second decoding meets a lone percent sign: that is no fault of the client's.
        assert_eq!(all("/100%25").unwrap(), ["/100%25", "/100%"]);
        assert_eq!(
            all(&format!("/%20{}", "a".repeat(MAX_LENGTH))),
            Err(Unreadable::TooManyReadings)
        );
    }

    #[test]
    fn letters_are_folded_to_those_of_ascii() {
        let folded = |path: &str| {
            let folded = with_letters_folded(path.as_bytes())?;
            Some(String::from_utf8(folded).unwrap())
        };
        for (path, reading) in [
            ("/\u{212a}ey\u{17f}", "/keys"),
            ("/adm\u{131}n", "/admin"),
            ("/adm\u{130}n", "/admin"),
            ("/se\u{df}ion/É", "/session/É"),
            ("/pa\u{1e9e}", "/pass"),
            ("/\u{fb01}les/\u{fb06}", "/files/st"),
        ] {
            assert_eq!(folded(path).as_deref(), Some(reading), "{path}");
        }
        for path in ["/Keys", "/é/Ü", "/Å", "/漢字"] {
            assert_eq!(folded(path), None, "{path}");
        }
        assert_eq!(with_letters_folded(b"/\xff\xc5\xbf").unwrap(), b"/\xffs");
        assert_eq!(with_letters_folded(b"/\xc5"), None);
    }

    #[test]
    fn the_number_of_readings_is_bounded() {
        let tangled = "/a%2F..;x%3b/..%252f%5c..//b%3f/%2e/;/%255c%23/..;%2f";
        assert_eq!(all(tangled), Err(Unreadable::TooManyReadings));
    }
}
