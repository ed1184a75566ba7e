//! Why the accounts did not do what they were asked, and how a client is told.

use super::keys::{FileError, KeysError};
use super::passwords::HashError;
use super::store::{StoreError, Taken};
use super::tiers::PlanError;
use crate::config::Fault;
use crate::config::checked::Store;
use crate::request::{Code, FieldError, Refusal};

/// Why the accounts could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the database {at}: {source}; {hint}, or change `store` in gateway.yaml")]
    Store {
        at: String,
        source: StoreError,
        hint: &'static str,
    },
    #[error("{}", told(.0))]
    Users(Vec<Fault>),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("cannot start the threads that hash passwords: {0}")]
    Threads(#[from] std::io::Error),
}

impl OpenError {
    pub(super) fn store(store: &Store, source: StoreError) -> OpenError {
        OpenError::Store {
            at: store.to_string(),
            hint: match (&source, store) {
                (StoreError::Absent, _) => "the first start of the gateway makes it",
                (StoreError::OtherVersion, _) => {
                    "`portcullis migrate` brings it up to date, if it is not newer than this program"
                }
                (_, Store::Sqlite(_)) => "check that the folder exists and may be written",
                (_, Store::Postgres(_)) => {
                    "check that the server runs, and its host, port, user, password and database"
                }
            },
            source,
        }
    }
}

impl From<FileError> for OpenError {
    fn from(error: FileError) -> Self {
        OpenError::Keys(error.into())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// An unknown name, a wrong password, an account that is disabled: all one.
    #[error("wrong name or password")]
    CredentialsInvalid,
    /// For so many seconds more.
    #[error("too many failed attempts; try again in {0} s")]
    Locked(u64),
    #[error("not a refresh token of this gateway")]
    RefreshInvalid,
    #[error("the session has expired")]
    SessionExpired,
    #[error("the session has ended")]
    SessionEnded,
    #[error("{}", list(.0))]
    Invalid(Vec<FieldError>),
    #[error("{}", taken(*.0))]
    Taken(Taken),
    #[error("there is no such account")]
    NoSuchAccount,
    #[error("the account is deleted; restore it first")]
    Deleted,
    #[error("there is no such API key")]
    NoSuchKey,
    #[error("the account has as many API keys as it may; revoke one first")]
    TooManyKeys,
    #[error("the system gave no random bytes")]
    NoRandom,
    #[error("this is the last superuser who can sign in; make another one first")]
    LastSuperuser,
    #[error(
        "accounts are kept by the application behind (`auth.users`), which alone can do this; here they can be \
         disabled, enabled and signed out"
    )]
    KeptElsewhere,
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a token could not be signed: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

fn told(faults: &[Fault]) -> String {
    let each = faults.iter().map(|fault| match fault.hint.as_str() {
        "" => format!("{}: {}", fault.key, fault.message),
        hint => format!("{}: {}; {hint}", fault.key, fault.message),
    });
    each.collect::<Vec<_>>().join("\n")
}

pub(super) fn list(fields: &[FieldError]) -> String {
    let each = fields.iter().map(|f| format!("{} {}", f.field, f.message));
    each.collect::<Vec<_>>().join("; ")
}

fn taken(what: Taken) -> &'static str {
    match what {
        Taken::Username => "The username is, or was once, somebody else's; choose another.",
        Taken::Email => "There is an account with this e-mail address.",
        Taken::ExternalId => "There is an account with this external_id.",
    }
}

impl From<AccountsError> for Refusal {
    fn from(error: AccountsError) -> Refusal {
        match error {
            AccountsError::CredentialsInvalid => {
                Refusal::new(Code::CredentialsInvalid, "Wrong name or password.")
            }
            AccountsError::Locked(seconds) => Refusal::new(
                Code::TooManyAttempts,
                "There were too many failed attempts; try again later.",
            )
            .retry_after(seconds),
            AccountsError::RefreshInvalid => {
                Refusal::new(Code::TokenInvalid, "This is not a valid refresh token.")
            }
            AccountsError::SessionExpired => Refusal::new(
                Code::TokenExpired,
                "The session has expired; sign in again.",
            ),
            AccountsError::SessionEnded => {
                Refusal::new(Code::TokenRevoked, "The session has ended; sign in again.")
            }
            AccountsError::Invalid(fields) => Refusal::invalid(fields),
            AccountsError::Taken(what) => Refusal::new(Code::Conflict, taken(what)),
            AccountsError::NoSuchAccount => {
                Refusal::new(Code::NotFound, "There is no such account.")
            }
            AccountsError::Deleted => {
                Refusal::new(Code::Conflict, "The account is deleted; restore it first.")
            }
            AccountsError::NoSuchKey => Refusal::new(Code::NotFound, "You have no such API key."),
            AccountsError::TooManyKeys => Refusal::new(
                Code::Conflict,
                "An account has at most 100 API keys; revoke one first.",
            ),
            AccountsError::LastSuperuser => Refusal::new(
                Code::Conflict,
                "This is the last superuser who can sign in; make another one first.",
            ),
            AccountsError::Plan(error) => planned(error),
            AccountsError::KeptElsewhere => Refusal::new(
                Code::Conflict,
                "Accounts are kept by the application behind, which alone can do this.",
            ),
            AccountsError::Hash(HashError::Busy) => {
                Refusal::new(Code::Unavailable, "Too many sign-ins at once; try again.")
                    .retry_after(2)
                    .because(HashError::Busy)
            }
            AccountsError::Store(error) => {
                Refusal::new(Code::Unavailable, "Accounts can't be reached; try again.")
                    .retry_after(1)
                    .for_now()
                    .because(error)
            }
            error @ (AccountsError::Hash(_)
            | AccountsError::Signing(_)
            | AccountsError::NoRandom) => {
                Refusal::new(Code::Internal, "Something went wrong inside.").because(error)
            }
        }
    }
}

fn planned(error: PlanError) -> Refusal {
    let (code, detail) = match error {
        PlanError::NoSuchTier => (Code::NotFound, "There is no such tier."),
        PlanError::NoSuchRule => (Code::NotFound, "The tier has no such limit rule."),
        PlanError::TierExists => (Code::Conflict, "There is a tier of this name."),
        PlanError::RuleExists => (
            Code::Conflict,
            "The tier has a limit rule of this name there.",
        ),
        PlanError::TierOfFile => (
            Code::Conflict,
            "The tier is one of gateway.yaml; change it there.",
        ),
        PlanError::TierInUse => (
            Code::Conflict,
            "Accounts have this tier, deleted ones included; give them another first.",
        ),
        PlanError::TooManyTiers => (Code::Conflict, "There are as many tiers as there may be."),
        PlanError::TooManyRules => (Code::Conflict, "There are as many rules as there may be."),
    };
    Refusal::new(code, detail)
}
