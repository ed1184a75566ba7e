//! Who calls the auth API, as far as the access log is to know.

use std::sync::{Arc, OnceLock};

use super::principal::User;

/// Goes with a request to the auth API, among its extensions; what is written there is read when the
/// request ends.
#[derive(Debug, Clone, Default)]
pub struct Noted(Arc<OnceLock<Arc<User>>>);

impl Noted {
    /// Writes a caller down. The first one counts.
    pub fn note(&self, user: &Arc<User>) {
        self.0.get_or_init(|| Arc::clone(user));
    }

    pub fn user(&self) -> Option<&Arc<User>> {
        self.0.get()
    }
}
