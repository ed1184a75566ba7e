//! How guesses at passwords are slowed down: what failures there were, what follows from them, and
//! that of guesses made at once for one account from one address each knows of the one before.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::store::{Attempts, Millis};
use crate::config::checked::Lockout;

/// Keeps this use of the key apart from every other.
const LABEL: &[u8] = b"portcullis unknown identity\0";

/// By account and address together, by account from everywhere, by address whatever the account:
/// how many times as many failures each takes.
const FACTORS: [u32; 3] = [1, 10, 20];

/// Turns are taken within one of so many groups.
const GROUPS: usize = 256;
/// The longest that a guess waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// What failures are counted by, in the order of the factors.
pub(super) type Keys = [String; 3];

/// Whose password is guessed at: an account under all its names, or what nobody is called.
pub(super) fn keys(account: Option<Uuid>, typed: &str, ip: IpAddr, key: &hmac::Key) -> Keys {
    match account {
        Some(id) => keys_of(id, ip),
        None => keys_for(unknown(typed, key), ip),
    }
}

/// Those of an account.
pub(super) fn keys_of(id: Uuid, ip: IpAddr) -> Keys {
    keys_for(id.to_string(), ip)
}

/// Those of an account by its id in the application that keeps it.
pub(super) fn keys_of_external(external_id: &str, ip: IpAddr) -> Keys {
    keys_for(format!("external:{external_id}"), ip)
}

fn keys_for(who: String, ip: IpAddr) -> Keys {
    let from = network(ip);
    [format!("{who} {from}"), who, from]
}

/// What was typed may be a password in the wrong place, so it is not kept as it is.
fn unknown(typed: &str, key: &hmac::Key) -> String {
    let canonical = typed.trim().to_lowercase();
    let tag = hmac::sign(key, &[LABEL, canonical.as_bytes()].concat());
    URL_SAFE_NO_PAD.encode(tag.as_ref())
}

/// An IPv6 customer has a /64 to choose addresses from.
fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let prefix = ip.to_bits() & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from_bits(prefix))
        }
    }
}

/// Times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    failures: u32,
    window: Millis,
    base: Millis,
    max: Millis,
}

impl Policy {
    pub fn of(lockout: &Lockout) -> Policy {
        let millis = |time: Duration| Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX);
        Policy {
            failures: lockout.failures.get(),
            window: millis(lockout.window),
            base: millis(lockout.base),
            max: millis(lockout.max),
        }
    }

    /// Until when nobody may try, if so.
    pub fn locked_until(&self, all: &[Attempts; 3], now: Millis) -> Option<Millis> {
        let until = all.iter().map(|attempts| attempts.locked_until).max()?;
        (until > now).then_some(until)
    }

    /// What is kept after one more failure.
    pub fn after_failure(&self, all: &[Attempts; 3], now: Millis) -> [Attempts; 3] {
        let mut factors = FACTORS.iter();
        all.each_ref().map(|attempts| {
            let factor = factors.next().copied().unwrap_or(1);
            self.one_more(attempts, self.failures.saturating_mul(factor), now)
        })
    }

    fn one_more(&self, known: &Attempts, most: u32, now: Millis) -> Attempts {
        let mut attempts = if known.forget_at <= now {
            Attempts::default()
        } else {
            *known
        };
        if attempts.failures == 0 || attempts.since.saturating_add(self.window) <= now {
            attempts.failures = 0;
            attempts.since = now;
        }
        attempts.failures = attempts.failures.saturating_add(1);
        if attempts.failures >= most {
            let doubled = 1_i64.checked_shl(attempts.locks).filter(|times| *times > 0);
            let time = self.base.saturating_mul(doubled.unwrap_or(Millis::MAX));
            attempts.failures = 0;
            attempts.locks = attempts.locks.saturating_add(1);
            attempts.locked_until = now.saturating_add(time.min(self.max));
        }
        let ends = attempts.since.saturating_add(self.window);
        attempts.forget_at = ends.max(attempts.locked_until).saturating_add(self.max);
        attempts
    }
}

/// Lets the guesses at one account from one address in one by one: a hundred sent at once are
/// otherwise all under way before the first has failed.
pub(super) struct Turns {
    groups: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Turns {
    pub fn new() -> Turns {
        Turns {
            groups: (0..GROUPS).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::new(),
        }
    }

    /// `None` after too long a wait.
    pub async fn wait(&self, keys: &Keys) -> Option<MutexGuard<'_, ()>> {
        let hash = self.hasher.hash_one(&keys[0]);
        let group = usize::try_from(hash % GROUPS as u64).unwrap_or_default();
        let turn = self.groups.get(group)?.lock();
        tokio::time::timeout(PATIENCE, turn).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        failures: 3,
        window: 1_000,
        base: 500,
        max: 1_500,
    };

    /// Failures at these times, and how the pair, the account and the address stand then.
    fn after(times: impl IntoIterator<Item = Millis>) -> [Attempts; 3] {
        let none = [Attempts::default(); 3];
        times
            .into_iter()
            .fold(none, |all, now| POLICY.after_failure(&all, now))
    }

    #[test]
    fn so_many_failures_within_the_window_lock() {
        assert_eq!(POLICY.locked_until(&after([0, 10]), 20), None);
        let locked = after([0, 10, 999]);
        assert_eq!(POLICY.locked_until(&locked, 1_000), Some(1_499));
        assert_eq!(POLICY.locked_until(&locked, 1_499), None);
        assert_eq!(POLICY.locked_until(&after([0, 10, 1_000]), 1_001), None);
    }

    #[test]
    fn each_lock_takes_twice_as_long_up_to_the_longest() {
        let mut times = Vec::new();
        let mut now = 0;
        for length in [500, 1_000, 1_500, 1_500] {
            times.extend([now, now + 1, now + 2]);
            let locked = after(times.clone());
            assert_eq!(locked[0].locked_until, now + 2 + length);
            now = locked[0].locked_until;
        }
    }

    #[test]
    fn it_is_forgotten_after_the_longest_lock_without_a_failure() {
        let locked = after([0, 1, 2]);
        assert_eq!(locked[0].locked_until, 502);
        assert_eq!(locked[0].forget_at, 2_500);
        let again = POLICY.after_failure(&locked, 2_499);
        assert_eq!((again[0].failures, again[0].locks), (1, 1));
        let fresh = POLICY.after_failure(&locked, 2_500);
        assert_eq!((fresh[0].failures, fresh[0].locks), (1, 0));
    }

    #[test]
    fn an_account_locks_at_ten_and_an_address_at_twenty_times_as_many() {
        let mut all = [Attempts::default(); 3];
        for count in 1..=60 {
            // From ever other addresses, at ever other accounts.
            all[0] = Attempts::default();
            all = POLICY.after_failure(&all, 0);
            assert_eq!(all[1].locked_until > 0, count >= 30, "{count}");
            assert_eq!(all[2].locked_until > 0, count >= 60, "{count}");
        }
    }

    #[test]
    fn huge_numbers_do_no_harm() {
        let policy = Policy {
            failures: u32::MAX,
            window: Millis::MAX,
            base: Millis::MAX,
            max: Millis::MAX,
        };
        let many = Attempts {
            failures: u32::MAX,
            locks: u32::MAX,
            since: 1,
            locked_until: 1,
            forget_at: Millis::MAX,
        };
        let all = policy.after_failure(&[many; 3], Millis::MAX - 1);
        assert_eq!(all[0].locked_until, Millis::MAX);
    }

    #[test]
    fn an_account_is_one_whatever_it_is_called_and_unknown_ones_are_not_told() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let ip: IpAddr = [192, 0, 2, 1].into();
        let id = Some(Uuid::from_u128(5));
        assert_eq!(
            keys(id, "ann", ip, &key),
            keys(id, "ann@example.com", ip, &key)
        );
        let typed = keys(None, " Ann ", ip, &key);
        assert_eq!(typed, keys(None, "ann", ip, &key));
        assert_ne!(typed, keys(None, "anna", ip, &key));
        assert!(typed.iter().all(|key| !key.contains("ann")), "{typed:?}");
        let near = |ip: &str| keys(id, "", ip.parse().unwrap(), &key);
        assert_eq!(near("2001:db8::1"), near("2001:db8::ffff:1"));
        assert_ne!(near("2001:db8::1"), near("2001:db8:0:1::1"));
        assert_eq!(near("::ffff:192.0.2.1"), near("192.0.2.1"));
    }
}
