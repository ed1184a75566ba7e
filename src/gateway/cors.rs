//! Cross-origin requests (the Fetch standard, section 3.2): the answer to a browser that asks first, and
//! what a response tells it of who may read it, whoever made the response.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};

use super::additions::Additions;
use crate::config::Config;
use crate::config::checked::{Cors, Origins};
use crate::limit;
use crate::request::{Code, Facts, Refusal, Site};
use crate::route::{self, Table};

const OPEN: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// What a request's page is under the `cors` that holds where it goes.
#[derive(Debug, Clone, Default)]
pub struct CrossOrigin<'c> {
    /// `None`: the gateway has no part in it.
    cors: Option<&'c Cors>,
    /// The value that lets the page read, if it may.
    allowed: Option<HeaderValue>,
}

impl<'c> CrossOrigin<'c> {
    pub fn of(cors: Option<&'c Cors>, headers: &HeaderMap) -> Self {
        CrossOrigin {
            cors,
            allowed: cors.and_then(|cors| allowed(cors, headers)),
        }
    }

    /// The page is of an origin that the file names.
    pub fn is_listed(&self) -> bool {
        let is_by_name = |cors: &Cors| matches!(cors.origins, Origins::Listed(_));
        self.allowed.is_some() && self.cors.is_some_and(is_by_name)
    }

    /// Removes what an upstream says of it: the file decides.
    pub fn clean(&self, headers: &mut HeaderMap) {
        if self.cors.is_none() {
            return;
        }
        let is_of_cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
        while let Some(name) = headers.keys().find(is_of_cors).cloned() {
            headers.remove(name);
        }
    }

    /// Writes into a response what the page may do with it.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let Some(cors) = self.cors else { return };
        vary_by_origin(headers);
        let Some(origin) = &self.allowed else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if cors.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, cors.exposed.clone());
    }
}

/// `null` is the origin of all pages that hide theirs, so it is nobody's.
fn allowed(cors: &Cors, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = only(headers, &header::ORIGIN).filter(|origin| *origin != "null")?;
    match &cors.origins {
        Origins::Any => Some(OPEN),
        Origins::Listed(listed) => listed.contains(origin).then(|| origin.clone()),
    }
}

/// A shared cache must not hand one origin's response to another's page.
fn vary_by_origin(headers: &mut HeaderMap) {
    let lines = headers.get_all(header::VARY).iter();
    let mut names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let is_there = names.any(|name| {
        let name = name.trim_ascii();
        name == b"*" || name.eq_ignore_ascii_case(b"origin")
    });
    if !is_there {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}

/// A browser's question before a request, and what it is told.
pub struct Preflight<'c> {
    /// The route that the request would take, unless it is for the auth API.
    pub route: Option<usize>,
    pub additions: Additions<'c>,
    pub answer: Result<Response<&'static str>, Refusal>,
}

/// `None` when it is no such question, or no route with `cors` takes what it asks about: it goes where
/// other requests go.
pub fn preflight<'c>(
    config: &'c Config,
    table: &Table,
    facts: &Facts<'_>,
    has_body: bool,
) -> Option<Preflight<'c>> {
    let headers = &facts.head.headers;
    let is_question = facts.head.method == Method::OPTIONS && !has_body;
    if !is_question || !headers.contains_key(header::ORIGIN) {
        return None;
    }
    let asked = only(headers, &header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let method = Method::from_bytes(asked.as_bytes()).ok()?;
    let announced = table.choosing(announced(headers));
    let found = route::find_announced(table, facts, &method, &announced);
    let route = found.ok()?.route();
    let additions = Additions::of(config, route, headers, facts.peer.is_trusted);
    let in_force = additions.cors.cors?;
    let admits = |index: usize| {
        let route = config.routes.get(index);
        route.is_some_and(|route| route.ip.admits(facts.peer.client))
    };
    let answer = match &additions.cors.allowed {
        _ if !route.is_none_or(admits) => Err(limit::kept_out()),
        Some(_) => Ok(permission(in_force, asked)),
        None => Err(stranger()),
    };
    Some(Preflight {
        route,
        additions,
        answer,
    })
}

/// Refuses a WebSocket of a page that `cors` does not let read, where the file says whom it lets. Browsers hold
/// pages to that with every other request, and send cookies that an upstream may go by along with this one.
pub fn check_handshake(
    config: &Config,
    additions: &Additions<'_>,
    facts: &Facts<'_>,
) -> Result<(), Refusal> {
    let page = &additions.cors;
    let headers = &facts.head.headers;
    if page.cors.is_none() || page.allowed.is_some() || !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let issuer = Site::of(&config.auth.issuer);
    match Site::is_own(facts.head, facts.peer, issuer.as_ref()) {
        true => Ok(()),
        false => Err(stranger()),
    }
}

fn stranger() -> Refusal {
    Refusal::new(Code::Forbidden, "Pages of this origin may not call here.")
}

/// Headers that the request will have, of which a browser tells the names alone.
fn announced(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let names = lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|b| *b == b','));
    names.map(<[u8]>::trim_ascii)
}

fn permission(cors: &Cors, asked: &HeaderValue) -> Response<&'static str> {
    let mut response = Response::new("");
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = match cors.methods.as_slice() {
        // It is one that the route takes.
        [] => Some(asked.clone()),
        listed => joined(listed.iter().map(Method::as_str)),
    };
    if let Some(methods) = methods {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    if let Some(names) = joined(cors.headers.iter().map(HeaderName::as_str)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    let seconds = HeaderValue::from(cors.max_age.as_secs());
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, seconds);
    response
}

/// `None` for nothing.
fn joined<'n>(names: impl Iterator<Item = &'n str>) -> Option<HeaderValue> {
    let text = names.collect::<Vec<_>>().join(", ");
    // Names of methods and headers are always a valid value.
    HeaderValue::try_from(text).ok().filter(|v| !v.is_empty())
}

/// The header's value if it stands there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const APP: &str = "https://app.example.com";

    fn cors(origins: Origins) -> Cors {
        Cors {
            origins,
            methods: vec![Method::GET, Method::PATCH],
            headers: vec![header::AUTHORIZATION],
            expose: vec![header::ETAG],
            exposed: HeaderValue::from_static("x-request-id, etag"),
            credentials: true,
            max_age: Duration::from_secs(600),
        }
    }

    fn listed() -> Cors {
        cors(Origins::Listed(vec![HeaderValue::from_static(APP)]))
    }

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn an_origin_is_one_of_the_list_byte_for_byte() {
        for (origin, is_allowed) in [
            (APP, true),
            ("null", false),
            ("https://app.example.com:443", false),
            ("https://App.example.com", false),
            ("https://app.example.com/", false),
            ("http://app.example.com", false),
            ("https://app.example.com.evil.test", false),
            ("https://evil.test/https://app.example.com", false),
            ("", false),
        ] {
            let listed = listed();
            let page = CrossOrigin::of(Some(&listed), &map(&[("origin", origin)]));
            assert_eq!(page.is_listed(), is_allowed, "{origin}");
        }
        let twice = map(&[("origin", APP), ("origin", APP)]);
        assert!(!CrossOrigin::of(Some(&listed()), &twice).is_listed());
        assert!(!CrossOrigin::of(Some(&listed()), &HeaderMap::new()).is_listed());
    }

    #[test]
    fn a_star_is_for_all_but_null_and_lists_nobody() {
        let open = cors(Origins::Any);
        let page = CrossOrigin::of(Some(&open), &map(&[("origin", "https://a.test")]));
        assert!(!page.is_listed());
        let mut headers = HeaderMap::new();
        page.tell(&mut headers);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let mut headers = HeaderMap::new();
        CrossOrigin::of(Some(&open), &map(&[("origin", "null")])).tell(&mut headers);
        assert_eq!(headers, map(&[("vary", "origin")]));
    }

    #[test]
    fn without_cors_a_response_stays_as_it_is() {
        let page = CrossOrigin::of(None, &map(&[("origin", APP)]));
        let mut headers = map(&[("access-control-allow-origin", "*"), ("vary", "accept")]);
        let before = headers.clone();
        page.clean(&mut headers);
        page.tell(&mut headers);
        assert_eq!(headers, before);
    }

    #[test]
    fn what_the_upstream_says_of_it_is_replaced() {
        let upstream = [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-origin", "https://evil.test"),
            ("access-control-allow-methods", "DELETE"),
            ("access-control-x", "y"),
            ("vary", "Accept"),
            ("etag", "1"),
        ];
        let stranger = map(&[("vary", "Accept"), ("vary", "origin"), ("etag", "1")]);
        let mut page = stranger.clone();
        page.extend(map(&[
            ("access-control-allow-origin", APP),
            ("access-control-allow-credentials", "true"),
        ]));
        page.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("x-request-id, etag"),
        );
        for (origin, expected) in [(APP, page), ("https://evil.test", stranger)] {
            let listed = listed();
            let page = CrossOrigin::of(Some(&listed), &map(&[("origin", origin)]));
            let mut headers = map(&upstream);
            page.clean(&mut headers);
            page.tell(&mut headers);
            assert_eq!(headers, expected, "{origin}");
        }
    }

    #[test]
    fn a_response_varies_by_its_origin_once() {
        for (vary, expected) in [
            ("Origin", vec!["Origin"]),
            ("accept, ORIGIN", vec!["accept, ORIGIN"]),
            ("*", vec!["*"]),
            ("x-origin", vec!["x-origin", "origin"]),
        ] {
            let mut headers = map(&[("vary", vary)]);
            vary_by_origin(&mut headers);
            let lines: Vec<_> = headers.get_all(header::VARY).iter().collect();
            assert_eq!(lines, expected);
        }
    }
}
