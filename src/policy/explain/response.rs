//! What the file adds to a response, whoever makes it: `response_headers`, `cors` and `security_headers`.

use http::HeaderMap;

use crate::config::checked::Route;
use crate::config::shown_header;

/// Of a response that has nothing of its own.
#[derive(Debug, Default)]
pub struct Told {
    pub headers: HeaderMap,
    /// What it has not got, even if the upstream sends it.
    pub removed: Vec<String>,
}

impl Told {
    /// Of the upstream's response.
    pub fn of_upstream(route: &Route, headers: HeaderMap) -> Told {
        let removed = route.response_headers.remove.iter();
        let removed = removed.filter(|name| !headers.contains_key(*name));
        let mut removed: Vec<String> = removed.map(ToString::to_string).collect();
        if route.cors.is_some() {
            removed.push("access-control-*".to_owned());
        }
        Told { headers, removed }
    }

    /// The headers by their names.
    pub fn lines(&self) -> Vec<(String, String)> {
        let lines = self.headers.iter();
        let mut lines: Vec<_> = lines
            .map(|(name, value)| (name.to_string(), shown_header(name, value)))
            .collect();
        lines.sort();
        lines
    }
}
