//! `auth`, after every check.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

use super::super::secret::Secret;
use super::{KeyAlgorithm, PrivateKey, Rate, Store};

/// The auth API and the tokens that it gives out.
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    /// Begins with `/`, does not end with one.
    pub base_path: String,
    pub issuer: String,
    /// What goes into `aud`; a token is accepted when it names one of these.
    pub audience: Vec<String>,
    /// Tolerance for clocks, for `exp` and `nbf`.
    pub leeway: Duration,
    pub keys_dir: PathBuf,
    /// All unauthenticated endpoints of the API together, and `logout-all`, by address; `None` is unlimited.
    pub rate: Option<Rate>,
    /// All other endpoints of the API but `introspect` together, by account; `None` is unlimited.
    pub user_rate: Option<Rate>,
    /// Questions of what tokens stand for, by the account that asks; `None` is unlimited.
    pub introspect_rate: Option<Rate>,
    /// Credentials that do not verify, by address; `None` is unlimited.
    pub failure_rate: Option<Rate>,
    pub access_token_ttl: Duration,
    pub refresh_token: RefreshToken,
    pub cookie: Cookie,
    pub signing: Signing,
    /// Encrypts keys that are made and kept in the store; `None` keeps them in `keys_dir`.
    pub master_key: Option<Secret>,
    pub password: PasswordPolicy,
    pub registration: Registration,
    /// The groups of endpoints that are served; the paths of the others go to the routes.
    pub serve: Vec<Group>,
    pub docs: Docs,
    pub username_reuse: UsernameReuse,
    /// A key of [`Config::tiers`](super::Config::tiers).
    pub default_tier: String,
    pub lockout: Lockout,
    /// Other projects whose paths are served too.
    pub compat: Vec<Compat>,
    /// Whose accounts sign in, when they are another application's.
    pub users: Option<UserTable>,
    pub api_keys: ApiKeys,
}

impl Auth {
    /// Whether people change their own accounts here: they are no other application's, and the endpoints are
    /// served.
    pub fn lets_accounts_change(&self) -> bool {
        self.users.is_none() && self.serve.contains(&Group::Users)
    }

    /// Whether people make API keys here, to which they give scopes as they like.
    pub fn lets_keys_be_made(&self) -> bool {
        self.api_keys.enabled && self.serve.contains(&Group::ApiKeys)
    }

    /// The tier that whoever asks for an account has, where anybody gets one.
    pub fn tier_of_strangers(&self) -> Option<&str> {
        let is_open = self.registration == Registration::Open && self.lets_accounts_change();
        is_open.then_some(self.default_tier.as_str())
    }
}

/// A project whose clients need not notice the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compat {
    FastapiBoilerplate,
}

/// A table of users that belongs to another application and is only read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTable {
    pub store: Store,
    /// One SELECT that takes what was typed at login as `$1`, without a semicolon at its end.
    pub query: String,
}

/// Keys that accounts give to their programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeys {
    pub enabled: bool,
    /// The field that clients put them in. It goes to no upstream, enabled or not.
    pub header: HeaderName,
}

/// How guesses at passwords are slowed down, by account and address together. An account from
/// everywhere locks at ten times as many failures, an address at twenty times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// So many failures within the window lock.
    pub failures: NonZeroU32,
    pub window: Duration,
    /// The first lock; each that follows takes twice as long.
    pub base: Duration,
    /// The longest lock, and how long after a lock or failure it is all forgotten.
    pub max: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub ttl: Duration,
    /// How long a token that was already used still yields the session's current one.
    pub reuse_grace: Duration,
    pub delivery: Delivery,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Cookie,
    Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub secure: bool,
    pub same_site: SameSite,
    /// `auth.base_path` unless set.
    pub path: String,
    pub domain: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signing {
    /// With a key that is made when it is missing.
    Generated(KeyAlgorithm),
    /// At least one: the first signs, all verify. No `kid` stands twice.
    Keys(Vec<SigningKey>),
    /// At least 32 bytes.
    Hs256(Secret),
}

/// A private key of `auth.signing.keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    pub kid: String,
    pub file: PathBuf,
    pub key: PrivateKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    pub min_length: usize,
    /// A lower-case and an upper-case letter, a digit and another character.
    pub complexity: bool,
    /// What new passwords are hashed with, and others at their next login.
    pub hash: PasswordHash,
    /// log2 of bcrypt's rounds, 4 to 31.
    pub bcrypt_cost: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordHash {
    Bcrypt,
    Argon2id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    Closed,
    Open,
}

/// Endpoints of the auth API that are served together or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Session,
    Users,
    Tiers,
    ApiKeys,
    Audit,
}

impl Group {
    pub const ALL: [Group; 5] = [
        Group::Session,
        Group::Users,
        Group::Tiers,
        Group::ApiKeys,
        Group::Audit,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Group::Session => "session",
            Group::Users => "users",
            Group::Tiers => "tiers",
            Group::ApiKeys => "api_keys",
            Group::Audit => "audit",
        }
    }
}

/// Who may read the API's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Docs {
    Open,
    Superuser,
    Off,
}

/// Whether a name that was once in use is given to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsernameReuse {
    Never,
    /// So long after its account was renamed or removed for good.
    After(Duration),
}
