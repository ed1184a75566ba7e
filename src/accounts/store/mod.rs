//! Where accounts and sessions are kept. Only this folder knows SQL.

mod api_keys;
mod audit;
mod db;
mod edit;
mod health;
mod secrets;
mod sql;
mod table;
#[cfg(test)]
mod tests;
mod tiers;

use std::net::IpAddr;

use uuid::Uuid;

use self::db::Db;
use self::health::Health;
use crate::config::checked;

pub use api_keys::{KeyEdit, KeyInfo, NotKept, StoredKey};
pub use audit::{Action, By, Entry, Event, Subject, Trail};
pub use edit::{Edit, Key, LastSuperuser, NewPassword, NotChanged};
pub use health::StoreError;
pub use secrets::{Sealed, SecretEdit};
pub use table::{Member, RowFault, Table};
pub use tiers::{
    FileTiers, Free, ListedRules, NotPlanned, Quota, Rule, RuleValues, StoredTier, Target, TierRow,
    TierValues,
};

/// Milliseconds since 1970.
pub type Millis = i64;

/// The accounts and sessions of a database.
pub struct Store {
    db: Db,
    health: Health,
}

impl Store {
    /// Connects, makes what is missing and brings the tables up to date.
    pub async fn open(store: &checked::Store) -> Result<Store, StoreError> {
        Ok(Store {
            db: Db::open(store).await?,
            health: Health::up("the store"),
        })
    }

    /// Connects to what is there and up to date, and changes nothing, now or later.
    pub async fn open_to_read(store: &checked::Store) -> Result<Store, StoreError> {
        Ok(Store {
            db: Db::open_to_read(store).await?,
            health: Health::up("the store"),
        })
    }

    /// Whether the last call went well.
    pub fn is_up(&self) -> bool {
        self.health.is_up()
    }
}

/// An account as it is kept, its password's hash aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: Uuid,
    /// The account's id in the application behind.
    pub external_id: Option<String>,
    pub username: String,
    pub name: String,
    pub email: String,
    pub profile_image_url: Option<String>,
    pub tier: String,
    pub roles: Vec<String>,
    pub is_superuser: bool,
    pub is_active: bool,
    /// Raised by every change that tokens already issued must feel.
    pub version: u64,
    pub created_at: Millis,
    pub updated_at: Option<Millis>,
    pub deleted_at: Option<Millis>,
}

impl Account {
    /// The account that is here, with what the application says of it.
    pub fn mirrored_onto(&self, here: &Account) -> Account {
        Account {
            external_id: self.external_id.clone(),
            username: self.username.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            tier: self.tier.clone(),
            roles: self.roles.clone(),
            is_superuser: self.is_superuser,
            ..here.clone()
        }
    }

    /// Neither disabled nor deleted.
    pub fn may_sign_in(&self) -> bool {
        self.is_active && self.deleted_at.is_none()
    }
}

/// What a login is checked against.
pub struct Credentials {
    pub account: Account,
    pub password_hash: String,
    /// The account is in the store, and not only about to be.
    pub is_kept: bool,
}

/// What the name of an account begins with whose name the application has given to somebody else; its id
/// follows.
pub const NAMELESS: char = '~';

/// What another application says of an account, as the mirror here takes it over.
#[derive(Clone, Copy)]
pub struct Mirrored<'a> {
    /// The values of the application; `id` is for an account that is new here, and whether it may sign
    /// in is not taken over.
    pub account: &'a Account,
    /// Stands for the hash of its password, and says nothing of it to whoever has only the database.
    pub fingerprint: &'a str,
    /// Of which it may have a tier, beside those of the store.
    pub tiers: &'a FileTiers,
}

/// The account of a session that a refresh token was presented for.
pub struct SessionOwner {
    pub credentials: Credentials,
    /// It has not ended, nor expired.
    pub is_alive: bool,
}

/// Failed sign-ins of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Since the window began or the last lock.
    pub failures: u32,
    /// When the first of them was.
    pub since: Millis,
    /// How many locks there were.
    pub locks: u32,
    pub locked_until: Millis,
    /// When this is as good as nothing.
    pub forget_at: Millis,
}

/// A session as the judgement of a refresh token needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: Uuid,
    /// The number of the one refresh token that is current.
    pub counter: u64,
    /// When the latest tokens before it were used, the newest last.
    pub rotations: Vec<Millis>,
    pub expires_at: Millis,
    pub has_ended: bool,
}

/// A session about to begin.
pub struct NewSession<'a> {
    pub id: Uuid,
    pub now: Millis,
    pub expires_at: Millis,
    pub tokens_expire_at: Millis,
    pub ip: IpAddr,
    pub user_agent: Option<&'a str>,
}

/// The login that a session begins with.
pub struct Login<'a> {
    /// The hash that the password was checked against.
    pub checked_hash: &'a str,
    /// A hash in its place.
    pub new_hash: Option<&'a str>,
    /// The count of failures that this success clears.
    pub clears: &'a str,
}

/// A session as it is told to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    pub id: Uuid,
    pub created_at: Millis,
    pub last_used_at: Millis,
    pub expires_at: Millis,
    pub ip: String,
    pub user_agent: Option<String>,
}

/// What to write for a refresh token that was presented.
pub enum Step {
    /// The next token becomes current.
    Rotate {
        rotations: Vec<Millis>,
        expires_at: Millis,
    },
    /// Nothing but how long access tokens are about.
    Repeat,
    /// The session ends.
    End,
    /// Nothing.
    Leave,
}

/// What a new account has in common with one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Username,
    Email,
    ExternalId,
}

/// Why a new account was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotMade {
    Taken(Taken),
    /// Any more: it was there a moment ago.
    NoSuchTier,
}

/// What became of an account that was to be kept with many others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    Made,
    /// There is one of the same name and e-mail.
    Known,
    Not(NotMade),
}

/// Which accounts to list, in the order of the name, or of the e-mail when that is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing<'a> {
    pub prefix: Option<Prefix<'a>>,
    pub tier: Option<&'a str>,
    /// The deleted ones or the others.
    pub is_deleted: bool,
    /// Only those that come after this name or e-mail, in lower case.
    pub after: Option<&'a str>,
    pub offset: i64,
    pub limit: i64,
}

/// What an account's name or e-mail begins with, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix<'a> {
    Username(&'a str),
    Email(&'a str),
}

impl Prefix<'_> {
    /// Text that no name can begin with is searched among the e-mails. `None` for no text.
    pub fn of(text: &str) -> Option<Prefix<'_>> {
        let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        match text {
            "" => None,
            text if text.chars().all(is_of_name) => Some(Prefix::Username(text)),
            text => Some(Prefix::Email(text)),
        }
    }
}

/// Some accounts of a [`Listing`], and how many it has.
#[derive(Debug)]
pub struct Listed {
    pub accounts: Vec<Account>,
    pub total: i64,
}

/// A row of the change log.
#[derive(Debug)]
pub struct Change {
    pub seq: i64,
    /// When the last token that this is about expires.
    pub until: Millis,
    pub what: Changed,
}

#[derive(Debug)]
pub enum Changed {
    /// With the account as it is now.
    Account(Box<Account>),
    SessionEnded(Uuid),
}

/// A session, or the grant of an API key, that has just ended, for those who must hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSession {
    pub id: Uuid,
    pub tokens_expire_at: Millis,
}

/// A session that a refresh token was presented for, as it was before the step.
pub struct UsedSession {
    pub session: Session,
    pub account: Account,
    pub step: Step,
}

/// A session with its owner, as it is.
pub struct KnownSession {
    pub session: Session,
    pub info: SessionInfo,
    pub account: Account,
}

/// How e-mails are compared.
fn fold_email(email: &str) -> String {
    email.to_lowercase()
}
