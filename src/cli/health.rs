//! `portcullis health`: exit 0 when the gateway of this configuration lives, else 1.

use std::path::Path;
use std::time::Duration;

use super::admin::At;
use super::output::{GOOD, fail_with, refuse, say};
use crate::config;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the admin listener's `/healthz`. The gateway serves on while its file does not hold, so that says nothing
/// of its health.
pub fn run(path: &Path) -> i32 {
    let told = config::admin_of(path);
    let admin = match &told {
        Ok(admin) => Some(admin.clone()),
        Err(_) => config::admin_of_part(path),
    };
    let at = admin.as_ref().and_then(At::for_anybody);
    let (at, told) = match (at, told) {
        (None, Err(report)) => return refuse(&report),
        (None, Ok(_)) => return fail_with("there is no admin listener"),
        (Some(at), told) => (at, told),
    };
    if told.is_err() {
        let file = path.display();
        say(&format!(
            "warning: `{file}` cannot be read as a whole; the gateway is asked at {at}\n"
        ));
    }
    match at.ask("GET", "/healthz", None, TIMEOUT) {
        Ok(answer) if answer.status == 200 => GOOD,
        Ok(_) => fail_with(format!("the gateway at {at} is not healthy")),
        Err(error) => fail_with(format!(
            "no answer from the admin listener at {at}: {error}"
        )),
    }
}
