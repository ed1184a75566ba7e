//! The configuration after every check: names resolved, units parsed, defaults filled in.
//!
//! The rest of the program reads only these types. An index such as [`Route::upstream`] points into
//! the vector that its documentation names and is valid for the [`Config`] it came with.

mod auth;
mod route;
mod rule;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::secret::Secret;

pub use self::auth::{
    ApiKeys, Auth, Compat, Cookie, Delivery, Docs, Group, Lockout, PasswordHash, PasswordPolicy,
    RefreshToken, Registration, SameSite, Signing, SigningKey, UserTable, UsernameReuse,
};
pub use self::route::{
    AuthMode, Cors, Guard, HeaderEdits, HeaderLine, HostPattern, HostRewrite, Origins, PathOptions,
    Pattern, Rewrite, Route, RouteHeader, SecurityHeaders, Segment, Shadow, TrailingSlash,
};
pub use self::rule::{ClaimRule, Concurrency, Limit, LimitKey, Mode, Owner, OwnerField, Rule};
pub use super::json_pointer::{JsonPointer, NoValue};
pub use super::look_up::{LookUp, Target as LookUpTarget};
pub use super::networks::{AddressRules, Networks};
pub use super::path_regex::{Case, PathRegex};
pub use super::private_key::{KeyAlgorithm, KeyFault, PrivateKey};
pub use super::template::{Part, RequestField, Template, UserField, Variable};

/// One gateway.yaml, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub listen: Vec<Listen>,
    pub admin: Admin,
    /// Data-plane threads, at least one.
    pub workers: usize,
    /// Peers whose `X-Forwarded-For` and `X-Request-Id` are believed.
    pub trusted_proxies: Networks,
    /// How long a drain waits for requests under way.
    pub shutdown_grace: Duration,
    pub store: Store,
    /// By which gateways hold limits together; `None` leaves each to itself.
    pub redis: Option<Redis>,
    pub auth: Auth,
    pub tiers: BTreeMap<String, Tier>,
    /// The quota of callers without identity, by address; `None` leaves them unlimited.
    pub anonymous: Option<Rate>,
    pub upstreams: Vec<Upstream>,
    pub identity: Identity,
    /// Of the auth API and of routes that say nothing else.
    pub cors: Option<Arc<Cors>>,
    pub routes: Vec<Route>,
    /// Bytes that a request's head may take, at least 8 KiB.
    pub max_header: usize,
    pub limits_headers: LimitsHeaders,
    pub log: Log,
}

impl Config {
    /// The headers that upstreams are told beside the preset's, on whatever route.
    pub fn headers_told(&self) -> impl Iterator<Item = &HeaderLine> {
        let routes = self.routes.iter();
        let routes = routes.flat_map(|route| route.request_headers.lines());
        self.identity.headers.iter().chain(routes)
    }

    /// The headers of clients that some route is chosen by, or a rule of it asks for.
    pub fn headers_asked(&self) -> impl Iterator<Item = &HeaderName> {
        self.routes.iter().flat_map(Route::headers_asked)
    }

    /// Where it listens, for the public and for administration.
    pub fn own_addresses(&self) -> Vec<SocketAddr> {
        let public = self.listen.iter().map(|listen| listen.address);
        public.chain(self.admin.address).collect()
    }

    /// Every template of the file.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let routes = self.routes.iter();
        let answers = routes.flat_map(|route| route.response_headers.lines());
        self.headers_told().chain(answers).map(|line| &line.value)
    }

    /// A tier of the file that has this rank.
    pub fn tier_of_rank(&self, rank: u32) -> Option<&str> {
        let mut tiers = self.tiers.iter();
        let (name, _) = tiers.find(|(_, tier)| tier.rank == rank)?;
        Some(name)
    }

    /// Whether some route ignores case, so that every path is read in that way as well.
    pub fn folds_paths(&self) -> bool {
        let mut options = self.routes.iter().map(|route| route.path_options);
        options.any(|options| options.case_insensitive)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
}

/// Where health, metrics and administration are served: in one place at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    pub address: Option<SocketAddr>,
    /// A Unix socket, for the process's own user alone.
    pub socket: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// The path of a SQLite database, made when it is missing.
    Sqlite(PathBuf),
    Postgres(Postgres),
}

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// As libpq takes it, with the password.
    pub url: Secret,
    /// Where that is, for people.
    pub shown: String,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Store::Sqlite(path) => write!(f, "{}", path.display()),
            Store::Postgres(postgres) => f.write_str(&postgres.shown),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    pub rank: u32,
    /// `None` is unlimited.
    pub rate: Option<Rate>,
}

/// Where Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// With its password.
    pub url: Secret,
    /// The same without.
    pub shown: String,
}

/// `count` requests per `period`, of which `burst` may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    pub count: NonZeroU32,
    pub period: Duration,
    pub burst: NonZeroU32,
}

impl Rate {
    /// What takes longer to come back does not fit into a counter: 833 days, and most of another.
    pub const LONGEST: Duration = Duration::from_nanos(1 << 56);

    /// Whether counters can hold the whole burst.
    pub fn is_countable(&self) -> bool {
        // Rounded up as where it is counted.
        let each = self.period.as_nanos().div_ceil(self.count.get().into());
        each * u128::from(self.burst.get()) <= Rate::LONGEST.as_nanos()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub name: String,
    /// At least one.
    pub targets: Vec<Target>,
    pub connect_timeout: Duration,
    /// To the response's headers.
    pub response_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
}

/// Where an upstream listens, in clear HTTP/1.1. The name is looked up by the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// A name or an address, an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

/// How the caller is told to the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user_id: UserId,
    pub preset: Preset,
    /// Set beside the preset's, where they have a value.
    pub headers: Vec<HeaderLine>,
    /// Never with [`Signing::Hs256`].
    pub assertion: Option<Assertion>,
    pub forward_authorization: bool,
}

/// A signed token that tells the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    pub header: HeaderName,
    /// Whole seconds.
    pub ttl: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserId {
    Id,
    ExternalId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    XUser,
    XForwarded,
    XAuthRequest,
    RemoteUser,
    XConsumer,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsHeaders {
    pub ietf: bool,
    pub legacy: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub access: AccessLog,
    /// A `tracing` filter: `info`, `debug`, `warn`, `error`, `trace`.
    pub level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    Json,
    Text,
    Off,
}
