//! The one spelling in which expressions are told of paths, of those that a route takes for the same: a rule
//! that names one must not be passed by another.

use std::borrow::Cow;
use std::ops::Range;

use crate::config::checked::{PathOptions, TrailingSlash};

pub(super) struct Spelling {
    folds_case: bool,
    drops_slash: bool,
}

impl Spelling {
    /// Of slashes side by side there are none: where the whole path decides, the route stage lets
    /// only plain ones through.
    pub(super) fn of(options: PathOptions) -> Spelling {
        Spelling {
            folds_case: options.case_insensitive,
            drops_slash: options.trailing_slash == TrailingSlash::Ignore,
        }
    }

    /// A whole path.
    pub(super) fn path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        match path.strip_suffix('/') {
            Some(rest) if self.drops_slash && !rest.is_empty() => self.folded(rest),
            _ => self.folded(path),
        }
    }

    /// What stands at a place of it.
    pub(super) fn part<'p>(&self, path: &'p str, place: Range<usize>) -> Option<Cow<'p, str>> {
        // Of several slashes at the end, where they count as one, the first is the part's.
        let is_last = path.get(place.end..)?.bytes().all(|byte| byte == b'/');
        let part = path.get(place)?;
        Some(self.folded(match part.strip_suffix('/') {
            Some(rest) if self.drops_slash && is_last => rest,
            _ => part,
        }))
    }

    fn folded<'p>(&self, text: &'p str) -> Cow<'p, str> {
        match self.folds_case && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(options: PathOptions, path: &str, place: Range<usize>) -> (String, Option<String>) {
        let spelling = Spelling::of(options);
        let part = spelling.part(path, place).map(Cow::into_owned);
        (spelling.path(path).into_owned(), part)
    }

    #[test]
    fn what_a_route_takes_for_the_same_is_told_alike() {
        let strict = PathOptions::default();
        let any_case = PathOptions {
            case_insensitive: true,
            ..strict
        };
        let any_end = PathOptions {
            trailing_slash: TrailingSlash::Ignore,
            ..strict
        };
        for (options, path, place, whole, part) in [
            (strict, "/A/B/", 3..5, "/A/B/", "B/"),
            (any_case, "/A/\u{c9}B/", 3..7, "/a/\u{c9}b/", "\u{c9}b/"),
            (any_end, "/A/B/", 3..5, "/A/B", "B"),
            (any_end, "/A/B", 3..4, "/A/B", "B"),
            // A slash within is none at the end.
            (any_end, "/A/B/", 1..3, "/A/B", "A/"),
            (any_end, "/A/B//", 3..5, "/A/B/", "B"),
            (any_end, "/", 0..1, "/", ""),
        ] {
            let told = told(options, path, place);
            assert_eq!(told, (whole.to_owned(), Some(part.to_owned())), "{path}");
        }
        // A group that took no part.
        let absent = Range { start: 1, end: 0 };
        assert_eq!(told(any_end, "/a", absent).1, None);
    }
}
