//! A budget of each address for credentials that do not verify. Past it, what would have to be verified is
//! refused unseen: a flood of made-up tokens then costs less than requests that are served.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::checked::Rate;
use crate::request::{Code, Refusal};

use super::clock::whole_seconds;
use super::counters::Counters;
use super::policy::{Limits, Policy};
use super::slots::{Key, Slots};
use super::value::Value;

const NAME: &str = "failures";

pub(super) struct Failures {
    /// `None` does not limit.
    policy: Option<Policy>,
    /// Until when some address may be over its budget: as long as none is, a request costs one load.
    until: AtomicU64,
}

impl Failures {
    pub(super) fn new(rate: Option<Rate>, counters: &Counters) -> Self {
        Failures {
            policy: rate.map(|rate| counters.policy(NAME, NAME, rate, NonZeroU32::MIN)),
            until: AtomicU64::new(0),
        }
    }
}

fn key(policy: &Policy, slots: &Slots, address: IpAddr) -> Key {
    slots.key(policy.scope, Value::Address(address.into()))
}

/// Lets a request go on to be identified. `is_new` says whether it carries something that would have to be
/// verified for that; tokens and keys that are known pass whatever others send from their address.
///
/// # Errors
///
/// 429 `too-many-attempts` when the address has used up its budget.
pub fn hold_back(
    limits: &Limits,
    address: IpAddr,
    is_new: impl FnOnce() -> bool,
) -> Result<(), Refusal> {
    let failures = &limits.failures;
    let until = failures.until.load(Ordering::Relaxed);
    if until == 0 {
        return Ok(());
    }
    let now = limits.counters.clock.now();
    let Some(policy) = failures.policy.as_ref().filter(|_| now < until) else {
        return Ok(());
    };
    let counters = &limits.counters;
    let key = key(policy, &counters.slots, address);
    match counters.look(policy, key, now) {
        Err(denied) if is_new() => Err(Refusal::new(
            Code::TooManyAttempts,
            "Too many tokens or keys from this address were not valid; try again after the seconds that Retry-After tells.",
        )
        .by_limit(NAME)
        .retry_after(whole_seconds(denied.wait))),
        _ => Ok(()),
    }
}

/// Charges the address when a credential was there and did not verify.
pub fn note_failure(limits: &Limits, address: IpAddr, refusal: &Refusal) {
    let is_failure = matches!(
        refusal.code(),
        Code::TokenInvalid | Code::TokenExpired | Code::TokenRevoked
    );
    let failures = &limits.failures;
    let Some(policy) = failures.policy.as_ref().filter(|_| is_failure) else {
        return;
    };
    let now = limits.counters.clock.now();
    let counters = &limits.counters;
    let key = key(policy, &counters.slots, address);
    // That there was no more to charge changes nothing: the answer is a refusal already.
    let _ = counters.charge(policy, key, now);
    if let Err(denied) = counters.look(policy, key, now) {
        failures
            .until
            .fetch_max(now + denied.wait, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{Gateway, rate};
    use super::*;
    use crate::route::sample;

    const ADDRESS: [u16; 8] = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1];

    fn gateway(rate: Option<Rate>) -> Gateway {
        let mut config = sample::config(Vec::new());
        config.auth.failure_rate = rate;
        Gateway::new(&config)
    }

    fn fail(gateway: &Gateway, code: Code) {
        let refusal = Refusal::new(code, "");
        note_failure(&gateway.limits, ADDRESS.into(), &refusal);
    }

    #[test]
    fn past_the_budget_what_is_new_is_refused_and_what_is_known_passes() {
        let gateway = gateway(Some(rate(60, 60, 3)));
        let ask = |is_new| hold_back(&gateway.limits, ADDRESS.into(), || is_new);
        fail(&gateway, Code::TokenInvalid);
        fail(&gateway, Code::TokenExpired);
        assert!(ask(true).is_ok());
        fail(&gateway, Code::TokenRevoked);
        let refusal = ask(true).unwrap_err();
        assert_eq!(refusal.code(), Code::TooManyAttempts);
        assert_eq!(refusal.limit(), Some("failures"));
        assert_eq!(
            refusal.headers()[0],
            (http::header::RETRY_AFTER, "1".parse().unwrap())
        );
        assert!(ask(false).is_ok());
        // The same subscriber, and another.
        let neighbour = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2];
        assert!(hold_back(&gateway.limits, neighbour.into(), || true).is_err());
        let other = [0x2001, 0xdb8, 0, 1, 0, 0, 0, 1];
        assert!(hold_back(&gateway.limits, other.into(), || true).is_ok());
        gateway.hands.advance(Duration::from_secs(1));
        assert!(ask(true).is_ok());
        fail(&gateway, Code::TokenInvalid);
        assert!(ask(true).is_err());
    }

    #[test]
    fn one_of_several_gateways_holds_back_at_its_share() {
        let mut config = sample::config(Vec::new());
        config.auth.failure_rate = Some(rate(60, 60, 60));
        let gateway = Gateway::one_of(3, &config);
        let is_held_back = || hold_back(&gateway.limits, ADDRESS.into(), || true).is_err();
        for failed in 0..100 {
            assert_eq!(is_held_back(), failed >= 20, "{failed}");
            fail(&gateway, Code::TokenInvalid);
        }
        // Of one a second, one in three.
        gateway.hands.advance(Duration::from_millis(2_900));
        assert!(is_held_back());
        gateway.hands.advance(Duration::from_millis(200));
        assert!(!is_held_back());
    }

    #[test]
    fn what_is_no_failed_credential_is_not_charged() {
        let gateway = gateway(Some(rate(1, 3600, 1)));
        for code in [Code::TokenMissing, Code::Unavailable, Code::Forbidden] {
            fail(&gateway, code);
        }
        assert!(hold_back(&gateway.limits, ADDRESS.into(), || true).is_ok());
    }

    #[test]
    fn without_a_rate_nobody_is_held_back() {
        let gateway = gateway(None);
        (0..1000).for_each(|_| fail(&gateway, Code::TokenInvalid));
        assert!(hold_back(&gateway.limits, ADDRESS.into(), || true).is_ok());
    }
}
