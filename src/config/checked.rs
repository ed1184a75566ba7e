//! The configuration after every check: names resolved, units parsed, defaults filled in.
//!
//! The rest of the program reads only these types. An index such as [`Route::upstream`] points into
//! the vector that its documentation names and is valid for the [`Config`] it came with.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::cel::Expression;
use super::secret::{self, Secret, shown_header};

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
}

impl Config {
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
    /// All unauthenticated endpoints of the API together, by address; `None` is unlimited.
    pub rate: Option<Rate>,
    /// Credentials that do not verify on routes, by address; `None` is unlimited.
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
    /// A key of [`Config::tiers`].
    pub default_tier: String,
    pub lockout: Lockout,
    /// Other projects whose paths are served too.
    pub compat: Vec<Compat>,
    /// Whose accounts sign in, when they are another application's.
    pub users: Option<UserTable>,
    pub api_keys: ApiKeys,
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

/// A header and what its value is made of.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderLine {
    pub name: HeaderName,
    pub value: Template,
}

impl HeaderLine {
    /// The value as people are shown it. `parameters` are those of the route's path.
    pub fn shown(&self, parameters: &[&str]) -> String {
        match secret::is_header(self.name.as_str()) {
            true => secret::HIDDEN.to_owned(),
            false => self.value.text(parameters),
        }
    }
}

impl fmt::Debug for HeaderLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.shown(&[]))
    }
}

/// What a route changes about the headers of a message, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderEdits {
    pub remove: Vec<HeaderName>,
    /// In place of whatever has the name.
    pub set: Vec<HeaderLine>,
    /// Beside whatever has the name.
    pub add: Vec<HeaderLine>,
}

impl HeaderEdits {
    /// What the message's sender does not say, in whatever spelling.
    pub fn withheld(&self) -> impl Iterator<Item = &HeaderName> {
        let set = self.set.iter().map(|line| &line.name);
        self.remove.iter().chain(set)
    }

    pub fn lines(&self) -> impl Iterator<Item = &HeaderLine> {
        self.set.iter().chain(&self.add)
    }
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

#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub name: String,
    pub pattern: Pattern,
    /// Empty admits every method. HEAD is admitted where GET is.
    pub methods: Vec<Method>,
    /// Lower case; empty admits every host.
    pub hosts: Vec<HostPattern>,
    /// Admitted are requests that have each of these; no name stands twice.
    pub headers: Vec<RouteHeader>,
    pub auth: AuthMode,
    /// Alternatives; empty admits every caller that `auth` admits.
    pub allow: Vec<Rule>,
    /// `None`: the tier's quota, or the anonymous one. Empty: no limit.
    pub limits: Option<Vec<Limit>>,
    pub concurrency: Option<Concurrency>,
    /// An index into [`Config::upstreams`].
    pub upstream: usize,
    /// Bytes.
    pub max_body: u64,
    /// To the response's headers; `None` takes the upstream's.
    pub timeout: Option<Duration>,
    pub rewrite: Rewrite,
    pub security_headers: SecurityHeaders,
    pub path_options: PathOptions,
    pub request_headers: HeaderEdits,
    pub response_headers: HeaderEdits,
    /// The route's own or the file's.
    pub cors: Option<Arc<Cors>>,
    pub shadow: Shadow,
    pub ip: AddressRules,
}

/// Headers of responses that hold browsers to what the response says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecurityHeaders {
    #[default]
    Off,
    Standard,
}

/// Which pages of other origins may call, and with what (the Fetch standard, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    pub origins: Origins,
    /// Empty: every one that is asked for.
    pub methods: Vec<Method>,
    /// Of requests, beside those that need no permission.
    pub headers: Vec<HeaderName>,
    /// Of responses, beside the gateway's own.
    pub expose: Vec<HeaderName>,
    /// All of them, as every response to such a page tells it.
    pub exposed: HeaderValue,
    /// Never with [`Origins::Any`].
    pub credentials: bool,
    pub max_age: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    Any,
    /// As browsers send them.
    Listed(Vec<HeaderValue>),
}

/// What the upstream is asked for in place of what the client asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewrite {
    /// Begins with `/` and does not end with one, or is empty. Every plain path of the route begins with it.
    pub strip_prefix: String,
    /// Whether the route, and so the prefix, is without regard to case.
    pub strip_any_case: bool,
    /// The same as the prefix that is stripped, and comes in its place.
    pub set_prefix: String,
    pub host: HostRewrite,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostRewrite {
    #[default]
    Preserve,
    /// The first target's.
    Upstream,
    Name(HeaderValue),
}

/// Which guards of a route only record what they would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shadow {
    pub auth: bool,
    pub allow: bool,
    pub limits: bool,
}

impl Shadow {
    pub fn of(guards: impl IntoIterator<Item = Guard>) -> Self {
        let mut shadow = Shadow::default();
        for guard in guards {
            match guard {
                Guard::Auth => shadow.auth = true,
                Guard::Allow => shadow.allow = true,
                Guard::Limits => shadow.limits = true,
            }
        }
        shadow
    }

    pub fn guards(self) -> impl Iterator<Item = Guard> {
        let all = [
            (Guard::Auth, self.auth),
            (Guard::Allow, self.allow),
            (Guard::Limits, self.limits),
        ];
        all.into_iter()
            .filter_map(|(guard, is_in)| is_in.then_some(guard))
    }
}

/// What of a route may refuse a request, and may be told not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    Auth,
    Allow,
    Limits,
}

impl Guard {
    /// As the file, the log and metrics call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Guard::Auth => "auth",
            Guard::Allow => "allow",
            Guard::Limits => "limits",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    Path(Vec<Segment>),
    /// The literal segments of a prefix; empty for `/`.
    Prefix(Vec<String>),
    /// Of the whole path.
    Regex(PathRegex),
}

impl Pattern {
    /// The names of its parameters, in the order in which their values are found.
    pub fn parameters(&self) -> Vec<&str> {
        match self {
            Pattern::Path(segments) => {
                let names = segments.iter().filter_map(|segment| match segment {
                    Segment::Literal(_) => None,
                    Segment::Param(name) | Segment::Rest(name) => Some(name.as_str()),
                });
                names.collect()
            }
            Pattern::Prefix(_) => Vec::new(),
            Pattern::Regex(regex) => regex.groups().collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Literal(String),
    /// `{name}`: exactly one segment, not empty.
    Param(String),
    /// `{*name}`: all that is left, only at the end.
    Rest(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// A name or an address, an IPv6 address in brackets.
    Exact(String),
    /// `*.example.com` as `example.com`: one or more labels in front.
    Wildcard(String),
    /// With the port that clients name.
    ExactPort(String, u16),
    WildcardPort(String, u16),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Wildcard(suffix) => write!(f, "*.{suffix}"),
            HostPattern::ExactPort(name, port) => write!(f, "{name}:{port}"),
            HostPattern::WildcardPort(suffix, port) => write!(f, "*.{suffix}:{port}"),
        }
    }
}

/// Which other spellings of its paths a route takes. They are forwarded as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PathOptions {
    pub case_insensitive: bool,
    /// Slashes side by side count as one.
    pub merge_slashes: bool,
    pub trailing_slash: TrailingSlash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TrailingSlash {
    #[default]
    Strict,
    /// With one or without.
    Ignore,
}

/// A header that a request has to have for a route, in one of its lines.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RouteHeader {
    pub name: HeaderName,
    pub value: HeaderValue,
}

impl fmt::Debug for RouteHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.name,
            shown_header(&self.name, &self.value)
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    Required,
    Optional,
    None,
}

impl AuthMode {
    pub fn as_str(self) -> &'static str {
        match self {
            AuthMode::Required => "required",
            AuthMode::Optional => "optional",
            AuthMode::None => "none",
        }
    }
}

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
        let mut of_cel = self.cel.iter().flat_map(Expression::variables);
        let of_owner = self.owner.iter().map(|owner| &owner.equals);
        let of_look_up = self.look_up.iter().map(|look_up| &look_up.equals);
        of_cel.any(|variable| variable.claim() == Some(name))
            || self.claims.iter().any(|claim| claim.name == name)
            || of_owner
                .chain(of_look_up)
                .any(|field| field.claim() == name)
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
