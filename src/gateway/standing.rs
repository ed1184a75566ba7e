//! What an event stream or a tunnel was let in by, for as long as it is under way: whether its caller may still be
//! believed, and whether the rules that have come since would let the same request in.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderName, Response, StatusCode, header};
use tokio::task::AbortHandle;

use super::additions::Additions;
use super::connection::Connection;
use super::cors;
use super::due::Due;
use super::ingress;
use super::kept::{DecidingHeaders, EVENT_STREAM, Kept, asked_by, chosen_by, is_among};
use super::snapshot::{RuleSet, Snapshot};
use super::worker::{Current, Worker};
use crate::authn::{Identified, Listener, User};
use crate::authz::{self, Asking, Decision};
use crate::config::checked::Route;
use crate::forward::{Asker, Handshake};
use crate::limit;
use crate::request::{Code, Facts, Refusal};
use crate::route::{self, Matched};

/// So many routes are asked about, of which each takes the request or not by headers that are not known.
const MOST_ROUTES: usize = 16;

/// A request that was let in, and whose answer goes on.
pub struct Standing {
    /// Whoever the route refuses once the credential has ended, by the rules that it stands by.
    listener: RefCell<Option<Listener>>,
    /// What it asked for.
    head: Parts,
    /// None of its headers was left out.
    is_whole: bool,
    /// The headers that were kept if any was left out.
    kept_by: DecidingHeaders,
    due: Due<RuleSet>,
    /// The decision under way, and by what it is made.
    deciding: RefCell<Option<(RuleSet, AbortHandle)>>,
}

impl Standing {
    pub fn new(let_in_by: &Snapshot, kept: Kept, listener: Option<Listener>) -> Self {
        let kept_by = let_in_by.deciding_headers.clone();
        let (head, is_whole) = kept.into_head(&kept_by);
        Standing {
            listener: RefCell::new(listener),
            head,
            is_whole,
            kept_by,
            due: Due::new(let_in_by.rules.clone()),
            deciding: RefCell::new(None),
        }
    }

    pub fn outlives_its_caller(&self, current: &Current) -> bool {
        let authenticator = &current.snapshot.authenticator;
        let mut listener = self.listener.borrow_mut();
        let listener = listener.as_mut();
        listener.is_some_and(|listener| !authenticator.still_stands(listener))
    }

    /// Whether other rules are in force than those that it stands by, and it is not being decided on by them.
    pub fn is_due(&self, current: &Current, now: Instant) -> bool {
        let in_force = &current.snapshot.rules;
        let deciding = self.deciding.borrow();
        let is_being_decided = deciding.as_ref().is_some_and(|(by, _)| by == in_force);
        self.due.is_due(in_force, now) && !is_being_decided
    }

    /// Whether it was not decided in time, because nobody could tell, or never came to it.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.due.is_overdue(now)
    }

    /// Has it decided on by the rules in force, and calls `refuse` if they refuse the request. What can't be told for
    /// now is due again. A decision by older rules is given up, wherever it is.
    pub(super) fn decide(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        worker: &Rc<Worker>,
        refuse: impl FnOnce() + 'static,
    ) {
        let current = worker.current();
        let rules = current.snapshot.rules.clone();
        let (standing, connection) = (Rc::clone(self), Rc::clone(connection));
        let worker = Rc::clone(worker);
        let deciding = tokio::task::spawn_local(async move {
            let unknown = standing.unknown_to(&current);
            let outcome = decide(&connection, &current, &standing.head, &unknown).await;
            let rules = &current.snapshot.rules;
            // Others may have come meanwhile, by which it is decided on next.
            if *rules != worker.current().snapshot.rules {
                return;
            }
            standing.deciding.take();
            match outcome {
                Ok(listener) => {
                    standing.listener.replace(listener);
                    standing.due.stands_by(rules.clone());
                }
                Err(refusal) if refusal.is_for_now() => {}
                Err(_) => refuse(),
            }
        });
        let older = self
            .deciding
            .replace(Some((rules, deciding.abort_handle())));
        give_up(older);
    }

    /// Nothing is left to be decided on.
    pub(super) fn end(&self) {
        give_up(self.deciding.take());
    }

    /// Headers that the stages go by now and that were not kept, in the order of their names.
    fn unknown_to(&self, current: &Current) -> Vec<HeaderName> {
        match self.is_whole {
            true => Vec::new(),
            false => current.snapshot.deciding_headers.beyond(&self.kept_by),
        }
    }
}

fn give_up(deciding: Option<(RuleSet, AbortHandle)>) {
    if let Some((_, task)) = deciding {
        task.abort();
    }
}

/// Has a request pass the stages again that say who may pass. It was counted when it came. Where a header is not known
/// by which routes are chosen, each of those that may take it has to let it pass. Gives whoever one of them refuses once
/// the credential has ended.
async fn decide(
    connection: &Connection,
    current: &Rc<Current>,
    head: &Parts,
    unknown: &[HeaderName],
) -> Result<Option<Listener>, Refusal> {
    let snapshot = &current.snapshot;
    let config = &snapshot.config;
    let (peer, told) = ingress::peer(connection, config, &head.headers);
    told?;
    let facts = Facts {
        head,
        host: ingress::host(&head.headers),
        peer: &peer,
    };
    let mut passed: Vec<usize> = Vec::new();
    let (mut asking, mut listener) = (Vec::new(), None);
    // One that refuses counts, whatever another can't tell for now.
    let mut outcome = Ok(());
    loop {
        let method = &head.method;
        let matched = route::find_next(&snapshot.table, &facts, method, unknown, &passed)?;
        let Some((index, route)) = route_of(&config.routes, &matched) else {
            return Err(refused("it would be one for the auth API now"));
        };
        match pass(snapshot, matched, (index, route), &facts, unknown).await {
            Err(refusal) if refusal.is_for_now() => outcome = Err(refusal),
            passes => {
                let (of_route, asks) = passes?;
                asking.extend(asks);
                listener = of_route.or(listener);
            }
        }
        // Whatever the others are, it is for this one if not for one before it.
        if !chosen_by(route).any(|name| is_among(name, unknown)) {
            break;
        }
        if passed.len() == MOST_ROUTES {
            return Err(refused("one of many routes would take it now"));
        }
        passed.push(index);
    }
    // Last, so that no upstream is asked about what is refused anyway.
    let owners = Asker::in_turn(&snapshot.look_ups, &snapshot.upstreams, &current.pools);
    for asking in asking {
        match asking.ask(&facts, &owners).await {
            Err(refusal) if refusal.is_for_now() => outcome = Err(refusal),
            asked => drop(asked?),
        }
    }
    outcome.map(|()| listener)
}

/// Has it pass by one route, as far as no upstream has to be asked. Gives whoever that refuses once the credential has
/// ended, and what is left to be asked.
async fn pass<'s>(
    snapshot: &'s Snapshot,
    matched: Matched,
    (index, route): (usize, &Route),
    facts: &Facts<'_>,
    unknown: &[HeaderName],
) -> Result<(Option<Listener>, Option<Asking<'s>>), Refusal> {
    let (config, head) = (&snapshot.config, facts.head);
    if Handshake::is_among(&head.extensions) {
        let is_trusted = facts.peer.is_trusted;
        let additions = Additions::of(config, Some(index), &head.headers, is_trusted);
        cors::check_handshake(config, &additions, facts)?;
    }
    limit::check_address(&snapshot.limits, &matched, facts)?;
    if !route.shadow.allow && asked_by(route).any(|name| is_among(name, unknown)) {
        return Err(refused("a rule goes by a header that was not kept"));
    }
    // With `auth` in shadow and no rules nobody is refused, whoever it is.
    if route.shadow.auth && !has_rules(route) {
        return Ok((None, None));
    }
    let identified = snapshot
        .authenticator
        .identify_in_turn(route.auth, &head.headers)
        .await;
    // Who that is can be told in a moment.
    if let Err(refusal) = &identified
        && refusal.is_for_now()
    {
        return Err(refusal.clone());
    }
    let principal = Identified::of(identified, route.shadow)?.principal;
    let listener = listener(route, principal.user());
    Ok(
        match authz::decide(&snapshot.policies, matched, principal, facts)? {
            // In shadow it passes, whatever the answer.
            Decision::Asks(asking) if !asking.is_shadow() => (listener, Some(asking)),
            Decision::Asks(_) | Decision::Permit(_) => (listener, None),
        },
    )
}

/// The caller, if the route refuses one whose credential has ended.
pub fn listener(route: &Route, user: Option<&Arc<User>>) -> Option<Listener> {
    // With `auth` in shadow the caller would go on as nobody, whom no rule lets pass.
    let user = user.filter(|_| !route.shadow.auth || has_rules(route));
    user.cloned().map(Listener::from)
}

/// Whether rules refuse some.
fn has_rules(route: &Route) -> bool {
    !route.allow.is_empty() && !route.shadow.allow
}

fn route_of<'r>(routes: &'r [Route], matched: &Matched) -> Option<(usize, &'r Route)> {
    let index = matched.route()?;
    Some((index, routes.get(index)?))
}

fn refused(why: &'static str) -> Refusal {
    Refusal::new(Code::Forbidden, "You may not do this.").because(why)
}

/// A response that is meant to go on for as long as somebody listens: an event stream (HTML, section 9.2.6) or
/// a tunnel.
pub fn goes_on<B>(response: &Response<B>) -> bool {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return true;
    }
    let value = response.headers().get(header::CONTENT_TYPE);
    value.is_some_and(|value| is_event_stream(value.as_bytes()))
}

/// A media type, whatever its parameters.
fn is_event_stream(media_type: &[u8]) -> bool {
    let name = media_type.split(|byte| *byte == b';').next();
    name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(EVENT_STREAM))
}
