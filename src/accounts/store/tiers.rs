//! Tiers and limit rules as they are kept.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::Millis;
use crate::config::checked::{Rate, Tier};
use crate::request::FieldError;

/// The tiers of the file, which need not be in the store.
pub type FileTiers = BTreeMap<String, Tier>;

/// What of the configuration settles which names and tiers an account can have.
#[derive(Debug, Clone, Copy)]
pub struct Free<'a> {
    /// Names that nobody has had since then are free.
    pub names_since: Millis,
    pub tiers: &'a FileTiers,
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub count: NonZeroU32,
    pub seconds: NonZeroU32,
    /// The count when absent.
    pub burst: Option<NonZeroU32>,
}

impl Quota {
    pub fn rate(&self) -> Rate {
        Rate {
            count: self.count,
            period: Duration::from_secs(u64::from(self.seconds.get())),
            burst: self.burst(),
        }
    }

    pub fn burst(&self) -> NonZeroU32 {
        self.burst.unwrap_or(self.count)
    }
}

/// What is said of a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierValues {
    pub name: String,
    pub rank: u32,
    /// `None` is unlimited.
    pub quota: Option<Quota>,
}

/// The number of a tier's name, and what the store says of the tier if it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierRow {
    pub id: i64,
    pub name: String,
    pub since: Millis,
    pub stored: Option<StoredTier>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTier {
    pub values: TierValues,
    pub updated_at: Option<Millis>,
}

/// Which requests a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A route, by its name.
    Route(String),
    /// A path's template and a method; every method when that is absent.
    Path(String, Option<String>),
}

/// What is said of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleValues {
    pub name: String,
    pub target: Target,
    pub quota: Quota,
}

/// A limit rule of a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: i64,
    pub tier: String,
    pub values: RuleValues,
    pub created_at: Millis,
    pub updated_at: Option<Millis>,
}

/// Some rules of a tier, and how many it has.
#[derive(Debug)]
pub struct ListedRules {
    pub rules: Vec<Rule>,
    pub total: i64,
}

/// Why a tier or a rule was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPlanned {
    NoSuchTier,
    NoSuchRule,
    TierExists,
    RuleExists,
    TierInUse,
    TooManyTiers,
    TooManyRules,
    Invalid(Vec<FieldError>),
}
