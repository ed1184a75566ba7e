//! What is kept of a request in case that its answer goes on: what those stages go by that say who may pass.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use smallvec::SmallVec;

use crate::config::Config;
use crate::config::cel::{Expression, Variable};
use crate::config::checked::Route;
use crate::forward::Handshake;

pub(super) const EVENT_STREAM: &[u8] = b"text/event-stream";

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The headers that those stages go by under one configuration.
#[derive(Clone)]
pub struct DecidingHeaders(Arc<[HeaderName]>);

impl DecidingHeaders {
    pub fn of(config: &Config) -> Self {
        let mut names = vec![header::HOST, header::AUTHORIZATION, X_FORWARDED_FOR];
        let api_keys = &config.auth.api_keys;
        if api_keys.enabled {
            names.push(api_keys.header.clone());
        }
        for route in &config.routes {
            let of_route = chosen_by(route).chain(asked_by(route));
            names.extend(of_route.cloned());
        }
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        DecidingHeaders(names.into())
    }

    /// Those that are not among the others, in the order of their names.
    pub(super) fn beyond(&self, others: &DecidingHeaders) -> Vec<HeaderName> {
        if Arc::ptr_eq(&self.0, &others.0) {
            return Vec::new();
        }
        let is_new = |name: &&HeaderName| !is_among(name, &others.0);
        self.0.iter().filter(is_new).cloned().collect()
    }

    /// Looks up whichever are fewer: these names, or those that are there.
    fn among(&self, headers: &HeaderMap) -> Lines {
        let mut lines = Lines::new();
        if self.0.len() <= headers.keys_len() {
            for (at, name) in self.0.iter().enumerate() {
                let values = headers.get_all(name).iter();
                lines.extend(values.map(|value| (at, value.clone())));
            }
        } else {
            for (name, value) in headers {
                let at = place(name, &self.0);
                lines.extend(at.map(|at| (at, value.clone())));
            }
        }
        lines
    }

    fn named(&self, lines: Lines) -> HeaderMap {
        let name = |at| self.0.get(at).cloned();
        let lines = lines.into_iter();
        HeaderMap::from_iter(lines.filter_map(|(at, value)| Some((name(at)?, value))))
    }
}

/// The names of the headers that a route is for.
pub(super) fn chosen_by(route: &Route) -> impl Iterator<Item = &HeaderName> {
    route.headers.iter().map(|header| &header.name)
}

/// The names of the headers that a route's rules go by.
pub(super) fn asked_by(route: &Route) -> impl Iterator<Item = &HeaderName> {
    let expressions = route.allow.iter().filter_map(|rule| rule.cel.as_ref());
    let variables = expressions.flat_map(Expression::variables);
    variables.filter_map(|variable| match variable {
        Variable::Header(name) => Some(name),
        _ => None,
    })
}

/// Whether a name is one of some that are in order.
pub(super) fn is_among(name: &HeaderName, sorted: &[HeaderName]) -> bool {
    place(name, sorted).is_some()
}

fn place(name: &HeaderName, sorted: &[HeaderName]) -> Option<usize> {
    let place = sorted.binary_search_by(|other| other.as_str().cmp(name.as_str()));
    place.ok()
}

/// Values with the places of their names among the deciding ones: a name of one's own costs more to copy. So many as
/// most requests have, in place.
type Lines = SmallVec<[(usize, HeaderValue); 4]>;

/// A request's head, or as much of it as is cheap to keep of every request.
pub struct Kept {
    method: Method,
    uri: Uri,
    version: Version,
    is_handshake: bool,
    headers: Headers,
}

enum Headers {
    /// Of a request that asks for an answer that goes on.
    All(HeaderMap),
    /// Of any other, for which a copy of all would be too much.
    Deciding(Lines),
}

impl Kept {
    pub fn of(head: &Parts, deciding: &DecidingHeaders) -> Self {
        let is_handshake = Handshake::is_among(&head.extensions);
        let headers = match is_handshake || accepts_events(&head.headers) {
            true => Headers::All(head.headers.clone()),
            false => Headers::Deciding(deciding.among(&head.headers)),
        };
        Kept {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            is_handshake,
            headers,
        }
    }

    /// As the stages take it, and whether all headers are there. The deciding ones are those that it was kept by.
    pub(super) fn into_head(self, deciding: &DecidingHeaders) -> (Parts, bool) {
        let (mut head, ()) = Request::new(()).into_parts();
        (head.method, head.uri, head.version) = (self.method, self.uri, self.version);
        if self.is_handshake {
            head.extensions.insert(Handshake);
        }
        match self.headers {
            Headers::All(headers) => {
                head.headers = headers;
                (head, true)
            }
            Headers::Deciding(lines) => {
                head.headers = deciding.named(lines);
                (head, false)
            }
        }
    }
}

/// As every `EventSource` does, and in its spelling: of others enough is kept.
fn accepts_events(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::ACCEPT).iter();
    lines.any(|line| {
        line.as_bytes()
            .windows(EVENT_STREAM.len())
            .any(|part| part == EVENT_STREAM)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checked::{Pattern, RouteHeader};
    use crate::route::sample;

    fn kept(lines: &[(&str, &str)]) -> (Vec<String>, bool) {
        kept_by(&[], lines)
    }

    /// What is kept by a file with a route for these headers.
    fn kept_by(names: &[&'static str], lines: &[(&str, &str)]) -> (Vec<String>, bool) {
        let mut route = sample::route(Pattern::Prefix(Vec::new()));
        route.headers.extend(names.iter().map(|name| RouteHeader {
            name: HeaderName::from_static(name),
            value: HeaderValue::from_static("1"),
        }));
        let mut request = Request::builder().method("POST").uri("/a?b=c");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let deciding = DecidingHeaders::of(&sample::config(vec![route]));
        let (head, is_whole) = Kept::of(&head, &deciding).into_head(&deciding);
        assert_eq!(
            (head.method.as_str(), head.uri.to_string()),
            ("POST", "/a?b=c".into())
        );
        let lines = head.headers.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        (lines.collect(), is_whole)
    }

    #[test]
    fn of_most_requests_the_deciding_headers_are_kept_line_by_line() {
        let (mut lines, is_whole) = kept(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("cookie", "a=b"),
            ("host", "a.example"),
            ("x-forwarded-for", "10.0.0.1"),
            ("accept", "text/html, */*"),
            ("authorization", "Bearer x"),
        ]);
        // The names come in no order, the lines of one name in theirs.
        lines.sort_by_key(|line| line.split(':').next().map(str::to_owned));
        assert_eq!(
            (lines, is_whole),
            (
                vec![
                    "authorization: Bearer x".to_owned(),
                    "host: a.example".to_owned(),
                    "x-forwarded-for: 1.2.3.4".to_owned(),
                    "x-forwarded-for: 10.0.0.1".to_owned(),
                ],
                false
            )
        );
    }

    #[test]
    fn many_names_keep_what_few_keep() {
        const NAMES: [&str; 5] = ["x-a", "x-b", "x-c", "x-d", "x-e"];
        // As many names as headers, and more: they are looked up the one way and the other.
        for names in [&NAMES[1..2], &NAMES[..]] {
            let (mut lines, is_whole) = kept_by(
                names,
                &[
                    ("x-b", "1"),
                    ("accept", "*/*"),
                    ("x-b", "2"),
                    ("cookie", "a=b"),
                    ("host", "a.example"),
                    ("x-z", "3"),
                ],
            );
            lines.sort_by_key(|line| line.split(':').next().map(str::to_owned));
            let expected = ["host: a.example", "x-b: 1", "x-b: 2"].map(str::to_owned);
            assert_eq!((lines, is_whole), (expected.to_vec(), false));
        }
    }

    #[test]
    fn names_beyond_others_are_told_in_their_order() {
        let of = |names: &[&'static str]| {
            let mut names: Vec<_> = names.iter().map(|n| HeaderName::from_static(n)).collect();
            names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
            DecidingHeaders(names.into())
        };
        let kept = of(&["x-b", "host", "x-d"]);
        let now = of(&["x-e", "x-b", "x-a", "host"]);
        assert_eq!(now.beyond(&kept), ["x-a", "x-e"]);
        assert!(now.beyond(&now.clone()).is_empty() && kept.beyond(&kept).is_empty());
    }

    #[test]
    fn of_one_that_asks_for_a_stream_all_are() {
        let all = [
            ("cookie", "a=b"),
            ("accept", "application/json, text/event-stream;q=1"),
        ];
        let (lines, is_whole) = kept(&all);
        assert_eq!((lines.len(), is_whole), (2, true));
    }
}
