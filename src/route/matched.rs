//! What the route stage gives out.

use std::ops::Range;

use super::trie::Params;

/// Where a request goes, and the values of the path's parameters.
#[derive(Debug, Clone)]
pub struct Matched {
    pub destination: Destination,
    pub(super) params: Params,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// An index into [`Config::routes`](crate::config::Config::routes).
    Route(usize),
    /// An endpoint of the auth API.
    AuthApi,
}

impl Matched {
    /// The index of the route, unless the request is for the auth API.
    pub fn route(&self) -> Option<usize> {
        match self.destination {
            Destination::Route(index) => Some(index),
            Destination::AuthApi => None,
        }
    }

    /// Where the value of the pattern's `index`th parameter stands in the request's path.
    pub fn param_range(&self, index: usize) -> Option<Range<usize>> {
        let (start, end) = self.params.get(index)?;
        Some(usize::from(*start)..usize::from(*end))
    }

    /// The value of the pattern's `index`th parameter in `path`, the path that was matched.
    ///
    /// It is as the client wrote it. One that an owner rule uses is the same under every reading of
    /// the path, so nothing in it is encoded.
    pub fn param<'p>(&self, path: &'p str, index: usize) -> Option<&'p str> {
        path.get(self.param_range(index)?)
    }
}
