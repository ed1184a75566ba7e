//! What is added to a response on its way to the client, whoever made it.

use http::HeaderMap;

use super::cors::CrossOrigin;
use super::security::Security;

/// Of where the request went, as far as that is known.
#[derive(Debug, Default)]
pub struct Additions {
    pub cors: CrossOrigin,
    pub security: Security,
}

impl Additions {
    pub fn tell(&self, headers: &mut HeaderMap) {
        self.cors.tell(headers);
        self.security.tell(headers);
    }
}
