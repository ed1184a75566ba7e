//! Paths beside those of a guarded route, which a backend may take for them: with a slash at their end or
//! without, and where `{*rest}` or the `/.*` of a regex begins.

use super::examples::Example;
use super::guard::{Guard, is_looser};
use super::{Judge, Said, methods};
use crate::config::checked::{Pattern, Route, Segment, TrailingSlash};

impl Judge<'_> {
    /// The same path with a slash at its end, or without, where that is a looser route's.
    pub(super) fn slash_past_guard(
        &self,
        index: usize,
        route: &Route,
        mut example: Example,
    ) -> Option<Said> {
        let is_exact = match &route.pattern {
            Pattern::Path(segments) => !matches!(segments.last(), None | Some(Segment::Rest(_))),
            Pattern::Regex(_) => true,
            Pattern::Prefix(_) => false,
        };
        let is_strict = route.path_options.trailing_slash == TrailingSlash::Strict;
        if !is_exact || !is_strict || !route.headers.is_empty() {
            return None;
        }
        let with_or_without = match example.path.strip_suffix('/') {
            // The path `/` has no other spelling.
            Some("") => return None,
            Some(path) => {
                example.path = path.to_owned();
                "without the slash at their end"
            }
            None => {
                example.path.push('/');
                "with a slash at their end"
            }
        };
        let mut takers = methods(route).iter().filter_map(|method| {
            let taker = self
                .find(&example, method)
                .filter(|taker| *taker != index)?;
            self.routes.get(taker)
        });
        let looser = takers.find(|taker| is_looser(taker, route))?;
        Some((
            format!(
                "{with_or_without} the paths of `{}` go to `{}`, {}",
                route.name,
                looser.name,
                Guard::of(looser).words()
            ),
            "`path_options: { trailing_slash: ignore }` takes both".to_owned(),
        ))
    }

    /// Where the paths of `/x/{*rest}` begin, which takes neither `/x` nor `/x/`, and those of the regex `/x/.*`.
    pub(super) fn beginning_past_guard(&self, route: &Route, mut example: Example) -> Option<Said> {
        if !route.headers.is_empty() {
            return None;
        }
        let (path, hint) = match &route.pattern {
            Pattern::Path(segments) if matches!(segments.last(), Some(Segment::Rest(_))) => {
                // As many segments as the others are.
                let segments: Vec<&str> = example.path.split('/').take(segments.len()).collect();
                let hint = "`{*…}` wants something there: write `prefix:`, or guard it by a route of its own";
                (format!("{}/", segments.join("/")), hint)
            }
            Pattern::Regex(regex) if regex.takes_all_below() => {
                let end = example.path.rfind('/')? + 1;
                let hint = "the regex wants a slash there: end it in `(/.*)?`, write `prefix:`, or guard it by a route of its own";
                (example.path[..end].to_owned(), hint)
            }
            Pattern::Path(_) | Pattern::Prefix(_) | Pattern::Regex(_) => return None,
        };
        let looser = [path.trim_end_matches('/'), &path]
            .into_iter()
            .find_map(|path| {
                if path.is_empty() {
                    return None;
                }
                path.clone_into(&mut example.path);
                let mut takers = methods(route).iter().filter_map(|method| {
                    let taker = self.routes.get(self.find(&example, method)?)?;
                    Some((path, taker))
                });
                takers.find(|(_, taker)| is_looser(taker, route) && !is_of_one_path(&taker.pattern))
            });
        let (path, looser) = looser?;
        Some((
            format!(
                "`{path}`, where the paths of `{}` begin, goes to `{}`, {}",
                route.name,
                looser.name,
                Guard::of(looser).words()
            ),
            hint.to_owned(),
        ))
    }
}

/// Whoever writes such a pattern means that path.
fn is_of_one_path(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Path(segments) => segments
            .iter()
            .all(|segment| matches!(segment, Segment::Literal(_))),
        Pattern::Prefix(_) | Pattern::Regex(_) => false,
    }
}
