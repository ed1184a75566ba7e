//! The command line: arguments as typed, one file per verb.

mod admin;
pub mod apikey;
mod backtest;
pub mod check;
mod completions;
mod demo;
mod diff;
mod explain;
mod hash;
mod health;
mod import;
mod import_openapi;
mod init;
mod key;
mod limits;
mod migrate;
mod openapi;
mod output;
mod reload;
mod serve;
pub mod session;
mod test;
pub mod tier;
mod token;
mod told;
pub mod user;
mod user_args;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use self::output::{FAILED, GOOD, colour, fail, once_printed, print, refuse};
use self::told::Told;
use self::user::UserError;
use crate::config::{self, Config, Loaded, checked};

const DEFAULT_FILE: &str = "gateway.yaml";

/// Accounts, tokens, route policies and rate limits in front of an unmodified backend
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
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
enum KeyVerb {
    /// Make a private key for `auth.signing.keys`; reads no configuration
    Generate(key::GenerateArgs),
    #[command(flatten)]
    Kept(key::KeyCommand),
}

#[derive(Debug, Args)]
struct File {
    /// The configuration [default: ./gateway.yaml, else $PORTCULLIS_CONFIG]
    #[arg(short, long = "config", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl File {
    fn path(self) -> PathBuf {
        let default = PathBuf::from(DEFAULT_FILE);
        match self.config {
            Some(path) => path,
            None if default.exists() => default,
            None => std::env::var_os("PORTCULLIS_CONFIG").map_or(default, PathBuf::from),
        }
    }

    /// Whether none is named and there is none in the usual places.
    fn is_absent(&self) -> bool {
        let is_named = self.config.is_some() || std::env::var_os("PORTCULLIS_CONFIG").is_some();
        !is_named && !Path::new(DEFAULT_FILE).exists()
    }
}

/// Runs the command line of this process and returns its exit code.
pub fn run() -> i32 {
    match Cli::parse().verb {
        Verb::Serve(file) => serve::run(file.path()),
        Verb::Demo(args) => demo::run(&args),
        Verb::Check {
            file,
            format,
            online,
        } => check::run(&file.path(), format, online, colour()),
        Verb::Explain { file, args } => {
            with_loaded(file, |loaded| explain::run(loaded.config, &args))
        }
        Verb::Test { file, args } => {
            let path = file.path();
            with_path(&path, |loaded| test::run(loaded, &path, &args))
        }
        Verb::Diff(args) => diff::run(&args),
        Verb::Backtest { file, args } => {
            with_loaded(file, |loaded| backtest::run(loaded.config, &args))
        }
        Verb::Import {
            command: import_openapi::ImportVerb::Openapi(args),
        } => import_openapi::run(&args),
        Verb::User {
            file,
            json,
            command,
        } => with_config(file, |config| manage(json, user::run(config, command))),
        Verb::Session {
            file,
            json,
            command,
        } => with_config(file, |config| manage(json, session::run(config, command))),
        Verb::Tier {
            file,
            json,
            command,
        } => with_config(file, |config| manage(json, tier::run(config, command))),
        Verb::Key {
            json,
            command: KeyVerb::Generate(args),
            ..
        } => manage(json, async { key::generate(args) }),
        Verb::Key {
            file,
            json,
            command: KeyVerb::Kept(command),
        } => with_config(file, |config| manage(json, key::run(config, command))),
        Verb::Token {
            file,
            json,
            command,
        } => with_config(file, |config| manage(json, token::run(config, command))),
        Verb::Hash { file, json } if file.is_absent() => {
            let auth = config::default_auth();
            manage(json, async { hash::run(&auth.password) })
        }
        Verb::Hash { file, json } => with_config(file, |config| {
            manage(json, async { hash::run(&config.auth.password) })
        }),
        Verb::Openapi(file) if file.is_absent() => openapi::run(&config::default_auth()),
        Verb::Openapi(file) => with_config(file, |config| openapi::run(&config.auth)),
        Verb::Apikey {
            file,
            json,
            command,
        } => with_config(file, |config| manage(json, apikey::run(config, command))),
        Verb::Health(file) => with_admin(file, |admin| health::run(&admin)),
        Verb::Reload { file, token, json } => {
            with_admin(file, |admin| reload::run(&admin, token.as_deref(), json))
        }
        Verb::Limits {
            file,
            token,
            json,
            command,
        } => with_admin(file, |admin| {
            limits::run(&admin, token.as_deref(), json, &command)
        }),
        Verb::Init(args) => init::run(&args),
        Verb::Migrate { file, json } => {
            with_config(file, |config| manage(json, migrate::run(config)))
        }
        Verb::Completions { shell } => completions::run(shell),
        Verb::Schema => print(&format!("{:#}\n", config::schema())),
        Verb::Version => print(&format!("portcullis {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

/// For a running gateway, whose file may not hold as it is now.
fn with_admin(file: File, act: impl FnOnce(checked::Admin) -> i32) -> i32 {
    match config::admin_of(&file.path()) {
        Ok(admin) => act(admin),
        Err(report) => refuse(&report),
    }
}

fn with_config(file: File, act: impl FnOnce(&Config) -> i32) -> i32 {
    with_loaded(file, |loaded| act(&loaded.config))
}

fn with_loaded(file: File, act: impl FnOnce(Loaded) -> i32) -> i32 {
    with_path(&file.path(), act)
}

fn with_path(path: &Path, act: impl FnOnce(Loaded) -> i32) -> i32 {
    match config::load(path) {
        Ok(loaded) => act(loaded),
        Err(report) => refuse(&report),
    }
}

/// Does something on the store and prints what came of it.
fn manage(json: bool, work: impl Future<Output = Result<Told, UserError>>) -> i32 {
    let told = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(UserError::Runtime)
        .and_then(|runtime| runtime.block_on(work));
    match told {
        Ok(told) => once_printed(
            told.print(json),
            if told.is_failure { FAILED } else { GOOD },
        ),
        Err(error) => fail(&error),
    }
}
