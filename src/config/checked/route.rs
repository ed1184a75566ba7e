//! Routes, after every check: what they match, and what they change about messages.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::super::cel::{Expression, Variable};
use super::super::secret::{self, shown_header};
use super::{AddressRules, Concurrency, Limit, PathRegex, Rule, Template};

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
    /// An index into [`Config::upstreams`](super::Config::upstreams).
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

impl Route {
    /// The headers of clients that it is chosen by, or one of its rules asks for.
    pub fn headers_asked(&self) -> impl Iterator<Item = &HeaderName> {
        let expressions = self.allow.iter().filter_map(|rule| rule.cel.as_ref());
        let told = expressions.flat_map(Expression::variables);
        let told = told.filter_map(|variable| match variable {
            Variable::Header(name) => Some(name),
            _ => None,
        });
        self.headers.iter().map(|header| &header.name).chain(told)
    }
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
