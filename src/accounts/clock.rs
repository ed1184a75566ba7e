//! What time it is, for those who keep and compare times.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::store::Millis;

/// Gives milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The machine's clock. Before 1970 it stands still.
pub fn system() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    })
}
