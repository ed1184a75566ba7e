//! The counters of all limits, one set for the process.

use std::cmp::Reverse;
use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::names::Name;
use super::pool::{Charge, Id, Live, Pool, settled};
use super::scopes::{Made, Scope, Scopes};
use super::seats::Seats;
use super::value::Value;

/// Keys that a pool has room for: a million in use leave half of it free. A counter is 48 bytes, of which
/// a charge reads 16, so a pool ends at 96 MiB, of which only the pages are real that a key has landed on.
const CAPACITY: usize = 1 << 21;

/// Keys of one limit share this many overflow counters.
const OVERFLOWS_OF_A_LIMIT: u64 = 16;

/// Counters by key. Strangers can make up header values as they like, addresses as far as they have some, and
/// accounts or claims not at all: these have pools of their own, so a flood of the one leaves the others alone.
pub struct Slots {
    hasher: RandomState,
    scopes: Scopes,
    /// As [`Owner::ALL`].
    pools: [Pool; 3],
    /// Of requests under way.
    pub(super) seats: Arc<Seats>,
}

/// One counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    owner: Owner,
    id: Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Account,
    Address,
    Header,
}

impl Owner {
    pub(super) const ALL: [Owner; 3] = [Owner::Account, Owner::Address, Owner::Header];
}

/// A counter that is not full.
pub(super) struct Counted<'s> {
    pub(super) scope: Scope,
    pub(super) value: Value,
    /// When it is full again, in nanoseconds since the start.
    pub(super) full_at: u64,
    /// What of that was written down.
    pub(super) noted: &'s AtomicU64,
    /// Where other gateways charge it too.
    lease: Option<&'s AtomicU64>,
}

impl Slots {
    #[expect(
        clippy::new_without_default,
        reason = "one for the process, made on purpose"
    )]
    pub fn new() -> Self {
        Slots::with_capacity(CAPACITY)
    }

    /// Room for so many keys of signed-in callers, so many by address, and so many by header.
    pub fn with_capacity(each: usize) -> Self {
        Slots {
            hasher: RandomState::new(),
            scopes: Scopes::default(),
            pools: Owner::ALL.map(|_| Pool::new(each)),
            seats: Arc::default(),
        }
    }

    /// The same for counters that other gateways charge too.
    #[must_use]
    pub fn with_leases(self) -> Self {
        Slots {
            pools: self.pools.map(Pool::with_leases),
            ..self
        }
    }

    /// As new; only while no other thread uses them.
    pub(super) fn clear(&self) {
        self.pools.iter().for_each(Pool::clear);
    }

    /// The counters of the limit that is called so, under quotas that fill up in so many milliseconds.
    pub(super) fn scope(&self, limit: &str, span: u64) -> Scope {
        self.scopes.of(limit, span)
    }

    /// What [`Slots::scope`] made it of; `None` for one in shadow.
    pub(super) fn made(&self, scope: Scope) -> Option<Made> {
        self.scopes.get(scope)
    }

    /// A scope as [`Slots::read_scope`] reads it in another process; `None` for one in shadow.
    pub(super) fn write_scope(&self, scope: Scope) -> Option<String> {
        let Made { limit, span } = self.made(scope)?;
        Some(format!("{span} {limit}"))
    }

    pub(super) fn read_scope(&self, text: &str) -> Option<Scope> {
        let (span, limit) = text.split_once(' ')?;
        Some(self.scope(limit, span.parse().ok()?))
    }

    pub(super) fn key(&self, scope: Scope, value: Value) -> Key {
        let owner = match value {
            Value::User(_) | Value::ApiKey(_) | Value::Claim(_) | Value::Everyone => Owner::Account,
            Value::Address(_) => Owner::Address,
            Value::Header(_) => Owner::Header,
        };
        let (kind, bits) = value.pack();
        let name = Name([
            u64::from(kind) << 32 | u64::from(scope.0),
            (bits >> 64) as u64,
            bits as u64,
        ]);
        let hash = self.hash_of(name);
        let id = Id {
            // Zero stands for no key.
            key: hash.max(1),
            // Those of limits that were made together lie apart.
            overflow: u64::from(scope.0) * OVERFLOWS_OF_A_LIMIT + hash % OVERFLOWS_OF_A_LIMIT,
            name,
        };
        Key { owner, id }
    }

    fn hash_of(&self, Name(words): Name) -> u64 {
        let mut bytes = [0; 24];
        for (at, word) in bytes.chunks_exact_mut(8).zip(words) {
            at.copy_from_slice(&word.to_ne_bytes());
        }
        let mut hasher = self.hasher.build_hasher();
        // At once, which takes half as long as part by part.
        hasher.write(&bytes);
        hasher.finish()
    }

    /// See [`Pool::charge`]. A counter that is used for the first time goes on with what its limit's other
    /// counters say.
    pub(super) fn charge<T, E>(
        &self,
        key: Key,
        now: u64,
        amount: u64,
        decide: impl Fn(Option<u64>) -> Result<(T, u64), E>,
    ) -> Result<(T, Charge), E> {
        let inherit = || self.inherited(key, now);
        self.pool(key.owner)
            .charge(key.id, now, amount, inherit, decide)
    }

    /// When a counter is full that was not used yet, by what its value owes under quotas of the same limit that
    /// have another span: as much time under a shorter one, as large a part under a longer one.
    fn inherited(&self, key: Key, now: u64) -> u64 {
        let Some((scope, value)) = read(key.id.name) else {
            return 0;
        };
        let (span, kin) = self.scopes.kin(scope);
        let owed = kin.into_iter().map(|(other, longer)| {
            let Key { owner, id } = self.key(other, value);
            let owed = self.pool(owner).full_at(id).saturating_sub(now);
            if longer <= span {
                return owed;
            }
            let part = u128::from(owed) * u128::from(span) / u128::from(longer);
            u64::try_from(part).unwrap_or(u64::MAX)
        });
        now.saturating_add(owed.max().unwrap_or(0))
    }

    /// Nanoseconds until the counter is full.
    pub(super) fn owed(&self, key: Key, now: u64) -> u64 {
        let look = |full_at: Option<u64>| Err::<((), u64), _>(full_at.unwrap_or(0));
        match self.charge(key, now, 0, look) {
            Ok(_) => 0,
            Err(full_at) => full_at.saturating_sub(now),
        }
    }

    /// Whether the key has a counter of its own; it gets one where there is room.
    pub(super) fn has_own(&self, key: Key, now: u64) -> bool {
        let look = |full_at: Option<u64>| Ok(((), full_at.unwrap_or(now).max(now)));
        settled(self.charge(key, now, 0, look)).is_own()
    }

    /// Sets when the counter is full, whatever was there before.
    pub(super) fn rebase(&self, key: Key, now: u64, full_at: u64) {
        let nothing = || 0;
        let set = |_| Ok(((), full_at));
        settled(self.pool(key.owner).charge(key.id, now, 0, nothing, set));
    }

    /// Has the counter not be full before `full_at`.
    pub(super) fn raise(&self, key: Key, now: u64, full_at: u64) {
        let nothing = || 0;
        let raise = |before: Option<u64>| Ok(((), before.unwrap_or(0).max(full_at)));
        settled(self.pool(key.owner).charge(key.id, now, 0, nothing, raise));
    }

    /// What the counter is called where other gateways know it too; `None` for one that is not shared.
    pub(super) fn name_of(&self, key: Key) -> Option<String> {
        let (scope, value) = read(key.id.name)?;
        self.name(scope, value)
    }

    fn name(&self, scope: Scope, value: Value) -> Option<String> {
        let limit = self.write_scope(scope)?;
        Some(format!("portcullis:{limit}:{value}").replace(' ', ":"))
    }

    /// The counters that owe more than so many nanoseconds, by what they are called where other gateways know them
    /// too, with what they owe: at most so many, those that owe most. Those of which there is something to tell
    /// are left out, because that goes along with it.
    pub(super) fn known(
        &self,
        now: u64,
        least: u64,
        most: usize,
        has_untold: impl Fn(&AtomicU64) -> bool,
    ) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        for owner in Owner::ALL {
            self.each_live(owner, now.saturating_add(least), |counted| {
                let is_told_apart = counted.lease.is_some_and(&has_untold);
                if counted.scope.is_shadow() || is_told_apart {
                    return;
                }
                found.push((counted.full_at - now, counted.scope, counted.value));
                if found.len() >= most.saturating_mul(2) {
                    found.select_nth_unstable_by_key(most, |(owed, ..)| Reverse(*owed));
                    found.truncate(most);
                }
            });
        }
        found.sort_unstable_by_key(|(owed, ..)| Reverse(*owed));
        found.truncate(most);
        let named = found.into_iter();
        named
            .filter_map(|(owed, scope, value)| Some((self.name(scope, value)?, owed)))
            .collect()
    }

    /// See [`Pool::lease`].
    pub(super) fn lease(&self, key: Key) -> Option<(usize, &AtomicU64)> {
        self.pool(key.owner).lease(key.id)
    }

    /// See [`Pool::lease_at`].
    pub(super) fn lease_at(&self, key: Key, number: usize) -> Option<&AtomicU64> {
        self.pool(key.owner).lease_at(key.id, number)
    }

    /// See [`Pool::refund`].
    pub(super) fn refund(&self, key: Key, charge: &Charge, now: u64) {
        self.pool(key.owner).refund(charge, now);
    }

    /// Shows each counter of these owners that fills up after `later`, which is not before now.
    pub(super) fn each_live(&self, owner: Owner, later: u64, mut show: impl FnMut(Counted<'_>)) {
        self.pool(owner).each_live(later, |live: Live<'_>| {
            if let Some((scope, value)) = read(live.name) {
                show(Counted {
                    scope,
                    value,
                    full_at: live.full_at,
                    noted: live.noted,
                    lease: live.lease,
                });
            }
        });
    }

    fn pool(&self, owner: Owner) -> &Pool {
        &self.pools[owner as usize]
    }
}

/// Which limit's counter, and whose.
fn read(name: Name) -> Option<(Scope, Value)> {
    let Name([of, high, low]) = name;
    let bits = u128::from(high) << 64 | u128::from(low);
    let value = Value::unpack((of >> 32) as u32, bits)?;
    Some((Scope(of as u32), value))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_key_goes_by_scope_and_value() {
        let slots = Slots::with_capacity(8);
        let scope = slots.scope("a b", 1000);
        let written = slots.write_scope(scope).unwrap();
        assert_eq!(written, "1000 a b");
        assert_eq!(slots.read_scope(&written), Some(scope));
        assert_eq!(slots.read_scope("a b"), None);
        let key = |text: &[u8]| slots.key(scope, Value::of_header(text));
        assert_eq!(key(b"x"), key(b"x"));
        assert_ne!(key(b"x"), key(b"y"));
        let other = slots.key(slots.scope("c", 1000), Value::of_header(b"x"));
        assert_ne!(key(b"x"), other);
    }

    #[test]
    fn counters_that_are_not_full_are_shown_with_their_names() {
        let slots = Slots::with_capacity(8);
        let scope = slots.scope("a", 1000);
        let id = uuid::Uuid::from_u128(u128::MAX - 7);
        let charge = |value, until| {
            let next = |_: Option<u64>| Ok::<_, ()>(((), until));
            slots.charge(slots.key(scope, value), 5, 1, next).unwrap()
        };
        charge(Value::User(id), 100);
        charge(Value::Everyone, 200);
        charge(Value::of_header(b"x"), 300);
        let shown = |owner, later| {
            let mut shown = Vec::new();
            slots.each_live(owner, later, |counted| {
                assert_eq!(counted.scope, scope);
                shown.push((counted.value, counted.full_at));
            });
            shown.sort_by_key(|(_, full_at)| *full_at);
            shown
        };
        let accounts = [(Value::User(id), 100), (Value::Everyone, 200)];
        assert_eq!(shown(Owner::Account, 99), accounts);
        assert_eq!(shown(Owner::Account, 100), accounts[1..]);
        let headers = [(Value::of_header(b"x"), 300)];
        assert_eq!(shown(Owner::Header, 5), headers);
        assert_eq!(shown(Owner::Address, 5), []);
    }

    #[test]
    fn of_what_is_known_the_counters_that_owe_most_are_named() {
        let slots = Slots::with_capacity(64);
        let scope = slots.scope("route a b", 1000);
        let owe = |scope, n: u128, owed| {
            let key = slots.key(scope, Value::User(uuid::Uuid::from_u128(n)));
            slots.raise(key, 5, 5 + owed);
        };
        for n in 1..=20 {
            owe(scope, n, n as u64 * 10);
            owe(scope.in_shadow(), n, 1000);
        }
        let owed = |least, most| {
            let known = slots.known(5, least, most, |_| false).into_iter();
            known.map(|(_, owed)| owed).collect::<Vec<_>>()
        };
        assert_eq!(owed(170, 100), [200, 190, 180]);
        assert_eq!(owed(0, 4), [200, 190, 180, 170]);
        let (name, _) = slots.known(5, 0, 1, |_| false).remove(0);
        let id = uuid::Uuid::from_u128(20);
        assert_eq!(name, format!("portcullis:1000:route:a:b:user:{id}"));
    }

    #[test]
    fn a_key_gets_a_counter_of_its_own_while_there_is_room() {
        let slots = Slots::with_capacity(8);
        let scope = slots.scope("a", 1000);
        let key = |n| slots.key(scope, Value::User(uuid::Uuid::from_u128(n)));
        for n in 0..8 {
            assert!(slots.has_own(key(n), 5));
            slots.rebase(key(n), 5, 10);
        }
        assert!(!slots.has_own(key(8), 9));
        assert!(slots.has_own(key(7), 9));
        assert!(slots.has_own(key(8), 10));
    }

    #[test]
    fn a_counter_s_next_key_has_its_own_name_and_nothing_noted() {
        let slots = Slots::with_capacity(8);
        let scope = slots.scope("a", 1000);
        let charge = |n, now: u64| {
            let value = Value::User(uuid::Uuid::from_u128(n));
            let next = |_: Option<u64>| Ok::<_, ()>(((), now + 10));
            slots.charge(slots.key(scope, value), now, 1, next).unwrap();
        };
        for n in 0..8 {
            charge(n, 0);
        }
        slots.each_live(Owner::Account, 0, |c| c.noted.store(10, Ordering::Relaxed));
        for n in 8..16 {
            charge(n, 10);
        }
        let mut seen = Vec::new();
        slots.each_live(Owner::Account, 10, |counted| {
            assert_eq!(counted.noted.load(Ordering::Relaxed), 0);
            let Value::User(id) = counted.value else {
                panic!("{:?}", counted.value);
            };
            seen.push(id.as_u128());
        });
        seen.sort_unstable();
        assert_eq!(seen, (8..16).collect::<Vec<_>>());
    }
}
