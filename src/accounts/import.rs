//! Accounts that come from elsewhere with the hashes of their passwords.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::error::{AccountsError, list};
use super::hashes::{Hash, Scheme};
use super::settings::Settings;
use super::store::{Account, By, Inserted};
use super::tiers::unknown_tier;
use super::users::{Users, not_made};
use super::validate;
use crate::request::FieldError;

/// An account as another system had it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Newcomer {
    pub username: String,
    pub email: String,
    /// The username when absent.
    pub name: Option<String>,
    pub password_hash: String,
    /// `auth.default_tier` when absent.
    pub tier: Option<String>,
    pub is_superuser: bool,
    pub external_id: Option<String>,
}

/// What became of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    Made,
    /// An account of this name and e-mail was there; it stays as it is.
    Known,
    Refused(String),
}

impl Users {
    /// Makes accounts, all that can be made in one transaction, and says of each what became of it.
    pub async fn import(
        &self,
        newcomers: &[Newcomer],
        by: &By,
    ) -> Result<Vec<Imported>, AccountsError> {
        self.own()?;
        let settings = self.settings.load_full();
        let now = (self.clock)();
        let tiers = self.known_tiers(&settings).await?;
        let accounts = newcomers.iter();
        let accounts = accounts.map(|new| account(new, now, &settings, &tiers));
        let accounts: Vec<Result<Account, String>> = accounts.collect();
        let pairs = accounts.iter().zip(newcomers).filter_map(|(account, new)| {
            let account = account.as_ref().ok()?;
            Some((account, new.password_hash.as_str()))
        });
        let pairs: Vec<_> = pairs.collect();
        let free = settings.free_for_accounts(now);
        let inserted = self.store.insert_all(&pairs, free, by);
        let mut inserted = inserted.await?.into_iter();
        let became = accounts.iter().map(|account| match account {
            Err(refused) => Imported::Refused(refused.clone()),
            Ok(_) => match inserted.next() {
                Some(Inserted::Known) => Imported::Known,
                Some(Inserted::Not(reason)) => Imported::Refused(not_made(reason).to_string()),
                Some(Inserted::Made) | None => Imported::Made,
            },
        });
        Ok(became.collect())
    }
}

fn account(
    new: &Newcomer,
    now: i64,
    settings: &Settings,
    tiers: &BTreeSet<String>,
) -> Result<Account, String> {
    let name = new.name.as_deref().filter(|name| !name.is_empty());
    let name = name.unwrap_or(&new.username);
    let tier = new.tier.as_deref().filter(|tier| !tier.is_empty());
    let external_id = new.external_id.as_deref().filter(|id| !id.is_empty());
    let hash = Hash::read(&new.password_hash, Scheme::of(&settings.password));
    let checks = [
        validate::username(&new.username),
        validate::name(name),
        validate::email(&new.email),
        external_id.map_or(Ok(()), validate::external_id),
        match tier {
            Some(tier) if !tiers.contains(tier) => Err(unknown_tier(tiers)),
            _ => Ok(()),
        },
        hash.map(|_| ()).map_err(|error| FieldError {
            field: "password_hash".into(),
            message: error.to_string().into(),
        }),
    ];
    let errors: Vec<FieldError> = checks.into_iter().filter_map(Result::err).collect();
    if !errors.is_empty() {
        return Err(list(&errors));
    }
    Ok(Account {
        id: Uuid::now_v7(),
        external_id: external_id.map(str::to_owned),
        username: new.username.clone(),
        name: name.to_owned(),
        email: new.email.clone(),
        profile_image_url: None,
        tier: tier.unwrap_or(&settings.default_tier).to_owned(),
        roles: Vec::new(),
        is_superuser: new.is_superuser,
        is_active: true,
        version: 1,
        created_at: now,
        updated_at: None,
        deleted_at: None,
    })
}
