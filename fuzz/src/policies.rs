//! Routes that guard something, and a naive reading of what they guard.

/// The spellings of its paths that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    pub any_case: bool,
    pub merged: bool,
    pub any_slash: bool,
}

impl Options {
    /// By the last three bits.
    pub fn of(bits: u8) -> Options {
        Options {
            any_case: bits & 1 != 0,
            merged: bits & 2 != 0,
            any_slash: bits & 4 != 0,
        }
    }

    /// As a route of gateway.yaml has them; a prefix takes a slash at its end anyway.
    pub fn yaml(self, is_prefix: bool) -> String {
        let slash = match self.any_slash && !is_prefix {
            true => "ignore",
            false => "strict",
        };
        format!(
            "path_options: {{ case_insensitive: {}, merge_slashes: {}, trailing_slash: {slash} }}",
            self.any_case, self.merged
        )
    }
}

/// `/admin/…` by its prefix, or `/users/{}/posts/{}` by its path.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Below(&'static str),
    Path(&'static str),
}

impl Shape {
    /// Whether a route of this shape takes a path, to a server that reads it so.
    pub fn takes(self, path: &[u8], options: Options) -> bool {
        let mut path = path.to_vec();
        if options.merged {
            path = merged(&path);
        }
        if options.any_case {
            path.make_ascii_lowercase();
        }
        match self {
            Shape::Below(prefix) => path
                .strip_prefix(prefix.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/'),
            Shape::Path(pattern) => {
                let is_one = |path: &[u8]| is_path(pattern.as_bytes(), path);
                is_one(&path)
                    || (options.any_slash
                        && match path.strip_suffix(b"/") {
                            Some(without) => is_one(without),
                            None => is_one(&[&path[..], b"/"].concat()),
                        })
            }
        }
    }
}

fn is_path(pattern: &[u8], path: &[u8]) -> bool {
    let (mut parts, mut segments) = (pattern.split(is_slash), path.split(is_slash));
    loop {
        match (parts.next(), segments.next()) {
            (None, None) => return true,
            (Some(b"{}"), Some(segment)) if !segment.is_empty() => {}
            (Some(part), Some(segment)) if part == segment => {}
            _ => return false,
        }
    }
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

pub fn merged(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    out.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    out
}
