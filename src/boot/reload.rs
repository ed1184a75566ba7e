//! Taking over a changed gateway.yaml while requests are served: all of it, or nothing.

use std::path::Path;
use std::sync::Arc;

use super::in_force::InForce;
use crate::accounts::OpenError;
use crate::config::{self, Config, Report};

/// Why the configuration in force stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("{}", .0.render(false))]
    Invalid(Report),
    #[error("a reload can't change {}: restart for that", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    #[error(transparent)]
    Keys(#[from] OpenError),
}

/// Reads the file again and serves by it from the next request on.
pub async fn reload(path: &Path, in_force: &InForce) {
    let metrics = &in_force.parts.metrics;
    match replace(path, in_force).await {
        Ok(config) => {
            metrics.reload("success");
            tracing::info!(
                routes = config.routes.len(),
                upstreams = config.upstreams.len(),
                "configuration reloaded"
            );
        }
        Err(error) => {
            metrics.reload("failure");
            tracing::error!("configuration not reloaded, the previous one stays: {error}");
        }
    }
}

async fn replace(path: &Path, in_force: &InForce) -> Result<Arc<Config>, ReloadError> {
    let parts = &in_force.parts;
    let loaded = super::load(path).map_err(ReloadError::Invalid)?;
    let fixed = config::needs_restart(&in_force.snapshots.load().config, &loaded.config);
    if !fixed.is_empty() {
        return Err(ReloadError::NeedsRestart(fixed));
    }
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.render(false));
    }
    let keys = parts.accounts.read_keys(&loaded.config).await?;
    let snapshot = parts.snapshot(loaded.config);
    // New names are known before the first request asks for them.
    parts.directory.look_up().await;
    let config = Arc::clone(&snapshot.config);
    parts.reload(&config, keys);
    parts.warn_of_idle_plans(&config);
    in_force.replace(&snapshot);
    Ok(config)
}
