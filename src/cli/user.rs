//! `portcullis user`: accounts, straight on the store, also while the gateway runs on it.

use std::io::{self, BufRead, Write};

use zeroize::Zeroizing;

use crate::accounts::{
    Account, AccountsError, By, Edit, Key, LastSuperuser, NewUser, OpenError, Users,
    random_password,
};
use crate::config::{Config, Secret};

#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Create an account; without --password-stdin it gets a random password, which is printed
    Add(AddArgs),
    /// Disable an account: it is signed out everywhere and can't sign in
    Disable { username: String },
    /// Let a disabled account sign in again
    Enable { username: String },
}

#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// 2 to 20 characters: a-z, 0-9 and _
    pub username: String,
    #[arg(long)]
    pub email: String,
    /// The name shown to people [default: the username]
    #[arg(long)]
    pub name: Option<String>,
    #[arg(long)]
    pub superuser: bool,
    /// A tier that gateway.yaml declares [default: auth.default_tier]
    #[arg(long)]
    pub tier: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// Why the command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error("there is no account {0}")]
    NoSuchUser(String),
    #[error("cannot read the password from standard input: {0}")]
    Stdin(io::Error),
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
}

/// An account that was just made.
#[derive(Debug)]
pub struct Added {
    pub account: Account,
    /// Set when nobody gave one.
    pub random_password: Option<Secret>,
}

/// Runs the command and prints what came of it.
pub async fn run(config: &Config, command: UserCommand) -> Result<(), UserError> {
    let text = match command {
        UserCommand::Add(args) => {
            let added = if args.password_stdin {
                let password = read_password(io::stdin().lock())?;
                add(config, args, Some(password)).await?
            } else {
                add(config, args, None).await?
            };
            report(&added)
        }
        UserCommand::Disable { username } => {
            set_active(config, &username, false).await?;
            Zeroizing::new(format!(
                "{username} is disabled and signed out everywhere.\n"
            ))
        }
        UserCommand::Enable { username } => {
            set_active(config, &username, true).await?;
            Zeroizing::new(format!("{username} can sign in.\n"))
        }
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(UserError::Stdout)
}

/// Makes an account, with a random password unless one is given.
pub async fn add(
    config: &Config,
    args: AddArgs,
    password: Option<Secret>,
) -> Result<Added, UserError> {
    let (password, random_password) = match password {
        Some(given) => (given, None),
        None => {
            let random = random_password(&config.auth.password);
            (random.clone(), Some(random))
        }
    };
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

async fn set_active(config: &Config, username: &str, is_active: bool) -> Result<(), UserError> {
    let users = Users::open(config).await?;
    let edit = Edit {
        is_active: Some(is_active),
        ..Edit::default()
    };
    let (key, by) = (Key::Username(username), By::command_line());
    match users.edit(key, &edit, LastSuperuser::MayGo, &by).await {
        Ok(_) => Ok(()),
        Err(AccountsError::NoSuchAccount) => Err(UserError::NoSuchUser(username.to_owned())),
        Err(error) => Err(error.into()),
    }
}

fn report(added: &Added) -> Zeroizing<String> {
    let account = &added.account;
    let mut text = Zeroizing::new(format!("{} (tier {}", account.username, account.tier));
    text.push_str(if account.is_superuser {
        ", superuser) was created.\n"
    } else {
        ") was created.\n"
    });
    if let Some(password) = &added.random_password {
        text.push_str("password: ");
        text.push_str(password.expose());
        text.push('\n');
    }
    text
}

/// The first line, without its end.
fn read_password(mut input: impl BufRead) -> Result<Secret, UserError> {
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line).map_err(UserError::Stdin)?;
    let text = line.strip_suffix('\n').unwrap_or(&line);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::tests::config;

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
        assert!(report(&added).contains(&format!("password: {}\n", password.expose())));
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
