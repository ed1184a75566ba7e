//! `portcullis openapi`: the OpenAPI document of the auth API, as a file has it served.

use super::output::print;
use crate::boot;
use crate::config::checked::Auth;

pub fn run(auth: &Auth) -> i32 {
    print(&format!("{:#}\n", boot::openapi(auth)))
}
