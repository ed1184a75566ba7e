//! Routes that take other requests than before, or come before or behind other routes than before. Between two that are
//! neither no request moves, so they are not held against each other.

use std::rc::Rc;

use super::pairs::Pairs;
use crate::config::Config;
use crate::config::checked::Route;
use crate::policy::stages::Stages;

pub struct Touched {
    old: Vec<bool>,
    new: Vec<bool>,
}

impl Touched {
    pub fn of(old: &Stages, new: &Stages, pairs: &Pairs) -> Touched {
        let mut touched = Touched::all(&old.config, &new.config);
        // Where one file alone reads all paths in any case, requests of every route may be ambiguous there.
        if old.config.folds_paths() != new.config.folds_paths() {
            return touched;
        }
        let stay = pairs
            .all()
            .filter(|(was, is)| pairs.unmoved(*was) == Some(*is));
        let places = stay.filter_map(|(was, is)| {
            let places = (old.table.place(was)?, new.table.place(is)?);
            Some((places, (was, is)))
        });
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        let by_new: Vec<usize> = places.iter().map(|((_, new), _)| *new).collect();
        for at in longest_in_order(&by_new) {
            let (_, (was, is)) = places[at];
            touched.old[was] = false;
            touched.new[is] = false;
        }
        touched
    }

    pub fn all(old: &Config, new: &Config) -> Touched {
        Touched {
            old: vec![true; old.routes.len()],
            new: vec![true; new.routes.len()],
        }
    }

    /// These and others of the same files.
    pub fn and(&self, old: &Config, new: &Config, others: impl Fn(&Route) -> bool) -> Touched {
        let with = |touched: &[bool], config: &Config| {
            let routes = touched.iter().zip(&config.routes);
            routes.map(|(is, route)| *is || others(route)).collect()
        };
        Touched {
            old: with(&self.old, old),
            new: with(&self.new, new),
        }
    }

    /// Each pair of which one is touched, in the order of the files.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let touched = self.new.iter().enumerate().filter(|(_, is)| **is);
        let touched: Rc<[usize]> = touched.map(|(is, _)| is).collect();
        let all: Rc<[usize]> = (0..self.new.len()).collect();
        self.old
            .iter()
            .enumerate()
            .flat_map(move |(was, is_touched)| {
                let others = Rc::clone(if *is_touched { &all } else { &touched });
                (0..others.len()).map(move |at| (was, others[at]))
            })
    }
}

/// The places of the most numbers that rise from the first to the last; the numbers differ.
fn longest_in_order(numbers: &[usize]) -> Vec<usize> {
    // Of each length the place of the smallest number that a rise of that length ends in.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (at, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers[*end] < *number);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let last = ends.last().copied();
    let mut rise: Vec<usize> = std::iter::successors(last, |at| before[*at]).collect();
    rise.reverse();
    rise
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_that_are_in_order_are_found() {
        for (numbers, most) in [
            (&[][..], &[][..]),
            (&[3], &[0]),
            (&[0, 1, 2], &[0, 1, 2]),
            (&[4, 0, 1, 2, 3], &[1, 2, 3, 4]),
            (&[0, 4, 1, 2, 3], &[0, 2, 3, 4]),
            (&[1, 2, 3, 4, 0], &[0, 1, 2, 3]),
            (&[2, 1, 0], &[2]),
        ] {
            assert_eq!(longest_in_order(numbers), most, "{numbers:?}");
        }
    }

    #[test]
    fn pairs_have_one_that_is_touched() {
        let touched = Touched {
            old: vec![false, true, false],
            new: vec![true, false],
        };
        let pairs: Vec<_> = touched.pairs().collect();
        assert_eq!(pairs, [(0, 0), (1, 0), (1, 1), (2, 0)]);
    }
}
