//! `portcullis apikey`: keys of accounts, straight on the store.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::told::{self, Told};
use super::user::UserError;
use crate::accounts::{By, Key, NewKey, Users};
use crate::config::{self, Config};

#[derive(Debug, clap::Subcommand)]
pub enum ApikeyCommand {
    /// Make a key, which is printed once and never again
    Create {
        username: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do, once for each; without any it has no scope
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// After so long it is refused: 30d, 12h
        #[arg(long, value_name = "DURATION", value_parser = config::parse_duration)]
        expires: Option<Duration>,
    },
    /// The keys of an account
    List { username: String },
    /// Revoke a key; a running gateway feels it within a second
    Revoke { id: Uuid },
}

/// Does what was asked and gives what to print.
pub async fn run(config: &Config, command: ApikeyCommand) -> Result<Told, UserError> {
    let users = Users::open(config).await?;
    let by = By::command_line();
    match command {
        ApikeyCommand::Create {
            username,
            name,
            scopes,
            expires,
        } => {
            let new = NewKey {
                name,
                scopes,
                expires_at: expires.map(|duration| users.after(duration)),
            };
            let made = users.add_key(Key::Username(&username), new, &by).await;
            let made = made.map_err(|error| UserError::of(error, &username))?;
            let text = format!(
                "{username} has the key {}. It is not shown again.\nkey: {}\n",
                made.info.id,
                made.key.expose()
            );
            Ok(Told::new(text, made.to_json()))
        }
        ApikeyCommand::List { username } => {
            let account = users.find(Key::Username(&username)).await?;
            let account = account.ok_or(UserError::NoSuchUser(username))?;
            Ok(told::keys(&users.api_keys_of(account.id).await?))
        }
        ApikeyCommand::Revoke { id } => {
            if users.end_key(id, None, &by).await? {
                let text = format!("{id} was revoked.\n");
                return Ok(Told::new(text, json!({ "revoked": id })));
            }
            Err(UserError::NoSuchKey(id))
        }
    }
}
