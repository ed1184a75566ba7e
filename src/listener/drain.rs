//! Telling open connections to finish. A connection pays one flag read for it each time it is polled.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

use tokio::sync::Notify;

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
    finish: Cell<bool>,
    waker: RefCell<Option<Waker>>,
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
            signal.finish.set(true);
            if let Some(waker) = signal.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Waits until the last connection has left.
    pub async fn empty(&self) {
        while !self.connections.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}

impl Signal {
    /// True once the connection has to finish; until then `waker` will be woken for it.
    pub fn is_raised(&self, waker: &Waker) -> bool {
        if self.finish.get() {
            return true;
        }
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        false
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
