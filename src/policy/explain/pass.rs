//! One request that nobody sends, through the stages.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::request::Parts;
use http::{HeaderValue, Request, header};

use super::headers::Changes;
use super::why;
use super::{Explanation, Outcome, RuleText};
use crate::authn::{self, Identified, Principal};
use crate::authz::{self, Decision};
use crate::config::checked::{AuthMode, Guard};
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
            request: Changes::default(),
            response: Changes::default(),
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
        let mut additions = Additions::of(&self.config, None, request.headers(), peer.is_trusted);
        told.outcome = match is_fit {
            Ok(()) => {
                let pass = Pass {
                    stages: self,
                    asked,
                    caller,
                    connection: &connection,
                    peer: &peer,
                };
                pass.go(&mut told, &mut additions, request)
            }
            Err(refusal) => Outcome::Refused {
                stage: "ingress",
                refusal,
            },
        };
        additions.tell(&mut told.response.added);
        let Changes { added, removed } = &mut told.response;
        removed.retain(|name| !added.contains_key(name));
        told
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
    /// As `gateway::handle` does it, with an explanation at each step.
    fn go(
        &self,
        told: &mut Explanation,
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
                let route = &config.routes[index];
                told.route = Some(route.name.clone());
                told.route_text = wording::route(route);
            }
            *additions = preflight.additions;
            return match preflight.answer {
                Ok(answer) => {
                    told.response.added = answer.into_parts().0.headers;
                    Outcome::Preflight
                }
                Err(refusal) => refused("cors", refusal),
            };
        }
        let found = route::find(&stages.table, &facts);
        let taken = found.as_ref().ok().and_then(Matched::route);
        let near = route::near(config, &facts, taken).into_iter();
        let near = near.map(|near| why::not_taken(&near, taken.is_some(), config));
        told.near = near.collect();
        let matched = match found {
            Ok(matched) => matched,
            Err(refusal) => return refused("route", refusal),
        };
        let Destination::Route(index) = matched.destination else {
            told.near.clear();
            return match self.ask_auth_api(told, &head) {
                Ok(()) => Outcome::AuthApi,
                Err(refusal) => refused(AUTH_API, refusal),
            };
        };
        let route = &config.routes[index];
        told.route = Some(route.name.clone());
        told.route_text = wording::route(route);
        *additions = Additions::of(config, taken, &head.headers, peer.is_trusted);
        if Handshake::is_among(&head.extensions)
            && let Err(refusal) = cors::check_handshake(config, additions, &facts)
        {
            return refused("cors", refusal);
        }
        told.buckets = limit::explain(&stages.limits, &matched, &facts, None);
        let admitted = limit::admit(&stages.limits, &matched, &facts, async || None);
        let admission = match limit::at_once(admitted) {
            Ok(admission) => admission,
            Err(refusal) if refusal.code() == Code::Forbidden => return refused("ip", refusal),
            Err(refusal) => return refused("limit", refusal),
        };
        let identified = self.identify(route.auth, &head);
        let principal = match Identified::of(identified, route.shadow) {
            Ok(identified) => {
                let would_refuse = identified.would_refuse.into_iter();
                let would_refuse = would_refuse.map(|refusal| (Guard::Auth, refusal));
                told.would_refuse.extend(would_refuse);
                identified.principal
            }
            Err(refusal) => return refused("authn", refusal),
        };
        told.notes.extend(why::note_of_tier(&principal, config));
        told.caller = Some(principal.clone());
        told.buckets = limit::explain(&stages.limits, &matched, &facts, Some(&principal));
        told.cap = limit::explain_cap(&stages.limits, &matched, &facts, &principal);
        let judged = authz::explain(&stages.policies, &matched, &principal, &facts, self.asked);
        let judged = unless_it_waits(judged).unwrap_or_default();
        let rules = route.allow.iter().zip(judged);
        let rules = rules.map(|(rule, outcome)| RuleText {
            text: wording::rule(rule, config),
            fails: why::Judged {
                config,
                route,
                rule,
                matched: &matched,
                head: &head,
                principal: &principal,
            }
            .why_fails(outcome),
        });
        told.rules = rules.collect();
        let decided = authz::decide(&stages.policies, matched, principal, &facts);
        let decided = decided.and_then(|decision| match decision {
            Decision::Permit(permit) => Ok(permit),
            Decision::Asks(asking) => unless_it_waits(asking.ask(&facts, self.asked))
                .unwrap_or_else(|| Err(only_running())),
        });
        let permit = match decided {
            Ok(permit) => permit,
            Err(refusal) => return refused("authz", refusal),
        };
        let would_refuse = permit.would_refuse().cloned();
        told.would_refuse
            .extend(would_refuse.map(|refusal| (Guard::Allow, refusal)));
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
        told.request = Changes::between(&head.headers, &outgoing.headers);
        told.response = Changes::of_response(route, outgoing.response.clone());
        told.outgoing = Some(outgoing);
        Outcome::Forwarded
    }

    fn ask_auth_api(&self, told: &mut Explanation, head: &Parts) -> Result<(), Refusal> {
        let Some(ask) = self.stages.auth_api else {
            return Ok(());
        };
        let mut identify = || {
            let principal = self.identify(AuthMode::Required, head)?;
            told.caller = Some(principal.clone());
            Ok(principal)
        };
        let (auth, path) = (&self.stages.config.auth, head.uri.path());
        ask(auth, &head.method, path, &mut identify)
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
                // Only a look-up in the store waits, and there is none without API keys.
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
