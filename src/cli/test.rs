//! `portcullis test`: whether the policy decides as its tests say.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{FAILED, GOOD, colour, fail, print_json};
use crate::boot;
use crate::config::policy_test::{PolicyTest, load_tests};
use crate::config::{Loaded, Report};
use crate::policy::{Stages, Tested, run_test};

const SUFFIX: &str = ".test.yaml";

#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Files of tests [default: the file's own `tests`, and every *.test.yaml beside it]
    files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Returns 0 when there are tests and all passed.
pub fn run(loaded: Loaded, path: &Path, args: &TestArgs) -> i32 {
    let tests = match gather(&loaded, path, &args.files) {
        Ok(tests) => tests,
        Err(Unread::Report(report)) => {
            eprint!("{}", report.render(colour()));
            return FAILED;
        }
        Err(Unread::Folder(error)) => return fail(&error),
    };
    if tests.is_empty() {
        eprintln!(
            "error: there are no tests: write `tests:` into {}, or a *{SUFFIX} beside it",
            path.display()
        );
        return FAILED;
    }
    let endpoints = boot::endpoints(&loaded.config.auth);
    let stages = Stages::build(loaded.config, endpoints);
    let tested: Vec<Tested<'_>> = tests.iter().map(|test| run_test(&stages, test)).collect();
    let failed = tested.iter().filter(|t| !t.failures.is_empty()).count();
    let passed = tested.len() - failed;
    if args.json {
        let json = json!({
            "passed": passed,
            "failed": failed,
            "tests": tested.iter().map(Tested::to_json).collect::<Vec<_>>(),
        });
        if let Err(error) = print_json(&json) {
            return fail(&error);
        }
    } else {
        for test in tested.iter().filter(|t| !t.failures.is_empty()) {
            print_failure(test);
        }
        println!("{passed} passed, {failed} failed");
    }
    match failed {
        0 => GOOD,
        _ => FAILED,
    }
}

fn print_failure(tested: &Tested<'_>) {
    let PolicyTest {
        name, file, line, ..
    } = tested.test;
    println!("{file}:{line}: {name}: {}", tested.failures.join("; "));
    if let Some(explanation) = &tested.explanation {
        for line in explanation.to_string().lines() {
            println!("    {line}");
        }
    }
}

enum Unread {
    Report(Report),
    Folder(io::Error),
}

fn gather(loaded: &Loaded, path: &Path, files: &[PathBuf]) -> Result<Vec<PolicyTest>, Unread> {
    let (mut tests, beside) = match files {
        [] => (loaded.tests.clone(), beside(path).map_err(Unread::Folder)?),
        files => (Vec::new(), files.to_vec()),
    };
    let mut faults = Report {
        diagnostics: Vec::new(),
    };
    for file in beside {
        match load_tests(&file, &loaded.config) {
            Ok(more) => tests.extend(more),
            Err(report) => faults.diagnostics.extend(report.diagnostics),
        }
    }
    match faults.diagnostics.is_empty() {
        true => Ok(tests),
        false => Err(Unread::Report(faults)),
    }
}

/// The files of tests in the folder of the configuration, by name.
fn beside(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name.to_string_lossy().ends_with(SUFFIX) {
            found.push(match folder == Path::new(".") {
                true => PathBuf::from(name),
                false => folder.join(name),
            });
        }
    }
    found.sort();
    Ok(found)
}
