//! gateway.yaml: read with every error at its place, checked, and resolved to [`Config`].
//!
//! `yaml` makes a tree that knows its places, `decode` and `raw` give it types, `resolve` compares
//! and fills in; all of them report to `diagnose` and go on, so that one run tells everything.

mod admin;
mod admission;
pub mod cel;
mod changes;
pub mod checked;
mod decode;
mod diagnose;
mod document;
mod expand;
pub mod field_names;
mod file;
mod json_pointer;
mod look_up;
mod networks;
mod own;
mod path_regex;
mod plans;
pub mod policy_test;
mod private_key;
mod raw;
mod regex_shape;
mod resolve;
mod restart;
mod schema;
mod secret;
mod section;
mod shown;
mod source;
mod template;
pub mod text;
mod units;
#[cfg(target_os = "linux")]
mod watch;
#[cfg(not(target_os = "linux"))]
#[path = "unwatched.rs"]
mod watch;
mod yaml;

use std::path::Path;

pub use admin::{admin_of, admin_of_part};
pub use admission::{admits_headers, admits_method};
pub use changes::{Change, Kind, Subject, changes};
pub use checked::Config;
pub use checked::{KeyAlgorithm, KeyFault, PrivateKey};
pub use diagnose::{Diagnostic, Report, Severity, counted};
pub use document::document;
pub use file::{Digest, File};
pub use own::{address_of, is_own};
pub use plans::{LimitRule, Plans, RuleScope};
pub use restart::needs_restart;
pub use schema::schema;
pub use secret::{Secret, is_header as is_secret_header, shown_header};
pub use shown::{shown, shown_route, shown_routes};
pub use units::parse_duration;
pub use watch::Watch;

use decode::Decode;
use diagnose::Findings;
use source::Source;

/// Keys that are judged by a database.
pub const USERS_STORE: &str = "auth.users.store";
pub const USERS_QUERY: &str = "auth.users.query";

/// A configuration that holds, and what is doubtful about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Diagnostic>,
    /// Of the text that it was read from.
    pub digest: Digest,
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
///
/// # Errors
///
/// Everything that is wrong with the file, each at its place; or why it cannot be read.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    load_with(path, &|_| Vec::new())
}

/// The same, and warns of what `doubts` finds in a file that holds.
///
/// # Errors
///
/// Those of [`load`].
pub fn load_with(path: &Path, doubts: &dyn Fn(&Config) -> Vec<Doubt>) -> Result<Loaded, Report> {
    parse_file(&File::read(path)?, doubts)
}

/// The configuration of a file that was read, with the environment of this process.
///
/// # Errors
///
/// Everything that is wrong with it, each at its place.
pub fn parse_file(file: &File, doubts: &dyn Fn(&Config) -> Vec<Doubt>) -> Result<Loaded, Report> {
    parse_with(file.text()?, file.path(), &environment, doubts)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads a text as if it stood in the file `path`, from which relative paths begin.
///
/// # Errors
///
/// Everything that is wrong with it, each at its place.
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
    resolve::warn_of_exceptions(&raw, &config.routes, &source, &mut findings);
    for doubt in doubts(&config) {
        let place = resolve::route_span(&raw, doubt.route);
        findings.warn(place, doubt.message).hint(doubt.hint);
    }
    Ok(Loaded {
        config,
        digest: Digest::of(text.as_bytes()),
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

fn source(text: &str, path: &Path) -> Source {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Source::new(path.to_string_lossy().into_owned(), text.to_owned())
}

fn report(findings: Findings, source: &Source) -> Report {
    Report {
        diagnostics: findings.into_diagnostics(source),
    }
}
