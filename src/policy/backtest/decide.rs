//! What the stages say of a request of which the log holds a part, and where that part is not enough.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::{HeaderName, Method};

use super::super::caller::is_read;
use super::super::explain::unless_it_waits;
use super::super::stages::Stages;
use super::headers::Choosing;
use super::record::Record;
use super::then::Then;
use crate::authn::Principal;
use crate::authz::{self, Decision, Key, Outcome, Owners, Question, Unknown};
use crate::config::cel::{Expression, RequestField, Variable};
use crate::config::checked::{AuthMode, OwnerField, Route, Rule, UserField};
use crate::forward::{self, Handshake};
use crate::limit::{self, Bucket};
use crate::request::{Facts, Peer, Refusal};
use crate::route::{self, Destination};

/// What is decided by, and what is known beside the log.
pub struct Files<'a> {
    pub stages: &'a Stages,
    /// Of the same file.
    pub choosing: &'a Choosing,
    pub then: Option<&'a Then>,
}

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
    Untold(Cow<'static, str>, Option<usize>),
}

impl Verdict {
    fn untold(why: &'static str, route: Option<usize>) -> Verdict {
        Verdict::Untold(Cow::Borrowed(why), route)
    }

    /// An index into the routes of the configuration.
    pub fn route(&self) -> Option<usize> {
        match self {
            Verdict::AuthApi => None,
            Verdict::Allow(route) => Some(*route),
            Verdict::Deny(_, route) | Verdict::Untold(_, route) => *route,
        }
    }

    pub fn text(&self) -> Cow<'static, str> {
        match self {
            Verdict::Allow(_) => "allow".into(),
            Verdict::Deny(code, _) => format!("deny {code}").into(),
            Verdict::AuthApi => "auth API".into(),
            Verdict::Untold(..) => "unknown".into(),
        }
    }
}

const UNKNOWN_SENDER: &str = "it may have had credentials";
const UNKNOWN_ACCOUNT: &str = "the account is not known";
const UNLOGGED: &str =
    "it hangs on scopes, claims, headers, a query or an owner, which are not logged";
const NO_PATH: &str = "it asked for something other than a path";
const PREFLIGHT: &str = "it may have been a preflight";
const UNKNOWN_PAGE: &str = "it opens a WebSocket, and from which site's page is not logged";
const OTHER_LIMITS: &str = "it is held to other limits, by headers that are not logged";

/// Whether a limit is charged: once for each request, whatever it may have been.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charge {
    Due,
    Waived,
}

/// Decides on a request under each set of headers that it may have had.
pub fn decide(files: &Files<'_>, record: &Record, sender: &Sender<'_>) -> Verdict {
    if matches!(record.method, Method::TRACE | Method::CONNECT) {
        return Verdict::Deny("method-not-allowed", None);
    }
    let Some(mut head) = record.head() else {
        return Verdict::untold(NO_PATH, None);
    };
    for header in files.then.map_or(&[][..], |then| then.headers(record)) {
        head.headers
            .append(header.name.clone(), header.value.clone());
    }
    let peer = Peer {
        socket: SocketAddr::new(record.client, 0),
        client: record.client,
        is_trusted: false,
    };
    // Before the route is looked for: a preflight takes that of the method it asks about.
    if record.user.is_none()
        && let Some(index) = preflight(files, &facts(record, &head, &peer))
    {
        return Verdict::untold(PREFLIGHT, Some(index));
    }
    let (choosing, table) = (files.choosing, &files.stages.table);
    let heads = choosing.heads(table, files.then, record, &peer, head);
    let mut heads = heads.iter();
    let Some(first) = heads.next() else {
        return Verdict::untold(UNLOGGED, None);
    };
    let first = facts(record, first, &peer);
    let (verdict, limits) = decide_on(files, record, sender, &first, Charge::Due);
    for other in heads {
        let other = facts(record, other, &peer);
        let (other, other_limits) = decide_on(files, record, sender, &other, Charge::Waived);
        let route = verdict.route().or(other.route());
        match (&verdict, &other) {
            (Verdict::Untold(..), _) => return verdict,
            (_, Verdict::Untold(..)) => return other,
            (one, other) if one.text() != other.text() => {
                let (one, other) = (one.text(), other.text());
                let why = format!("{one} or {other}, by headers that are not logged");
                return Verdict::Untold(why.into(), route);
            }
            (Verdict::Allow(_), _) if !are_held_to(&limits, &other_limits) => {
                return Verdict::untold(OTHER_LIMITS, route);
            }
            _ => {}
        }
    }
    verdict
}

fn facts<'a>(record: &'a Record, head: &'a http::request::Parts, peer: &'a Peer) -> Facts<'a> {
    let host = &record.host;
    Facts { head, host, peer }
}

/// Whether each of the second is a limit of the first too.
fn are_held_to(first: &[Bucket], second: &[Bucket]) -> bool {
    let is_held = |bucket: &Bucket| bucket.rate.is_some() && !bucket.is_shadow;
    let what = |bucket: &Bucket| (bucket.key.clone(), bucket.rate, bucket.cost);
    let mut second = second.iter().filter(|bucket| is_held(bucket));
    second.all(|of_second| {
        let mut first = first.iter().filter(|bucket| is_held(bucket));
        first.any(|of_first| what(of_first) == what(of_second))
    })
}

/// And what limits it is held to where it is let through.
fn decide_on(
    files: &Files<'_>,
    record: &Record,
    sender: &Sender<'_>,
    facts: &Facts<'_>,
    charge: Charge,
) -> (Verdict, Vec<Bucket>) {
    let mut held_to = Vec::new();
    let verdict = pass(files, record, sender, facts, charge, &mut held_to);
    (verdict.unwrap_or_else(|verdict| verdict), held_to)
}

/// The stages in their order; an error is a verdict that comes early.
fn pass(
    files: &Files<'_>,
    record: &Record,
    sender: &Sender<'_>,
    facts: &Facts<'_>,
    charge: Charge,
    held_to: &mut Vec<Bucket>,
) -> Result<Verdict, Verdict> {
    let stages = files.stages;
    let matched = route::find(&stages.table, facts);
    let matched = matched.map_err(|refusal| Verdict::Deny(code(&refusal), None))?;
    let Destination::Route(index) = matched.destination else {
        return Ok(Verdict::AuthApi);
    };
    let untold = |why| Verdict::untold(why, Some(index));
    let denied = |refusal: &Refusal| Verdict::Deny(code(refusal), Some(index));
    let route = stages.config.routes.get(index);
    let route = route.ok_or_else(|| untold(UNLOGGED))?;
    let let_page_open = |then: &Then| then.let_page_open(record, route, &stages.config);
    if Handshake::is_among(&facts.head.extensions)
        && route.cors.is_some()
        && !files.then.is_some_and(let_page_open)
    {
        return Err(untold(UNKNOWN_PAGE));
    }
    let admission = match charge {
        Charge::Due => {
            let admitted = limit::admit(&stages.limits, &matched, facts, async || None);
            let admitted = limit::at_once(admitted);
            Some(admitted.map_err(|refusal| denied(&refusal))?)
        }
        Charge::Waived if !route.ip.admits(facts.peer.client) => {
            return Err(denied(&limit::kept_out()));
        }
        Charge::Waived => None,
    };
    let sender = match sender {
        Sender::Account { principal, .. } if !is_read(principal, &stages.config) => &Sender::Nobody,
        sender => sender,
    };
    let principal = identify(route, sender).map_err(|refused| match refused {
        Refused::By(code) => Verdict::Deny(code, Some(index)),
        Refused::Untold => untold(UNKNOWN_SENDER),
    })?;
    let is_known = matches!(sender, Sender::Account { is_known: true, .. });
    let outcomes = authz::explain(&stages.policies, &matched, &principal, facts, &Unasked);
    let outcomes = unless_it_waits(outcomes).unwrap_or_default();
    let rules = in_force(route);
    if principal.user().is_some() && !rules.is_empty() {
        match judge(rules, &outcomes, is_known) {
            Some(true) => {}
            Some(false) => return Err(Verdict::Deny("forbidden", Some(index))),
            None if is_known => return Err(untold(UNLOGGED)),
            None => return Err(untold(UNKNOWN_ACCOUNT)),
        }
    }
    *held_to = limit::explain(&stages.limits, &matched, facts, Some(&principal));
    let is_counted = principal.user().is_none() || is_known;
    let decided = authz::decide(&stages.policies, matched, principal, facts);
    let permitted = decided.and_then(|decision| match decision {
        Decision::Permit(permit) => Ok(Some(permit)),
        // Only what is in shadow gets here, and passes.
        Decision::Asks(asking) => unless_it_waits(asking.ask(facts, &Unasked)).transpose(),
    });
    // Whose tier is not known has a quota that is not known.
    let permit = permitted
        .map_err(|refusal| denied(&refusal))?
        .filter(|_| is_counted);
    if let (Some(permit), Some(admission)) = (permit, admission) {
        let taken = limit::at_once(limit::take(&stages.limits, admission, permit, facts));
        taken.map_err(|refusal| denied(&refusal))?;
    }
    // All of the stage `forward` that refuses, and it goes by the path alone.
    let rewritten = forward::rewritten(&route.rewrite, &facts.head.uri);
    rewritten.map_err(|refusal| denied(&refusal))?;
    Ok(Verdict::Allow(index))
}

/// The route with `cors` that may have been asked about, if a browser asked: by which method and with
/// which headers the request would come, the log does not hold.
fn preflight(files: &Files<'_>, facts: &Facts<'_>) -> Option<usize> {
    let stages = files.stages;
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
    let none: &[HeaderName] = &[];
    usual.iter().chain(listed).find_map(|method| {
        [none, &files.choosing.names]
            .into_iter()
            .find_map(|announced| {
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
    async fn look_up(&self, question: Question<'_>) -> Result<String, Unknown> {
        let why = format!("GET {} is not asked", question.target);
        Err(Unknown::because(why))
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
