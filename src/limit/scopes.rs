//! The limits that counters belong to, by what they are called and by how long their quota takes to fill up.
//! Numbers stay the same for as long as the process lives.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// A limit under quotas of one span, as far as its counters are concerned: the same is the same scope, so
/// counters outlive reloads.
///
/// A counter is one of time owed. Of a day's quota that is more than a second's ever grants: were they one
/// counter, a request under the short quota would forgive what is owed under the long one, or be locked out by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Scope(pub(super) u32);

/// Set for counters apart from those of the scope itself.
const SHADOW: u32 = 1 << 31;

impl Scope {
    pub(super) fn is_shadow(self) -> bool {
        self.0 & SHADOW != 0
    }

    /// The scope itself, of either.
    pub(super) fn in_force(self) -> Scope {
        Scope(self.0 & !SHADOW)
    }

    /// Counters apart from those of the scope itself, which routes outside of the shadow go by.
    pub(super) fn in_shadow(self) -> Scope {
        Scope(self.0 | SHADOW)
    }

    /// The counters of `other` that go with this one's: in shadow, if these are.
    fn beside(self, other: u32) -> Scope {
        Scope(self.0 & SHADOW | other)
    }
}

/// What a scope was made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Made {
    /// What the limit is called.
    pub(super) limit: String,
    /// Milliseconds that a counter takes to fill up from nothing; zero for what does not.
    pub(super) span: u64,
}

/// Quotas of one limit that newcomers go on from, those that were asked for last: rates that are set from outside may
/// change often.
const MOST_KIN: usize = 32;

/// Every limit that there was. Configurations come from people, so this stays small.
#[derive(Default)]
pub(super) struct Scopes(RwLock<Known>);

#[derive(Default)]
struct Known {
    all: Vec<Made>,
    numbers: HashMap<Made, u32>,
    by_limit: HashMap<String, Vec<u32>>,
}

impl Known {
    /// Whether the scope is the one of its limit that was asked for last.
    fn is_newest(&self, limit: &str, number: u32) -> bool {
        let kin = self.by_limit.get(limit);
        kin.and_then(|kin| kin.last()) == Some(&number)
    }

    fn join(&mut self, limit: String, number: u32) {
        let kin = self.by_limit.entry(limit).or_default();
        kin.retain(|other| *other != number);
        kin.push(number);
        if kin.len() > MOST_KIN {
            kin.remove(0);
        }
    }

    fn span(&self, number: u32) -> u64 {
        self.all.get(number as usize).map_or(0, |made| made.span)
    }
}

impl Scopes {
    pub(super) fn of(&self, limit: &str, span: u64) -> Scope {
        let made = Made {
            limit: limit.to_owned(),
            span,
        };
        {
            let known = self.known();
            let number = known.numbers.get(&made).copied();
            if let Some(number) = number.filter(|number| known.is_newest(limit, *number)) {
                return Scope(number);
            }
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let next = u32::try_from(known.all.len()).unwrap_or(u32::MAX) & !SHADOW;
        let number = *known.numbers.entry(made.clone()).or_insert(next);
        if number == next {
            known.all.push(made.clone());
        }
        known.join(made.limit, number);
        Scope(number)
    }

    /// `None` for a scope in shadow, whose counters nobody has to find again.
    pub(super) fn get(&self, scope: Scope) -> Option<Made> {
        self.known().all.get(scope.0 as usize).cloned()
    }

    /// Milliseconds that counters of the scope take to fill up, in shadow or not.
    pub(super) fn span(&self, scope: Scope) -> u64 {
        self.known().span(scope.in_force().0)
    }

    /// The span of a scope, and the other scopes of its limit with theirs. In shadow they are in shadow, too.
    pub(super) fn kin(&self, scope: Scope) -> (u64, Vec<(Scope, u64)>) {
        let known = self.known();
        let own = scope.in_force().0;
        let Some(made) = known.all.get(own as usize) else {
            return (0, Vec::new());
        };
        let of_limit = known.by_limit.get(&made.limit).into_iter().flatten();
        let others = of_limit.filter(|number| **number != own);
        let kin = others.map(|number| (scope.beside(*number), known.span(*number)));
        (made.span, kin.collect())
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_a_scope_for_each_span() {
        let scopes = Scopes::default();
        let (day, second) = (
            scopes.of("route a x", 86_400_000),
            scopes.of("route a x", 1000),
        );
        let other = scopes.of("route a y", 1000);
        assert_eq!(scopes.of("route a x", 1000), second);
        assert!(day != second && second != other);
        let made = scopes.get(second).unwrap();
        assert_eq!((made.limit.as_str(), made.span), ("route a x", 1000));
        assert_eq!(scopes.kin(second), (1000, vec![(day, 86_400_000)]));
        assert_eq!(scopes.kin(other), (1000, Vec::new()));
    }

    #[test]
    fn of_many_quotas_of_a_limit_the_newest_count() {
        let scopes = Scopes::default();
        let made = (1..=1000).rev().map(|span| scopes.of("a", span));
        let newest = made.last().unwrap();
        let (_, kin) = scopes.kin(newest);
        let spans: Vec<u64> = kin.into_iter().map(|(_, span)| span).collect();
        assert_eq!(spans, (2..=MOST_KIN as u64).rev().collect::<Vec<_>>());
        // One that does not count itself goes by the others all the same.
        let (span, kin) = scopes.kin(scopes.of("a", 500));
        assert_eq!((span, kin.len()), (500, MOST_KIN - 1));
    }

    #[test]
    fn a_quota_that_comes_back_is_new_again() {
        let scopes = Scopes::default();
        let first = scopes.of("a", 1);
        for span in 2..=MOST_KIN as u64 {
            scopes.of("a", span);
        }
        assert_eq!(scopes.of("a", 1), first);
        let last = scopes.of("a", 1000);
        let (_, kin) = scopes.kin(last);
        assert_eq!(kin.len(), MOST_KIN - 1);
        assert!(kin.contains(&(first, 1)));
    }

    #[test]
    fn what_is_in_shadow_has_its_kin_there() {
        let scopes = Scopes::default();
        let (day, second) = (scopes.of("a", 86_400_000), scopes.of("a", 1000));
        let kin = scopes.kin(day.in_shadow());
        assert_eq!(kin, (86_400_000, vec![(second.in_shadow(), 1000)]));
        assert_eq!(scopes.get(day.in_shadow()), None);
    }
}
