//! What the stages say of a request of which the log holds a part, and where that part is not enough.

use std::net::SocketAddr;

use http::Method;
use http::header::{HeaderMap, HeaderName};

use super::super::caller::is_read;
use super::super::explain::unless_it_waits;
use super::super::stages::Stages;
use super::record::Record;
use crate::authn::Principal;
use crate::authz::{self, Decision, Key, Outcome, Owners, Question};
use crate::config::cel::{Expression, RequestField, Variable};
use crate::config::checked::{AuthMode, OwnerField, Route, Rule, UserField};
use crate::limit;
use crate::request::{Facts, Peer, Refusal};
use crate::route::{self, Destination};

/// Who sent a request, as far as the log and the store tell.
pub enum Sender<'a> {
    /// It had no credentials.
    Nobody,
    /// Its credentials were not good, by this code.
    Refused(&'static str),
    /// Nobody may have looked for credentials.
    Hidden,
    /// `is_known` says that the account is known beside its id.
    Account {
        principal: &'a Principal,
        is_known: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    AuthApi,
    Allow(usize),
    Deny(&'static str, Option<usize>),
    /// The log does not hold what it takes, which is said.
    Untold(&'static str, Option<usize>),
}

impl Verdict {
    /// An index into the routes of the configuration.
    pub fn route(&self) -> Option<usize> {
        match self {
            Verdict::AuthApi => None,
            Verdict::Allow(route) => Some(*route),
            Verdict::Deny(_, route) | Verdict::Untold(_, route) => *route,
        }
    }
}

const UNKNOWN_SENDER: &str = "it may have had credentials";
const UNKNOWN_ACCOUNT: &str = "the account is not known";
const UNLOGGED: &str =
    "it hangs on scopes, claims, headers, a query or an owner, which are not logged";
const PREFLIGHT: &str = "it may have been a preflight";

pub fn decide(stages: &Stages, record: &Record, sender: &Sender<'_>) -> Verdict {
    let Some(mut head) = record.head() else {
        return Verdict::Untold(UNLOGGED, None);
    };
    if matches!(record.method, Method::TRACE | Method::CONNECT) {
        return Verdict::Deny("method-not-allowed", None);
    }
    add_headers(stages, record, &mut head.headers);
    let peer = Peer {
        socket: SocketAddr::new(record.client, 0),
        client: record.client,
        is_trusted: false,
    };
    let facts = Facts {
        head: &head,
        host: &record.host,
        peer: &peer,
    };
    // Before the route is looked for: a preflight takes that of the method it asks about.
    if record.user.is_none()
        && let Some(index) = preflight(stages, &facts)
    {
        return Verdict::Untold(PREFLIGHT, Some(index));
    }
    let matched = match route::find(&stages.table, &facts) {
        Ok(matched) => matched,
        Err(refusal) => return Verdict::Deny(code(&refusal), None),
    };
    let Destination::Route(index) = matched.destination else {
        return Verdict::AuthApi;
    };
    let Some(route) = stages.config.routes.get(index) else {
        return Verdict::Untold(UNLOGGED, None);
    };
    let admission =
        match limit::at_once(limit::admit(&stages.limits, &matched, &facts, async || {
            None
        })) {
            Ok(admission) => admission,
            Err(refusal) => return Verdict::Deny(code(&refusal), Some(index)),
        };
    let sender = match sender {
        Sender::Account { principal, .. } if !is_read(principal, &stages.config) => &Sender::Nobody,
        sender => sender,
    };
    let principal = match identify(route, sender) {
        Ok(principal) => principal,
        Err(Refused::By(code)) => return Verdict::Deny(code, Some(index)),
        Err(Refused::Untold) => return Verdict::Untold(UNKNOWN_SENDER, Some(index)),
    };
    let is_known = matches!(sender, Sender::Account { is_known: true, .. });
    let outcomes = authz::explain(&stages.policies, &matched, &principal, &facts, &Unasked);
    let outcomes = unless_it_waits(outcomes).unwrap_or_default();
    let rules = in_force(route);
    if principal.user().is_some() && !rules.is_empty() {
        match judge(rules, &outcomes, is_known) {
            Some(true) => {}
            Some(false) => return Verdict::Deny("forbidden", Some(index)),
            None if is_known => return Verdict::Untold(UNLOGGED, Some(index)),
            None => return Verdict::Untold(UNKNOWN_ACCOUNT, Some(index)),
        }
    }
    let is_counted = principal.user().is_none() || is_known;
    let decided = authz::decide(&stages.policies, matched, principal, &facts);
    let permitted = decided.and_then(|decision| match decision {
        Decision::Permit(permit) => Ok(Some(permit)),
        // Only what is in shadow gets here, and passes.
        Decision::Asks(asking) => unless_it_waits(asking.ask(&facts, &Unasked)).transpose(),
    });
    let taken = permitted.and_then(|permit| match permit.filter(|_| is_counted) {
        Some(permit) => {
            limit::at_once(limit::take(&stages.limits, admission, permit, &facts)).map(drop)
        }
        // Whose tier is not known has a quota that is not known.
        None => Ok(()),
    });
    match taken {
        Ok(()) => Verdict::Allow(index),
        Err(refusal) => Verdict::Deny(code(&refusal), Some(index)),
    }
}

/// Where the route of then is one by headers, the request had them.
fn add_headers(stages: &Stages, record: &Record, headers: &mut HeaderMap) {
    let mut routes = stages.config.routes.iter();
    let before = routes.find(|route| Some(&route.name) == record.route.as_ref());
    for header in before.map_or(&[][..], |route| &route.headers) {
        headers.append(header.name.clone(), header.value.clone());
    }
}

/// The route with `cors` that may have been asked about, if a browser asked: by which method and with
/// which headers the request would come, the log does not hold.
fn preflight(stages: &Stages, facts: &Facts<'_>) -> Option<usize> {
    if facts.head.method != Method::OPTIONS {
        return None;
    }
    let usual = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let routes = || stages.config.routes.iter();
    let listed = routes().filter(|route| route.cors.is_some());
    let listed = listed.flat_map(|route| &route.methods);
    let listed = listed.filter(|method| !usual.contains(method));
    let named = routes().flat_map(|route| &route.headers);
    let named: Vec<HeaderName> = named.map(|header| header.name.clone()).collect();
    usual.iter().chain(listed).find_map(|method| {
        [&[][..], &named].into_iter().find_map(|announced| {
            let found = route::find_announced(&stages.table, facts, method, announced);
            match found.ok()?.destination {
                Destination::Route(index) => {
                    let route = stages.config.routes.get(index)?;
                    route.cors.is_some().then_some(index)
                }
                Destination::AuthApi => None,
            }
        })
    })
}

/// No upstream is asked: what it would say today is not what it said then.
struct Unasked;

impl Owners for Unasked {
    async fn look_up(&self, question: Question<'_>) -> Result<String, String> {
        Err(format!("GET {} is not asked", question.target))
    }
}

fn code(refusal: &Refusal) -> &'static str {
    refusal.code().as_str()
}

enum Refused {
    By(&'static str),
    Untold,
}

fn identify(route: &Route, sender: &Sender<'_>) -> Result<Principal, Refused> {
    let refused = |code| match route.shadow.auth {
        // What is in shadow refuses nobody, who is nobody then.
        true => Ok(Principal::Anonymous),
        false => Err(Refused::By(code)),
    };
    let needs_somebody = route.auth == AuthMode::Required && !route.shadow.auth;
    match (route.auth, sender) {
        (AuthMode::None, _) => Ok(Principal::Anonymous),
        (_, Sender::Refused(code)) => refused(code),
        (_, Sender::Account { principal, .. }) => Ok((*principal).clone()),
        (AuthMode::Required, Sender::Nobody) => refused("token-missing"),
        (AuthMode::Optional, Sender::Nobody) => Ok(Principal::Anonymous),
        // Whatever it had, it was most likely good.
        (_, Sender::Hidden) if !needs_somebody && in_force(route).is_empty() => {
            Ok(Principal::Anonymous)
        }
        (_, Sender::Hidden) => Err(Refused::Untold),
    }
}

/// The rules that refuse somebody.
fn in_force(route: &Route) -> &[Rule] {
    match route.shadow.allow {
        true => &[],
        false => &route.allow,
    }
}

/// Whether a rule lets the caller through; `None` when that hangs on what is not known.
fn judge(rules: &[Rule], outcomes: &[Outcome], is_known: bool) -> Option<bool> {
    let mut is_sure = rules.len() == outcomes.len();
    for (rule, outcome) in rules.iter().zip(outcomes) {
        match outcome {
            Outcome::Holds if Key::ALL.iter().all(|key| is_told(*key, rule, is_known)) => {
                return Some(true);
            }
            Outcome::Holds => is_sure = false,
            Outcome::Fails(key) | Outcome::Untold(key, _) => {
                is_sure &= is_told(*key, rule, is_known)
            }
        }
    }
    is_sure.then_some(false)
}

/// Whether what the rule asks under the key is known.
fn is_told(key: Key, rule: &Rule, is_known: bool) -> bool {
    match key {
        Key::Identity => true,
        Key::Superuser => rule.superuser.is_none() || is_known,
        Key::Tiers => rule.tiers.is_empty() || is_known,
        Key::MinTier => rule.min_rank.is_none() || is_known,
        Key::Roles => rule.roles.is_empty() || is_known,
        Key::Scopes => rule.scopes.is_empty(),
        Key::Claims => rule.claims.is_empty(),
        Key::Owner if rule.look_up.is_some() => false,
        Key::Owner => rule.owner.as_ref().is_none_or(|owner| match owner.equals {
            OwnerField::Id => true,
            OwnerField::Username | OwnerField::ExternalId => is_known,
            OwnerField::Claim(_) => false,
        }),
        Key::Cel => rule
            .cel
            .as_ref()
            .is_none_or(|cel| is_expression_told(cel, is_known)),
    }
}

fn is_expression_told(expression: &Expression, is_known: bool) -> bool {
    expression.variables().all(|variable| match variable {
        Variable::User(UserField::Id) | Variable::Path(_) => true,
        Variable::User(UserField::Scopes) | Variable::Claim(_) | Variable::Header(_) => false,
        Variable::User(_) => is_known,
        Variable::Request(RequestField::Query) => false,
        Variable::Request(_) => true,
    })
}
