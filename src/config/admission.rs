//! Which requests a route admits, of those that have its host and path.

use http::{HeaderMap, HeaderName, Method};

use super::checked::{Route, RouteHeader};

impl Route {
    /// Whether the route is for requests of this method; HEAD goes where GET does.
    pub fn admits(&self, method: &Method) -> bool {
        admits_method(&self.methods, method)
    }

    /// Whether a request has every header that the route is for.
    pub fn admits_headers(&self, sent: &HeaderMap) -> bool {
        admits_headers(&self.headers, sent, &[])
    }
}

/// The same by [`Route::methods`] alone.
pub fn admits_method(methods: &[Method], method: &Method) -> bool {
    methods.is_empty()
        || methods.contains(method)
        || (*method == Method::HEAD && methods.contains(&Method::GET))
}

/// The same by [`Route::headers`] alone, and with headers that are still to come, in the order of their
/// names: whatever value they will have.
pub fn admits_headers(headers: &[RouteHeader], sent: &HeaderMap, announced: &[HeaderName]) -> bool {
    let is_sent = |own: &RouteHeader| sent.get_all(&own.name).iter().any(|v| *v == own.value);
    let is_announced = |own: &RouteHeader| {
        let name = own.name.as_str();
        announced.binary_search_by(|n| n.as_str().cmp(name)).is_ok()
    };
    let is_met = |own: &RouteHeader| is_announced(own) || is_sent(own);
    headers.iter().all(is_met)
}
