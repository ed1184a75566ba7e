//! `portcullis openapi`: the OpenAPI document of the auth API, as a file has it served.

use std::io::{self, Write};

use crate::boot;
use crate::config::checked::Auth;

use super::{FAILED, GOOD, fail};

pub fn run(auth: &Auth) -> i32 {
    let document = format!("{:#}\n", boot::openapi(auth));
    match io::stdout().write_all(document.as_bytes()) {
        Ok(()) => GOOD,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => FAILED,
        Err(error) => fail(&error),
    }
}
