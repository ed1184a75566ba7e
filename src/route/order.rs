//! Which of the routes that take a request comes first.

use std::cmp::Reverse;
use std::collections::HashMap;

use smallvec::SmallVec;

use crate::config::checked::{Pattern, Route, Segment};

/// What stands at each place of a pattern, the tightest first; a pattern that ends comes before one
/// that goes on.
type Rank = SmallVec<[u8; 16]>;

const LITERAL: u8 = 0;
const PARAM: u8 = 1;
const REGEX: u8 = 2;
const TAIL: u8 = 3;

/// The indexes of routes in the order in which they are tried, as far as they match the same paths of
/// the same host: by pattern, then those with more headers, then as in the file.
pub(super) fn of(routes: &[Route]) -> Vec<usize> {
    // The first in the file of the routes that have a regex, with the fewest headers that any has.
    let mut regexes: HashMap<&str, (usize, usize)> = HashMap::new();
    for (index, route) in routes.iter().enumerate() {
        if let Pattern::Regex(regex) = &route.pattern {
            let headers = route.headers.len();
            let (_, fewest) = regexes.entry(regex.text()).or_insert((index, headers));
            *fewest = headers.min(*fewest);
        }
    }
    let mut keys: Vec<_> = routes
        .iter()
        .enumerate()
        .map(|(index, route)| {
            // Regexes go by the file alone, unless headers put one before its like.
            let regex = match &route.pattern {
                Pattern::Path(_) | Pattern::Prefix(_) => 0,
                Pattern::Regex(regex) => match regexes.get(regex.text()) {
                    Some((first, fewest)) if route.headers.len() > *fewest => *first,
                    _ => index,
                },
            };
            let headers = Reverse(route.headers.len());
            (rank(&route.pattern), regex, headers, index)
        })
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|(.., index)| index).collect()
}

fn rank(pattern: &Pattern) -> Rank {
    let literals = |count, end| {
        let literals = std::iter::repeat_n(LITERAL, count);
        literals.chain([end]).collect()
    };
    match pattern {
        Pattern::Prefix(segments) => literals(segments.len(), TAIL),
        Pattern::Regex(regex) => literals(regex.leading_segments().len(), REGEX),
        Pattern::Path(segments) => {
            let class = |segment: &Segment| match segment {
                Segment::Literal(_) => LITERAL,
                Segment::Param(_) => PARAM,
                Segment::Rest(_) => TAIL,
            };
            segments.iter().map(class).collect()
        }
    }
}
