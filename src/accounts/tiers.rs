//! Tiers and their limit rules: those of the file, which only the file changes, and those of the store.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::error::AccountsError;
use super::plan_forms::{RuleForm, TierForm};
use super::settings::Settings;
use super::store::{By, ListedRules, Millis, NotPlanned, Quota, Rule, StoreError, TierRow};
use super::users::Users;
use crate::config::{Plans, checked};
use crate::request::FieldError;

/// Names of tiers that an error lists.
const NAMED: usize = 20;

/// A tier, wherever it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// The number of its name: stable, and never given to another name.
    pub id: i64,
    pub name: String,
    pub rank: u32,
    /// `None` is unlimited.
    pub quota: Option<Quota>,
    pub source: TierSource,
    /// When its name was first seen.
    pub created_at: Millis,
    pub updated_at: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TierSource {
    File,
    Store,
}

/// Why a tier or a rule was not changed, or not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("there is no such tier")]
    NoSuchTier,
    #[error("there is no such rule")]
    NoSuchRule,
    #[error("there is a tier of this name")]
    TierExists,
    #[error("the tier has a rule of this name there")]
    RuleExists,
    #[error("the tier is one of gateway.yaml; change it there")]
    TierOfFile,
    #[error("accounts have this tier, deleted ones included; give them another first")]
    TierInUse,
    #[error("there are as many tiers as there may be")]
    TooManyTiers,
    #[error("there are as many rules as there may be")]
    TooManyRules,
}

impl Users {
    /// The tiers and limit rules of the store alone, as requests are decided by.
    pub async fn plans(&self) -> Result<Plans, AccountsError> {
        Ok(self.store.plans().await?)
    }

    /// Every tier, in the order of their names.
    pub async fn tiers(&self) -> Result<Vec<Tier>, AccountsError> {
        let settings = self.settings.load_full();
        let rows = self.numbered_tiers(&settings).await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| tier(row, &settings))
            .collect())
    }

    pub async fn tier(&self, name: &str) -> Result<Tier, AccountsError> {
        let settings = self.settings.load_full();
        let mut row = self.store.tier_row(name).await?;
        if row.is_none() && settings.tiers.contains_key(name) {
            self.store.number_tiers(&[name], (self.clock)()).await?;
            row = self.store.tier_row(name).await?;
        }
        let tier = row.and_then(|row| tier(row, &settings));
        Ok(tier.ok_or(PlanError::NoSuchTier)?)
    }

    pub async fn add_tier(&self, form: &TierForm, by: &By) -> Result<Tier, AccountsError> {
        let settings = self.settings.load_full();
        let values = form.check(None).map_err(AccountsError::Invalid)?;
        if settings.tiers.contains_key(&values.name) {
            return Err(PlanError::TierExists.into());
        }
        let made = self.store.insert_tier(&values, by, (self.clock)()).await?;
        self.stored_tier(made?, &settings)
    }

    /// Changes a tier of the store. One that accounts have keeps its name.
    pub async fn edit_tier(
        &self,
        name: &str,
        form: &TierForm,
        by: &By,
    ) -> Result<Tier, AccountsError> {
        let settings = self.settings.load_full();
        refuse_file(name, &settings)?;
        if let Some(new) = form.name.as_ref().filter(|new| *new != name)
            && settings.tiers.contains_key(new)
        {
            return Err(PlanError::TierExists.into());
        }
        let now = (self.clock)();
        let change = |before: &_| form.check(Some(before));
        let changed = self.store.update_tier(name, change, by, now).await?;
        self.stored_tier(changed?, &settings)
    }

    /// Removes a tier of the store that no account has, with its rules.
    pub async fn delete_tier(&self, name: &str, by: &By) -> Result<(), AccountsError> {
        refuse_file(name, &self.settings.load())?;
        Ok(self.store.delete_tier(name, by, (self.clock)()).await??)
    }

    /// A tier's limit rules, the oldest first.
    pub async fn rules(
        &self,
        tier: &str,
        offset: i64,
        limit: i64,
    ) -> Result<ListedRules, AccountsError> {
        self.tier(tier).await?;
        Ok(self.store.rules(tier, offset, limit).await?)
    }

    pub async fn rule(&self, tier: &str, id: i64) -> Result<Rule, AccountsError> {
        self.tier(tier).await?;
        let rule = self.store.rule(tier, id).await?;
        Ok(rule.ok_or(PlanError::NoSuchRule)?)
    }

    pub async fn add_rule(
        &self,
        tier: &str,
        form: &RuleForm,
        by: &By,
    ) -> Result<Rule, AccountsError> {
        let settings = self.settings.load_full();
        self.tier(tier).await?;
        let values = self.check_rule(form)?;
        let is_stored = !settings.tiers.contains_key(tier);
        let now = (self.clock)();
        let made = self.store.insert_rule(tier, is_stored, &values, by, now);
        Ok(made.await??)
    }

    /// What is wrong with a rule to be made, all of it.
    pub fn check_rule(&self, form: &RuleForm) -> Result<super::store::RuleValues, AccountsError> {
        let settings = self.settings.load();
        form.check(None, &settings).map_err(AccountsError::Invalid)
    }

    pub async fn edit_rule(
        &self,
        tier: &str,
        id: i64,
        form: &RuleForm,
        by: &By,
    ) -> Result<Rule, AccountsError> {
        let settings = self.settings.load_full();
        self.tier(tier).await?;
        let change = |before: &_| form.check(Some(before), &settings);
        let now = (self.clock)();
        Ok(self.store.update_rule(tier, id, change, by, now).await??)
    }

    pub async fn delete_rule(&self, tier: &str, id: i64, by: &By) -> Result<(), AccountsError> {
        self.tier(tier).await?;
        Ok(self
            .store
            .delete_rule(tier, id, by, (self.clock)())
            .await??)
    }

    /// What is wrong with a tier that an account is to have.
    pub(super) async fn check_tier(
        &self,
        name: Option<&str>,
        settings: &Settings,
    ) -> Result<Option<FieldError>, StoreError> {
        match name {
            Some(name) if !settings.tiers.contains_key(name) => {
                let known = self.known_tiers(settings).await?;
                Ok((!known.contains(name)).then(|| unknown_tier(&known)))
            }
            _ => Ok(None),
        }
    }

    /// The names that an account may have as its tier.
    pub(super) async fn known_tiers(
        &self,
        settings: &Settings,
    ) -> Result<BTreeSet<String>, StoreError> {
        let rows = self.store.tier_rows().await?.into_iter();
        let stored = rows.filter(|row| row.stored.is_some()).map(|row| row.name);
        let all = settings.tiers.keys().cloned().chain(stored);
        Ok(all.collect())
    }

    fn stored_tier(&self, row: TierRow, settings: &Settings) -> Result<Tier, AccountsError> {
        Ok(tier(row, settings).ok_or(PlanError::NoSuchTier)?)
    }

    /// Tiers of the file get their numbers when somebody first asks.
    async fn numbered_tiers(&self, settings: &Settings) -> Result<Vec<TierRow>, StoreError> {
        let rows = self.store.tier_rows().await?;
        let has_number = |name: &str| rows.iter().any(|row| row.name == name);
        let names = settings.tiers.keys().map(String::as_str);
        let missing: Vec<&str> = names.filter(|name| !has_number(name)).collect();
        if missing.is_empty() {
            return Ok(rows);
        }
        self.store.number_tiers(&missing, (self.clock)()).await?;
        self.store.tier_rows().await
    }
}

fn refuse_file(name: &str, settings: &Settings) -> Result<(), PlanError> {
    match settings.tiers.contains_key(name) {
        true => Err(PlanError::TierOfFile),
        false => Ok(()),
    }
}

/// `None` for a name that the file once had and that is no tier now.
fn tier(row: TierRow, settings: &Settings) -> Option<Tier> {
    let (rank, quota, source, updated_at) = match (settings.tiers.get(&row.name), row.stored) {
        (Some(tier), _) => (tier.rank, quota_of(tier), TierSource::File, None),
        (None, Some(stored)) => {
            let values = stored.values;
            (
                values.rank,
                values.quota,
                TierSource::Store,
                stored.updated_at,
            )
        }
        (None, None) => return None,
    };
    Some(Tier {
        id: row.id,
        name: row.name,
        rank,
        quota,
        source,
        created_at: row.since,
        updated_at,
    })
}

fn quota_of(tier: &checked::Tier) -> Option<Quota> {
    let rate = tier.rate?;
    let seconds = u32::try_from(rate.period.as_secs()).ok();
    Some(Quota {
        count: rate.count,
        seconds: seconds.and_then(NonZeroU32::new)?,
        burst: Some(rate.burst),
    })
}

/// Somebody deleted the tier a moment ago.
pub(super) fn tier_is_gone() -> FieldError {
    FieldError {
        field: "tier".into(),
        message: "is not one of the tiers any more".into(),
    }
}

pub(super) fn unknown_tier(known: &BTreeSet<String>) -> FieldError {
    let names: Vec<&str> = known.iter().take(NAMED).map(String::as_str).collect();
    let more = if known.len() > NAMED { ", …" } else { "" };
    FieldError {
        field: "tier".into(),
        message: format!("is not one of the tiers: {}{more}", names.join(", ")).into(),
    }
}

impl From<NotPlanned> for AccountsError {
    fn from(reason: NotPlanned) -> Self {
        AccountsError::Plan(match reason {
            NotPlanned::Invalid(fields) => return AccountsError::Invalid(fields),
            NotPlanned::NoSuchTier => PlanError::NoSuchTier,
            NotPlanned::NoSuchRule => PlanError::NoSuchRule,
            NotPlanned::TierExists => PlanError::TierExists,
            NotPlanned::RuleExists => PlanError::RuleExists,
            NotPlanned::TierInUse => PlanError::TierInUse,
            NotPlanned::TooManyTiers => PlanError::TooManyTiers,
            NotPlanned::TooManyRules => PlanError::TooManyRules,
        })
    }
}
