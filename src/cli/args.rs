//! The command line's arguments as typed.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use super::{
    apikey, backtest, check, demo, diff, explain, import_openapi, init, key, limits, session, test,
    tier, token, user,
};

pub const DEFAULT_FILE: &str = "gateway.yaml";

/// Accounts, tokens, route policies and rate limits in front of an unmodified backend
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the gateway until SIGTERM or SIGINT; SIGHUP reloads
    Serve(File),
    /// Run everything with no other set-up: a sample backend, demo users, commands to paste
    Demo(demo::DemoArgs),
    /// Write a first gateway.yaml, with comments; one that is there stays
    Init(init::InitArgs),
    /// Say everything that is wrong with a configuration
    Check {
        #[command(flatten)]
        file: File,
        #[arg(long, value_enum, default_value = "human")]
        format: check::Format,
        /// Connect to the database of auth.users too, and hold its query to what it must give
        #[arg(long)]
        online: bool,
    },
    /// What would become of a request, and why: 0 when it would be served, 3 when refused
    Explain {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        args: explain::ExplainArgs,
    },
    /// Hold the policy to its tests, in the file and beside it
    Test {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        args: test::TestArgs,
    },
    /// What a change of the configuration does to policy: 0 when nothing is looser, 4 when something is
    Diff(diff::DiffArgs),
    /// What would become of the requests of an access log under this configuration
    Backtest {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        args: backtest::BacktestArgs,
    },
    /// Routes made from what another tool has
    Import {
        #[command(subcommand)]
        command: import_openapi::ImportVerb,
    },
    /// Accounts, straight on the store
    User {
        #[command(flatten)]
        file: File,
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: user::UserCommand,
    },
    /// Where accounts are signed in, straight on the store
    Session {
        #[command(flatten)]
        file: File,
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: session::SessionCommand,
    },
    /// Tiers and their limit rules, straight on the store
    Tier {
        #[command(flatten)]
        file: File,
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: tier::TierCommand,
    },
    /// Keys that accounts give to their programs, straight on the store
    Apikey {
        #[command(flatten)]
        file: File,
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: apikey::ApikeyCommand,
    },
    /// The keys that sign access tokens
    Key {
        #[command(flatten)]
        file: File,
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: KeyVerb,
    },
    /// What a token says, and tokens for testing
    Token {
        #[command(flatten)]
        file: File,
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// The hash of the password on the first line of standard input, as `user import` takes it
    Hash {
        /// Whose `auth.password` says how; without a configuration the defaults do
        #[command(flatten)]
        file: File,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the OpenAPI document of the auth API
    Openapi(File),
    /// Print the JSON Schema of gateway.yaml, for editors: `# yaml-language-server: $schema=FILE`
    Schema,
    /// Ask a running gateway for its health; for a container's health check
    Health(File),
    /// Have a running gateway read its configuration again, and say what changed
    Reload {
        #[command(flatten)]
        file: File,
        /// A superuser's access token; not needed where `admin.socket` is
        #[arg(long, env = "PORTCULLIS_TOKEN", hide_env_values = true)]
        token: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// What callers of a running gateway have used up of their limits
    Limits {
        #[command(flatten)]
        file: File,
        /// A superuser's access token; not needed where `admin.socket` is
        #[arg(long, env = "PORTCULLIS_TOKEN", hide_env_values = true, global = true)]
        token: Option<String>,
        /// Print JSON
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: limits::LimitsCommand,
    },
    /// Bring the store's tables up to date, as every start does
    Migrate {
        #[command(flatten)]
        file: File,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what a shell needs to complete this command line
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Make a private key for `auth.signing.keys`; reads no configuration
    Generate(key::GenerateArgs),
    #[command(flatten)]
    Kept(key::KeyCommand),
}

#[derive(Debug, Args)]
pub struct File {
    /// The configuration [default: ./gateway.yaml, else $PORTCULLIS_CONFIG]
    #[arg(short, long = "config", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl File {
    pub fn path(self) -> PathBuf {
        let default = PathBuf::from(DEFAULT_FILE);
        match self.config {
            Some(path) => path,
            None if default.exists() => default,
            None => std::env::var_os("PORTCULLIS_CONFIG").map_or(default, PathBuf::from),
        }
    }

    /// Whether none is named and there is none in the usual places.
    pub fn is_absent(&self) -> bool {
        let is_named = self.config.is_some() || std::env::var_os("PORTCULLIS_CONFIG").is_some();
        !is_named && !Path::new(DEFAULT_FILE).exists()
    }
}
