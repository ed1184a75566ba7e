//! What would become of a request, and why: each stage is asked in turn, and explains itself.

mod render;
mod response;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::request::Parts;
use http::{HeaderValue, Request};
use uuid::Uuid;

use self::response::Told;
use super::asked::Asked;
use super::caller::{Caller, is_read};
use super::stages::Stages;
use super::wording;
use crate::authn::{Identified, Principal, User};
use crate::authz::{self, Decision, Key};
use crate::config::checked::{AuthMode, Guard, Route, Rule};
use crate::config::shown_header;
use crate::forward::{self, Circumstances, Hop, Outgoing};
use crate::gateway::cors::{self, CrossOrigin};
use crate::gateway::ingress::{self, Connection};
use crate::gateway::{Additions, Security};
use crate::limit::{self, Bucket, Cap};
use crate::request::{Code, Facts, Peer, Refusal};
use crate::route::{self, Destination, Matched, Miss};

/// What became of a request that was only asked about.
pub struct Explanation {
    method: String,
    /// As the client wrote it, without the query.
    path: String,
    host: String,
    client: String,
    canonical: String,
    readings: usize,
    /// What the last stage that it came to said.
    pub outcome: Outcome,
    pub route: Option<String>,
    /// The route in the words of the file.
    route_text: String,
    near: Vec<(String, String)>,
    caller: Option<Principal>,
    is_stated: bool,
    rules: Vec<RuleText>,
    /// The limits that it is held to, those by user once it is known who calls.
    pub buckets: Vec<Bucket>,
    /// The route's `concurrency`.
    pub cap: Option<Cap>,
    /// What guards in shadow would refuse.
    would_refuse: Vec<(Guard, Refusal)>,
    pub outgoing: Option<Outgoing>,
    /// Headers that the client sent and the upstream does not get, and those that it gets instead or
    /// besides.
    removed: Vec<String>,
    added: Vec<(String, String)>,
    response: Told,
    notes: Vec<String>,
}

/// Where a request ends.
pub enum Outcome {
    Forwarded,
    /// It is for the auth API, which the gateway serves itself.
    AuthApi,
    /// A browser asks whether a page may call, and the gateway says yes.
    Preflight,
    Refused {
        stage: &'static str,
        refusal: Refusal,
    },
}

struct RuleText {
    text: String,
    /// The first key that does not hold, and why; `None` for a rule that does.
    fails: Option<(&'static str, String)>,
}

impl Explanation {
    /// The path that the upstream gets, without the query.
    pub fn forwarded_path(&self) -> Option<&str> {
        self.outgoing
            .as_ref()
            .map(|outgoing| outgoing.target.path())
    }

    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.outcome {
            Outcome::Refused { refusal, .. } => Some(refusal),
            Outcome::Forwarded | Outcome::AuthApi | Outcome::Preflight => None,
        }
    }

    pub fn is_refused(&self) -> bool {
        self.refusal().is_some()
    }
}

impl Stages {
    /// Takes a request through the stages, as if it were the first there is. Nothing is charged that anybody
    /// else is charged, and nothing is sent.
    pub fn explain(&self, asked: &Asked, caller: &Caller<'_>) -> Explanation {
        self.counters.clear();
        let mut request = asked.request();
        let connection = Connection::new(asked.socket(), self.local());
        let (peer, is_told) = ingress::peer(&connection, &self.config, request.headers());
        let mut told = Explanation {
            method: asked.method.to_string(),
            path: asked.target.path().to_owned(),
            host: String::from_utf8_lossy(asked.host.as_bytes()).into_owned(),
            client: peer.client.to_string(),
            canonical: route::canonical(asked.target.path()),
            readings: route::readings_of(asked.target.path()).len(),
            outcome: Outcome::Forwarded,
            route: None,
            route_text: String::new(),
            near: Vec::new(),
            caller: None,
            is_stated: matches!(caller, Caller::Stated(_)),
            rules: Vec::new(),
            buckets: Vec::new(),
            cap: None,
            would_refuse: Vec::new(),
            outgoing: None,
            removed: Vec::new(),
            added: Vec::new(),
            response: Told::default(),
            notes: Vec::new(),
        };
        let caller = match caller {
            Caller::Stated(principal) if !is_read(principal, &self.config) => {
                let why = "no API key is read: `auth.api_keys.enabled` is false";
                told.notes.push(why.to_owned());
                &Caller::Stated(Principal::Anonymous)
            }
            caller => caller,
        };
        let is_fit = ingress::measure(&request, self.config.max_header)
            .and_then(|()| ingress::inspect(&mut request))
            .and(is_told);
        let mut additions = Additions {
            cors: CrossOrigin::of(self.config.cors.as_ref(), request.headers()),
            security: Security::Off,
        };
        told.outcome = match is_fit {
            Ok(()) => self.pass(&mut told, &mut additions, request, &peer, asked, caller),
            Err(refusal) => Outcome::Refused {
                stage: "ingress",
                refusal,
            },
        };
        additions.tell(&mut told.response.headers);
        told
    }

    /// As `gateway::handle` does it, with an explanation at each step.
    fn pass(
        &self,
        told: &mut Explanation,
        additions: &mut Additions,
        request: Request<()>,
        peer: &Peer,
        asked: &Asked,
        caller: &Caller<'_>,
    ) -> Outcome {
        let refused = |stage, refusal| Outcome::Refused { stage, refusal };
        let (head, ()) = request.into_parts();
        let facts = Facts {
            head: &head,
            host: ingress::host(&head.headers),
            peer,
        };
        if let Some(preflight) = cors::preflight(&self.config, &self.table, &facts) {
            if let Destination::Route(index) = preflight.destination {
                let route = &self.config.routes[index];
                told.route = Some(route.name.clone());
                told.route_text = wording::route(route);
            }
            additions.cors = preflight.cors;
            return match preflight.answer {
                Ok(answer) => {
                    told.response.headers = answer.into_parts().0.headers;
                    Outcome::Preflight
                }
                Err(refusal) => refused("cors", refusal),
            };
        }
        let found = route::find(&self.table, &facts);
        let taken = found.as_ref().ok().and_then(Matched::route);
        let near = route::near(&self.config, &facts, taken).into_iter();
        told.near = near.map(|near| self.why_not(&near, taken)).collect();
        let matched = match found {
            Ok(matched) => matched,
            Err(refusal) => return refused("route", refusal),
        };
        let Destination::Route(index) = matched.destination else {
            told.near.clear();
            return Outcome::AuthApi;
        };
        let route = &self.config.routes[index];
        told.route = Some(route.name.clone());
        told.route_text = wording::route(route);
        additions.cors = CrossOrigin::of(route.cors.as_ref(), &head.headers);
        additions.security = Security::of(route.security_headers, || {
            forward::scheme(&head.headers, peer.is_trusted)
        });
        told.buckets = limit::explain(&self.limits, &matched, &facts, None);
        let admission = match limit::at_once(limit::admit(&self.limits, &matched, &facts)) {
            Ok(admission) => admission,
            Err(refusal) if refusal.code() == Code::Forbidden => return refused("ip", refusal),
            Err(refusal) => return refused("limit", refusal),
        };
        let identified = identify(caller, route, &head);
        let principal = match Identified::of(identified, route.shadow) {
            Ok(identified) => {
                let would_refuse = identified.would_refuse.into_iter();
                let would_refuse = would_refuse.map(|refusal| (Guard::Auth, refusal));
                told.would_refuse.extend(would_refuse);
                identified.principal
            }
            Err(refusal) => return refused("authn", refusal),
        };
        self.note_tier(told, &principal);
        told.caller = Some(principal.clone());
        told.buckets = limit::explain(&self.limits, &matched, &facts, Some(&principal));
        told.cap = limit::explain_cap(&self.limits, &matched, &facts, &principal);
        let judged = authz::explain(&self.policies, &matched, &principal, &facts, asked);
        let judged = at_once(judged).unwrap_or_default();
        let rules = route.allow.iter().zip(judged);
        let rules = rules.map(|(rule, outcome)| RuleText {
            text: wording::rule(rule, &self.config),
            fails: match outcome {
                authz::Outcome::Holds => None,
                authz::Outcome::Fails(key) => Some((
                    key.as_str(),
                    self.why_fails(route, rule, key, &matched, &head, &principal),
                )),
                authz::Outcome::Untold(key, why) => {
                    let wants = wording::key(rule, key.as_str(), &self.config);
                    let wants = wants.unwrap_or_else(|| key.as_str().to_owned());
                    Some((key.as_str(), format!("{wants}, which has no value: {why}")))
                }
            },
        });
        told.rules = rules.collect();
        let decided = authz::decide(&self.policies, matched, principal, &facts);
        let decided = decided.and_then(|decision| match decision {
            Decision::Permit(permit) => Ok(permit),
            Decision::Asks(asking) => {
                at_once(asking.ask(&facts, asked)).unwrap_or_else(|| Err(only_running()))
            }
        });
        let permit = match decided {
            Ok(permit) => permit,
            Err(refusal) => return refused("authz", refusal),
        };
        let would_refuse = permit.would_refuse().cloned();
        told.would_refuse
            .extend(would_refuse.map(|refusal| (Guard::Allow, refusal)));
        let ticket = match limit::at_once(limit::take(&self.limits, admission, permit, &facts)) {
            Ok(ticket) => ticket,
            Err(refusal) => return refused("limit", refusal),
        };
        let hop = Hop {
            peer: HeaderValue::try_from(peer.socket.ip().to_string())
                .unwrap_or(HeaderValue::from_static("unknown")),
            port: HeaderValue::from(self.local().port()),
        };
        let around = Circumstances {
            hop: &hop,
            client: peer.client,
            is_trusted: peer.is_trusted,
            request_id: &HeaderValue::from_static(REQUEST_ID),
        };
        let outgoing = forward::explain(
            &self.config,
            &self.upstreams,
            route,
            ticket.permit(),
            &head,
            &around,
        );
        let outgoing = match outgoing {
            Ok(outgoing) => outgoing,
            Err(refusal) => return refused("forward", refusal),
        };
        if let Some(outgoing) = &outgoing {
            compare_headers(told, &head, outgoing);
            told.response = Told::of_upstream(route, outgoing.response.clone());
        }
        told.outgoing = outgoing;
        Outcome::Forwarded
    }

    fn why_not(&self, near: &route::Near, taken: Option<usize>) -> (String, String) {
        let route = &self.config.routes[near.route];
        let misses = near.misses.iter().map(|miss| match miss {
            Miss::Host => "it is for other hosts",
            Miss::Path => "its path is another",
            Miss::Method => "it does not take the method",
            Miss::Headers => "it is for other headers",
        });
        let mut why = misses.collect::<Vec<_>>().join(", and ");
        if why.is_empty() {
            why = match taken {
                Some(_) => "it matches too, and the route that is taken is tighter".to_owned(),
                None => "readings of the path disagree about it".to_owned(),
            };
        }
        (
            route.name.clone(),
            format!("{why} ({})", wording::route(route)),
        )
    }

    /// What a key wants, and what there is instead.
    fn why_fails(
        &self,
        route: &Route,
        rule: &Rule,
        key: Key,
        matched: &Matched,
        head: &Parts,
        principal: &Principal,
    ) -> String {
        let Some(user) = principal.user() else {
            return "nobody is signed in".to_owned();
        };
        let wants = wording::key(rule, key.as_str(), &self.config);
        let wants = wants.unwrap_or_else(|| key.as_str().to_owned());
        let owner = rule.owner.as_ref().filter(|_| key == Key::Owner);
        let value = owner
            .and_then(|owner| route::parameter_index(&route.pattern, &owner.parameter))
            .and_then(|index| matched.param(head.uri.path(), index));
        match value {
            Some(value) => format!("{wants}, and the path has `{value}`"),
            None if key == Key::Owner => format!("{wants}, and it is another"),
            None => format!("{wants}, and {}", has(user, key)),
        }
    }

    fn note_tier(&self, told: &mut Explanation, principal: &Principal) {
        if let Some(user) = principal.user()
            && !self.config.tiers.contains_key(&user.tier)
        {
            told.notes.push(format!(
                "the tier `{}` is not in the file; a tier of the store has its rank and quota there",
                user.tier
            ));
        }
    }

    fn local(&self) -> std::net::SocketAddr {
        self.config
            .listen
            .first()
            .map_or(([0, 0, 0, 0], 8080).into(), |l| l.address)
    }
}

const REQUEST_ID: &str = "<new>";

/// What a caller has in place of what a key wants.
fn has(user: &User, key: Key) -> String {
    let list = |values: &[String]| match values {
        [] => "none".to_owned(),
        values => values.join(", "),
    };
    match key {
        Key::Superuser if user.is_superuser => "the caller is a superuser".to_owned(),
        Key::Superuser => "the caller is no superuser".to_owned(),
        Key::Tiers | Key::MinTier => format!("the caller's tier is {}", user.tier),
        Key::Roles => format!("the caller's roles: {}", list(&user.roles)),
        Key::Scopes => format!("the caller's scopes: {}", list(&user.scopes)),
        Key::Cel => "it is false".to_owned(),
        _ => "the caller does not meet it".to_owned(),
    }
}

/// The stage's own answer for credentials; a stated caller is one whose credentials are good.
fn identify(caller: &Caller<'_>, route: &Route, head: &Parts) -> Result<Principal, Refusal> {
    match caller {
        Caller::Stated(_) if route.auth == AuthMode::None => Ok(Principal::Anonymous),
        Caller::Stated(Principal::Anonymous) if route.auth == AuthMode::Required => {
            Err(crate::authn::missing())
        }
        Caller::Stated(principal) => Ok(principal.clone()),
        Caller::Presented(authenticator) => {
            // Only a look-up in the store waits, and there is none without API keys.
            let answer = at_once(authenticator.identify(route.auth, &head.headers));
            answer.unwrap_or_else(|| Err(only_running()))
        }
    }
}

/// What a future gives that waits for nothing.
pub(super) fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn only_running() -> Refusal {
    Refusal::new(Code::Unavailable, "Only a running gateway can tell.")
}

fn compare_headers(told: &mut Explanation, head: &Parts, outgoing: &Outgoing) {
    for name in head.headers.keys() {
        if !outgoing.headers.contains_key(name) {
            told.removed.push(name.to_string());
        }
    }
    for name in outgoing.headers.keys() {
        let (before, after) = (head.headers.get_all(name), outgoing.headers.get_all(name));
        if before != after {
            if before.iter().next().is_some() {
                told.removed.push(name.to_string());
            }
            let after = after.iter();
            let after = after.map(|value| (name.to_string(), shown_header(name, value)));
            told.added.extend(after);
        }
    }
    told.removed.sort();
    told.added.sort();
}

/// An account without a stated id has this one.
fn is_unstated(id: Uuid) -> bool {
    id.is_nil()
}
