//! gateway.yaml: read with every error at its place, checked, and resolved to [`Config`].
//!
//! `yaml` makes a tree that knows its places, `decode` and `raw` give it types, `resolve` compares
//! and fills in; all of them report to `diagnose` and go on, so that one run tells everything.

pub mod checked;
mod decode;
mod diagnose;
mod expand;
mod raw;
mod resolve;
mod restart;
mod schema;
mod secret;
mod section;
mod source;
mod units;
mod yaml;

use std::io::Read;
use std::path::Path;

pub use checked::Config;
pub use diagnose::{Diagnostic, Report, Severity, counted};
pub use restart::needs_restart;
pub use schema::schema;
pub use secret::Secret;

use decode::Decode;
use diagnose::Findings;
use source::{Source, Span};

/// Bytes of a file; a gateway.yaml of ten thousand routes has two million.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// A configuration that holds, and what is doubtful about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Diagnostic>,
}

/// Reads a file and the environment of this process.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let bytes = read(path)?;
    let env = |name: &str| std::env::var(name).ok();
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text, path, &env),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let mut findings = Findings::default();
            findings
                .error(
                    Span::new(at, at + 1),
                    "the file is not in UTF-8 from here on",
                )
                .hint("save it as UTF-8");
            Err(report(findings, &source(&text, path)))
        }
    }
}

/// Reads a text as if it stood in the file `path`, from which relative paths begin.
pub fn parse(
    text: &str,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Report> {
    let source = source(text, path);
    let mut findings = Findings::default();
    let raw = yaml::read(&source, env, &mut findings)
        .and_then(|root| raw::RawConfig::decode(&root, &mut findings));
    let Some(raw) = raw else {
        return Err(report(findings, &source));
    };
    let dir = path.parent().unwrap_or(Path::new(""));
    let config = resolve::resolve(&raw, dir, &mut findings);
    match findings.has_errors() {
        true => Err(report(findings, &source)),
        false => Ok(Loaded {
            config,
            warnings: findings.into_diagnostics(&source),
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Report> {
    let refuse = |error: std::io::Error| {
        let (message, hint) = match error.kind() {
            std::io::ErrorKind::NotFound => (
                "there is no such file".to_owned(),
                "name one with `-c FILE`",
            ),
            _ => (format!("cannot read the file: {error}"), ""),
        };
        Report::of_file(path, message, hint)
    };
    let file = std::fs::File::open(path).map_err(refuse)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(refuse)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let message = "the file is larger than 4 MiB";
        return Err(Report::of_file(path, message, "is this a configuration?"));
    }
    Ok(bytes)
}

fn source(text: &str, path: &Path) -> Source {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Source::new(path.to_string_lossy().into_owned(), text.to_owned())
}

fn report(findings: Findings, source: &Source) -> Report {
    Report {
        diagnostics: findings.into_diagnostics(source),
    }
}
