//! Policy tests: `tests:` of gateway.yaml and of the `*.test.yaml` files beside it.

use std::net::IpAddr;
use std::path::Path;

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderName, HeaderValue, Method, Uri};
use uuid::Uuid;

use super::checked::{Auth, Config, Rate};
use super::decode::{At, AtLeastOne, Decode, Field, Named};
use super::diagnose::{Findings, nearest, shown};
use super::raw::{
    RawCaller, RawExpect, RawExpectedLimit, RawRequest, RawTest, RawTestFile, RawUser,
};
use super::resolve::{METHODS, rate};
use super::source::Source;
use super::{File, Report, environment, report, source, yaml};

/// What is to come of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyTest {
    pub name: String,
    pub file: String,
    pub line: usize,
    pub request: TestRequest,
    pub caller: Option<TestCaller>,
    /// What the upstream says to look-ups of owners, by path and query.
    pub owners: Vec<(String, String)>,
    pub expect: Expect,
}

/// A request as far as policy looks at it.
#[derive(Debug, Clone, PartialEq)]
pub struct TestRequest {
    pub method: Method,
    /// Begins with a slash; with or without a query.
    pub target: String,
    pub host: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub ip: IpAddr,
}

/// Whom a request without a stated address comes from: nobody's, after RFC 5737.
pub const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
/// The host of a request that names none.
pub const DEFAULT_HOST: &str = "localhost";

/// A caller as stated; what is left out is as it is for a new account.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TestCaller {
    pub user: Option<String>,
    pub tier: Option<String>,
    pub roles: Vec<String>,
    pub scopes: Vec<String>,
    pub is_superuser: bool,
    pub id: Option<Uuid>,
    pub name: Option<String>,
    pub email: Option<String>,
    pub external_id: Option<String>,
    pub claims: serde_json::Map<String, serde_json::Value>,
    pub key: Credential,
}

/// At least one of these is there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect {
    pub decision: Option<Decision>,
    pub status: Option<u16>,
    pub code: Option<String>,
    pub route: Option<String>,
    pub upstream: Option<String>,
    pub path: Option<String>,
    /// `None`: the upstream does not get it.
    pub headers: Vec<(HeaderName, Option<String>)>,
    pub limit: Option<ExpectedLimit>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedLimit {
    pub name: String,
    /// When it is stated; `None` inside is unlimited.
    pub rate: Option<Option<Rate>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Credential {
    #[default]
    Token,
    ApiKey,
}

/// Reads a file of tests about `config`.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn load_tests(path: &Path, config: &Config) -> Result<Vec<PolicyTest>, Report> {
    let file = File::read(path)?;
    let source = source(file.text()?, path);
    let mut findings = Findings::default();
    let raw = yaml::read(&source, &environment, &mut findings)
        .and_then(|root| RawTestFile::decode(&root, &mut findings));
    let tests = raw.map_or_else(Vec::new, |raw| {
        tests(&raw.tests, config, &source, &mut findings)
    });
    match findings.has_errors() {
        true => Err(report(findings, &source)),
        false => Ok(tests),
    }
}

/// The tests of a file, checked against the configuration that they are about.
pub(super) fn tests(
    raw: &Field<AtLeastOne<RawTest>>,
    config: &Config,
    source: &Source,
    findings: &mut Findings,
) -> Vec<PolicyTest> {
    let items = raw.get().map_or(&[][..], |list| &list.0);
    let tests = items.iter().filter_map(|item| {
        let raw = &item.value;
        let request = request(raw.request.get()?, &config.auth, findings);
        let expect = expect(&raw.expect, config, findings);
        let owners = owners(&raw.owners, findings);
        let position = source.position(item.span);
        Some(PolicyTest {
            name: raw.name.get().cloned().unwrap_or_default(),
            file: source.name().to_owned(),
            line: position.line,
            request: request?,
            caller: match raw.r#as.get() {
                None | Some(RawCaller::Anonymous) => None,
                Some(RawCaller::User(user)) => Some(caller(user, &config.auth, findings)),
            },
            owners,
            expect: expect?,
        })
    });
    tests.collect()
}

fn owners(raw: &Field<Named<String>>, findings: &mut Findings) -> Vec<(String, String)> {
    let mut stated = Vec::new();
    for (asked, value) in raw.get().map_or(&[][..], |named| &named.0) {
        let target = asked.value.strip_prefix("GET ");
        let target = target.filter(|t| t.starts_with('/') && t.parse::<Uri>().is_ok());
        match (target, value.given()) {
            (Some(target), Some(value)) => stated.push((target.to_owned(), value.value.clone())),
            (None, _) => {
                let message = format!(
                    "expected what a look-up asks, found {}",
                    shown(&asked.value)
                );
                findings
                    .error(asked.span, message)
                    .hint("for example `GET /posts/1`");
            }
            (Some(_), None) => {}
        }
    }
    stated
}

fn request(raw: &RawRequest, auth: &Auth, findings: &mut Findings) -> Option<TestRequest> {
    let method = match raw.method.given() {
        None => Some(Method::GET),
        // Others are refused by the gateway, and a test may say so.
        Some(at) => match Method::from_bytes(at.value.as_bytes()) {
            Ok(method) => Some(method),
            Err(_) => {
                let message = format!("{} is no method", shown(&at.value));
                let finding = findings.error(at.span, message);
                if let Some(near) = nearest(&at.value, METHODS.iter().copied()) {
                    finding.hint(format!("did you mean `{near}`?"));
                }
                None
            }
        },
    };
    let path = raw.path.given()?;
    if !path.value.starts_with('/') || path.value.parse::<Uri>().is_err() {
        let message = format!("{} is no path that a request can have", shown(&path.value));
        findings
            .error(path.span, message)
            .hint("it begins with `/`, and spaces and the like are percent-encoded");
        return None;
    }
    let mut host = raw.host.get().cloned();
    let mut headers = Vec::new();
    for (name, value) in raw.headers.get().map_or(&[][..], |named| &named.0) {
        let Some(value) = value.given() else { continue };
        let (known, text) = (
            header_name(name, findings),
            HeaderValue::from_str(&value.value),
        );
        if text.is_err() {
            findings.error(value.span, "no header can have this value");
        }
        let (Some(known), Ok(text)) = (known, text) else {
            continue;
        };
        let is_key = auth.api_keys.enabled && known == auth.api_keys.header;
        match known {
            HOST if host.is_some() => {
                findings.error(name.span, "the host of the request is stated twice");
            }
            HOST => host = Some(value.value.clone()),
            known if known == AUTHORIZATION || is_key => {
                findings
                    .error(
                        name.span,
                        "a test states who sends the request, and no credential is checked",
                    )
                    .hint("say who it is with `as`, beside `request`");
            }
            known => headers.push((known, text)),
        }
    }
    Some(TestRequest {
        method: method?,
        target: path.value.clone(),
        host: host.unwrap_or_else(|| DEFAULT_HOST.to_owned()),
        headers,
        ip: raw.ip.copied().unwrap_or(STRANGER),
    })
}

fn header_name(name: &At<String>, findings: &mut Findings) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.value.as_bytes()).ok();
    if parsed.is_none() {
        let message = format!("{} is no name of a header", shown(&name.value));
        findings.error(name.span, message);
    }
    parsed
}

fn caller(raw: &RawUser, auth: &Auth, findings: &mut Findings) -> TestCaller {
    if let Some(key) = raw.key.given()
        && key.value == Credential::ApiKey
        && !auth.api_keys.enabled
    {
        findings
            .error(
                key.span,
                "the gateway reads no API key, so nobody is known by one",
            )
            .hint("`auth.api_keys.enabled` is false");
    }
    let list = |field: &Field<Vec<At<String>>>| {
        let items = field.get().into_iter().flatten();
        items.map(|at| at.value.clone()).collect()
    };
    TestCaller {
        user: raw.user.get().cloned(),
        tier: raw.tier.get().cloned(),
        roles: list(&raw.roles),
        scopes: list(&raw.scopes),
        is_superuser: raw.superuser.copied().unwrap_or(false),
        id: raw.id.copied(),
        name: raw.name.get().cloned(),
        email: raw.email.get().cloned(),
        external_id: raw.external_id.get().cloned(),
        claims: raw
            .claims
            .get()
            .map_or_else(Default::default, |claims| claims.0.clone()),
        key: raw.key.copied().unwrap_or_default(),
    }
}

fn expect(field: &Field<RawExpect>, config: &Config, findings: &mut Findings) -> Option<Expect> {
    let raw = field.get()?;
    let expect = Expect {
        decision: raw.decision.copied(),
        status: raw.status.given().and_then(|at| {
            let status = u16::try_from(at.value)
                .ok()
                .filter(|s| (100..600).contains(s));
            if status.is_none() {
                findings.error(at.span, "expected a status such as 403");
            }
            status
        }),
        code: raw.code.get().cloned(),
        route: raw.route.given().map(|at| {
            let names = config.routes.iter().map(|route| route.name.as_str());
            known("route", at, names, findings)
        }),
        upstream: raw.upstream.given().map(|at| {
            let names = config
                .upstreams
                .iter()
                .map(|upstream| upstream.name.as_str());
            known("upstream", at, names, findings)
        }),
        path: raw.path.get().cloned(),
        headers: headers(&raw.headers, findings),
        limit: raw.limit.get().map(|limit| expected_limit(limit, findings)),
    };
    if let (Some(Decision::Allow), Some(at)) = (expect.decision, raw.status.given()) {
        findings
            .error(
                at.span,
                "the status of what is allowed is the upstream's to choose",
            )
            .hint("remove it, or expect `decision: deny`");
    }
    if expect == Expect::default() && !findings.has_errors() {
        let keys = RawExpect::KEYS.join(", ");
        let span = field.span()?;
        findings
            .error(span, "this expects nothing")
            .hint(format!("say at least one of {keys}"));
    }
    Some(expect)
}

/// A name that a test can only be right about when the file has it.
fn known<'a>(
    what: &str,
    name: &At<String>,
    names: impl Iterator<Item = &'a str> + Clone,
    findings: &mut Findings,
) -> String {
    if !names.clone().any(|known| known == name.value) {
        let message = format!("there is no {what} {}", shown(&name.value));
        let near = nearest(&name.value, names.take(500)).map(str::to_owned);
        let finding = findings.error(name.span, message);
        if let Some(near) = near {
            finding.hint(format!("did you mean `{near}`?"));
        }
    }
    name.value.clone()
}

fn headers(
    field: &Field<Named<Option<String>>>,
    findings: &mut Findings,
) -> Vec<(HeaderName, Option<String>)> {
    let entries = field.get().map_or(&[][..], |named| &named.0).iter();
    let entries = entries
        .filter_map(|(name, value)| Some((header_name(name, findings)?, value.get()?.clone())));
    entries.collect()
}

fn expected_limit(raw: &RawExpectedLimit, findings: &mut Findings) -> ExpectedLimit {
    match raw {
        RawExpectedLimit::Named(name) => ExpectedLimit {
            name: name.clone(),
            rate: None,
        },
        RawExpectedLimit::WithQuota(quota) => ExpectedLimit {
            name: quota.name.get().cloned().unwrap_or_default(),
            rate: Some(rate(&quota.rate, &quota.burst, findings)),
        },
    }
}
