//! One request that nobody sends, through the stages.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::request::Parts;
use http::{HeaderValue, Request, header};

use super::headers::Changes;
use super::why;
use super::{Decided, Explanation, Outcome, RuleText, Steps};
use crate::authn::{self, Identified, Principal};
use crate::authz::{self, Decision};
use crate::config::checked::{AuthMode, Guard, Route};
use crate::forward::{self, Handshake, Outbound};
use crate::gateway::Additions;
use crate::gateway::cors;
use crate::gateway::{Connection, ingress};
use crate::limit;
use crate::policy::asked::Asked;
use crate::policy::caller::{Caller, is_read};
use crate::policy::stages::Stages;
use crate::policy::wording;
use crate::request::{Code, Facts, Peer, Refusal};
use crate::route::{self, Destination, Matched};

/// The stage of what the auth API refuses.
pub const AUTH_API: &str = "the auth API";

const REQUEST_ID: HeaderValue = HeaderValue::from_static("<new>");

impl Stages {
    /// Takes a request through the stages, as if it were the first there is. Nothing is charged that anybody
    /// else is charged, and nothing is sent.
    pub fn decide(&self, asked: &Asked, caller: &Caller<'_>) -> Decided {
        self.pass(asked, caller, None)
    }

    /// The same, and has each stage say why.
    pub fn explain(&self, asked: &Asked, caller: &Caller<'_>) -> Explanation {
        let mut steps = Steps::default();
        let decided = self.pass(asked, caller, Some(&mut steps));
        let route = decided.route.and_then(|at| self.config.routes.get(at));
        let request = asked.request();
        let connection = Connection::new(asked.socket(), self.local());
        let (peer, _) = ingress::peer(&connection, &self.config, request.headers());
        Explanation {
            method: asked.method.to_string(),
            path: asked.target.path().to_owned(),
            host: String::from_utf8_lossy(asked.host.as_bytes()).into_owned(),
            client: peer.client.to_string(),
            canonical: route::canonical(asked.target.path()),
            readings: route::readings_of(asked.target.path()).len(),
            route: route.map(|route| route.name.clone()),
            is_stated: matches!(caller, Caller::Stated(_)),
            decided,
            steps,
        }
    }

    fn pass(&self, asked: &Asked, caller: &Caller<'_>, mut steps: Option<&mut Steps>) -> Decided {
        self.counters.clear();
        let mut request = asked.request();
        let connection = Connection::new(asked.socket(), self.local());
        let (peer, is_told) = ingress::peer(&connection, &self.config, request.headers());
        let caller = match caller {
            Caller::Stated(principal) if !is_read(principal, &self.config) => {
                if let Some(steps) = steps.as_deref_mut() {
                    let why = "no API key is read: `auth.api_keys.enabled` is false";
                    steps.notes.push(why.to_owned());
                }
                &Caller::Stated(Principal::Anonymous)
            }
            caller => caller,
        };
        let is_fit = ingress::measure(&request, self.config.max_header)
            .and_then(|()| ingress::inspect(&mut request))
            .and(is_told);
        let mut additions = Additions::of(&self.config, None, request.headers(), peer.is_trusted);
        let mut decided = Decided {
            outcome: Outcome::Forwarded,
            route: None,
            buckets: Vec::new(),
            outgoing: None,
        };
        decided.outcome = match is_fit {
            Ok(()) => {
                let pass = Pass {
                    stages: self,
                    asked,
                    caller,
                    connection: &connection,
                    peer: &peer,
                };
                let steps = steps.as_deref_mut();
                pass.go(&mut decided, steps, &mut additions, request)
            }
            Err(refusal) => Outcome::Refused {
                stage: "ingress",
                refusal,
            },
        };
        if let Some(steps) = steps {
            let Changes { added, removed } = &mut steps.response;
            additions.tell(added);
            removed.retain(|name| !added.contains_key(name));
        }
        decided
    }

    fn local(&self) -> std::net::SocketAddr {
        self.config
            .listen
            .first()
            .map_or(([0, 0, 0, 0], 8080).into(), |l| l.address)
    }
}

/// What the stages are asked about.
struct Pass<'a> {
    stages: &'a Stages,
    asked: &'a Asked,
    caller: &'a Caller<'a>,
    connection: &'a Connection,
    peer: &'a Peer,
}

impl<'c> Pass<'c> {
    /// As `gateway::handle` does it, with an explanation at each step if one is asked for.
    fn go(
        &self,
        decided: &mut Decided,
        mut steps: Option<&mut Steps>,
        additions: &mut Additions<'c>,
        request: Request<()>,
    ) -> Outcome {
        let Pass { stages, peer, .. } = *self;
        let config = &stages.config;
        let refused = |stage, refusal| Outcome::Refused { stage, refusal };
        let (head, ()) = request.into_parts();
        let length = head.headers.get(header::CONTENT_LENGTH);
        let has_body = length.is_some_and(|length| length != "0")
            || head.headers.contains_key(header::TRANSFER_ENCODING);
        let facts = Facts {
            head: &head,
            host: ingress::host(&head.headers),
            peer,
        };
        if let Some(preflight) = cors::preflight(config, &stages.table, &facts, has_body) {
            if let Some(index) = preflight.route {
                decided.route = Some(index);
                if let Some(steps) = steps.as_deref_mut() {
                    steps.route_text = wording::route(&config.routes[index]);
                }
            }
            *additions = preflight.additions;
            return match preflight.answer {
                Ok(answer) => {
                    if let Some(steps) = steps {
                        steps.response.added = answer.into_parts().0.headers;
                    }
                    Outcome::Preflight
                }
                Err(refusal) => refused("cors", refusal),
            };
        }
        let found = route::find(&stages.table, &facts);
        let taken = found.as_ref().ok().and_then(Matched::route);
        let is_for_auth_api = found
            .as_ref()
            .is_ok_and(|matched| matched.route().is_none());
        if let Some(steps) = steps.as_deref_mut().filter(|_| !is_for_auth_api) {
            let near = route::near(config, &facts, taken).into_iter();
            let near = near.map(|near| why::not_taken(&near, taken.is_some(), config));
            steps.near = near.collect();
        }
        let matched = match found {
            Ok(matched) => matched,
            Err(refusal) => return refused("route", refusal),
        };
        let Destination::Route(index) = matched.destination else {
            return match self.ask_auth_api(steps, &head) {
                Ok(()) => Outcome::AuthApi,
                Err(refusal) => refused(AUTH_API, refusal),
            };
        };
        let route = &config.routes[index];
        decided.route = Some(index);
        if let Some(steps) = steps.as_deref_mut() {
            steps.route_text = wording::route(route);
        }
        *additions = Additions::of(config, taken, &head.headers, peer.is_trusted);
        if Handshake::is_among(&head.extensions)
            && let Err(refusal) = cors::check_handshake(config, additions, &facts)
        {
            return refused("cors", refusal);
        }
        decided.buckets = limit::explain(&stages.limits, &matched, &facts, None);
        let admitted = limit::admit(&stages.limits, &matched, &facts, async || None);
        let admission = match limit::at_once(admitted) {
            Ok(admission) => admission,
            Err(refusal) if refusal.code() == Code::Forbidden => return refused("ip", refusal),
            Err(refusal) => return refused("limit", refusal),
        };
        let identified = self.identify(route.auth, &head);
        let principal = match Identified::of(identified, route.shadow) {
            Ok(identified) => {
                if let Some(steps) = steps.as_deref_mut() {
                    let would_refuse = identified.would_refuse.into_iter();
                    let would_refuse = would_refuse.map(|refusal| (Guard::Auth, refusal));
                    steps.would_refuse.extend(would_refuse);
                }
                identified.principal
            }
            Err(refusal) => return refused("authn", refusal),
        };
        decided.buckets = limit::explain(&stages.limits, &matched, &facts, Some(&principal));
        if let Some(steps) = steps.as_deref_mut() {
            self.tell_of_caller(steps, route, &matched, &facts, &principal);
        }
        let decision = authz::decide(&stages.policies, matched, principal, &facts);
        let permit = decision.and_then(|decision| match decision {
            Decision::Permit(permit) => Ok(permit),
            Decision::Asks(asking) => unless_it_waits(asking.ask(&facts, self.asked))
                .unwrap_or_else(|| Err(only_running())),
        });
        let permit = match permit {
            Ok(permit) => permit,
            Err(refusal) => return refused("authz", refusal),
        };
        if let Some(steps) = steps.as_deref_mut() {
            let would_refuse = permit.would_refuse().cloned();
            let would_refuse = would_refuse.map(|refusal| (Guard::Allow, refusal));
            steps.would_refuse.extend(would_refuse);
        }
        let ticket = match limit::at_once(limit::take(&stages.limits, admission, permit, &facts)) {
            Ok(ticket) => ticket,
            Err(refusal) => return refused("limit", refusal),
        };
        let outbound = Outbound {
            config,
            route,
            upstreams: &stages.upstreams,
            hop: &self.connection.hop,
            client: peer.client,
            is_trusted: peer.is_trusted,
            request_id: &REQUEST_ID,
        };
        let outgoing = match forward::explain(&outbound, ticket.permit(), &head) {
            Ok(outgoing) => outgoing,
            Err(refusal) => return refused("forward", refusal),
        };
        if let Some(steps) = steps {
            steps.request = Changes::between(&head.headers, &outgoing.headers);
            steps.response = Changes::of_response(route, outgoing.response.clone());
        }
        decided.outgoing = Some(outgoing);
        Outcome::Forwarded
    }

    /// Who calls, and what each rule says of that.
    fn tell_of_caller(
        &self,
        steps: &mut Steps,
        route: &Route,
        matched: &Matched,
        facts: &Facts<'_>,
        principal: &Principal,
    ) {
        let stages = self.stages;
        let config = &stages.config;
        steps.notes.extend(why::note_of_tier(principal, config));
        steps.caller = Some(principal.clone());
        steps.cap = limit::explain_cap(&stages.limits, matched, facts, principal);
        let judged = authz::explain(&stages.policies, matched, principal, facts, self.asked);
        let judged = unless_it_waits(judged).unwrap_or_default();
        let rules = route.allow.iter().zip(judged);
        let rules = rules.map(|(rule, outcome)| RuleText {
            text: wording::rule(rule, config),
            fails: why::Judged {
                config,
                route,
                rule,
                matched,
                head: facts.head,
                principal,
            }
            .why_fails(outcome),
        });
        steps.rules = rules.collect();
    }

    fn ask_auth_api(&self, steps: Option<&mut Steps>, head: &Parts) -> Result<(), Refusal> {
        let Some(ask) = self.stages.auth_api else {
            return Ok(());
        };
        let mut caller = None;
        let mut identify = || {
            let principal = self.identify(AuthMode::Required, head)?;
            caller = Some(principal.clone());
            Ok(principal)
        };
        let (auth, path) = (&self.stages.config.auth, head.uri.path());
        let answer = ask(auth, &head.method, path, &mut identify);
        if let Some(steps) = steps {
            steps.caller = caller;
        }
        answer
    }

    /// The stage's own answer for credentials; a stated caller is one whose credentials are good.
    fn identify(&self, auth: AuthMode, head: &Parts) -> Result<Principal, Refusal> {
        match self.caller {
            Caller::Stated(_) if auth == AuthMode::None => Ok(Principal::Anonymous),
            Caller::Stated(Principal::Anonymous) if auth == AuthMode::Required => {
                Err(authn::missing())
            }
            Caller::Stated(principal) => Ok(principal.clone()),
            Caller::Presented(authenticator) => {
                // Only a look-up in the store waits, and an API key that would be looked up is not asked about.
                let answer = unless_it_waits(authenticator.identify(auth, &head.headers));
                answer.unwrap_or_else(|| Err(only_running()))
            }
        }
    }
}

/// What a future gives that waits for nothing.
pub fn unless_it_waits<F: Future>(future: F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn only_running() -> Refusal {
    Refusal::new(Code::Unavailable, "Only a running gateway can tell.")
}
