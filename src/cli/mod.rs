//! The command line: one file per verb.

mod admin;
pub mod apikey;
mod args;
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

use std::path::Path;

use clap::Parser as _;

use self::args::{Cli, File, KeyVerb, Verb};
use self::output::{FAILED, GOOD, colour, fail, once_printed, print, refuse};
use self::told::Told;
use self::user::UserError;
use crate::config::{self, Config, Loaded, checked};

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
        Verb::Health(file) => health::run(&file.path()),
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
