//! Path templates apart from routes: which of many a path matches.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use crate::config::checked::{Case, PathOptions, Pattern, TrailingSlash};

use super::forms::Forms;
use super::readings;
use super::trie::Trie;

/// Templates under numbers, read as routes' are.
pub struct Templates {
    /// By whether case counts, then by whether a trailing slash does.
    tries: [[Trie; 2]; 2],
}

const CASES: [Case; 2] = [Case::AsAsked, Case::Any];
const SLASHES: [TrailingSlash; 2] = [TrailingSlash::Strict, TrailingSlash::Ignore];

impl Templates {
    #[expect(clippy::new_without_default, reason = "as the trie that it wraps")]
    pub fn new() -> Self {
        let tries = CASES.map(|case| SLASHES.map(|_| Trie::new(case)));
        Templates { tries }
    }

    /// Of templates that tie, the one inserted first comes first.
    pub fn insert(&mut self, pattern: &Pattern, number: usize) {
        for tries in &mut self.tries {
            for (trie, trailing_slash) in tries.iter_mut().zip(SLASHES) {
                let options = PathOptions {
                    trailing_slash,
                    ..PathOptions::default()
                };
                trie.insert(pattern, options, number);
            }
        }
    }

    /// Shows `each` the numbers of all templates that a reading of the path matches, the tightest first,
    /// once for every reading: a client must not slip past a template by another spelling. `options` are
    /// those of the path's route, by which other spellings are as good.
    pub fn visit(&self, path: &[u8], options: PathOptions, mut each: impl FnMut(&[usize])) {
        let by_case = &self.tries[usize::from(options.case_insensitive)];
        let trie = &by_case[usize::from(options.trailing_slash == TrailingSlash::Ignore)];
        let mut numbers: SmallVec<[usize; 8]> = SmallVec::new();
        let mut show_one = |reading: &[u8]| {
            numbers.clear();
            let form = Forms::new(reading, options.case_insensitive, false).plain;
            let bytes = match options.case_insensitive {
                true => form.lower(),
                false => form.bytes(),
            };
            trie.search(bytes, &mut |number| {
                numbers.push(number);
                false
            });
            if !numbers.is_empty() {
                each(&numbers);
            }
        };
        let mut show = |reading: &[u8]| {
            show_one(reading);
            let folds = options.case_insensitive;
            let folded = folds.then(|| readings::with_letters_folded(reading));
            if let Some(folded) = folded.flatten() {
                show_one(&folded);
            }
        };
        if readings::is_plain(path) {
            return show(path);
        }
        // A path that can't be read has no route either, so it never gets here.
        let _ = readings::visit(path, |reading| {
            show(reading);
            ControlFlow::<()>::Continue(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::text;

    fn matches(templates: &[&str], path: &str) -> Vec<Vec<usize>> {
        matches_with(PathOptions::default(), templates, path)
    }

    fn matches_with(options: PathOptions, templates: &[&str], path: &str) -> Vec<Vec<usize>> {
        let mut all = Templates::new();
        for (number, template) in templates.iter().enumerate() {
            all.insert(&text::path(template).unwrap(), number);
        }
        let mut found = Vec::new();
        all.visit(path.as_bytes(), options, |numbers| {
            found.push(numbers.to_vec())
        });
        found
    }

    #[test]
    fn the_tightest_comes_first_and_none_is_left_out() {
        let templates = ["/{*all}", "/a/{b}", "/a/b", "/a/{*rest}", "/a/b"];
        assert_eq!(matches(&templates, "/a/b"), [[2, 4, 1, 3, 0]]);
        assert_eq!(matches(&templates, "/a/c"), [vec![1, 3, 0]]);
        assert_eq!(matches(&templates, "/c"), [vec![0]]);
        assert_eq!(matches(&["/a"], "/a/"), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn another_spelling_of_a_path_is_no_way_around() {
        for path in [
            "/a/%62",
            "/a/%2562",
            "//a/b",
            "/x/../a/b",
            "/a;x/b",
            "/a%2Fb",
        ] {
            let found = matches(&["/a/b"], path);
            assert!(found.contains(&vec![0]), "{path}: {found:?}");
        }
    }

    #[test]
    fn nor_is_one_that_the_route_takes_for_the_same() {
        let options = PathOptions {
            case_insensitive: true,
            merge_slashes: true,
            trailing_slash: TrailingSlash::Ignore,
        };
        for path in ["/a/b", "/A/b/", "//a//B"] {
            let found = matches_with(options, &["/a/B"], path);
            assert!(found.contains(&vec![0]), "{path}: {found:?}");
        }
        for path in ["/\u{212a}ey", "/%E2%84%AAey"] {
            let found = matches_with(options, &["/key"], path);
            assert!(found.contains(&vec![0]), "{path}: {found:?}");
        }
        let none = Vec::<Vec<usize>>::new();
        assert_eq!(matches(&["/a/B"], "/a/b"), none);
        assert_eq!(matches(&["/a/B"], "/a/B/"), none);
    }
}
