//! The limits that counters belong to, by what they are called. Numbers stay the same for as long as the
//! process lives.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A limit, as far as its counters are concerned: the same text is the same scope, so counters outlive
/// reloads.
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
}

/// Every limit that there was. Configurations come from people, so this stays small.
#[derive(Default)]
pub(super) struct Scopes(Mutex<Known>);

#[derive(Default)]
struct Known {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Scopes {
    /// The scope of this text.
    pub(super) fn of(&self, text: &str) -> Scope {
        let mut known = self.known();
        if let Some(number) = known.numbers.get(text) {
            return Scope(*number);
        }
        let number = u32::try_from(known.texts.len()).unwrap_or(u32::MAX);
        known.texts.push(text.to_owned());
        known.numbers.insert(text.to_owned(), number);
        Scope(number)
    }

    /// `None` for a scope in shadow, whose counters nobody has to find again.
    pub(super) fn text(&self, scope: Scope) -> Option<String> {
        self.known().texts.get(scope.0 as usize).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
