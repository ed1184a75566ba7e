//! What an event stream or a tunnel was let in by, for as long as it is under way: whether its caller may still be
//! believed, and whether the rules that have come since would let the same request in.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Response, StatusCode, header};
use tokio::sync::Semaphore;

use super::additions::Additions;
use super::asked::{Asked, EVENT_STREAM};
use super::connection::Connection;
use super::cors;
use super::ingress;
use super::worker::Current;
use crate::authn::{Identified, Listener};
use crate::authz::{self, Decision};
use crate::config::checked::Route;
use crate::forward::{Asker, Handshake};
use crate::limit;
use crate::request::{Code, Facts, Refusal};
use crate::route::{self, Matched};

/// For how long it may be unknown whether the rules in force refuse a request, and its answer goes on.
const LONGEST_UNDECIDED: Duration = Duration::from_secs(60);

/// A request that was let in, and whose answer goes on.
pub struct Standing {
    /// Whoever the route refuses once the credential has ended.
    listener: RefCell<Option<Listener>>,
    /// What it asked for.
    head: Parts,
    /// None of its headers was left out.
    is_whole: bool,
    let_in_by: Rc<Current>,
    /// The index of the route there.
    route: usize,
    /// The newest rules that would let it in.
    stands_by: RefCell<Rc<Current>>,
    is_being_decided: Cell<bool>,
    /// Since when that can't be told.
    undecided_since: Cell<Option<Instant>>,
}

impl Standing {
    pub fn new(
        let_in_by: &Rc<Current>,
        route: usize,
        asked: Asked,
        listener: Option<Listener>,
    ) -> Self {
        let (head, is_whole) = asked.into_head();
        Standing {
            listener: RefCell::new(listener),
            head,
            is_whole,
            let_in_by: Rc::clone(let_in_by),
            route,
            stands_by: RefCell::new(Rc::clone(let_in_by)),
            is_being_decided: Cell::new(false),
            undecided_since: Cell::new(None),
        }
    }

    pub fn outlives_its_caller(&self, current: &Current) -> bool {
        let authenticator = &current.snapshot.authenticator;
        let mut listener = self.listener.borrow_mut();
        let listener = listener.as_mut();
        listener.is_some_and(|listener| !authenticator.still_stands(listener))
    }

    /// Takes over the decision on it, if one is due and nobody has it. Whoever gets it has to make it.
    pub fn take_decision(&self, current: &Rc<Current>) -> bool {
        let stands = Rc::ptr_eq(&self.stands_by.borrow(), current);
        !stands && !self.is_being_decided.replace(true)
    }

    /// Whether the rules in force refuse the request. What can't be told for now is asked the next time.
    pub async fn is_refused(
        &self,
        connection: &Connection,
        current: &Rc<Current>,
        turns: &Semaphore,
    ) -> bool {
        let outcome = decide(connection, current, &self.head, turns).await;
        let outcome = match self.is_known_to(current) {
            true => outcome,
            false => outcome.and_then(|()| self.compare(current)),
        };
        self.is_being_decided.set(false);
        match outcome {
            Ok(()) => {
                self.stands_by.replace(Rc::clone(current));
                self.undecided_since.set(None);
                false
            }
            Err(refusal) if refusal.is_for_now() || refusal.code() == Code::Unavailable => {
                let since = self.undecided_since.get().unwrap_or_else(Instant::now);
                self.undecided_since.set(Some(since));
                since.elapsed() > LONGEST_UNDECIDED
            }
            Err(_) => true,
        }
    }

    /// Whether all is known that the stages go by now.
    fn is_known_to(&self, current: &Current) -> bool {
        let before = &self.let_in_by.snapshot.deciding_headers;
        self.is_whole || before.include(&current.snapshot.deciding_headers)
    }

    /// Where a header decides now that was not kept, only the route that let the request in is known to take it.
    fn compare(&self, current: &Current) -> Result<(), Refusal> {
        let before = self.let_in_by.snapshot.config.routes.get(self.route);
        let is_same = before.is_some_and(|before| {
            let mut now = current.snapshot.config.routes.iter();
            let now = now.find(|route| route.name == before.name);
            now.is_some_and(|now| admit_the_same(before, now))
        });
        match is_same {
            true => Ok(()),
            false => Err(refused("the route admits others now")),
        }
    }
}

/// Has a request pass the stages again that say who may pass. It was counted when it came.
async fn decide(
    connection: &Connection,
    current: &Rc<Current>,
    head: &Parts,
    turns: &Semaphore,
) -> Result<(), Refusal> {
    let snapshot = &current.snapshot;
    let config = &snapshot.config;
    let (peer, told) = ingress::peer(connection, config, &head.headers);
    told?;
    let facts = Facts {
        head,
        host: ingress::host(&head.headers),
        peer: &peer,
    };
    let matched = route::find(&snapshot.table, &facts)?;
    let Some((index, route)) = route_of(&config.routes, &matched) else {
        return Err(refused("it would be one for the auth API now"));
    };
    if Handshake::is_among(&head.extensions) {
        let additions = Additions::of(config, Some(index), &head.headers, peer.is_trusted);
        cors::check_handshake(config, &additions, &facts)?;
    }
    limit::check_address(&snapshot.limits, &matched, &facts)?;
    let authenticator = &snapshot.authenticator;
    let identified = authenticator.identify(route.auth, &head.headers).await;
    let principal = Identified::of(identified, route.shadow)?.principal;
    match authz::decide(&snapshot.policies, matched, principal, &facts)? {
        Decision::Permit(_) => Ok(()),
        Decision::Asks(asking) => {
            let owners = Asker::new(&snapshot.look_ups, &snapshot.upstreams, &current.pools);
            // Only what is closed gives none, and nobody closes it.
            let _turn = turns.acquire().await;
            asking.ask(&facts, &owners).await.map(drop)
        }
    }
}

fn route_of<'r>(routes: &'r [Route], matched: &Matched) -> Option<(usize, &'r Route)> {
    let index = matched.route()?;
    Some((index, routes.get(index)?))
}

/// Whether two routes take the same requests and let the same of them pass.
fn admit_the_same(one: &Route, other: &Route) -> bool {
    let guards = |route: &Route| (route.auth, route.shadow.auth, route.shadow.allow);
    guards(one) == guards(other)
        && one.allow == other.allow
        && one.ip == other.ip
        && one.pattern == other.pattern
        && one.path_options == other.path_options
        && one.methods == other.methods
        && one.hosts == other.hosts
        && one.headers == other.headers
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
