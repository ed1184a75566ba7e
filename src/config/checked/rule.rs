//! The rules and limits of a route, after every check.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use http::HeaderName;

use super::super::cel::{Expression, Variable};
use super::{LookUp, Rate};

/// All that is set must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    pub superuser: Option<bool>,
    pub owner: Option<Owner>,
    /// Asked when all else holds.
    pub look_up: Option<LookUp>,
    /// One of these; empty asks nothing.
    pub tiers: Vec<String>,
    /// The rank that the caller's tier must reach.
    pub min_rank: Option<u32>,
    /// One of these; empty asks nothing.
    pub roles: Vec<String>,
    /// Every one of these.
    pub scopes: Vec<String>,
    /// Every one of these.
    pub claims: Vec<ClaimRule>,
    pub cel: Option<Expression>,
}

impl Rule {
    /// Whether an answer depends on this claim of the caller's.
    pub fn names_claim(&self, name: &str) -> bool {
        self.claims_asked().any(|asked| asked == name)
    }

    /// The claims of the caller on which an answer depends, each by its name or the way to it.
    pub fn claims_asked(&self) -> impl Iterator<Item = &str> {
        let of_cel = self.cel.iter().flat_map(Expression::variables);
        let of_owner = self.owner.iter().map(|owner| &owner.equals);
        let of_look_up = self.look_up.iter().map(|look_up| &look_up.equals);
        let fields = of_owner.chain(of_look_up).map(OwnerField::claim);
        let claims = self.claims.iter().map(|claim| claim.name.as_str());
        let of_cel = of_cel.filter_map(Variable::claim);
        claims.chain(fields).chain(of_cel)
    }
}

/// A claim that must be a value, or a list that has it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRule {
    /// The name, or the way to it: `realm_access.roles`.
    pub name: String,
    /// Text, a number or a boolean.
    pub value: serde_json::Value,
}

/// A path parameter that must be equal to what is known of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name of a `{parameter}` of the route's path.
    pub parameter: String,
    pub equals: OwnerField,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerField {
    Id,
    Username,
    ExternalId,
    /// The text of a claim, which may be named by the way to it.
    Claim(String),
}

impl OwnerField {
    /// The claim that says the same.
    pub fn claim(&self) -> &str {
        match self {
            OwnerField::Id => "sub",
            OwnerField::Username => "username",
            OwnerField::ExternalId => "external_id",
            OwnerField::Claim(name) => name,
        }
    }
}

/// As the file has it, without braces.
impl fmt::Display for OwnerField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OwnerField::Id => f.write_str("user.id"),
            OwnerField::Username => f.write_str("user.username"),
            OwnerField::ExternalId => f.write_str("user.external_id"),
            OwnerField::Claim(name) => write!(f, "claims.{name}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub name: String,
    pub key: LimitKey,
    /// For tiers that [`Limit::tiers`] does not name; `None` is unlimited.
    pub rate: Option<Rate>,
    /// Inner `None` is unlimited.
    pub tiers: BTreeMap<String, Option<Rate>>,
    /// What one request takes.
    pub cost: NonZeroU32,
    pub mode: Mode,
}

/// What becomes of a request that a limit has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Enforce,
    /// It passes, and that is recorded.
    Shadow,
}

/// How many requests with one key may be under way at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    pub key: LimitKey,
    pub max: NonZeroU32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// Callers without identity are counted by address.
    User,
    Ip,
    Route,
    /// By address when the header is absent.
    Header(HeaderName),
    /// An API key; callers without one as by [`LimitKey::User`].
    ApiKey,
    /// What a claim says; callers without it as by [`LimitKey::User`].
    Claim(String),
}

/// As the file has it.
impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitKey::User => f.write_str("user"),
            LimitKey::Ip => f.write_str("ip"),
            LimitKey::Route => f.write_str("route"),
            LimitKey::Header(name) => write!(f, "header:{name}"),
            LimitKey::ApiKey => f.write_str("api_key"),
            LimitKey::Claim(name) => write!(f, "claim:{name}"),
        }
    }
}

impl LimitKey {
    pub fn names_claim(&self, claim: &str) -> bool {
        matches!(self, LimitKey::Claim(name) if name == claim)
    }

    /// It is known before it is known who calls.
    pub fn is_early(&self) -> bool {
        match self {
            LimitKey::Ip | LimitKey::Route | LimitKey::Header(_) => true,
            LimitKey::User | LimitKey::ApiKey | LimitKey::Claim(_) => false,
        }
    }
}
