//! `portcullis health`: exit 0 when the gateway of this configuration lives, else 1.

use std::time::Duration;

use super::admin::At;
use super::output::{GOOD, fail_with};
use crate::config::checked::Admin;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the admin listener's `/healthz`.
pub fn run(admin: &Admin) -> i32 {
    let Some(at) = At::for_anybody(admin) else {
        return fail_with("there is no admin listener");
    };
    match at.ask("GET", "/healthz", None, TIMEOUT) {
        Ok(answer) if answer.status == 200 => GOOD,
        Ok(_) => fail_with(format!("the gateway at {at} is not healthy")),
        Err(error) => fail_with(format!(
            "no answer from the admin listener at {at}: {error}"
        )),
    }
}
