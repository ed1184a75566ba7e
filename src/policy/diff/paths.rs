//! Paths that two routes take, the most general ones: a route that takes one of these from both, and is about
//! segments, takes all of its kind from both.

use crate::config::checked::{PathRegex, Pattern, Segment};

/// The segments of a path or prefix; `None` is any one that is not empty.
struct Shape<'p> {
    segments: Vec<Option<&'p str>>,
    tail: Tail,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// The path ends here.
    None,
    /// More may follow, as behind a prefix.
    Maybe,
    /// More follows: `{*rest}`.
    Some,
}

fn shape(pattern: &Pattern) -> Option<Shape<'_>> {
    match pattern {
        Pattern::Regex(_) => None,
        Pattern::Prefix(literals) => Some(Shape {
            segments: literals.iter().map(|text| Some(text.as_str())).collect(),
            tail: Tail::Maybe,
        }),
        Pattern::Path(all) => Some(Shape {
            segments: all
                .iter()
                .filter_map(|segment| match segment {
                    Segment::Literal(text) => Some(Some(text.as_str())),
                    Segment::Param(_) => Some(None),
                    Segment::Rest(_) => None,
                })
                .collect(),
            tail: match all.last() {
                Some(Segment::Rest(_)) => Tail::Some,
                _ => Tail::None,
            },
        }),
    }
}

/// The same with a slash at its end, or without the one that is there: what a route takes as well that ignores it. A prefix
/// and what ends in `{*rest}` take both.
pub fn with_other_end(pattern: &Pattern) -> Option<Pattern> {
    let Pattern::Path(segments) = pattern else {
        return None;
    };
    let is_slash = |segment: &Segment| matches!(segment, Segment::Literal(text) if text.is_empty());
    let mut segments = segments.clone();
    match segments.last()? {
        Segment::Rest(_) => return None,
        // The root has nothing but its slash.
        last if is_slash(last) && segments.len() == 1 => return None,
        last if is_slash(last) => drop(segments.pop()),
        _ => segments.push(Segment::Literal(String::new())),
    }
    Some(Pattern::Path(segments))
}

/// How many segments a pattern names.
pub fn depth(pattern: &Pattern) -> usize {
    shape(pattern).map_or(0, |shape| shape.segments.len())
}

/// Paths that a regex takes.
pub fn examples(regex: &PathRegex) -> Vec<String> {
    let mut paths = regex.examples().to_vec();
    paths.sort_unstable();
    paths
}

/// Paths that both take, with up to `depth` segments, and each of the fillers where any segment will do; none where one is
/// a regex.
pub fn common(a: &Pattern, b: &Pattern, depth: usize, fillers: &[String]) -> Vec<String> {
    let (Some(a), Some(b)) = (shape(a), shape(b)) else {
        return Vec::new();
    };
    let longest = a.segments.len().max(b.segments.len());
    let Some(segments) = (0..longest)
        .map(|at| at_place(&a, &b, at))
        .collect::<Option<Vec<_>>>()
    else {
        return Vec::new();
    };
    let lengths = match (a.tail, b.tail) {
        (Tail::None, _) | (_, Tail::None) => longest..=longest,
        _ => longest..=depth.max(longest) + 1,
    };
    let is_long_enough = |length: usize, shape: &Shape<'_>| match shape.tail {
        Tail::None => length == shape.segments.len(),
        Tail::Maybe => true,
        Tail::Some => length > shape.segments.len(),
    };
    let lengths = lengths.filter(|n| is_long_enough(*n, &a) && is_long_enough(*n, &b));
    let is_any = |shape: &Shape<'_>, at| matches!(shape.place(at), Some(Place::Rest));
    let paths = lengths.flat_map(|length| {
        let (segments, last) = (&segments, length.saturating_sub(1));
        let path = move |filler: &str, last: &str| {
            let all = (0..length).map(|at| match segments.get(at) {
                Some(text) => text.unwrap_or(filler),
                None if at + 1 == length => last,
                None => filler,
            });
            all.fold(String::new(), |path, segment| format!("{path}/{segment}"))
        };
        // A slash at the end is what no parameter takes.
        let may_be_empty = last >= longest && is_any(&a, last) && is_any(&b, last);
        let slashed = fillers.first().filter(|_| may_be_empty);
        let slashed = slashed.map(|filler| path(filler, ""));
        let filled = fillers.iter().map(move |filler| path(filler, filler));
        filled.chain(slashed)
    });
    let mut paths: Vec<_> = paths
        .map(|path| {
            if path.is_empty() {
                "/".to_owned()
            } else {
                path
            }
        })
        .collect();
    paths.dedup();
    paths
}

/// What both take at a place, `None` inside for any segment; `None` when there is nothing.
fn at_place<'p>(a: &Shape<'p>, b: &Shape<'p>, at: usize) -> Option<Option<&'p str>> {
    match (a.place(at)?, b.place(at)?) {
        (Place::Text(a), Place::Text(b)) => a.eq_ignore_ascii_case(b).then_some(Some(a)),
        // A slash at the end is an empty segment.
        (Place::Text(""), Place::Segment) | (Place::Segment, Place::Text("")) => None,
        (Place::Text(text), _) | (_, Place::Text(text)) => Some(Some(text)),
        _ => Some(None),
    }
}

/// What a pattern takes as a segment.
enum Place<'p> {
    Text(&'p str),
    /// Any that is not empty.
    Segment,
    /// Any.
    Rest,
}

impl<'p> Shape<'p> {
    fn place(&self, at: usize) -> Option<Place<'p>> {
        match (self.segments.get(at), self.tail) {
            (Some(Some(text)), _) => Some(Place::Text(text)),
            (Some(None), _) => Some(Place::Segment),
            (None, Tail::None) => None,
            (None, Tail::Some) if at == self.segments.len() => Some(Place::Segment),
            (None, Tail::Maybe | Tail::Some) => Some(Place::Rest),
        }
    }
}

/// Whether the literal segments that both begin with leave room for a path of both.
pub fn may_meet(a: &Pattern, b: &Pattern) -> bool {
    let (a, b) = (leading(a), leading(b));
    a.iter().zip(&b).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

fn leading(pattern: &Pattern) -> Vec<&str> {
    match pattern {
        Pattern::Prefix(literals) => literals.iter().map(String::as_str).collect(),
        Pattern::Regex(regex) => regex
            .leading_segments()
            .iter()
            .map(String::as_str)
            .collect(),
        Pattern::Path(segments) => segments
            .iter()
            .map_while(|segment| match segment {
                Segment::Literal(text) => Some(text.as_str()),
                Segment::Param(_) | Segment::Rest(_) => None,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::text;

    #[test]
    fn the_other_end_has_a_slash_or_none() {
        for (path, other) in [
            ("/a", Some("/a/")),
            ("/a/{b}/", Some("/a/{b}")),
            ("/", None),
            ("/a/{*rest}", None),
        ] {
            let other = other.map(|path| text::path(path).unwrap());
            assert_eq!(with_other_end(&text::path(path).unwrap()), other, "{path}");
        }
    }

    #[test]
    fn paths_that_both_take_are_found() {
        let prefix = |path: &str| {
            let segments = path.split('/').filter(|s| !s.is_empty());
            Pattern::Prefix(segments.map(str::to_owned).collect())
        };
        let path = |path| text::path(path).unwrap();
        for (a, b, expected) in [
            (path("/a/{b}"), path("/{a}/b"), vec!["/a/b"]),
            (path("/a/{b}"), path("/a/{c}"), vec!["/a/zz-any"]),
            (path("/a/{b}"), path("/b/{c}"), vec![]),
            (path("/a"), path("/a/b"), vec![]),
            (path("/a/"), prefix("/a"), vec!["/a/"]),
            (path("/"), prefix("/"), vec!["/"]),
            (path("/{a}"), prefix("/a"), vec!["/a"]),
            (path("/a/"), path("/a/{b}"), vec![]),
            (path("/a/"), path("/a/{*rest}"), vec![]),
            (
                path("/a/{*rest}"),
                prefix("/a"),
                vec!["/a/zz-any", "/a/zz-any/zz-any", "/a/zz-any/"],
            ),
            (
                prefix("/a"),
                prefix("/"),
                vec!["/a", "/a/zz-any", "/a/", "/a/zz-any/zz-any", "/a/zz-any/"],
            ),
            (path("/a/{*rest}"), path("/a"), vec![]),
        ] {
            let fillers = ["zz-any".to_owned()];
            assert_eq!(common(&a, &b, 2, &fillers), expected, "{a:?} {b:?}");
            assert_eq!(common(&b, &a, 2, &fillers), expected, "{b:?} {a:?}");
        }
    }
}
