//! `portcullis init`: a first gateway.yaml, with comments. It replaces nothing.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::args::DEFAULT_FILE;
use super::output::{USAGE, fail, fail_with, print, refuse};
use crate::accounts::{FileError, write_new_secret};
use crate::config;

const TEMPLATE: &str = include_str!("gateway.yaml");

/// The file of the key that gateways on one PostgreSQL database share.
const MASTER_KEY: &str = "master.key";
/// Bytes of the key; 32 are asked for.
const KEY_LENGTH: usize = 32;

#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// The file to write
    #[arg(short, long = "config", value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// The backend
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    upstream: String,
    /// Where accounts are kept: `sqlite:FILE` or `postgres://…`
    #[arg(long, value_name = "URL", default_value = "sqlite:portcullis.db")]
    store: String,
}

pub fn run(args: &InitArgs) -> i32 {
    let path = &args.config;
    let is_postgres = !args.store.starts_with("sqlite:");
    let keys = match is_postgres {
        true => format!(
            "\n  master_key_file: {MASTER_KEY}           # every gateway on this database needs the same"
        ),
        false => String::new(),
    };
    let text = fill(args, &keys);
    // Held to be good before anything is written, with a key in place of the file that is not there yet.
    let secret = random_key();
    let key = format!("\n  master_key: {secret}");
    let tried = fill(args, if is_postgres { &key } else { "" });
    // A variable of the environment may well be set later.
    let env = |name: &str| Some(std::env::var(name).unwrap_or_else(|_| "x".to_owned()));
    if let Err(report) = config::parse(&tried, path, &env) {
        refuse(&report);
        return USAGE;
    }
    if let Err(error) = write_new(path, &text, args.store.contains('@')) {
        return match error.kind() {
            io::ErrorKind::AlreadyExists => fail_with(format!(
                "{} is there already, and is left as it is",
                path.display()
            )),
            _ => fail_with(format!("cannot write {}: {error}", path.display())),
        };
    }
    let mut told = format!("{} is written", path.display());
    if is_postgres {
        let key = path.with_file_name(MASTER_KEY);
        match make_key(&key, &secret) {
            Ok(true) => told += &format!(", and {}, a secret", key.display()),
            Ok(false) => told += &format!("; {} was there and is used", key.display()),
            Err(error) => return fail(&error),
        }
    }
    let named = match path == Path::new(DEFAULT_FILE) {
        true => String::new(),
        false => format!(" -c {}", path.display()),
    };
    print(&format!(
        "{told}.\n  portcullis user add NAME --email E-MAIL --superuser{named}\n  portcullis serve{named}\n"
    ))
}

fn fill(args: &InitArgs, keys: &str) -> String {
    TEMPLATE
        .replace("{store}", &scalar(&args.store))
        .replace("{keys}", keys)
        .replace("{upstream}", &scalar(&args.upstream))
}

/// As it is where it can be, else in quotes.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '.' | '-' | '_');
    match text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(':')
        && text.chars().all(is_plain)
    {
        true => text.to_owned(),
        // JSON's strings are YAML's too.
        false => serde_json::Value::from(text).to_string(),
    }
}

fn write_new(path: &Path, text: &str, is_secret: bool) -> io::Result<()> {
    let mode = if is_secret { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// In hexadecimal digits.
fn random_key() -> String {
    let bytes = rand::random::<[u8; KEY_LENGTH]>();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// False when there is a file already, which others may share.
fn make_key(path: &Path, secret: &str) -> Result<bool, FileError> {
    if path.exists() {
        return Ok(false);
    }
    write_new_secret(path, secret.as_bytes())?;
    Ok(true)
}
