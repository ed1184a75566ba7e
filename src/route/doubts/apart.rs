//! Guarded routes beside which a looser one takes the same paths: from other hosts, without a header, or where
//! an earlier regex overlaps.

use super::examples::{self, Example};
use super::guard::{Guard, is_looser};
use super::{Judge, Said, methods};
use crate::config::checked::{Case, Pattern, Route};

impl Judge<'_> {
    /// Requests that a route is not for by their host or headers alone, which a client chooses.
    pub(super) fn choice_past_guard(
        &self,
        index: usize,
        route: &Route,
        example: &Example,
    ) -> Option<Said> {
        let at = |host: &str| Example {
            host: host.to_owned(),
            ..example.clone()
        };
        let mut choices: Vec<(String, Example)> = Vec::new();
        if !route.hosts.is_empty() {
            choices.push(("for another host".to_owned(), at("")));
            let others = self.hosts.iter();
            let others = others.filter(|host| !examples::hosts(route).contains(host));
            choices.extend(others.map(|host| (format!("for `{host}`"), at(host))));
        }
        if !route.headers.is_empty() {
            let bare = Example {
                headers: http::HeaderMap::new(),
                ..example.clone()
            };
            choices.push(("without its headers".to_owned(), bare));
        }
        choices.into_iter().find_map(|(words, example)| {
            let mut takers = methods(route)
                .iter()
                .filter_map(|method| self.find(&example, method))
                .filter(|taker| *taker != index)
                .filter_map(|taker| self.routes.get(taker));
            // Of the same pattern it is what the file says of the other hosts or requests that it names, and of
            // another backend it is another site.
            let is_said = |taker: &Route| {
                let is_for_all = taker.hosts.is_empty() && !route.hosts.is_empty();
                taker.pattern == route.pattern && !is_for_all
            };
            let looser = takers.find(|taker| {
                is_looser(taker, route) && !is_said(taker) && self.have_one_backend(taker, route)
            })?;
            Some((
                format!(
                    "{words} the paths of `{}` go to `{}`, {}",
                    route.name,
                    looser.name,
                    Guard::of(looser).words()
                ),
                "the client chooses what it sends: guard these paths without `hosts` and `headers` as well"
                    .to_owned(),
            ))
        })
    }

    /// Paths of a guarded regex that an earlier, looser one takes, which is no exception from it.
    pub(super) fn regex_past_guard(&self, index: usize, route: &Route) -> Option<Said> {
        let Pattern::Regex(regex) = &route.pattern else {
            return None;
        };
        if Guard::of(route) == Guard::None {
            return None;
        }
        let is_exception = |other: &Route| match &other.pattern {
            Pattern::Regex(other) => {
                let mut examples = other.examples().iter();
                examples.all(|path| regex.is_match(path.as_bytes(), Case::AsAsked))
            }
            Pattern::Path(_) | Pattern::Prefix(_) => true,
        };
        let (path, looser) = examples::of(route).find_map(|example| {
            let mut takers = methods(route)
                .iter()
                .filter_map(|method| self.find(&example, method))
                .filter(|taker| *taker != index)
                .filter_map(|taker| self.routes.get(taker));
            let looser = takers.find(|taker| is_looser(taker, route) && !is_exception(taker))?;
            Some((example.path.clone(), looser))
        })?;
        Some((
            format!(
                "some of the paths of `{}`, such as `{path}`, go to `{}`, {}",
                route.name,
                looser.name,
                Guard::of(looser).words()
            ),
            format!(
                "of regexes in one place the first in the file counts: put `{}` before it",
                route.name
            ),
        ))
    }
}
