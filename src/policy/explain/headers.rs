//! What the gateway changes in the headers of a request on its way to the upstream, and in those of a
//! response, whoever makes it: `response_headers`, `cors` and `security_headers`.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::checked::Route;
use crate::config::shown_header;

#[derive(Debug, Default)]
pub struct Changes {
    /// Also those in place of others of their name.
    pub added: HeaderMap,
    pub removed: Vec<String>,
}

impl Changes {
    /// Of a request as the client and the upstream have it.
    pub fn between(before: &HeaderMap, after: &HeaderMap) -> Changes {
        let values = |headers: &HeaderMap, name: &HeaderName| -> Vec<HeaderValue> {
            headers.get_all(name).iter().cloned().collect()
        };
        let is_same = |name: &&HeaderName| values(before, name) == values(after, name);
        let removed = before.keys().filter(|name| !is_same(name));
        let mut removed: Vec<String> = removed.map(ToString::to_string).collect();
        removed.sort();
        let mut added = HeaderMap::new();
        for name in after.keys().filter(|name| !is_same(name)) {
            for value in after.get_all(name) {
                added.append(name.clone(), value.clone());
            }
        }
        Changes { added, removed }
    }

    /// Of an upstream's response that has nothing of its own, with what it has not got, even if the
    /// upstream sends it.
    pub fn of_response(route: &Route, added: HeaderMap) -> Changes {
        let removed = route.response_headers.remove.iter();
        let mut removed: Vec<String> = removed.map(ToString::to_string).collect();
        if route.cors.is_some() {
            removed.push("access-control-*".to_owned());
        }
        Changes { added, removed }
    }

    /// What is added, by name.
    pub fn lines(&self) -> Vec<(String, String)> {
        let lines = self.added.iter();
        let mut lines: Vec<_> = lines
            .map(|(name, value)| (name.to_string(), shown_header(name, value)))
            .collect();
        lines.sort();
        lines
    }
}
