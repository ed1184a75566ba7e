//! Limit rules of tiers, and all that requests are decided by as a whole.

use http::Method;
use serde_json::{Value, json};

use super::rows;
use super::tiers::{is_stored, log_plan, told};
use crate::accounts::store::db::{Section, Tx, query};
use crate::accounts::store::{
    Action, By, ListedRules, Millis, NotPlanned, Rule, RuleValues, Store, StoreError, Target,
};
use crate::config::checked::Tier;
use crate::config::{LimitRule, Plans, RuleScope, text};
use crate::request::FieldError;

/// Few enough to be read as a whole whenever one changes.
pub const MOST_RULES: i64 = 10_000;

impl Store {
    /// Moves with every change of tiers and rules.
    pub async fn plans_version(&self) -> Result<i64, StoreError> {
        self.health
            .watch(async {
                let row = query("SELECT version FROM plans").fetch_one(&self.db);
                row.await?.get("version")
            })
            .await
    }

    /// All tiers and rules of the store.
    pub async fn plans(&self) -> Result<Plans, StoreError> {
        let tiers = self.tier_rows().await?;
        let rules = self.health.watch(async {
            let rules = query("SELECT * FROM tier_limits ORDER BY id").fetch_all(&self.db);
            rules
                .await?
                .iter()
                .map(rows::rule)
                .collect::<Result<Vec<Rule>, _>>()
        });
        let stored = tiers.into_iter().filter_map(|row| row.stored);
        let tiers = stored.map(|tier| {
            let rate = tier.values.quota.map(|quota| quota.rate());
            let rank = tier.values.rank;
            (tier.values.name, Tier { rank, rate })
        });
        Ok(Plans {
            tiers: tiers.collect(),
            rules: rules.await?.into_iter().filter_map(compiled).collect(),
        })
    }

    /// A tier's rules, the oldest first.
    pub async fn rules(
        &self,
        tier: &str,
        offset: i64,
        limit: i64,
    ) -> Result<ListedRules, StoreError> {
        self.health
            .watch(async {
                let count = query("SELECT count(*) AS total FROM tier_limits WHERE tier = $1");
                let count = count.bind(tier).fetch_one(&self.db).await?;
                let page = query(
                    "SELECT * FROM tier_limits WHERE tier = $1 ORDER BY id LIMIT $2 OFFSET $3",
                );
                let page = page.bind(tier).bind(limit).bind(offset);
                let page = page.fetch_all(&self.db).await?;
                Ok(ListedRules {
                    rules: page.iter().map(rows::rule).collect::<Result<_, _>>()?,
                    total: count.get("total")?,
                })
            })
            .await
    }

    pub async fn rule(&self, tier: &str, id: i64) -> Result<Option<Rule>, StoreError> {
        self.health
            .watch(async {
                let row = query("SELECT * FROM tier_limits WHERE tier = $1 AND id = $2");
                let row = row.bind(tier).bind(id).fetch_optional(&self.db).await?;
                row.as_ref().map(rows::rule).transpose()
            })
            .await
    }

    /// `is_of_store`: the tier is not one of the file and has to be there.
    pub async fn insert_rule(
        &self,
        tier: &str,
        is_of_store: bool,
        rule: &RuleValues,
        by: &By,
        now: Millis,
    ) -> Result<Result<Rule, NotPlanned>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                if is_of_store && !is_stored(&mut tx, tier).await? {
                    return Ok(Err(NotPlanned::NoSuchTier));
                }
                let count = query("SELECT count(*) AS total FROM tier_limits");
                if count.fetch_one(&mut tx).await?.get::<i64>("total")? >= MOST_RULES {
                    return Ok(Err(NotPlanned::TooManyRules));
                }
                let (route, path, method) = columns(&rule.target);
                let row = query(
                    "INSERT INTO tier_limits (tier, name, route, path, method, rate_count, \
                     rate_seconds, burst, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                     ON CONFLICT (tier, route, path, method, name) DO NOTHING RETURNING *",
                )
                .bind(tier)
                .bind(&rule.name)
                .bind(route)
                .bind(path)
                .bind(method)
                .bind(rule.quota.count.get())
                .bind(rule.quota.seconds.get())
                .bind(rule.quota.burst.map(|burst| i64::from(burst.get())))
                .bind(now)
                .fetch_optional(&mut tx)
                .await?;
                let Some(row) = row else {
                    return Ok(Err(NotPlanned::RuleExists));
                };
                let made = rows::rule(&row)?;
                let details = details(&made);
                log_plan(&mut tx, Action::TierLimitCreate, by, now, details).await?;
                tx.commit().await?;
                Ok(Ok(made))
            })
            .await
    }

    /// Makes of a rule what `change` says.
    pub async fn update_rule(
        &self,
        tier: &str,
        id: i64,
        change: impl FnOnce(&RuleValues) -> Result<RuleValues, Vec<FieldError>>,
        by: &By,
        now: Millis,
    ) -> Result<Result<Rule, NotPlanned>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                let Some(before) = find(&mut tx, tier, id).await? else {
                    return Ok(Err(NotPlanned::NoSuchRule));
                };
                let after = match change(&before.values) {
                    Ok(after) => after,
                    Err(wrong) => return Ok(Err(NotPlanned::Invalid(wrong))),
                };
                if after == before.values {
                    tx.commit().await?;
                    return Ok(Ok(before));
                }
                let (route, path, method) = columns(&after.target);
                let other = query(
                    "SELECT 1 AS one FROM tier_limits WHERE tier = $1 AND route = $2 AND path = $3 \
                     AND method = $4 AND name = $5 AND id <> $6",
                );
                let other = other.bind(tier).bind(route).bind(path).bind(method);
                let other = other.bind(&after.name).bind(id);
                if other.fetch_optional(&mut tx).await?.is_some() {
                    return Ok(Err(NotPlanned::RuleExists));
                }
                query(
                    "UPDATE tier_limits SET name = $1, route = $2, path = $3, method = $4, \
                     rate_count = $5, rate_seconds = $6, burst = $7, updated_at = $8 WHERE id = $9",
                )
                .bind(&after.name)
                .bind(route)
                .bind(path)
                .bind(method)
                .bind(after.quota.count.get())
                .bind(after.quota.seconds.get())
                .bind(after.quota.burst.map(|burst| i64::from(burst.get())))
                .bind(now)
                .bind(id)
                .execute(&mut tx)
                .await?;
                let after = Rule {
                    values: after,
                    updated_at: Some(now),
                    ..before
                };
                let details = details(&after);
                log_plan(&mut tx, Action::TierLimitUpdate, by, now, details).await?;
                tx.commit().await?;
                Ok(Ok(after))
            })
            .await
    }

    pub async fn delete_rule(
        &self,
        tier: &str,
        id: i64,
        by: &By,
        now: Millis,
    ) -> Result<Result<(), NotPlanned>, StoreError> {
        self.health
            .watch(async {
                let mut tx = self.db.begin().await?;
                tx.enter(Section::Accounts).await?;
                let Some(rule) = find(&mut tx, tier, id).await? else {
                    return Ok(Err(NotPlanned::NoSuchRule));
                };
                let delete = query("DELETE FROM tier_limits WHERE id = $1").bind(id);
                delete.execute(&mut tx).await?;
                let details = details(&rule);
                log_plan(&mut tx, Action::TierLimitDelete, by, now, details).await?;
                tx.commit().await?;
                Ok(Ok(()))
            })
            .await
    }
}

async fn find(tx: &mut Tx, tier: &str, id: i64) -> Result<Option<Rule>, sqlx::Error> {
    let row = query("SELECT * FROM tier_limits WHERE tier = $1 AND id = $2");
    let row = row.bind(tier).bind(id).fetch_optional(tx).await?;
    row.as_ref().map(rows::rule).transpose()
}

/// Route, path and method; what is absent is empty, so that equal ones are equal to the database too.
fn columns(target: &Target) -> (&str, &str, &str) {
    match target {
        Target::Route(route) => (route, "", ""),
        Target::Path(path, method) => ("", path, method.as_deref().unwrap_or_default()),
    }
}

/// What requests are decided by. `None` for a template that an older version took and this one does not.
fn compiled(rule: Rule) -> Option<LimitRule> {
    let scope = match rule.values.target {
        Target::Route(route) => RuleScope::Route(route),
        Target::Path(template, method) => match text::path(&template) {
            Ok(pattern) => RuleScope::Path {
                template,
                pattern,
                method: method.and_then(|text| Method::from_bytes(text.as_bytes()).ok()),
            },
            Err(error) => {
                tracing::error!(
                    rule = rule.id,
                    error,
                    "a limit rule can't be read and does not act"
                );
                return None;
            }
        },
    };
    Some(LimitRule {
        tier: rule.tier,
        name: rule.values.name,
        scope,
        rate: rule.values.quota.rate(),
    })
}

/// Removes the rules of a name that is another tier's from now on.
pub(super) async fn drop_rules(
    tx: &mut Tx,
    tier: &str,
    by: &By,
    now: Millis,
) -> Result<(), sqlx::Error> {
    let dropped = query("DELETE FROM tier_limits WHERE tier = $1 RETURNING *").bind(tier);
    for row in dropped.fetch_all(&mut *tx).await? {
        let details = details(&rows::rule(&row)?);
        log_plan(tx, Action::TierLimitDelete, by, now, details).await?;
    }
    Ok(())
}

fn details(rule: &Rule) -> Value {
    let (route, path, method) = columns(&rule.values.target);
    json!({
        "tier": rule.tier,
        "rule": rule.id,
        "name": rule.values.name,
        "on": if route.is_empty() { format!("{method} {path}").trim().to_owned() } else { route.to_owned() },
        "quota": told(Some(rule.values.quota)),
    })
}
