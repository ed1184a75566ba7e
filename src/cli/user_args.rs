//! The arguments of `portcullis user`, as typed.

use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Create an account; without --password-stdin it gets a random password, which is printed
    Add(AddArgs),
    /// Accounts in the order of their names
    List(ListArgs),
    /// One account, a deleted one too
    Show { username: String },
    /// Change an account; what is not given stays
    Set(SetArgs),
    /// Set a password, which signs the account out everywhere; without --password-stdin it is a
    /// random one, which is printed
    Passwd {
        username: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Disable an account: it is signed out everywhere and can't sign in
    Disable { username: String },
    /// Let a disabled account sign in again
    Enable { username: String },
    /// Delete an account: it is signed out everywhere, and `restore` brings it back
    Delete {
        username: String,
        /// Remove it for good. Its name is not given to anybody else
        #[arg(long)]
        purge: bool,
    },
    /// Bring a deleted account back
    Restore { username: String },
    /// Take accounts over with the hashes of their passwords: username, email, name, password_hash,
    /// tier, is_superuser, external_id. Rows already imported are left, bad ones are named by line
    Import {
        /// Ends in .csv or .jsonl
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only names, or e-mail addresses, that begin with this
    #[arg(long)]
    pub q: Option<String>,
    /// Only accounts of this tier
    #[arg(long)]
    pub tier: Option<String>,
    /// The deleted ones instead of the others
    #[arg(long)]
    pub deleted: bool,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    pub limit: i64,
    /// Leave out so many
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub offset: i64,
}

#[derive(Debug, Default, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub struct SetArgs {
    pub username: String,
    /// The new name to sign in with; the old one stays reserved
    #[arg(long = "username", value_name = "USERNAME", group = "change")]
    pub rename: Option<String>,
    #[arg(long, group = "change")]
    pub name: Option<String>,
    #[arg(long, group = "change")]
    pub email: Option<String>,
    #[arg(long, group = "change")]
    pub tier: Option<String>,
    /// All roles, with commas between; an empty text takes them away
    #[arg(long, group = "change")]
    pub roles: Option<String>,
    #[arg(long, value_name = "BOOL", group = "change")]
    pub superuser: Option<bool>,
    /// The id in the application behind; an empty text takes it away
    #[arg(long, group = "change")]
    pub external_id: Option<String>,
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
    /// A tier of gateway.yaml or of the store [default: auth.default_tier]
    #[arg(long)]
    pub tier: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}
