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
}

/// A counter by what it is called where other gateways know it too.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) key: Key,
    /// Of its limit's quota, in milliseconds.
    pub(super) span: u64,
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

    /// Gives so many nanoseconds back.
    pub(super) fn lower(&self, key: Key, now: u64, amount: u64) {
        let nothing = || 0;
        let lower = |before: Option<u64>| Ok(((), before.unwrap_or(0).saturating_sub(amount)));
        settled(self.pool(key.owner).charge(key.id, now, 0, nothing, lower));
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

    /// The other counters of the key's limit, by what they are called where other gateways know them too, with the
    /// part of their debt that one which is used for the first time takes over.
    pub(super) fn kin(&self, key: Key) -> Vec<(String, f64)> {
        let Some((scope, value)) = read(key.id.name) else {
            return Vec::new();
        };
        let (span, kin) = self.scopes.kin(scope);
        let named = kin.into_iter().filter_map(|(other, other_span)| {
            let part = span as f64 / other_span.max(1) as f64;
            Some((self.name(other, value)?, part.min(1.0)))
        });
        named.collect()
    }

    /// The counters that owe more than so many nanoseconds: at most so many, those that owe most first.
    pub(super) fn known(&self, now: u64, least: u64, most: usize) -> Vec<Known> {
        let mut found = Vec::new();
        for owner in Owner::ALL {
            self.each_live(owner, now.saturating_add(least), |counted| {
                if counted.scope.is_shadow() {
                    return;
                }
                let owed = counted.full_at - now;
                found.push((owed, counted.scope, counted.value));
                if found.len() >= most.saturating_mul(2) {
                    found.select_nth_unstable_by_key(most, |(owed, ..)| Reverse(*owed));
                    found.truncate(most);
                }
            });
        }
        found.sort_unstable_by_key(|(owed, ..)| Reverse(*owed));
        found.truncate(most);
        let known = found.into_iter().filter_map(|(_, scope, value)| {
            Some(Known {
                name: self.name(scope, value)?,
                key: self.key(scope, value),
                span: self.span(scope),
            })
        });
        known.collect()
    }

    /// Shows the counters that are not full and that other gateways charge too: the span of their limit's quota in
    /// milliseconds, and their keys, numbers and leases.
    pub(super) fn each_lease(&self, now: u64, mut show: impl FnMut(u64, Key, usize, &AtomicU64)) {
        for owner in Owner::ALL {
            self.each_live(owner, now, |counted| {
                let key = self.key(counted.scope, counted.value);
                if !counted.scope.is_shadow()
                    && let Some((number, lease)) = self.lease(key)
                {
                    show(self.span(counted.scope), key, number, lease);
                }
            });
        }
    }

    /// Milliseconds that counters of the scope take to fill up from nothing.
    pub(super) fn span(&self, scope: Scope) -> u64 {
        self.scopes.span(scope)
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
    pub(super) fn refund(&self, key: Key, charge: &Charge, now: u64) -> f64 {
        self.pool(key.owner).refund(charge, now)
    }

    /// Shows each counter of these owners that fills up after `later`, which is not before now.
    pub(super) fn each_live<'s>(
        &'s self,
        owner: Owner,
        later: u64,
        mut show: impl FnMut(Counted<'s>),
    ) {
        self.pool(owner).each_live(later, |live: Live<'s>| {
            if let Some((scope, value)) = read(live.name) {
                show(Counted {
                    scope,
                    value,
                    full_at: live.full_at,
                    noted: live.noted,
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
mod tests;
