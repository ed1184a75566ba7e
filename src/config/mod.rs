//! gateway.yaml: read with every error at its place, checked, and resolved to [`Config`].
//!
//! `yaml` makes a tree that knows its places, `decode` and `raw` give it types, `resolve` compares
//! and fills in; all of them report to `diagnose` and go on, so that one run tells everything.

mod admission;
pub mod checked;
mod decode;
mod diagnose;
mod expand;
pub mod field_names;
mod path_regex;
mod plans;
pub mod policy_test;
mod private_key;
mod raw;
mod resolve;
mod restart;
mod schema;
mod secret;
mod section;
mod source;
mod template;
pub mod text;
mod units;
mod yaml;

use std::io::Read;
use std::path::Path;

pub use admission::{admits_headers, admits_method};
pub use checked::Config;
pub use checked::{KeyAlgorithm, KeyFault, PrivateKey};
pub use diagnose::{Diagnostic, Report, Severity, counted};
pub use plans::{LimitRule, Plans, RuleScope};
pub use restart::needs_restart;
pub use schema::schema;
pub use secret::Secret;
pub use units::parse_duration;

use decode::Decode;
use diagnose::Findings;
use source::{Source, Span};

/// Keys that are judged by a database.
pub const USERS_STORE: &str = "auth.users.store";
pub const USERS_QUERY: &str = "auth.users.query";

/// Bytes of a file; a gateway.yaml of ten thousand routes has two million.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// A configuration that holds, and what is doubtful about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Diagnostic>,
    /// What the file itself says is to come of requests.
    pub tests: Vec<policy_test::PolicyTest>,
    /// Where the keys stand of which only a database can say that they hold, each as an error yet
    /// without its message.
    places: Vec<(&'static str, Diagnostic)>,
}

impl Loaded {
    /// A report of what turned out to be wrong with keys that only a database can judge.
    pub fn report(&self, faults: impl IntoIterator<Item = Fault>) -> Report {
        let placed = faults.into_iter().map(|fault| {
            let place = self.places.iter().find(|(key, _)| *key == fault.key);
            let mut diagnostic = match place {
                Some((_, diagnostic)) => diagnostic.clone(),
                None => Diagnostic::of_file(fault.key, ""),
            };
            diagnostic.message = fault.message;
            diagnostic.hint = Some(fault.hint).filter(|hint| !hint.is_empty());
            diagnostic
        });
        Report {
            diagnostics: self.warnings.iter().cloned().chain(placed).collect(),
        }
    }
}

/// What is wrong with a key that nothing but the database behind it could tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub key: &'static str,
    pub message: String,
    /// May be empty.
    pub hint: String,
}

/// What is doubtful about a route for a reason that this module can't know.
pub struct Doubt {
    /// An index into [`Config::routes`].
    pub route: usize,
    pub message: String,
    pub hint: String,
}

/// Reads a file and the environment of this process.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    load_with(path, &|_| Vec::new())
}

/// The same, and warns of what `doubts` finds in a file that holds.
pub fn load_with(path: &Path, doubts: &dyn Fn(&Config) -> Vec<Doubt>) -> Result<Loaded, Report> {
    let bytes = read(path)?;
    let env = |name: &str| std::env::var(name).ok();
    match String::from_utf8(bytes) {
        Ok(text) => parse_with(&text, path, &env, doubts),
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
    parse_with(text, path, env, &|_| Vec::new())
}

fn parse_with(
    text: &str,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    doubts: &dyn Fn(&Config) -> Vec<Doubt>,
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
    let tests = policy_test::tests(&raw.tests, &config, &source, &mut findings);
    if findings.has_errors() {
        return Err(report(findings, &source));
    }
    for doubt in doubts(&config) {
        let place = resolve::route_span(&raw, doubt.route);
        findings.warn(place, doubt.message).hint(doubt.hint);
    }
    Ok(Loaded {
        config,
        tests,
        places: places(&raw, &findings, &source),
        warnings: findings.into_diagnostics(&source),
    })
}

/// What `auth` is when a file says nothing of it.
pub fn default_auth() -> checked::Auth {
    let mut findings = Findings::default();
    resolve::resolve(&raw::RawConfig::default(), Path::new(""), &mut findings).auth
}

fn places(
    raw: &raw::RawConfig,
    findings: &Findings,
    source: &Source,
) -> Vec<(&'static str, Diagnostic)> {
    let users = raw.auth.get().and_then(|auth| auth.users.get());
    let spans = users.map_or_else(Vec::new, |users| {
        let store = users.store.span().or(users.store_file.span());
        vec![(USERS_STORE, store), (USERS_QUERY, users.query.span())]
    });
    let spans = spans.into_iter();
    spans
        .filter_map(|(key, span)| Some((key, findings.place(span?, source))))
        .collect()
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
