//! `auth.lockout`, with its defaults.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::checked::Lockout;
use super::super::decode::{At, Field};
use super::super::diagnose::Findings;
use super::super::raw::RawLockout;
use super::positive;

const FAILURES: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// An address locks at twenty times as many.
const MOST_FAILURES: u32 = 1_000_000;

pub fn lockout(raw: &Field<RawLockout>, findings: &mut Findings) -> Lockout {
    let none = RawLockout::default();
    let raw = raw.get().unwrap_or(&none);
    let mut failures = FAILURES;
    if let Some(At { value, span }) = raw.failures.given() {
        match NonZeroU32::new(*value).filter(|number| number.get() <= MOST_FAILURES) {
            Some(number) => failures = number,
            None => {
                findings
                    .error(
                        *span,
                        format!("expected 1 to {MOST_FAILURES}, found {value}"),
                    )
                    .hint("`5` lets people mistype and makes guessing slow");
            }
        }
    }
    let base = positive(&raw.base, MINUTE, findings);
    let max = positive(&raw.max, HOUR.max(base), findings);
    if let Some(span) = raw.max.span().or(raw.base.span())
        && max < base
    {
        findings
            .error(
                span,
                "the longest lock `max` is shorter than the first one `base`",
            )
            .hint("for example `base: 60s, max: 1h`");
    }
    Lockout {
        failures,
        window: positive(&raw.window, MINUTE, findings),
        base,
        max,
    }
}
