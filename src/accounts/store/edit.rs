//! A change to an account as a value: what it makes of the account, and what of it may be told.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Account, Action, Millis, Taken};

/// How an account is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    Id(Uuid),
    Username(&'a str),
}

/// New values; `None` leaves the old one. An inner `None` takes the value away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    pub username: Option<String>,
    pub name: Option<String>,
    pub email: Option<String>,
    pub profile_image_url: Option<Option<String>>,
    pub external_id: Option<Option<String>>,
    pub tier: Option<String>,
    pub roles: Option<Vec<String>>,
    pub is_superuser: Option<bool>,
    pub is_active: Option<bool>,
    /// Of a deleted account nothing but this can be changed.
    pub is_deleted: Option<bool>,
}

/// Whether a change may leave nobody who administers the accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastSuperuser {
    MayGo,
    Stays,
}

/// Why an account was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotChanged {
    NoSuchAccount,
    Deleted,
    Taken(Taken),
    LastSuperuser,
    /// Any more: it was there a moment ago.
    NoSuchTier,
    /// The password is not the one that was checked, any more.
    OtherPassword,
}

/// A password to be set.
#[derive(Clone, Copy)]
pub struct NewPassword<'a> {
    pub hash: &'a str,
    /// The hash that the old password was checked against, if it was asked for.
    pub checked: Option<&'a str>,
    /// The session that goes on; every other one ends.
    pub keep: Option<Uuid>,
}

impl Edit {
    /// It says nothing but whether the account may sign in here, and deletes nothing.
    pub fn is_of_sign_in(&self) -> bool {
        let allowed = Edit {
            is_active: self.is_active,
            is_deleted: self.is_deleted.filter(|is_deleted| !is_deleted),
            ..Edit::default()
        };
        *self == allowed
    }

    /// The account after the change, at the same version.
    pub fn applied(&self, account: &Account, now: Millis) -> Account {
        let set = |new: &Option<String>, old: &String| new.clone().unwrap_or_else(|| old.clone());
        let or = |new: &Option<Option<String>>, old: &Option<String>| {
            new.clone().unwrap_or_else(|| old.clone())
        };
        Account {
            username: set(&self.username, &account.username),
            name: set(&self.name, &account.name),
            email: set(&self.email, &account.email),
            profile_image_url: or(&self.profile_image_url, &account.profile_image_url),
            external_id: or(&self.external_id, &account.external_id),
            tier: set(&self.tier, &account.tier),
            roles: self.roles.clone().unwrap_or_else(|| account.roles.clone()),
            is_superuser: self.is_superuser.unwrap_or(account.is_superuser),
            is_active: self.is_active.unwrap_or(account.is_active),
            deleted_at: match self.is_deleted {
                None => account.deleted_at,
                Some(false) => None,
                Some(true) => account.deleted_at.or(Some(now)),
            },
            ..account.clone()
        }
    }
}

/// What the audit trail calls a change.
pub fn action(before: &Account, after: &Account) -> Action {
    match (before.deleted_at, after.deleted_at) {
        (None, Some(_)) => return Action::UserDelete,
        (Some(_), None) => return Action::UserRestore,
        _ => {}
    }
    match (before.is_active, after.is_active) {
        (true, false) => Action::UserDisable,
        (false, true) => Action::UserEnable,
        _ => Action::UserUpdate,
    }
}

/// What a change did, for the audit trail. It outlives the account, so of what tells of a person it
/// says that it changed and no more.
pub fn details(before: &Account, after: &Account) -> Value {
    let mut told = Map::new();
    let mut from_to = |member: &str, from: Value, to: Value| {
        if from != to {
            told.insert(member.to_owned(), json!({ "from": from, "to": to }));
        }
    };
    from_to("username", json!(before.username), json!(after.username));
    from_to("tier", json!(before.tier), json!(after.tier));
    from_to("roles", json!(before.roles), json!(after.roles));
    from_to(
        "is_superuser",
        json!(before.is_superuser),
        json!(after.is_superuser),
    );
    for (member, is_changed) in [
        ("name", before.name != after.name),
        ("email", before.email != after.email),
        (
            "profile_image_url",
            before.profile_image_url != after.profile_image_url,
        ),
        ("external_id", before.external_id != after.external_id),
    ] {
        if is_changed {
            told.insert(member.to_owned(), json!("changed"));
        }
    }
    Value::Object(told)
}
