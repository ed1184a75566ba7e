//! `portcullis session`: where accounts are signed in, straight on the store.

use serde_json::json;
use uuid::Uuid;

use super::told::{self, Told};
use super::user::UserError;
use crate::accounts::{By, Key, Users};
use crate::config::Config;

#[derive(Debug, clap::Subcommand)]
pub enum SessionCommand {
    /// The sessions of an account that can still be used
    List { username: String },
    /// End a session, or all of an account; a running gateway feels it within a second
    #[command(arg_required_else_help = true)]
    Revoke {
        #[arg(required_unless_present = "user")]
        id: Option<Uuid>,
        /// All sessions of this account
        #[arg(long, value_name = "USERNAME", conflicts_with = "id")]
        user: Option<String>,
    },
}

/// Does what was asked and gives what to print.
pub async fn run(config: &Config, command: SessionCommand) -> Result<Told, UserError> {
    let users = Users::open(config).await?;
    let by = By::command_line();
    match command {
        SessionCommand::List { username } => {
            let account = users.find(Key::Username(&username)).await?;
            let account = account.ok_or(UserError::NoSuchUser(username))?;
            Ok(told::sessions(&users.sessions(account.id).await?))
        }
        SessionCommand::Revoke {
            user: Some(username),
            ..
        } => {
            let key = Key::Username(&username);
            let ended = users.end_sessions(key, None, &by).await;
            let ended = ended.map_err(|error| UserError::of(error, &username))?;
            let text = format!("{ended} sessions of {username} were ended.\n");
            Ok(Told::new(text, json!({ "sessions_ended": ended })))
        }
        SessionCommand::Revoke { id, .. } => {
            let id = id.unwrap_or_default();
            if users.end_session(id, &by).await? {
                let text = format!("{id} was ended.\n");
                return Ok(Told::new(text, json!({ "sessions_ended": 1 })));
            }
            Err(UserError::NoSuchSession(id))
        }
    }
}
