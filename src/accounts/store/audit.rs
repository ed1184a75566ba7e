//! Who does something, what it is called, and how it is remembered.

use std::net::IpAddr;

use serde_json::Value;
use uuid::Uuid;

use super::Millis;

/// Who does something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    pub via: Via,
    /// Nobody who had shown who they are, when absent.
    pub actor: Option<Subject>,
    pub ip: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Api,
    CommandLine,
    /// The application whose table of users this gateway reads.
    Application,
}

/// An account, with the name that it has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub id: Uuid,
    pub username: String,
}

impl By {
    pub fn command_line() -> By {
        By {
            via: Via::CommandLine,
            actor: None,
            ip: None,
        }
    }

    /// A call without a token.
    pub fn stranger(ip: IpAddr) -> By {
        By {
            via: Via::Api,
            actor: None,
            ip: Some(ip),
        }
    }

    /// The application that the accounts are kept by, noticed at a call from there.
    pub fn application(ip: Option<IpAddr>) -> By {
        By {
            via: Via::Application,
            actor: None,
            ip,
        }
    }

    pub fn user(id: Uuid, username: &str, ip: IpAddr) -> By {
        By {
            actor: Some(Subject {
                id,
                username: username.to_owned(),
            }),
            ..By::stranger(ip)
        }
    }
}

impl Via {
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Api => "api",
            Via::CommandLine => "command-line",
            Via::Application => "application",
        }
    }
}

/// What the audit trail calls what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    LoginSuccess,
    LoginFailure,
    Logout,
    SessionEnd,
    SessionEndAll,
    RefreshReuse,
    UserCreate,
    UserUpdate,
    UserPassword,
    UserDisable,
    UserEnable,
    UserDelete,
    UserRestore,
    UserPurge,
    TierCreate,
    TierUpdate,
    TierDelete,
    TierLimitCreate,
    TierLimitUpdate,
    TierLimitDelete,
    TokenMint,
    ApiKeyCreate,
    ApiKeyUpdate,
    ApiKeyRevoke,
}

impl Action {
    pub const ALL: [Action; 24] = [
        Action::LoginSuccess,
        Action::LoginFailure,
        Action::Logout,
        Action::SessionEnd,
        Action::SessionEndAll,
        Action::RefreshReuse,
        Action::UserCreate,
        Action::UserUpdate,
        Action::UserPassword,
        Action::UserDisable,
        Action::UserEnable,
        Action::UserDelete,
        Action::UserRestore,
        Action::UserPurge,
        Action::TierCreate,
        Action::TierUpdate,
        Action::TierDelete,
        Action::TierLimitCreate,
        Action::TierLimitUpdate,
        Action::TierLimitDelete,
        Action::TokenMint,
        Action::ApiKeyCreate,
        Action::ApiKeyUpdate,
        Action::ApiKeyRevoke,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Action::LoginSuccess => "login.success",
            Action::LoginFailure => "login.failure",
            Action::Logout => "logout",
            Action::SessionEnd => "session.end",
            Action::SessionEndAll => "session.end-all",
            Action::RefreshReuse => "refresh.reuse",
            Action::UserCreate => "user.create",
            Action::UserUpdate => "user.update",
            Action::UserPassword => "user.password",
            Action::UserDisable => "user.disable",
            Action::UserEnable => "user.enable",
            Action::UserDelete => "user.delete",
            Action::UserRestore => "user.restore",
            Action::UserPurge => "user.purge",
            Action::TierCreate => "tier.create",
            Action::TierUpdate => "tier.update",
            Action::TierDelete => "tier.delete",
            Action::TierLimitCreate => "tier.limit.create",
            Action::TierLimitUpdate => "tier.limit.update",
            Action::TierLimitDelete => "tier.limit.delete",
            Action::TokenMint => "token.mint",
            Action::ApiKeyCreate => "api-key.create",
            Action::ApiKeyUpdate => "api-key.update",
            Action::ApiKeyRevoke => "api-key.revoke",
        }
    }
}

/// Something that was done.
pub struct Event<'a> {
    pub at: Millis,
    pub action: Action,
    pub by: &'a By,
    /// To whom; nobody for a failed login with a name that nobody has.
    pub subject: Option<(Uuid, &'a str)>,
    /// A JSON object without secrets.
    pub details: Value,
}

/// What to read of the audit trail, the newest first.
#[derive(Debug, Clone, Default)]
pub struct Trail<'a> {
    /// To whom it was done, by a name that the account has or once had.
    pub user: Option<&'a str>,
    /// Who did it, likewise.
    pub actor: Option<&'a str>,
    pub action: Option<Action>,
    pub since: Option<Millis>,
    /// Only what is older than this entry.
    pub before: Option<i64>,
    pub limit: i64,
}

/// An entry of the audit trail, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub seq: i64,
    pub at: Millis,
    pub action: String,
    pub via: String,
    pub actor: Option<Subject>,
    pub ip: Option<String>,
    pub subject: Option<Subject>,
    pub details: Value,
}
