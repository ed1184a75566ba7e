//! The target that an upstream is asked for: the client's, byte for byte, or with another beginning.
//!
//! The decision is made on the path as it came. A path that servers read in different ways was let
//! through because all its readings lead to one route; with another beginning they have to do so still:
//! `/files/../files/x` without its `/files` would climb out of what the route is for.

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;

use crate::config::checked::Rewrite;
use crate::request::{Code, Refusal};
use crate::route::{all_readings, is_plain};

/// Path and query alone (RFC 9112, section 3.2.1), with the path rewritten.
pub fn target(rewrite: &Rewrite, uri: &Uri) -> Result<Uri, Refusal> {
    let Some(target) = uri.path_and_query() else {
        return Ok(Uri::from(PathAndQuery::from_static("/")));
    };
    if rewrite.strip_prefix.is_empty() && rewrite.set_prefix.is_empty() {
        return Ok(Uri::from(target.clone()));
    }
    let path = target.path().as_bytes();
    let mut bytes = rewritten(rewrite, path).ok_or_else(ambiguous)?;
    if !is_plain(path) && !is_read_alike(rewrite, path, &bytes) {
        return Err(ambiguous());
    }
    if let Some(query) = target.query() {
        bytes.push(b'?');
        bytes.extend_from_slice(query.as_bytes());
    }
    let target = PathAndQuery::from_maybe_shared(Bytes::from(bytes)).map_err(|error| {
        Refusal::new(Code::BadRequest, "The request's target is too long.").because(error)
    })?;
    Ok(Uri::from(target))
}

/// `None` for a path that does not begin with what is stripped.
fn rewritten(rewrite: &Rewrite, path: &[u8]) -> Option<Vec<u8>> {
    let strip = rewrite.strip_prefix.as_bytes();
    let (start, rest) = path.split_at_checked(strip.len())?;
    let is_same = match rewrite.strip_any_case {
        true => start.eq_ignore_ascii_case(strip),
        false => start == strip,
    };
    if !is_same || !matches!(rest.first(), None | Some(b'/')) {
        return None;
    }
    let mut out = Vec::with_capacity(rewrite.set_prefix.len() + path.len() + 1);
    out.extend_from_slice(rewrite.set_prefix.as_bytes());
    out.extend_from_slice(rest);
    if out.is_empty() {
        out.push(b'/');
    }
    Some(out)
}

/// However a server reads the new path, it is what becomes of a reading of the old one.
fn is_read_alike(rewrite: &Rewrite, path: &[u8], new: &[u8]) -> bool {
    let (Some(before), Some(after)) = (all_readings(path), all_readings(new)) else {
        return false;
    };
    let before: Option<Vec<_>> = before
        .iter()
        .map(|reading| rewritten(rewrite, reading))
        .collect();
    before.is_some_and(|before| {
        after.iter().all(|reading| {
            // `//` is the beginning of a target with an authority to some.
            before.contains(reading) && !reading.starts_with(b"//")
        })
    })
}

fn ambiguous() -> Refusal {
    Refusal::new(
        Code::AmbiguousPath,
        "Servers read this path in different ways; send it in its plain form.",
    )
    .because("rewritten, its readings lead elsewhere")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(strip: &str, set: &str, uri: &str) -> Option<String> {
        let rewrite = Rewrite {
            strip_prefix: strip.to_owned(),
            set_prefix: set.to_owned(),
            ..Rewrite::default()
        };
        let target = target(&rewrite, &uri.parse().unwrap());
        target.ok().map(|uri| uri.to_string())
    }

    #[test]
    fn the_beginning_is_exchanged_at_a_segment_s_end_and_nothing_else() {
        for (strip, set, uri, expected) in [
            ("", "", "http://a/x?q", "/x?q"),
            ("", "", "/a//b/%2e?", "/a//b/%2e?"),
            ("/users", "", "/users", "/"),
            ("/users", "", "/users/", "/"),
            ("/users", "", "/users?q=/users", "/?q=/users"),
            ("/users", "", "/users/users/a", "/users/a"),
            ("/users", "/v2", "/users", "/v2"),
            ("/users", "/v2", "/users/", "/v2/"),
            ("/users", "/v2", "/users/a?b=%20&c", "/v2/a?b=%20&c"),
            ("/a/b", "/c/d", "/a/b/e", "/c/d/e"),
            ("", "/v2", "/", "/v2/"),
            ("", "/v2", "/a", "/v2/a"),
            (
                "/users",
                "/v2",
                "/users/a%20b/%c3%a4;x",
                "/v2/a%20b/%c3%a4;x",
            ),
            ("/users", "/v2", "/users//a", "/v2//a"),
            ("/users", "/v2", "/users/a/./b/../c", "/v2/a/./b/../c"),
            ("/users", "", "/users/group%2Fname", "/group%2Fname"),
        ] {
            assert_eq!(
                of(strip, set, uri).as_deref(),
                Some(expected),
                "{strip} {set} {uri}"
            );
        }
    }

    #[test]
    fn where_the_route_ignores_case_so_does_what_is_stripped() {
        let rewrite = Rewrite {
            strip_prefix: "/users".to_owned(),
            strip_any_case: true,
            set_prefix: "/v2".to_owned(),
            ..Rewrite::default()
        };
        let of = |uri: &str| target(&rewrite, &uri.parse().unwrap()).ok();
        assert_eq!(of("/USERS/A").unwrap(), "/v2/A");
        assert_eq!(of("/Users//a").unwrap(), "/v2//a");
        assert_eq!(of("/USER/A"), None);
        assert_eq!(of("/USERSx"), None);
        assert_eq!(of("/Users/../users/a"), None);
    }

    #[test]
    fn what_would_be_read_as_something_else_is_refused() {
        for (strip, set, uri) in [
            ("/users", "", "/usersx"),
            ("/users", "", "/%75sers/a"),
            ("/users", "", "/USERS/a"),
            ("/users", "", "//users/a"),
            ("/users", "", "/users/../users/a"),
            ("/users", "/v2", "/users/../users/a"),
            ("/users", "/v2", "/users/%2e%2e/users/a"),
            ("/users", "/v2", "/users/..;/users/a"),
            ("/users", "", "/users//evil.example/a"),
            ("/users", "", "/users/\\evil.example/a"),
            ("/users", "", "/users/%2fevil.example/a"),
            ("/users", "", "/users;x/a"),
            ("/users", "/v2", "/users\\a"),
            ("", "/v2", "/../a"),
        ] {
            assert_eq!(of(strip, set, uri), None, "{strip} {set} {uri}");
        }
        let long = format!("/{}", "a".repeat(65_000));
        assert_eq!(of("", &format!("/{}", "b".repeat(1000)), &long), None);
    }
}
