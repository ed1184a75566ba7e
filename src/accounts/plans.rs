//! Tiers and limit rules on their way to the data plane: as they are in the store, read again when
//! they have changed, whoever changed them.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::Accounts;
use super::error::AccountsError;
use super::plan_forms::{RuleForm, TierForm};
use super::store::{By, Rule, StoreError};
use super::tiers::Tier;
use crate::config::Plans;

/// Told when the plans have changed, before the one who changed them is answered.
pub type OnPlans = Box<dyn Fn() + Send + Sync>;

/// The plans that were read last.
#[derive(Default)]
pub(super) struct Published {
    plans: ArcSwap<Plans>,
    /// Their version. Held while newer ones are read, so that none is replaced by older ones.
    version: Mutex<Option<i64>>,
    listener: OnceLock<OnPlans>,
}

impl Accounts {
    /// The tiers and limit rules of the store.
    pub fn plans(&self) -> Arc<Plans> {
        self.published.plans.load_full()
    }

    /// Sets the one who is told of changes. A second one is not heard.
    pub fn on_plans(&self, listener: OnPlans) {
        if self.published.listener.set(listener).is_err() {
            tracing::debug!("changes of plans have a listener already");
        }
    }

    /// Reads the plans again when the store has other ones than were read last.
    pub(super) async fn read_plans(&self) -> Result<(), StoreError> {
        let mut version = self.published.version.lock().await;
        let newest = self.users.store.plans_version().await?;
        if *version == Some(newest) {
            return Ok(());
        }
        let plans = self.users.store.plans().await?;
        self.published.plans.store(Arc::new(plans));
        *version = Some(newest);
        if let Some(listener) = self.published.listener.get() {
            listener();
        }
        Ok(())
    }

    /// [`Users::add_tier`](super::Users::add_tier), felt at once.
    pub async fn add_tier(&self, form: &TierForm, by: &By) -> Result<Tier, AccountsError> {
        let made = self.users.add_tier(form, by).await?;
        self.publish_plans().await;
        Ok(made)
    }

    /// [`Users::edit_tier`](super::Users::edit_tier), felt at once.
    pub async fn edit_tier(
        &self,
        name: &str,
        form: &TierForm,
        by: &By,
    ) -> Result<Tier, AccountsError> {
        let changed = self.users.edit_tier(name, form, by).await?;
        self.publish_plans().await;
        Ok(changed)
    }

    /// [`Users::delete_tier`](super::Users::delete_tier), felt at once.
    pub async fn delete_tier(&self, name: &str, by: &By) -> Result<(), AccountsError> {
        self.users.delete_tier(name, by).await?;
        self.publish_plans().await;
        Ok(())
    }

    /// [`Users::add_rule`](super::Users::add_rule), felt at once.
    pub async fn add_rule(
        &self,
        tier: &str,
        form: &RuleForm,
        by: &By,
    ) -> Result<Rule, AccountsError> {
        let made = self.users.add_rule(tier, form, by).await?;
        self.publish_plans().await;
        Ok(made)
    }

    /// [`Users::edit_rule`](super::Users::edit_rule), felt at once.
    pub async fn edit_rule(
        &self,
        tier: &str,
        id: i64,
        form: &RuleForm,
        by: &By,
    ) -> Result<Rule, AccountsError> {
        let changed = self.users.edit_rule(tier, id, form, by).await?;
        self.publish_plans().await;
        Ok(changed)
    }

    /// [`Users::delete_rule`](super::Users::delete_rule), felt at once.
    pub async fn delete_rule(&self, tier: &str, id: i64, by: &By) -> Result<(), AccountsError> {
        self.users.delete_rule(tier, id, by).await?;
        self.publish_plans().await;
        Ok(())
    }

    /// As [`Accounts::publish`] does for accounts.
    async fn publish_plans(&self) {
        if let Err(error) = self.read_plans().await {
            tracing::warn!(%error, "a change of tiers was kept, but acts only later");
        }
    }
}
