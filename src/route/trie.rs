//! Routes of one host group by the segments of their path: a look-up visits candidates from the
//! tightest to the loosest, at a cost that goes by the path and not by the number of routes.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::config::checked::{Case, PathOptions, PathRegex, Pattern, Segment, TrailingSlash};

use super::escape;

/// Where the values of parameters stand in a path, in the order of the pattern. A path has at most
/// 65,534 bytes (that is what `http::Uri` holds).
pub(super) type Params = SmallVec<[(u16, u16); 6]>;

pub(super) struct Trie {
    /// For any case, paths are searched in lower case.
    case: Case,
    /// The first is the root.
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    literals: HashMap<Box<[u8]>, usize>,
    param: Option<usize>,
    /// Routes whose path ends here, in the order in which they were inserted.
    ends: Vec<usize>,
    /// Routes whose regex leads here, in that order.
    regexes: Vec<(PathRegex, usize)>,
    /// Routes that take all from here on, in that order.
    tails: Vec<Tail>,
}

struct Tail {
    route: usize,
    /// `{*name}`, which wants something left; otherwise the end of a prefix, which does not.
    is_rest: bool,
}

impl Trie {
    pub(super) fn new(case: Case) -> Self {
        Trie {
            case,
            nodes: vec![Node::default()],
        }
    }

    /// Adds a route; of routes that tie, the one inserted first is visited first.
    pub(super) fn insert(&mut self, pattern: &Pattern, options: PathOptions, route: usize) {
        let mut at = 0;
        match pattern {
            Pattern::Prefix(segments) => {
                for segment in segments {
                    at = self.literal(at, segment);
                }
                let is_rest = false;
                self.nodes[at].tails.push(Tail { route, is_rest });
            }
            Pattern::Path(segments) => {
                let mut before = at;
                for segment in segments {
                    before = at;
                    at = match segment {
                        Segment::Literal(text) => self.literal(at, text),
                        Segment::Param(_) => self.param(at),
                        Segment::Rest(_) => {
                            let is_rest = true;
                            self.nodes[at].tails.push(Tail { route, is_rest });
                            return;
                        }
                    };
                }
                let ignores_slash = options.trailing_slash == TrailingSlash::Ignore;
                match segments.last() {
                    // The path `/` has one segment, an empty one.
                    None => at = self.literal(at, ""),
                    Some(Segment::Literal(last)) if last.is_empty() => {
                        if ignores_slash {
                            self.nodes[before].ends.push(route);
                        }
                    }
                    Some(_) if ignores_slash => {
                        let slashed = self.literal(at, "");
                        self.nodes[slashed].ends.push(route);
                    }
                    Some(_) => {}
                }
                self.nodes[at].ends.push(route);
            }
            Pattern::Regex(regex) => {
                for segment in regex.leading_segments() {
                    at = self.literal(at, segment);
                }
                self.nodes[at].regexes.push((regex.clone(), route));
            }
        }
    }

    fn literal(&mut self, at: usize, text: &str) -> usize {
        // `é` is `%C3%A9` to a server that does not decode: one segment under both spellings.
        let mut plain = escape::decode(text.as_bytes(), |_| true);
        let mut encoded = escape::encode_segment(&plain);
        if self.case == Case::Any {
            plain.make_ascii_lowercase();
            encoded.make_ascii_lowercase();
        }
        if let Some(&child) = self.nodes[at].literals.get(encoded.as_slice()) {
            return child;
        }
        let child = self.add();
        let literals = &mut self.nodes[at].literals;
        literals.insert(plain.into(), child);
        literals.insert(encoded.into(), child);
        child
    }

    fn param(&mut self, at: usize) -> usize {
        if let Some(child) = self.nodes[at].param {
            return child;
        }
        let child = self.add();
        self.nodes[at].param = Some(child);
        child
    }

    fn add(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    /// The first route that `admit` takes, with its parameters; none for what does not begin with `/`.
    pub(super) fn search(
        &self,
        path: &[u8],
        admit: &mut impl FnMut(usize) -> bool,
    ) -> Option<(usize, Params)> {
        if path.first() != Some(&b'/') {
            return None;
        }
        let mut params = Params::new();
        let route = self.walk(0, path, Some(1), &mut params, admit)?;
        Some((route, params))
    }

    /// `start` is where the next segment begins, `None` behind the last one. The depth is the trie's,
    /// which no request can make deep, and a file only as deep as its longest path.
    fn walk(
        &self,
        node: usize,
        path: &[u8],
        start: Option<usize>,
        params: &mut Params,
        admit: &mut impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let node = &self.nodes[node];
        let Some(start) = start else {
            if let Some(route) = node.ends.iter().find(|route| admit(**route)) {
                return Some(*route);
            }
            if let Some(route) = node.try_regexes(path, self.case, params, admit) {
                return Some(route);
            }
            let mut prefixes = node.tails.iter().filter(|tail| !tail.is_rest);
            return prefixes
                .find(|tail| admit(tail.route))
                .map(|tail| tail.route);
        };
        let slash = path[start..].iter().position(|byte| *byte == b'/');
        let end = slash.map_or(path.len(), |n| start + n);
        let next = slash.map(|_| end + 1);
        let segment = &path[start..end];
        if let Some(&child) = node.literals.get(segment)
            && let Some(route) = self.walk(child, path, next, params, admit)
        {
            return Some(route);
        }
        if let Some(child) = node.param
            && !segment.is_empty()
        {
            params.push(range(start, end));
            if let Some(route) = self.walk(child, path, next, params, admit) {
                return Some(route);
            }
            params.pop();
        }
        if let Some(route) = node.try_regexes(path, self.case, params, admit) {
            return Some(route);
        }
        for tail in &node.tails {
            if tail.is_rest && start == path.len() {
                continue;
            }
            if admit(tail.route) {
                if tail.is_rest {
                    params.push(range(start, path.len()));
                }
                return Some(tail.route);
            }
        }
        None
    }
}

impl Node {
    /// The whole path is tried, whatever led here: what did is part of the regex.
    fn try_regexes(
        &self,
        path: &[u8],
        case: Case,
        params: &mut Params,
        admit: &mut impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let mut matching = self
            .regexes
            .iter()
            .filter(|(regex, _)| regex.is_match(path, case));
        let (regex, route) = matching.find(|(_, route)| admit(*route))?;
        regex.locate(path, case, |place| {
            params.push(place.map_or(ABSENT, |place| range(place.start, place.end)));
        });
        Some(*route)
    }
}

/// The place of a group that took no part: no text has one that ends before it begins.
const ABSENT: (u16, u16) = (1, 0);

fn range(start: usize, end: usize) -> (u16, u16) {
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    (short(start), short(end))
}
