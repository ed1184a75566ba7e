//! What passwords have to be, and how they are hashed.

use super::super::checked::{PasswordHash, PasswordPolicy};
use super::super::decode::{At, Field};
use super::super::diagnose::Findings;
use super::super::raw::RawPassword;

/// bcrypt reads no more bytes than this, so no password is longer.
const LONGEST_PASSWORD: u64 = 72;
/// Below this a stolen hash is cheap to try passwords on.
const LOW_BCRYPT_COST: u32 = 10;
/// Above this a login takes seconds.
const HIGH_BCRYPT_COST: u32 = 16;

pub fn password(raw: &Field<RawPassword>, findings: &mut Findings) -> PasswordPolicy {
    let none = RawPassword::default();
    let raw = raw.get().unwrap_or(&none);
    if let Some(At { value, span }) = raw.min_length.given()
        && !(1..=LONGEST_PASSWORD).contains(value)
    {
        let message = format!("expected 1 to {LONGEST_PASSWORD}, found {value}");
        findings
            .error(*span, message)
            .hint("bcrypt takes passwords of up to 72 bytes");
    }
    if let Some(At { value, span }) = raw.bcrypt_cost.given() {
        if !(4..=31).contains(value) {
            findings
                .error(*span, format!("expected 4 to 31, found {value}"))
                .hint("each step doubles the work: `12` is usual");
        } else if *value < LOW_BCRYPT_COST {
            findings
                .warn(
                    *span,
                    format!("a cost of {value} makes stolen hashes cheap to guess"),
                )
                .hint("`12` is usual, below `10` is for tests");
        } else if *value > HIGH_BCRYPT_COST {
            findings
                .warn(
                    *span,
                    format!("a cost of {value} makes every login take seconds of a core"),
                )
                .hint("each step doubles the work: `12` is usual");
        }
    }
    let hash = raw.hash.copied().unwrap_or(PasswordHash::Bcrypt);
    if let Some(span) = raw.bcrypt_cost.span()
        && hash != PasswordHash::Bcrypt
    {
        findings
            .warn(span, "`bcrypt_cost` is not used with `hash: argon2id`")
            .hint("remove one of the two");
    }
    let min_length = raw.min_length.copied().unwrap_or(8);
    PasswordPolicy {
        min_length: usize::try_from(min_length).unwrap_or(usize::MAX),
        complexity: raw.complexity.copied().unwrap_or(true),
        hash,
        bcrypt_cost: raw.bcrypt_cost.copied().unwrap_or(12),
    }
}
