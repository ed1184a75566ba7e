//! How servers that stand behind gateways read a path, each written from the server's own rules and
//! apart from the gateway's code.

/// The path that a server routes by, in bytes; `None` when it refuses the request.
pub type Reading = fn(&[u8]) -> Option<Vec<u8>>;

pub const SERVERS: [(&str, Reading); 10] = [
    ("nginx", nginx),
    ("node", node),
    ("wsgi", wsgi),
    ("werkzeug", werkzeug),
    ("url", url),
    ("node reference", node_reference),
    ("java uri", java_uri),
    ("shiro", shiro),
    ("lax utf-8", lax_utf8),
    ("iis", iis),
];

/// nginx's `$uri`: escapes decoded once, slashes merged, dot segments resolved, all in one pass;
/// a NUL or a step above the root is refused.
pub fn nginx(path: &[u8]) -> Option<Vec<u8>> {
    let decoded = percent_decoded(path)?;
    match decoded.contains(&0) {
        true => None,
        false => resolved(&decoded),
    }
}

/// Slashes merged and dot segments resolved; `None` for a step above the root.
fn resolved(path: &[u8]) -> Option<Vec<u8>> {
    let mut out: Vec<&[u8]> = Vec::new();
    let mut ends_in_slash = true;
    for segment in path.split(|byte| *byte == b'/').skip(1) {
        ends_in_slash = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(out.pop()?),
            other => out.push(other),
        }
    }
    Some(joined(&out, ends_in_slash))
}

/// Express on Node: the URL parser of the web (backslashes are slashes, dots resolved also when they are
/// escaped), then each segment decoded.
pub fn node(path: &[u8]) -> Option<Vec<u8>> {
    percent_decoded(&url(path)?)
}

/// A Python server by PEP 3333: `PATH_INFO` is decoded once, and nothing else is done to it.
pub fn wsgi(path: &[u8]) -> Option<Vec<u8>> {
    Some(loosely_decoded(path))
}

/// Werkzeug, which redirects to merged slashes: who follows that arrives there.
pub fn werkzeug(path: &[u8]) -> Option<Vec<u8>> {
    let decoded = loosely_decoded(path);
    let mut out = Vec::with_capacity(decoded.len());
    for byte in decoded {
        if byte != b'/' || out.last() != Some(&b'/') {
            out.push(byte);
        }
    }
    Some(out)
}

/// The crate `url`, by the WHATWG's URL standard.
pub fn url(path: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(path).ok()?;
    // Two slashes at the start would name a host.
    let parsed = url::Url::parse(&format!("http://host{text}")).ok()?;
    Some(parsed.path().as_bytes().to_vec())
}

/// `new URL(request.url, base)`, as programs on Node take the path of a request.
pub fn node_reference(path: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(path).ok()?;
    let base = url::Url::parse("http://host/").ok()?;
    percent_decoded(base.join(text).ok()?.path().as_bytes())
}

/// `java.net.URI`, by RFC 2396: two slashes begin an authority, which ends at the next one.
pub fn java_uri(path: &[u8]) -> Option<Vec<u8>> {
    let rest = match path.strip_prefix(b"//") {
        Some(rest) => {
            &rest[rest
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(rest.len())..]
        }
        None => path,
    };
    percent_decoded(if rest.is_empty() { b"/" } else { rest })
}

/// Shiro before 1.5.2: decoded, cut at the first `;` whatever follows, then slashes merged and dots resolved.
pub fn shiro(path: &[u8]) -> Option<Vec<u8>> {
    let decoded = percent_decoded(path)?;
    let end = decoded.iter().position(|byte| *byte == b';');
    resolved(&decoded[..end.unwrap_or(decoded.len())])
}

/// A decoder of UTF-8 that goes by the number of bytes alone: two that begin with `C0` or `C1` and three that begin
/// with `E0` may be one character of ASCII. Dots are resolved then.
pub fn lax_utf8(path: &[u8]) -> Option<Vec<u8>> {
    loosest_utf8(path, |low| (0x80..=0xbf).contains(&low))
}

/// One that does not look at the second byte of two either, and leaves what would be a control character.
pub fn iis(path: &[u8]) -> Option<Vec<u8>> {
    loosest_utf8(path, |_| true).filter(|path| !path.iter().any(|byte| byte.is_ascii_control()))
}

fn loosest_utf8(path: &[u8], continues: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let decoded = percent_decoded(path)?;
    let mut out = Vec::with_capacity(decoded.len());
    let mut rest = decoded.as_slice();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (0xc0..=0xc1, [low, after @ ..]) if continues(*low) => {
                ((first & 1) * 64 + low % 64, after)
            }
            (0xe0, [high @ 0x80..=0x81, low @ 0x80..=0xbf, after @ ..]) => {
                ((high & 1) * 64 + low % 64, after)
            }
            _ => (*first, after),
        };
        out.push(byte);
        rest = after;
    }
    resolved(&out)
}

fn percent_decoded(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        if path[at] == b'%' {
            out.push(escaped(path.get(at + 1..at + 3)?)?);
            at += 3;
        } else {
            out.push(path[at]);
            at += 1;
        }
    }
    Some(out)
}

/// As Python's `unquote_to_bytes`: what is no escape stays.
pub fn loosely_decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let byte = path.get(at + 1..at + 3).and_then(escaped);
        match (path[at], byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(digits[0])? * 16 + digit(digits[1])?;
    u8::try_from(value).ok()
}

fn joined(segments: &[&[u8]], ends_in_slash: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for segment in segments {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if ends_in_slash {
        out.push(b'/');
    }
    out
}
