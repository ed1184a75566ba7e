//! What is written down of a request, from its head to the last byte of its response. Closing is
//! dropping: a request that a client gives up is counted like any other.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;

use super::body::{ApiRequestBody, Body};
use super::connection::Connection;
use super::ingress;
use super::kept::Kept;
use super::standing::{Standing, goes_on, listener};
use super::tunnel::Tunnel;
use super::worker::{Current, Worker};
use crate::authn::{Identified, Noted, Principal, User};
use crate::authz::Permit;
use crate::config::checked::Guard;
use crate::forward::{Trace, X_REQUEST_ID};
use crate::limit::{Admission, CONCURRENCY, Seat, Ticket};
use crate::request::{Code, Peer, Refusal};
use crate::telemetry::{Entry, Label, LimitDecision, WouldRefuse};

/// The status that stands in log and metrics for a client that left (as nginx has it).
const CLIENT_LEFT: u16 = 499;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

pub struct Ledger(Box<Inner>);

struct Inner {
    worker: Rc<Worker>,
    current: Rc<Current>,
    connection: Rc<Connection>,
    started: Instant,
    /// How long it took to become a tunnel, which then lasts as long as its sides like.
    shook_hands: Option<Duration>,
    route: Label,
    /// Its index in the configuration.
    index: Option<usize>,
    /// What the request asked for, as far as it is needed later.
    kept: Option<Kept>,
    user: Option<Arc<User>>,
    /// Free again with the last byte.
    seat: Option<Seat>,
    trace: Trace,
    /// Bytes that the auth API has read.
    read: Option<Arc<AtomicU64>>,
    /// Whom the auth API has found to be calling.
    noted: Option<Noted>,
    entry: Entry,
}

impl Ledger {
    pub fn open<B>(
        worker: &Rc<Worker>,
        current: &Rc<Current>,
        connection: &Rc<Connection>,
        peer: &Peer,
        request: &Request<B>,
    ) -> Self {
        worker.shard.request_begun();
        connection.busy.set(connection.busy.get() + 1);
        let headers = request.headers();
        let kept = headers.get(X_REQUEST_ID).filter(|id| {
            // What comes from elsewhere goes into logs, whose fields spaces part: short and one word, or not at all.
            peer.is_trusted && is_short_word(id.as_bytes())
        });
        Ledger(Box::new(Inner {
            worker: Rc::clone(worker),
            current: Rc::clone(current),
            connection: Rc::clone(connection),
            started: Instant::now(),
            shook_hands: None,
            route: Label::NONE,
            index: None,
            kept: None,
            user: None,
            seat: None,
            trace: Trace::default(),
            read: None,
            noted: None,
            entry: Entry {
                time: SystemTime::now(),
                request_id: kept.cloned().unwrap_or_else(|| worker.new_request_id()),
                traceparent: headers.get(TRACEPARENT).cloned(),
                client_ip: peer.client,
                peer_ip: peer.socket.ip(),
                method: request.method().clone(),
                host: ingress::told_host(request),
                target: request.uri().path_and_query().cloned(),
                protocol: request.version(),
                status: CLIENT_LEFT,
                decision: "abandoned",
                ..Entry::default()
            },
        }))
    }

    /// Notes that the request asks to become a WebSocket.
    pub fn note_handshake(&mut self) {
        self.0.entry.is_handshake = true;
    }

    pub fn request_id(&self) -> HeaderValue {
        self.0.entry.request_id.clone()
    }

    /// Notes the route of the configuration's index.
    pub fn matched(&mut self, index: usize) {
        let inner = &mut *self.0;
        inner.index = Some(index);
        if let Some(name) = inner.current.snapshot.routes.get(index) {
            inner.route = name.label;
            inner.entry.route = Some(name.text.clone());
            inner.entry.upstream.clone_from(&name.upstream);
        }
    }

    /// Notes which limits in shadow had no room before the caller was known.
    pub fn admitted(&mut self, admission: &Admission) {
        let current = Rc::clone(&self.0.current);
        for policy in admission.would_refuse(&current.snapshot.limits) {
            self.would_be_limited(policy);
        }
    }

    /// Notes how the identify stage ended, and hands on who is calling.
    pub fn identified(
        &mut self,
        outcome: Result<Identified, Refusal>,
        head: &Parts,
    ) -> Result<Principal, Refusal> {
        let inner = &mut *self.0;
        let authenticator = &inner.current.snapshot.authenticator;
        let method_of = || authenticator.method_of(&head.headers);
        let refused =
            |refusal: &Refusal, result| (result, refusal.code().as_str(), method_of().as_str());
        let (result, reason, method) = match &outcome {
            Err(refusal) => refused(refusal, "refused"),
            Ok(identified) => match (&identified.principal, &identified.would_refuse) {
                (_, Some(refusal)) => refused(refusal, "would_refuse"),
                (Principal::User(user), None) => ("allowed", "", user.method().as_str()),
                (Principal::Anonymous, None) => ("anonymous", "", "none"),
            },
        };
        inner.worker.shard.authenticated(result, reason, method);
        let Identified {
            principal,
            would_refuse,
        } = outcome?;
        inner.entry.auth = match &principal {
            Principal::User(user) => user.method().as_str(),
            Principal::Anonymous => "anonymous",
        };
        inner.user = principal.user().map(Arc::clone);
        let deciding = &inner.current.snapshot.deciding_headers;
        inner.kept = Some(Kept::of(head, deciding));
        if let Some(refusal) = would_refuse {
            self.refused_in_shadow(Guard::Auth, &refusal);
        }
        Ok(principal)
    }

    /// Notes what rules in shadow said.
    pub fn decided(&mut self, permit: &Permit) {
        if let Some(refusal) = permit.would_refuse() {
            self.refused_in_shadow(Guard::Allow, refusal);
        }
    }

    /// Counts the limits that let the request through, notes which of them are in shadow and had no room,
    /// and keeps the request's seat until it has ended.
    pub fn limited(&mut self, ticket: &mut Ticket) {
        self.0.seat = ticket.take_seat();
        let current = Rc::clone(&self.0.current);
        let limits = &current.snapshot.limits;
        let concurrency = self.0.seat.as_ref().map(|_| CONCURRENCY);
        for policy in ticket.policies(limits).chain(concurrency) {
            self.count_limit(policy, LimitDecision::Allowed);
        }
        for policy in ticket.would_refuse(limits) {
            self.would_be_limited(policy);
        }
        if ticket.found_no_seat() {
            self.count_limit(CONCURRENCY, LimitDecision::WouldRefuse);
            self.would_refuse(Guard::Limits, Code::TooManyConcurrent, Some(CONCURRENCY));
        }
    }

    fn refused_in_shadow(&mut self, guard: Guard, refusal: &Refusal) {
        // Of a refusal that is acted on only its own cause is told.
        if let Some(cause) = refusal.cause() {
            self.0.entry.cause = Some(cause.into());
        }
        self.would_refuse(guard, refusal.code(), None);
    }

    fn would_be_limited(&mut self, policy: &str) {
        self.count_limit(policy, LimitDecision::WouldRefuse);
        self.would_refuse(Guard::Limits, Code::RateLimited, Some(policy));
    }

    fn count_limit(&self, policy: &str, decision: LimitDecision) {
        let tier = self.0.user.as_ref().map_or("", |user| &user.tier);
        self.0.worker.shard.limited(policy, tier, decision);
    }

    fn would_refuse(&mut self, guard: Guard, code: Code, limit: Option<&str>) {
        let inner = &mut *self.0;
        let part = guard.as_str();
        let noted = &mut inner.entry.would_refuse;
        // Of several limits one would have been enough: what is counted are requests.
        if noted.iter().all(|before| before.part != part) {
            inner.worker.shard.would_refuse(inner.route, part);
        }
        noted.push(WouldRefuse {
            part,
            reason: code.as_str(),
            limit: limit.map(Into::into),
        });
    }

    /// Where the forward stage writes down what it did.
    pub fn trace(&mut self) -> &mut Trace {
        &mut self.0.trace
    }

    /// Notes how much the auth API reads of a body.
    pub fn counting(&mut self, body: Incoming) -> ApiRequestBody {
        let read = self.0.read.insert(Arc::default());
        ApiRequestBody::counted(body, Arc::clone(read))
    }

    /// Where the auth API writes down who calls.
    pub fn noting(&mut self) -> Noted {
        self.0.noted.insert(Noted::default()).clone()
    }

    pub fn sent(&mut self, bytes: usize) {
        self.0.entry.bytes_out += bytes as u64;
    }

    /// Bytes from the client that were no request's body.
    pub fn received(&mut self, bytes: usize) {
        self.0.entry.bytes_in += bytes as u64;
    }

    /// Notes why what was under way did not end by itself.
    pub fn broken(&mut self, cause: &impl std::fmt::Display) {
        self.0.entry.cause = Some(cause.to_string().into());
    }

    /// A response of the upstream or of the auth API, on its way to the client.
    pub fn answer(
        mut self,
        mut response: Response<Body>,
        decision: &'static str,
    ) -> Response<Body> {
        self.note(&mut response, decision);
        response.map(|body| body.with_ledger(self))
    }

    /// A response after which the connection is a tunnel, whose end is then the request's.
    pub fn switch(
        mut self,
        mut response: Response<Body>,
        decision: &'static str,
    ) -> Response<Body> {
        self.note(&mut response, decision);
        self.0.shook_hands = Some(self.0.started.elapsed());
        let upstream = hyper::upgrade::on(&mut response);
        let connection = Rc::clone(&self.0.connection);
        // What comes from now on is read, and none of it is to be thrown away at the end.
        connection.has_unread.set(false);
        connection.tunnel.set(Some(Tunnel::new(upstream, self)));
        response
    }

    fn note(&mut self, response: &mut Response<Body>, decision: &'static str) {
        let inner = &mut *self.0;
        inner.entry.decision = decision;
        inner.entry.status = response.status().as_u16();
        // Of a response that does not go on, nothing of it is needed any more.
        if let Some(kept) = inner.kept.take()
            && goes_on(response)
        {
            let routes = &inner.current.snapshot.config.routes;
            let route = inner.index.and_then(|index| routes.get(index));
            let listener = route.and_then(|route| listener(route, inner.user.as_ref()));
            let standing = Standing::new(&inner.current.snapshot, kept, listener);
            inner.connection.standing.replace(Some(Rc::new(standing)));
        }
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, inner.entry.request_id.clone());
    }

    pub fn refused(mut self, refusal: &Refusal, response: Response<Body>) -> Response<Body> {
        if let Some(policy) = refusal.limit() {
            self.count_limit(policy, LimitDecision::Refused);
        }
        let entry = &mut self.0.entry;
        entry.reason = Some(refusal.code().as_str());
        entry.limit = refusal.limit().map(Into::into);
        entry.cause = refusal.cause().map(Into::into);
        self.answer(response, "deny")
    }
}

fn is_short_word(id: &[u8]) -> bool {
    matches!(id.len(), 1..=128) && id.iter().all(u8::is_ascii_graphic)
}

impl Drop for Inner {
    fn drop(&mut self) {
        let now = Instant::now();
        self.connection.busy.set(self.connection.busy.get() - 1);
        self.connection.unused_since.set(now);
        if let Some(standing) = self.connection.standing.take() {
            standing.end();
        }
        // Before it is counted as ended: where nothing is under way, every seat is free.
        self.seat.take();
        self.entry.duration = now.duration_since(self.started);
        self.entry.upstream_time = self.trace.upstream_time;
        self.entry.bytes_in += match &self.read {
            Some(read) => read.load(Ordering::Relaxed),
            None => self.trace.bytes_in(),
        };
        self.worker.shard.request_ended(
            self.route,
            &self.entry.method,
            self.entry.status,
            self.shook_hands.unwrap_or(self.entry.duration),
            self.entry.upstream_time,
        );
        if let Some(log) = &self.current.snapshot.access_log {
            let cut_off = self.connection.cut_off.get();
            self.entry.cause = self.entry.cause.take().or(cut_off.map(Into::into));
            if let Some(user) = self.noted.as_ref().and_then(Noted::user) {
                self.entry.auth = user.method().as_str();
                self.user = Some(Arc::clone(user));
            }
            if let Some(user) = &self.user {
                self.entry.user_id = Some(user.id);
                self.entry.session_id = Some(user.key.unwrap_or(user.session));
            }
            let dropped = !log.push(Box::new(std::mem::take(&mut self.entry)));
            if dropped {
                self.worker.metrics.log_entry_dropped();
            }
        }
    }
}
