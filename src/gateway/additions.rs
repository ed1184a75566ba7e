//! What is added to a response on its way to the client, whoever made it.

use http::HeaderMap;

use super::cors::CrossOrigin;
use super::security::Security;
use crate::config::Config;
use crate::forward;

/// Of where the request went, as far as that is known.
#[derive(Debug, Default)]
pub struct Additions<'c> {
    pub cors: CrossOrigin<'c>,
    pub security: Security,
}

impl<'c> Additions<'c> {
    /// Of a route by its index, or of all that is none.
    pub fn of(
        config: &'c Config,
        route: Option<usize>,
        headers: &HeaderMap,
        is_trusted: bool,
    ) -> Self {
        let Some(route) = route.and_then(|index| config.routes.get(index)) else {
            return Additions {
                cors: CrossOrigin::of(config.cors.as_deref(), headers),
                security: Security::Off,
            };
        };
        Additions {
            cors: CrossOrigin::of(route.cors.as_deref(), headers),
            security: Security::of(route.security_headers, || {
                forward::scheme(headers, is_trusted)
            }),
        }
    }

    pub fn tell(&self, headers: &mut HeaderMap) {
        self.cors.tell(headers);
        self.security.tell(headers);
    }
}
