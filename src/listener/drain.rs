//! Telling open connections to finish or to close. A connection pays one flag read for it each time it
//! is polled.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::gateway::{Connection, Worker};

/// Why connections are closed, as the log tells it of what was under way.
const OVER: &str = "the gateway stopped, and the time for what was under way was over";
const OUTLIVED: &str =
    "the caller's session, token or API key had ended, or its tier or roles were others";
const REFUSED: &str = "the configuration, the signing keys or the tiers were replaced, and the request would be refused now";
const UNDECIDED: &str = "the configuration, the signing keys or the tiers were replaced, and for a minute nobody could tell whether the request would be refused now";

/// Decisions that are begun without a look at what else there is to do.
const FEW: usize = 8;

/// The open connections of one worker.
#[derive(Default)]
pub struct Open {
    connections: RefCell<HashMap<u64, Rc<Signal>>>,
    next: Cell<u64>,
    emptied: Notify,
}

/// How one connection hears that it has to finish.
#[derive(Default)]
pub struct Signal {
    told: Cell<Option<Order>>,
    connection: RefCell<Option<Rc<Connection>>>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// After the request under way.
    Finish,
    /// At once.
    Close,
}

/// A connection's place among the open ones; it leaves when dropped.
pub struct Place {
    open: Rc<Open>,
    number: u64,
    pub signal: Rc<Signal>,
}

impl Open {
    pub fn enter(self: &Rc<Self>) -> Place {
        let number = self.next.get();
        self.next.set(number + 1);
        let signal = Rc::new(Signal::default());
        self.connections
            .borrow_mut()
            .insert(number, Rc::clone(&signal));
        Place {
            open: Rc::clone(self),
            number,
            signal,
        }
    }

    /// Tells every connection to finish what it has begun.
    pub fn finish_all(&self) {
        for signal in self.connections.borrow().values() {
            signal.tell(Order::Finish);
        }
    }

    /// Tells every connection to leave what it has begun, because the time for that is over.
    pub fn close_all(&self) {
        for signal in self.connections.borrow().values() {
            signal.close(OVER);
        }
    }

    /// Closes connections that have served no request for `limit`, whether they are silent or still
    /// sending a head, and those whose event stream or tunnel goes to somebody who may not listen any more, by what
    /// was published or by the configuration that has come since. Has the others
    /// look whether their client is still there.
    pub fn close_stale(&self, limit: Duration, worker: &Rc<Worker>) {
        let now = Instant::now();
        let current = worker.current();
        let mut due = Vec::new();
        for signal in self.connections.borrow().values() {
            let connection = signal.connection.borrow();
            let Some(connection) = &*connection else {
                continue;
            };
            if connection.unused_for(now) > limit {
                signal.tell(Order::Close);
            } else if connection.outlives_its_caller(&current) {
                signal.close(OUTLIVED);
            } else if connection.is_overdue(now) {
                signal.close(UNDECIDED);
            } else {
                if connection.is_due(&current, now) {
                    due.push((Rc::clone(signal), Rc::clone(connection)));
                }
                if connection.shall_look() {
                    signal.wake();
                }
            }
        }
        if !due.is_empty() {
            tokio::task::spawn_local(decide(due, Rc::clone(worker)));
        }
    }

    /// Waits until the last connection has left.
    pub async fn empty(&self) {
        while !self.connections.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}

/// Decides on few at a time, so that requests are served between them.
async fn decide(due: Vec<(Rc<Signal>, Rc<Connection>)>, worker: Rc<Worker>) {
    for few in due.chunks(FEW) {
        for (signal, connection) in few {
            let signal = Rc::clone(signal);
            connection.decide(&worker, move || signal.close(REFUSED));
        }
        tokio::task::yield_now().await;
    }
}

impl Signal {
    /// Has [`Open::close_stale`] look at the connection.
    pub fn watch(&self, connection: &Rc<Connection>) {
        *self.connection.borrow_mut() = Some(Rc::clone(connection));
    }

    fn close(&self, why: &'static str) {
        if let Some(connection) = &*self.connection.borrow() {
            connection.cut_off(why);
        }
        self.tell(Order::Close);
    }

    fn tell(&self, what: Order) {
        self.told.set(Some(what));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// What the connection has to do; `waker` will be woken when there is more.
    pub fn told(&self, waker: &Waker) -> Option<Order> {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        self.told.get()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.open.connections.borrow_mut();
        connections.remove(&self.number);
        if connections.is_empty() {
            self.open.emptied.notify_one();
        }
    }
}
