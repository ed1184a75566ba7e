//! `portcullis test`: whether the policy decides as its tests say.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::output::{FAILED, GOOD, fail, fail_with, once_printed, print, print_json, refuse};
use crate::boot;
use crate::config::policy_test::{PolicyTest, load_tests};
use crate::config::text::visible;
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
        Err(Unread::Report(report)) => return refuse(&report),
        Err(Unread::Folder(error)) => return fail(&error),
    };
    if tests.is_empty() {
        return fail_with(format!(
            "there are no tests: write `tests:` into {}, or a *{SUFFIX} beside it",
            path.display()
        ));
    }
    let endpoints = boot::endpoints(&loaded.config.auth);
    let stages = Stages::build(loaded.config, endpoints).asking(boot::ask_auth_api);
    let tested: Vec<Tested<'_>> = tests.iter().map(|test| run_test(&stages, test)).collect();
    let failed = tested.iter().filter(|t| !t.failures.is_empty()).count();
    let passed = tested.len() - failed;
    let printed = if args.json {
        print_json(&json!({
            "passed": passed,
            "failed": failed,
            "tests": tested.iter().map(Tested::to_json).collect::<Vec<_>>(),
        }))
    } else {
        let failures = tested.iter().filter(|test| !test.failures.is_empty());
        let failures: String = failures.map(failure).collect();
        print(&format!("{failures}{passed} passed, {failed} failed\n"))
    };
    once_printed(printed, if failed == 0 { GOOD } else { FAILED })
}

fn failure(tested: &Tested<'_>) -> String {
    let PolicyTest {
        name, file, line, ..
    } = tested.test;
    let failures = tested.failures.join("; ");
    let mut text = visible(&format!("{file}:{line}: {name}: {failures}")).replace('\n', "?") + "\n";
    if let Some(explanation) = &tested.explanation {
        for line in explanation.to_string().lines() {
            text += &format!("    {line}\n");
        }
    }
    text
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
