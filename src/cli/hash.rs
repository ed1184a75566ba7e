//! `portcullis hash`: what the store would keep of a password.

use serde_json::json;

use super::told::Told;
use super::user::{UserError, read_password};
use crate::accounts::hash_password;
use crate::config::checked::PasswordPolicy;

/// Hashes the first line of standard input.
pub fn run(policy: &PasswordPolicy) -> Result<Told, UserError> {
    let password = read_password(std::io::stdin().lock())?;
    if password.expose().is_empty() {
        return Err(UserError::NoPassword);
    }
    let hash = hash_password(policy, &password)?;
    Ok(Told::new(format!("{hash}\n"), json!({ "hash": hash })))
}
