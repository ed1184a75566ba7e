//! Owners that only the upstream knows: what is asked, and of whom.

use http::HeaderValue;
use smallvec::SmallVec;

use super::judge::{Compiled, Outcome};
use super::policy::{Permit, Policies, forbidden};
use crate::authn::Principal;
use crate::config::checked::JsonPointer;
use crate::request::{Facts, Refusal};
use crate::route::Matched;

/// Knows what upstreams say.
pub trait Owners {
    /// The text or whole number that an upstream has.
    ///
    /// # Errors
    /// When it is not known.
    fn look_up(&self, question: Question<'_>) -> impl Future<Output = Result<String, Unknown>>;
}

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// For the log.
    pub why: String,
    /// It could not be asked for, and may be known in a moment.
    pub is_for_now: bool,
}

impl Unknown {
    /// As long as everything stays as it is.
    pub fn because(why: impl Into<String>) -> Self {
        Unknown {
            why: why.into(),
            is_for_now: false,
        }
    }
}

/// What an upstream is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Its index in the configuration.
    pub upstream: usize,
    /// How it is to be called, if not by its own name.
    pub host: Option<&'a HeaderValue>,
    /// Path and query.
    pub target: &'a str,
    /// Where in the answer the value stands.
    pub field: &'a JsonPointer,
}

/// A request of which no rule holds so far, and of which some are left that ask an upstream.
#[must_use = "a request that asks goes on to `ask`"]
pub struct Asking<'p> {
    pub(super) policies: &'p Policies,
    pub(super) matched: Matched,
    pub(super) principal: Principal,
    /// Why one of the other rules had no answer.
    pub(super) untold: Option<String>,
    /// The rules only record.
    pub(super) is_shadow: bool,
    /// The rules that are left; all their other keys hold.
    pub(super) left: SmallVec<[&'p Compiled; 2]>,
}

impl Asking<'_> {
    pub fn matched(&self) -> &Matched {
        &self.matched
    }

    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether the request passes, whatever the answer.
    pub fn is_shadow(&self) -> bool {
        self.is_shadow
    }

    /// Lets the request through when one of the rules holds that are left, or when they are in shadow.
    ///
    /// # Errors
    /// `forbidden`, also when it can't be told; one that can't be told for now says so.
    pub async fn ask(self, facts: &Facts<'_>, owners: &impl Owners) -> Result<Permit, Refusal> {
        let (mut untold, mut is_for_now) = (self.untold, false);
        if let Some(case) = self.policies.case(&self.matched, &self.principal, facts) {
            for rule in self.left {
                match rule.ask(&case, owners).await {
                    Outcome::Holds => return Ok(Permit::new(self.matched, self.principal)),
                    Outcome::Fails(_) => {}
                    Outcome::Untold(key, unknown) => {
                        is_for_now |= unknown.is_for_now;
                        untold.get_or_insert_with(|| format!("{}: {}", key.as_str(), unknown.why));
                    }
                }
            }
        }
        let mut refusal = forbidden(untold);
        if is_for_now {
            refusal = refusal.for_now();
        }
        Permit::in_spite_of(refusal, self.is_shadow, self.matched, self.principal)
    }
}
