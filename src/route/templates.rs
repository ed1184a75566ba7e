//! Path templates apart from routes: which of many a path matches.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use crate::config::checked::Pattern;

use super::readings;
use super::trie::Trie;

/// Templates under numbers, read as routes' are.
pub struct Templates(Trie);

impl Templates {
    #[expect(clippy::new_without_default, reason = "as the trie that it wraps")]
    pub fn new() -> Self {
        Templates(Trie::new())
    }

    /// Of templates that tie, the one inserted first comes first.
    pub fn insert(&mut self, pattern: &Pattern, number: usize) {
        self.0.insert(pattern, number);
    }

    /// Shows `each` the numbers of all templates that a reading of the path matches, the tightest first,
    /// once for every reading: a client must not slip past a template by another spelling.
    pub fn visit(&self, path: &[u8], mut each: impl FnMut(&[usize])) {
        let mut numbers: SmallVec<[usize; 8]> = SmallVec::new();
        let mut show = |reading: &[u8]| {
            numbers.clear();
            self.0.search(reading, &mut |number| {
                numbers.push(number);
                false
            });
            if !numbers.is_empty() {
                each(&numbers);
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
        let mut all = Templates::new();
        for (number, template) in templates.iter().enumerate() {
            all.insert(&text::path(template).unwrap(), number);
        }
        let mut found = Vec::new();
        all.visit(path.as_bytes(), |numbers| found.push(numbers.to_vec()));
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
}
