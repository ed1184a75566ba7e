//! `identity.assertion`: a header that holds a signed token for the upstream.

use std::time::Duration;

use http::HeaderName;

use super::super::checked::{Assertion, Signing};
use super::super::decode::{At, Field};
use super::super::diagnose::Findings;
use super::super::field_names::ASSERTION;
use super::super::raw::RawAssertion;
use super::headers::{self, Of, Taken};

const DEFAULT_TTL: Duration = Duration::from_secs(60);
/// Half of it is left at a request, for clocks that differ.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3600);

pub fn assertion(
    raw: &Field<RawAssertion>,
    taken: Taken,
    signing: &Signing,
    findings: &mut Findings,
) -> Option<Assertion> {
    let At { value: raw, span } = raw.given()?;
    if matches!(signing, Signing::Hs256(_)) {
        findings
            .error(*span, "assertions cannot be signed with HS256")
            .hint("an upstream would need the secret to check one, and could make access tokens with it");
    }
    let header = match raw.header.given() {
        Some(name) => {
            // It is not taken from itself.
            let mut taken = taken;
            taken.assertion = None;
            headers::name(name, Of::Identity, false, &taken, &[], findings)
        }
        None => HeaderName::from_bytes(ASSERTION.as_bytes()).ok(),
    };
    if let Some(At { value: ttl, span }) = raw.ttl.given() {
        if !(SHORTEST..=LONGEST).contains(ttl) {
            findings.error(*span, "expected `5s` to `1h`");
        } else if ttl.subsec_nanos() != 0 {
            findings.error(*span, "expected whole seconds: tokens count in them");
        }
    }
    Some(Assertion {
        header: header?,
        ttl: raw.ttl.copied().unwrap_or(DEFAULT_TTL),
    })
}
