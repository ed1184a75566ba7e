//! The rules of docs/architecture.md, held by reading the sources: which part may know which other, and
//! what may stand only in one place.

#[path = "architecture/samples.rs"]
mod samples;
#[path = "architecture/source.rs"]
mod source;

use std::collections::BTreeSet;

use source::{Source, raw_sources, sources, squeeze};

/// The stages in the order in which a request passes them.
const STAGES: [&str; 5] = ["route", "authn", "authz", "limit", "forward"];

/// What every stage may know besides the stages before it.
const LEAFS: [&str; 4] = ["config", "telemetry", "request", "single_flight"];

/// Lines that tell where a module names another that it may not know.
fn forbidden_edges(
    sources: &[Source],
    is_allowed: impl Fn(&str, &str) -> bool,
    modules: &BTreeSet<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for edge in source.edges() {
            let is_module = modules.contains(&edge);
            if is_module && edge != source.module() && !is_allowed(source.module(), &edge) {
                found.push(format!("src/{} names crate::{edge}", source.path));
            }
        }
    }
    found
}

fn modules(sources: &[Source]) -> BTreeSet<String> {
    sources
        .iter()
        .map(|source| source.module().to_owned())
        .filter(|module| module != "lib" && module != "main")
        .collect()
}

#[track_caller]
fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// Rules 1 to 3 and 5 as one question.
fn may_know(module: &str, other: &str) -> bool {
    let stage = |name: &str| STAGES.iter().position(|stage| *stage == name);
    let is_leaf = LEAFS.contains(&other);
    match module {
        "config" | "telemetry" | "single_flight" => false,
        "request" => matches!(other, "config" | "telemetry"),
        "listener" => is_leaf || other == "gateway",
        // The gateway calls the stages; who calls the gateway is none of its business.
        "gateway" => is_leaf || stage(other).is_some(),
        // It asks the stages what they would do, and nobody but the command line asks it.
        "policy" => is_leaf || other == "gateway" || stage(other).is_some(),
        "api" | "admin" | "accounts" => {
            !matches!(other, "boot" | "cli" | "api" | "admin" | "policy")
        }
        _ => match stage(module) {
            Some(own) => is_leaf || stage(other).is_some_and(|other| other < own),
            None => other != "policy" || module == "cli",
        },
    }
}

#[test]
fn no_part_knows_what_it_may_not() {
    let sources = sources();
    let found = forbidden_edges(&sources, may_know, &modules(&sources));
    assert_none(&found, "a part knows another that it must not");
}

#[test]
fn only_boot_knows_the_apis() {
    let sources = sources();
    let is_allowed =
        |module: &str, other: &str| !matches!(other, "api" | "admin") || module == "boot";
    let found = forbidden_edges(&sources, is_allowed, &modules(&sources));
    assert_none(&found, "only boot may import api and admin");
}

#[test]
fn only_the_store_knows_sql() {
    let found: Vec<String> = sources()
        .iter()
        .filter(|source| !source.path.starts_with("accounts/store/"))
        .filter(|source| source.words().contains("sqlx"))
        .map(|source| format!("src/{}", source.path))
        .collect();
    assert_none(&found, "only accounts::store may name sqlx");
}

#[test]
fn errors_are_written_in_one_place() {
    let with_problem: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.text.contains("application/problem+json"))
        .map(|source| source.path)
        .collect();
    assert_eq!(with_problem, ["gateway/respond.rs"]);
}

/// The ways to write into a header map, without white space.
const HEADER_WRITES: [&str; 9] = [
    "headers.insert(",
    "headers.append(",
    "headers.try_insert(",
    "headers.try_append(",
    "headers.extend(",
    "headers_mut().insert(",
    "headers_mut().append(",
    "headers_mut().extend(",
    ".header(",
];

/// Files of the data plane that write headers, and why that is not the upstream's business.
const HEADER_WRITERS: [(&str, &str); 6] = [
    ("forward/headers.rs", "the one place"),
    (
        "forward/identity.rs",
        "the presets, called by headers.rs alone",
    ),
    ("gateway/cors.rs", "toward the client: whose pages may read"),
    ("gateway/respond.rs", "toward the client: problem documents"),
    (
        "gateway/security.rs",
        "toward the client: what browsers may do",
    ),
    ("gateway/ledger.rs", "toward the client: the request's id"),
];

#[test]
fn headers_toward_an_upstream_are_written_in_one_place() {
    let mut found = Vec::new();
    for source in sources() {
        if !["forward", "gateway", "route", "authn", "authz", "listener"].contains(&source.module())
        {
            continue;
        }
        let code = squeeze(&source.code);
        let is_known = HEADER_WRITERS.iter().any(|(path, _)| *path == source.path);
        for write in HEADER_WRITES {
            if code.contains(write) && !is_known {
                found.push(format!("src/{} writes headers: {write}…)", source.path));
            }
        }
        if code.contains("identity::tell(") && source.path != "forward/headers.rs" {
            found.push(format!("src/{} tells the identity", source.path));
        }
    }
    assert_none(
        &found,
        "only forward::headers writes headers toward an upstream",
    );
}

/// Ways to end a thread over something that an error could tell.
const PANICS: [&str; 9] = [
    ".unwrap()",
    ".unwrap_err()",
    ".expect(",
    "panic!(",
    "todo!(",
    "unimplemented!(",
    "unreachable!(",
    // Whoever reads what is printed may be gone; those for errors are among them.
    "print!(",
    "println!(",
];

/// Where one of them stands nonetheless: the file, the way, and why it can't happen or can't be helped.
const PANICS_ALLOWED: [(&str, &str, &str); 0] = [];

fn panics(source: &Source) -> Vec<String> {
    let is_allowed = |way: &str| {
        PANICS_ALLOWED
            .iter()
            .any(|(path, allowed, _)| *path == source.path && *allowed == way)
    };
    source
        .code
        .lines()
        .enumerate()
        .flat_map(|(number, line)| {
            let line = squeeze(line);
            PANICS
                .into_iter()
                .filter(move |way| line.contains(way))
                .map(move |way| (number + 1, way))
        })
        .filter(|(_, way)| !is_allowed(way))
        .map(|(number, way)| format!("src/{}:{number}: {way}", source.path))
        .collect()
}

#[test]
fn nothing_outside_tests_panics_on_purpose() {
    let found: Vec<String> = sources().iter().flat_map(panics).collect();
    assert_none(&found, "an error must be told, not panicked over");
}

#[test]
fn every_file_says_what_it_is_for() {
    let found: Vec<String> = raw_sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| format!("src/{path}"))
        .collect();
    assert_none(&found, "a file opens with `//!` and its role");
}

#[test]
fn the_stages_are_there_to_be_checked() {
    let modules = modules(&sources());
    for module in STAGES.iter().chain(&LEAFS).chain(&["gateway", "listener"]) {
        assert!(
            modules.contains(*module),
            "src/{module} is gone: {modules:?}"
        );
    }
}
