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

    fn among(&self, headers: &HeaderMap) -> Lines {
        let mut lines = Lines::new();
        for name in &*self.0 {
            let values = headers.get_all(name).iter();
            lines.extend(values.map(|value| (name.clone(), value.clone())));
        }
        lines
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
    let place = sorted.binary_search_by(|other| other.as_str().cmp(name.as_str()));
    place.is_ok()
}

/// So many as most requests have, in place.
type Lines = SmallVec<[(HeaderName, HeaderValue); 3]>;

/// A request's head, or as much of it as is cheap to keep of every request.
pub struct Asked {
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

impl Asked {
    pub fn of(head: &Parts, deciding: &DecidingHeaders) -> Self {
        let is_handshake = Handshake::is_among(&head.extensions);
        let headers = match is_handshake || accepts_events(&head.headers) {
            true => Headers::All(head.headers.clone()),
            false => Headers::Deciding(deciding.among(&head.headers)),
        };
        Asked {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            is_handshake,
            headers,
        }
    }

    /// As the stages take it, and whether all headers are there.
    pub(super) fn into_head(self) -> (Parts, bool) {
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
                head.headers = HeaderMap::from_iter(lines);
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
    use crate::route::sample;

    fn kept(lines: &[(&str, &str)]) -> (Vec<String>, bool) {
        let mut request = Request::builder().method("POST").uri("/a?b=c");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let deciding = DecidingHeaders::of(&sample::config(Vec::new()));
        let (head, is_whole) = Asked::of(&head, &deciding).into_head();
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
    fn of_one_that_asks_for_a_stream_all_are() {
        let all = [
            ("cookie", "a=b"),
            ("accept", "application/json, text/event-stream;q=1"),
        ];
        let (lines, is_whole) = kept(&all);
        assert_eq!((lines.len(), is_whole), (2, true));
    }
}
