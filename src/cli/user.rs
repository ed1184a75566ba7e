//! `portcullis user`: accounts, straight on the store, also while the gateway runs on it.

use std::io::{self, BufRead};

use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::import::{self, ImportError};
use super::told::{self, Told};
pub use super::user_args::{AddArgs, ListArgs, SetArgs, UserCommand};
use crate::accounts::{
    Account, AccountsError, By, Edit, FileError, Key, KeysError, LastSuperuser, Listing, MakeError,
    MintError, NewUser, OpenError, Prefix, Users, random_password,
};
use crate::config::{Config, Secret};

/// Why the command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error("there is no account {0}")]
    NoSuchUser(String),
    #[error("there is no session {0} that could end")]
    NoSuchSession(Uuid),
    #[error("there is no API key {0} that could be revoked")]
    NoSuchKey(Uuid),
    #[error("cannot read the password from standard input: {0}")]
    Stdin(io::Error),
    #[error("cannot read the token from standard input: {0}")]
    StdinToken(io::Error),
    #[error("standard input begins with an empty line: expected a password")]
    NoPassword,
    #[error("the password cannot be hashed: {0}")]
    Hash(#[from] MakeError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    KeyFile(FileError),
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl UserError {
    /// With the name that was asked for.
    pub fn of(error: AccountsError, username: &str) -> UserError {
        match error {
            AccountsError::NoSuchAccount => UserError::NoSuchUser(username.to_owned()),
            error => error.into(),
        }
    }
}

/// An account that was just made.
#[derive(Debug)]
pub struct Added {
    pub account: Account,
    /// Set when nobody gave one.
    pub random_password: Option<Secret>,
}

/// Does what was asked and gives what to print.
pub async fn run(config: &Config, command: UserCommand) -> Result<Told, UserError> {
    match command {
        UserCommand::Add(args) => {
            let password = password(args.password_stdin)?;
            Ok(report(&add(config, args, password).await?))
        }
        UserCommand::List(args) => list(config, &args).await,
        UserCommand::Show { username } => {
            let users = Users::open(config).await?;
            let account = users.find(Key::Username(&username)).await?;
            let account = account.ok_or(UserError::NoSuchUser(username))?;
            Ok(told::details(&account))
        }
        UserCommand::Set(args) => {
            let account = edit(config, &args.username, &edit_of(&args)).await?;
            let line = format!("{} was changed.", account.username);
            Ok(Told::account(line, &account))
        }
        UserCommand::Passwd {
            username,
            password_stdin,
        } => set_password(config, &username, password(password_stdin)?).await,
        UserCommand::Disable { username } => {
            let account = set_active(config, &username, false).await?;
            let line = format!("{username} is disabled and signed out everywhere.");
            Ok(Told::account(line, &account))
        }
        UserCommand::Enable { username } => {
            let account = set_active(config, &username, true).await?;
            Ok(Told::account(format!("{username} can sign in."), &account))
        }
        UserCommand::Delete {
            username,
            purge: true,
        } => {
            let users = Users::open(config).await?;
            let (key, by) = (Key::Username(&username), By::command_line());
            users
                .purge(key, &by)
                .await
                .map_err(|error| UserError::of(error, &username))?;
            let text = format!("{username} was removed for good.\n");
            Ok(Told::new(text, json!({ "purged": username })))
        }
        UserCommand::Delete { username, .. } => {
            let account = set_deleted(config, &username, true).await?;
            let line = format!("{username} is deleted and signed out everywhere.");
            Ok(Told::account(line, &account))
        }
        UserCommand::Import { file } => import::run(config, &file).await,
        UserCommand::Restore { username } => {
            let account = set_deleted(config, &username, false).await?;
            Ok(Told::account(format!("{username} is back."), &account))
        }
    }
}

async fn list(config: &Config, args: &ListArgs) -> Result<Told, UserError> {
    let users = Users::open(config).await?;
    let prefix = args.q.as_deref().unwrap_or_default().trim().to_lowercase();
    let listing = Listing {
        prefix: Prefix::of(&prefix),
        tier: args.tier.as_deref(),
        is_deleted: args.deleted,
        after: None,
        offset: args.offset,
        limit: args.limit,
    };
    let listed = users.list(&listing).await?;
    Ok(told::accounts(&listed.accounts, listed.total))
}

fn edit_of(args: &SetArgs) -> Edit {
    let roles = args.roles.as_deref().map(|text| {
        let roles = text
            .split(',')
            .map(str::trim)
            .filter(|role| !role.is_empty());
        roles.map(str::to_owned).collect()
    });
    let external_id = args.external_id.clone();
    Edit {
        username: args.rename.clone(),
        name: args.name.clone(),
        email: args.email.clone(),
        tier: args.tier.clone(),
        roles,
        is_superuser: args.superuser,
        external_id: external_id.map(|id| Some(id).filter(|id| !id.is_empty())),
        ..Edit::default()
    }
}

/// Whoever may write the store's file may also leave it without a superuser: `add` makes another.
async fn edit(config: &Config, username: &str, edit: &Edit) -> Result<Account, UserError> {
    let users = Users::open(config).await?;
    let (key, by) = (Key::Username(username), By::command_line());
    let edited = users.edit(key, edit, LastSuperuser::MayGo, &by).await;
    edited.map_err(|error| UserError::of(error, username))
}

async fn set_deleted(
    config: &Config,
    username: &str,
    is_deleted: bool,
) -> Result<Account, UserError> {
    let change = Edit {
        is_deleted: Some(is_deleted),
        ..Edit::default()
    };
    edit(config, username, &change).await
}

async fn set_password(
    config: &Config,
    username: &str,
    given: Option<Secret>,
) -> Result<Told, UserError> {
    let users = Users::open(config).await?;
    let (password, random_password) = or_random(config, given);
    let (key, by) = (Key::Username(username), By::command_line());
    let set = users.set_password(key, password, None, &by).await;
    let account = set.map_err(|error| UserError::of(error, username))?;
    let line = format!("{username} has a new password and is signed out everywhere.");
    Ok(with_password(
        Told::account(line, &account),
        random_password.as_ref(),
    ))
}

/// What is given, or a random one, then twice.
fn or_random(config: &Config, given: Option<Secret>) -> (Secret, Option<Secret>) {
    match given {
        Some(given) => (given, None),
        None => {
            let random = random_password(&config.auth.password);
            (random.clone(), Some(random))
        }
    }
}

fn password(is_on_stdin: bool) -> Result<Option<Secret>, UserError> {
    if is_on_stdin {
        return read_password(io::stdin().lock()).map(Some);
    }
    Ok(None)
}

/// Makes an account, with a random password unless one is given.
pub async fn add(
    config: &Config,
    args: AddArgs,
    password: Option<Secret>,
) -> Result<Added, UserError> {
    let (password, random_password) = or_random(config, password);
    let users = Users::open(config).await?;
    let account = users
        .add(
            NewUser {
                name: args.name.unwrap_or_else(|| args.username.clone()),
                username: args.username,
                email: args.email,
                password,
                tier: args.tier,
                is_superuser: args.superuser,
            },
            &By::command_line(),
        )
        .await?;
    Ok(Added {
        account,
        random_password,
    })
}

async fn set_active(
    config: &Config,
    username: &str,
    is_active: bool,
) -> Result<Account, UserError> {
    let change = Edit {
        is_active: Some(is_active),
        ..Edit::default()
    };
    edit(config, username, &change).await
}

fn report(added: &Added) -> Told {
    let account = &added.account;
    let superuser = if account.is_superuser {
        ", superuser"
    } else {
        ""
    };
    let line = format!(
        "{} (tier {}{superuser}) was created.",
        account.username, account.tier
    );
    with_password(Told::account(line, account), added.random_password.as_ref())
}

fn with_password(mut told: Told, password: Option<&Secret>) -> Told {
    if let Some(password) = password {
        told.text.push_str("password: ");
        told.text.push_str(password.expose());
        told.text.push('\n');
        told.json["password"] = json!(password.expose());
    }
    told
}

/// The first line, without its end.
pub fn read_password(mut input: impl BufRead) -> Result<Secret, UserError> {
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line).map_err(UserError::Stdin)?;
    let text = line.strip_suffix('\n').unwrap_or(&line);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::testing::config;

    fn args(username: &str) -> AddArgs {
        AddArgs {
            username: username.into(),
            email: format!("{username}@example.com"),
            name: None,
            superuser: true,
            tier: Some("pro".into()),
            password_stdin: false,
        }
    }

    #[tokio::test]
    async fn a_user_gets_a_random_password_that_is_shown_once() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let added = add(&config, args("ann"), None).await.unwrap();
        assert!(added.account.is_superuser);
        assert_eq!(
            (added.account.tier.as_str(), added.account.name.as_str()),
            ("pro", "ann")
        );
        let password = added.random_password.clone().unwrap();
        assert!(password.expose().len() >= 20);
        assert!(
            report(&added)
                .text
                .contains(&format!("password: {}\n", password.expose()))
        );
        assert!(!format!("{added:?}").contains(password.expose()));
        assert!(
            !config.auth.keys_dir.exists(),
            "keys are made by the gateway's own user"
        );
    }

    #[tokio::test]
    async fn errors_say_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let secret = || Some(Secret::new("Aa1!aaaa".into()));
        let added = add(&config, args("ann"), secret()).await.unwrap();
        assert!(added.random_password.is_none());
        let mut other_email = args("ann");
        other_email.email = "other@example.com".into();
        let mut other_name = args("ann2");
        other_name.email = "ANN@example.com".into();
        let mut bad = args("Bob");
        bad.email = "nowhere".into();
        bad.tier = Some("gold".into());
        for (args, parts) in [
            (other_email, vec!["username"]),
            (other_name, vec!["e-mail"]),
            (bad, vec!["username must", "email must", "tiers: free, pro"]),
        ] {
            let text = add(&config, args, secret()).await.unwrap_err().to_string();
            for part in parts {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
        let weak = Some(Secret::new("aaaa".into()));
        let text = add(&config, args("bob"), weak)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("password must") && !text.contains("aaaa"),
            "{text}"
        );
        let text = set_active(&config, "bob", false)
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(text, "there is no account bob");
    }

    #[test]
    fn a_password_is_one_line() {
        for (input, expected) in [("a b\n", "a b"), ("a\r\nb", "a"), ("a", "a"), ("", "")] {
            let read = read_password(input.as_bytes()).unwrap();
            assert_eq!(read.expose(), expected);
        }
    }
}
