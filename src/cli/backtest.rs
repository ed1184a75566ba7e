//! `portcullis backtest`: past requests, decided once more under another configuration.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::output::{fail, fail_with, print, print_json, refuse, say};
use crate::accounts::{Account, Key, Users};
use crate::boot;
use crate::config::policy_test::TestCaller;
use crate::config::{self, Config, Plans};
use crate::policy::Backtest;

/// Bytes of a line; the log's own are shorter than a request's head can be.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;
/// Bytes of a line that is none of ours, beyond which the rest is none either.
const LONGEST_SKIPPED: usize = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub struct BacktestArgs {
    /// Access logs in JSON, the oldest first; `-` is standard input
    #[arg(required = true)]
    logs: Vec<PathBuf>,
    /// The configuration that the logs were written under: where it looked for credentials, and by which headers
    /// it chose its routes
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
    /// So many requests are told of each kind
    #[arg(long, default_value_t = 3)]
    examples: usize,
    /// Do without the store: what hangs on an account is then not told
    #[arg(long)]
    no_store: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Returns 0 when every log was read.
pub fn run(config: Config, args: &BacktestArgs) -> i32 {
    let old = match args.old.as_deref().map(config::load).transpose() {
        Ok(old) => old,
        Err(report) => return refuse(&report),
    };
    let mut accounts = match Accounts::open(&config, args.no_store) {
        Ok(accounts) => accounts,
        Err(error) => return fail(&error),
    };
    if let Some(why) = &accounts.absent {
        say(&format!("without the store: {why}\n"));
    }
    let endpoints = boot::endpoints(&config.auth);
    let mut backtest = Backtest::new(config, endpoints, &accounts.plans, args.examples);
    if let Some(old) = old {
        let endpoints = boot::endpoints(&old.config.auth);
        backtest.written_under(old.config, &endpoints);
    }
    for log in &args.logs {
        if let Err(error) = read(log, &mut backtest, &mut accounts) {
            return fail_with(format!("{}: {error}", log.display()));
        }
    }
    if let Some(error) = &accounts.failed {
        say(&format!("some accounts are not known: {error}\n"));
    }
    let report = backtest.finish();
    match args.json {
        true => print_json(&report.to_json()),
        false => print(&report.to_string()),
    }
}

fn read(path: &Path, backtest: &mut Backtest, accounts: &mut Accounts) -> io::Result<()> {
    let mut input: Box<dyn BufRead> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::with_capacity(1 << 16, File::open(path)?)),
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        if line.ends_with(b"\n") || (read as u64) < LONGEST_LINE {
            backtest.line(&line, &mut |id| accounts.find(id));
        } else {
            backtest.bad_line();
            skip_line(&mut *input)?;
        }
    }
}

/// The rest of a line, if it ends.
fn skip_line(input: &mut dyn BufRead) -> io::Result<()> {
    let mut length = 0;
    while length < LONGEST_SKIPPED {
        let bytes = input.fill_buf()?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (read, is_over) = (
            end.map_or(bytes.len(), |at| at + 1),
            end.is_some() || bytes.is_empty(),
        );
        input.consume(read);
        if is_over {
            return Ok(());
        }
        length += read;
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "a line goes on for more than 64 MiB: this is no access log",
    ))
}

/// The accounts of the store, if it can be reached.
struct Accounts {
    runtime: Runtime,
    users: Option<Users>,
    plans: Plans,
    /// Why there are none.
    absent: Option<String>,
    /// The first error of a look-up.
    failed: Option<String>,
}

impl Accounts {
    fn open(config: &Config, is_unwanted: bool) -> io::Result<Accounts> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let opened = match &config.store {
            _ if is_unwanted => Err("by --no-store".to_owned()),
            _ => runtime.block_on(async {
                let users = Users::open_to_read(config)
                    .await
                    .map_err(|error| error.to_string())?;
                let plans = users.plans().await.map_err(|error| error.to_string())?;
                Ok((users, plans))
            }),
        };
        let (users, plans, absent) = match opened {
            Ok((users, plans)) => (Some(users), plans, None),
            Err(why) => (None, Plans::default(), Some(why)),
        };
        Ok(Accounts {
            runtime,
            users,
            plans,
            absent,
            failed: None,
        })
    }

    fn find(&mut self, id: uuid::Uuid) -> Option<TestCaller> {
        let users = self.users.as_ref()?;
        match self.runtime.block_on(users.find(Key::Id(id))) {
            Ok(account) => account.map(caller),
            Err(error) => {
                self.failed.get_or_insert_with(|| error.to_string());
                None
            }
        }
    }
}

fn caller(account: Account) -> TestCaller {
    TestCaller {
        user: Some(account.username),
        tier: Some(account.tier),
        roles: account.roles,
        is_superuser: account.is_superuser,
        name: Some(account.name),
        email: Some(account.email),
        external_id: account.external_id,
        ..TestCaller::default()
    }
}
