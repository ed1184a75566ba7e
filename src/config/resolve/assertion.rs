//! `identity.assertion`: a header that holds a signed token for the upstream.

use std::time::Duration;

use http::HeaderName;

use super::super::checked::{Assertion, Auth, Signing};
use super::super::decode::{At, Field, Named};
use super::super::diagnose::{Findings, shown};
use super::super::field_names::ASSERTION;
use super::super::raw::{RawAssertion, RawUpstream};
use super::headers::{self, Of, Taken};

const DEFAULT_TTL: Duration = Duration::from_secs(60);
/// Half of it is left at a request, for clocks that differ.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3600);

pub fn assertion(
    raw: &Field<RawAssertion>,
    taken: Taken,
    auth: &Auth,
    upstreams: &Field<Named<RawUpstream>>,
    findings: &mut Findings,
) -> Option<Assertion> {
    let At { value: raw, span } = raw.given()?;
    warn_of_audiences(upstreams, auth, findings);
    if matches!(auth.signing, Signing::Hs256(_)) {
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

/// A service that takes tokens by issuer, audience and key alone would take such an upstream's assertions,
/// too: that upstream could then call it as whoever calls the upstream.
fn warn_of_audiences(upstreams: &Field<Named<RawUpstream>>, auth: &Auth, findings: &mut Findings) {
    let named = upstreams.get().map_or(&[][..], |named| &named.0);
    for (name, _) in named {
        if auth.audience.contains(&name.value) {
            let message = format!(
                "{} is an audience of access tokens, and of the assertions that this upstream is sent",
                shown(&name.value)
            );
            findings
                .warn(name.span, message)
                .hint("services that check no `typ` could take one for the other: call the upstream otherwise");
        }
    }
}
