//! `portcullis reload`: has a running gateway read its configuration again, and says what changed or why not.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::admin::{Answer, At};
use super::output::{FAILED, GOOD, colour, fail_with, once_printed, print, say};
use crate::config::checked::Admin;
use crate::config::text::visible;
use crate::config::{Change, Diagnostic};

/// Names of upstreams may have to be looked up.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Told {
    changes: Vec<Change>,
    #[serde(default)]
    warnings: Vec<Value>,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    diagnostics: Vec<Value>,
}

/// Asks `POST /reload`; returns the exit code.
pub fn run(admin: &Admin, token: Option<&str>, json: bool) -> i32 {
    let Some(at) = At::of(admin) else {
        return fail_with("there is no admin listener");
    };
    // The socket needs none, and is told none.
    let token = token.filter(|_| matches!(at, At::Address(_)));
    let answer = match at.ask("POST", "/reload", token, TIMEOUT) {
        Ok(answer) => answer,
        Err(error) => {
            return fail_with(format!(
                "no answer from the admin listener at {at}: {error}"
            ));
        }
    };
    let is_good = answer.status == 200;
    let (stdout, stderr) = match (json, is_good) {
        (true, _) => (pretty(&answer), String::new()),
        (false, true) => good(&answer),
        (false, false) => (String::new(), refused(&answer, &at)),
    };
    say(&stderr);
    once_printed(print(&stdout), if is_good { GOOD } else { FAILED })
}

fn pretty(answer: &Answer) -> String {
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(value) => format!("{value:#}\n"),
        Err(_) => "null\n".to_owned(),
    }
}

/// What changed, and apart from it what is doubtful.
fn good(answer: &Answer) -> (String, String) {
    let Ok(told) = serde_json::from_slice::<Told>(&answer.body) else {
        return ("reloaded\n".to_owned(), String::new());
    };
    let warnings = told.warnings.iter().filter_map(Diagnostic::from_json);
    let warnings = warnings.map(|w| w.render(colour()) + "\n").collect();
    let changes: String = told
        .changes
        .iter()
        .map(|c| visible(&format!("{c}\n")))
        .collect();
    let told = match changes.is_empty() {
        true => "reloaded: nothing changed\n".to_owned(),
        false => format!("reloaded\n{changes}"),
    };
    (told, warnings)
}

fn refused(answer: &Answer, at: &At) -> String {
    let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) else {
        return format!(
            "error: the admin listener at {at} answers {}\n",
            answer.status
        );
    };
    let found = problem.diagnostics.iter().filter_map(Diagnostic::from_json);
    let found: String = found.map(|d| d.render(colour()) + "\n").collect();
    let hint = match answer.status {
        401 => {
            "  = hint: give a superuser's access token by `--token` or PORTCULLIS_TOKEN, or configure `admin.socket`\n"
        }
        _ => "",
    };
    format!("{found}error: {}\n{hint}", visible(&problem.detail))
}
