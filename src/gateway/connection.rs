//! A client's connection between its requests: how long it is unused, who listens on it, and why it ends.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::HeaderValue;

use super::standing::Standing;
use super::tunnel::Tunnel;
use super::worker::{Current, Worker};
use crate::forward::Hop;
use crate::request::{Code, Refusal};

/// A client's connection.
pub struct Connection {
    pub peer: SocketAddr,
    pub hop: Hop,
    /// A request was refused before its body was read.
    pub(super) has_unread: Cell<bool>,
    /// Requests that are being served.
    pub(super) busy: Cell<u32>,
    /// When the connection opened or the last response ended.
    pub(super) unused_since: Cell<Instant>,
    /// Of an event stream or a tunnel that is under way.
    pub(super) standing: RefCell<Option<Rc<Standing>>>,
    /// Why the gateway ends what is under way on it.
    pub(super) cut_off: Cell<Option<&'static str>>,
    /// What the connection becomes with the end of its HTTP.
    pub(super) tunnel: Cell<Option<Tunnel>>,
    /// It is time to look whether the client is still there.
    has_to_look: Cell<bool>,
    /// A WebSocket's handshake was the last request that it may carry.
    is_shaking_hands: Cell<bool>,
    /// It is to end with the request under way.
    is_finishing: Cell<bool>,
}

impl Connection {
    /// `local` is the address that the client reached.
    pub fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        let ip = peer.ip().to_canonical().to_string();
        Connection {
            peer,
            has_unread: Cell::new(false),
            busy: Cell::new(0),
            unused_since: Cell::new(Instant::now()),
            standing: RefCell::new(None),
            cut_off: Cell::new(None),
            tunnel: Cell::new(None),
            has_to_look: Cell::new(false),
            is_shaking_hands: Cell::new(false),
            is_finishing: Cell::new(false),
            hop: Hop {
                // An address is always a valid header value.
                peer: HeaderValue::try_from(ip).unwrap_or(HeaderValue::from_static("unknown")),
                port: HeaderValue::from(local.port()),
            },
        }
    }
}

impl Connection {
    /// How long no request has been served; a head that is still coming in does not count as one.
    pub fn unused_for(&self, now: Instant) -> Duration {
        match self.busy.get() {
            0 => now.saturating_duration_since(self.unused_since.get()),
            _ => Duration::ZERO,
        }
    }

    /// Whether an event stream or a tunnel is under way to a caller whose session or token has ended since.
    pub fn outlives_its_caller(&self, current: &Current) -> bool {
        let standing = self.standing.borrow();
        standing
            .as_ref()
            .is_some_and(|s| s.outlives_its_caller(current))
    }

    /// Whether nobody could tell in time if the rules in force refuse what is under way.
    pub fn is_overdue(&self, now: Instant) -> bool {
        let standing = self.standing.borrow();
        standing.as_ref().is_some_and(|s| s.is_overdue(now))
    }

    /// Whether what is under way has to be decided on anew, because other rules are in force by now than those that
    /// it stands by.
    pub fn is_due(&self, current: &Current, now: Instant) -> bool {
        let standing = self.standing.borrow();
        standing.as_ref().is_some_and(|s| s.is_due(current, now))
    }

    /// Has it decided on, if that is still due, and calls `refuse` where it would be refused now.
    pub fn decide(self: &Rc<Self>, worker: &Rc<Worker>, refuse: impl FnOnce() + 'static) {
        let standing = self.standing.borrow();
        if let Some(standing) = &*standing
            && standing.is_due(&worker.current(), Instant::now())
        {
            standing.decide(self, worker, refuse);
        }
    }

    /// Takes a handshake, whatever comes of it, for the last request.
    ///
    /// # Errors
    /// 503 when the connection was told to finish: a tunnel would begin only to be cut.
    pub(super) fn begin_handshake(&self) -> Result<(), Refusal> {
        if self.is_finishing.get() {
            let detail = "The gateway stops; connect again.";
            return Err(Refusal::new(Code::Unavailable, detail).closing());
        }
        self.is_shaking_hands.set(true);
        Ok(())
    }

    /// Whether it has to be told to close after the request under way. One that shakes hands does so by itself,
    /// or becomes a tunnel, whose head must not say that it closes.
    pub fn finishes(&self) -> bool {
        self.is_finishing.set(true);
        !self.is_shaking_hands.get()
    }

    /// Has [`Connection::takes_a_look`] say so once, if a request is being served.
    pub fn shall_look(&self) -> bool {
        let is_busy = self.busy.get() > 0;
        self.has_to_look.set(is_busy);
        is_busy
    }

    /// Whether it is time to look if the client is still there. The HTTP library does not while it holds bytes
    /// that the client sent behind its request, or waits for somebody to take a body.
    pub fn takes_a_look(&self) -> bool {
        self.has_to_look.take()
    }

    /// Notes why what is under way is about to be dropped, for the log.
    pub fn cut_off(&self, why: &'static str) {
        self.cut_off.set(Some(why));
    }

    /// Whether the client may still be sending what nobody will read. Closing at once would reset
    /// the connection, and the client would lose the response that it has not read yet.
    pub fn has_unread(&self) -> bool {
        self.has_unread.get()
    }

    /// What is to be run in place of HTTP. It holds on to the connection, so it has to be asked for in any case.
    pub fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }
}
