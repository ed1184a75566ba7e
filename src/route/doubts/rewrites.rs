//! Routes whose `rewrite` leads to paths of the upstream that a tighter route guards.

use super::examples::{self, Example};
use super::guard::Guard;
use super::{Judge, Said, is_looser, methods};
use crate::config::checked::{Rewrite, Route};

/// So many examples stand for what a route guards.
const MOST_EXAMPLES: usize = 3;

impl Judge<'_> {
    pub(super) fn rewrite_past_guard(&self, index: usize, route: &Route) -> Option<Said> {
        let rewrite = &route.rewrite;
        if rewrite.strip_prefix.is_empty() && rewrite.set_prefix.is_empty() {
            return None;
        }
        let own = examples::of(route).next()?;
        let guarded = self.guarded.get(&route.upstream)?.iter();
        let guarded = guarded.filter_map(|other| self.routes.get(*other));
        guarded
            .filter(|other| is_looser(route, other))
            .find_map(|other| {
                let examples = examples::of(other).take(MOST_EXAMPLES);
                let (from, to) = examples
                    .filter_map(|example| leads(rewrite, &other.rewrite, &example.path))
                    .find(|(from, _)| {
                        let example = Example {
                            path: from.clone(),
                            ..own.clone()
                        };
                        self.spend(1);
                        let mut methods = methods(other).iter();
                        methods.any(|method| self.find(&example, method) == Some(index))
                    })?;
                Some((
                    format!(
                        "`{}`, {}, leads to what `{}` guards: `{from}` becomes `{to}`",
                        route.name,
                        Guard::of(route).words(),
                        other.name
                    ),
                    "let `set_prefix` name a part of the upstream that is for these callers"
                        .to_owned(),
                ))
            })
    }
}

/// Where the upstream finds a path of a guarded route, and the path by which the other rewrite leads there.
fn leads(rewrite: &Rewrite, guarded: &Rewrite, path: &str) -> Option<(String, String)> {
    let to = exchange(path, &guarded.strip_prefix, &guarded.set_prefix)?;
    let from = exchange(&to, &rewrite.set_prefix, &rewrite.strip_prefix)?;
    Some((from, to))
}

/// The path with another beginning, both of whole segments.
fn exchange(path: &str, old: &str, new: &str) -> Option<String> {
    let rest = path.strip_prefix(old)?;
    let is_whole = rest.is_empty() || rest.starts_with('/');
    match format!("{new}{rest}") {
        path if !is_whole || path.is_empty() => None,
        path => Some(path),
    }
}
