//! `portcullis migrate`: brings the store's tables up to date, which every start does as well.

use serde_json::json;

use super::told::Told;
use super::user::UserError;
use crate::accounts::Users;
use crate::config::Config;

pub async fn run(config: &Config) -> Result<Told, UserError> {
    let users = Users::open(config).await?;
    let version = users.store_version().await?;
    let store = config.store.to_string();
    let text = format!("{store} is up to date, at version {version}.\n");
    Ok(Told::new(
        text,
        json!({ "store": store, "version": version }),
    ))
}
