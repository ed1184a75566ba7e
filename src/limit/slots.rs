//! The counters of all limits, one set for the process.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;

use super::pool::{Charge, Id, Pool};

/// Keys that a pool has room for: a million in use leave half of it free. A counter is 16 bytes, so
/// a pool ends at 32 MiB, of which only the pages are real that a key has landed on.
const CAPACITY: usize = 1 << 21;

/// Keys of one limit share this many overflow counters.
const OVERFLOWS_OF_A_LIMIT: u64 = 16;

/// Counters by key. Strangers can make up addresses and header values, but not accounts: the two
/// have pools of their own, so a flood of the one leaves the other's alone.
pub struct Slots {
    hasher: RandomState,
    by_account: Pool,
    by_stranger: Pool,
}

/// A limit, as far as its counters are concerned. The same text is the same scope for as long as the
/// process lives, so counters outlive reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope(u64);

impl Scope {
    /// Counters apart from those of the scope itself, which routes outside of the shadow go by.
    pub(super) fn in_shadow(self) -> Scope {
        Scope(!self.0)
    }
}

/// One counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    owner: Owner,
    id: Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Account,
    Stranger,
}

/// What a counter belongs to within its limit.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) enum Value<'a> {
    User(uuid::Uuid),
    Address(Network),
    /// Everyone together.
    Route,
    Header(&'a [u8]),
}

/// An IPv4 address or an IPv6 /64: what one subscriber is given, and can change addresses within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Network {
    V4(u32),
    V6(u64),
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        // `::ffff:192.0.2.1` is how a dual-stack socket shows an IPv4 peer.
        match address.to_canonical() {
            IpAddr::V4(address) => Network::V4(address.to_bits()),
            IpAddr::V6(address) => Network::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl Slots {
    #[expect(
        clippy::new_without_default,
        reason = "one for the process, made on purpose"
    )]
    pub fn new() -> Self {
        Slots::with_capacity(CAPACITY, CAPACITY)
    }

    /// Room for so many keys of signed-in callers, and so many by address or header.
    pub fn with_capacity(by_account: usize, by_stranger: usize) -> Self {
        Slots {
            hasher: RandomState::new(),
            by_account: Pool::new(by_account),
            by_stranger: Pool::new(by_stranger),
        }
    }

    /// Nothing is used up any more. For requests that nobody sent, which must not count against each other.
    pub fn clear(&self) {
        self.by_account.clear();
        self.by_stranger.clear();
    }

    pub(super) fn scope(&self, parts: &[&str]) -> Scope {
        Scope(self.hasher.hash_one(parts))
    }

    pub(super) fn key(&self, scope: Scope, value: Value<'_>) -> Key {
        let hash = self.hasher.hash_one((scope.0, value));
        let owner = match value {
            Value::User(_) | Value::Route => Owner::Account,
            Value::Address(_) | Value::Header(_) => Owner::Stranger,
        };
        let id = Id {
            // Zero stands for no key.
            key: hash.max(1),
            overflow: scope.0.wrapping_add(hash % OVERFLOWS_OF_A_LIMIT),
        };
        Key { owner, id }
    }

    /// See [`Pool::charge`].
    pub(super) fn charge<T, E>(
        &self,
        key: Key,
        now: u64,
        amount: u64,
        decide: impl Fn(Option<u64>) -> Result<(T, u64), E>,
    ) -> Result<(T, Charge), E> {
        self.pool(key).charge(key.id, now, amount, decide)
    }

    /// See [`Pool::refund`].
    pub(super) fn refund(&self, key: Key, charge: &Charge, now: u64) {
        self.pool(key).refund(charge, now);
    }

    fn pool(&self, key: Key) -> &Pool {
        match key.owner {
            Owner::Account => &self.by_account,
            Owner::Stranger => &self.by_stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn ipv6_goes_by_64_and_mapped_ipv4_as_ipv4() {
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::2"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_ne!(network("::"), network("0.0.0.0"));
    }

    #[test]
    fn a_key_goes_by_scope_and_value() {
        let slots = Slots::with_capacity(8, 8);
        let scope = slots.scope(&["a", "b"]);
        assert_eq!(scope, slots.scope(&["a", "b"]));
        assert_ne!(scope, slots.scope(&["ab", ""]));
        let key = |value| slots.key(scope, value);
        assert_eq!(key(Value::Header(b"x")), key(Value::Header(b"x")));
        assert_ne!(key(Value::Header(b"x")), key(Value::Header(b"y")));
        let other = slots.key(slots.scope(&["c"]), Value::Header(b"x"));
        assert_ne!(key(Value::Header(b"x")), other);
    }
}
