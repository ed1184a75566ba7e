//! Work that all who want the same at once share: one does it, the others are told what came of it. How much
//! is done at once, and how much waits, is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// How often work is begun anew whose thread ended before it did.
const ATTEMPTS: usize = 4;

/// All that is under way, by what it is about.
pub struct Flights<T> {
    under_way: Mutex<HashMap<Arc<str>, Told<T>>>,
    /// How many may be under way, at work or waiting for their turn.
    most: usize,
    turns: Semaphore,
}

type Told<T> = watch::Receiver<Option<T>>;

/// One piece of work. Whoever has it does the work; dropping it tells the others that it broke off.
pub struct Flight<T> {
    flights: Arc<Flights<T>>,
    key: Arc<str>,
    tell: watch::Sender<Option<T>>,
    outcome: Option<T>,
}

/// What comes of work.
pub enum Waiting<T> {
    Known(T),
    UnderWay(Told<T>),
}

/// Why nothing came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Too much is under way.
    Full,
    BrokeOff,
}

impl<T: Clone> Flights<T> {
    /// At most `running` work at once, and at most `most` work or wait.
    pub fn new(running: usize, most: usize) -> Arc<Self> {
        Arc::new(Flights {
            under_way: Mutex::default(),
            most,
            turns: Semaphore::new(running),
        })
    }

    /// What comes of the work under `key`. `start` is given it unless it is under way or `known`: it has to
    /// hand it on to a task of its own, since whoever waits here may leave.
    ///
    /// # Errors
    /// See [`Lost`].
    pub async fn share(
        self: &Arc<Self>,
        key: &str,
        known: impl Fn() -> Option<T>,
        start: impl Fn(Flight<T>),
    ) -> Result<T, Lost> {
        // A worker that ends takes its tasks with it, and those who wait on others did not ask for that.
        for _ in 0..ATTEMPTS {
            let waiting = self.begin(key, &known, &start)?;
            if let Some(outcome) = waiting.outcome().await {
                return Ok(outcome);
            }
        }
        Err(Lost::BrokeOff)
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// [`Lost::Full`]
    pub fn begin(
        self: &Arc<Self>,
        key: &str,
        known: impl Fn() -> Option<T>,
        start: impl Fn(Flight<T>),
    ) -> Result<Waiting<T>, Lost> {
        let mut under_way = self.under_way();
        if let Some(told) = under_way.get(key) {
            return Ok(Waiting::UnderWay(told.clone()));
        }
        // What is told was known before it was no longer under way.
        if let Some(known) = known() {
            return Ok(Waiting::Known(known));
        }
        if under_way.len() >= self.most {
            return Err(Lost::Full);
        }
        let key: Arc<str> = key.into();
        let (tell, told) = watch::channel(None);
        under_way.insert(Arc::clone(&key), told.clone());
        // A runtime that has ended drops the flight here and now, which takes the lock.
        drop(under_way);
        start(Flight {
            flights: Arc::clone(self),
            key,
            tell,
            outcome: None,
        });
        Ok(Waiting::UnderWay(told))
    }

    /// How many are under way.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.under_way().len()
    }
}

impl<T> Flights<T> {
    // A panic while the lock is held leaves a map that is still a map.
    fn under_way(&self) -> MutexGuard<'_, HashMap<Arc<str>, Told<T>>> {
        self.under_way.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl<T> Flight<T> {
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Waits until no more than so many others are at work.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed, so there is always a turn.
        self.flights.turns.acquire().await.ok()
    }

    /// Tells all who wait.
    pub fn end(mut self, outcome: T) {
        self.outcome = Some(outcome);
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        // Whoever hears that it broke off must not find it under way.
        self.flights.under_way().remove(&self.key);
        if let Some(outcome) = self.outcome.take() {
            self.tell.send_replace(Some(outcome));
        }
    }
}

impl<T: Clone> Waiting<T> {
    /// `None` when it broke off.
    pub async fn outcome(self) -> Option<T> {
        match self {
            Waiting::Known(outcome) => Some(outcome),
            Waiting::UnderWay(mut told) => told.wait_for(Option::is_some).await.ok()?.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn nothing() -> Option<u32> {
        None
    }

    fn flights() -> Arc<Flights<u32>> {
        Flights::new(1, 2)
    }

    /// Begins work and hands it out.
    fn begun(flights: &Arc<Flights<u32>>, key: &str) -> (Option<Flight<u32>>, Waiting<u32>) {
        let flight = RefCell::new(None);
        let start = |new| drop(flight.replace(Some(new)));
        let waiting = flights.begin(key, nothing, start).unwrap();
        (flight.into_inner(), waiting)
    }

    #[tokio::test]
    async fn all_who_want_the_same_are_told() {
        let flights = flights();
        let (flight, first) = begun(&flights, "a");
        let (none, second) = begun(&flights, "a");
        assert!(none.is_none());
        flight.unwrap().end(7);
        assert_eq!(flights.count(), 0);
        assert_eq!(first.outcome().await, Some(7));
        assert_eq!(second.outcome().await, Some(7));
        let known = flights.share("a", || Some(8), |_| panic!("it is known"));
        assert_eq!(known.await, Ok(8));
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_under_way() {
        let flights = flights();
        let (a, _) = begun(&flights, "a");
        let (b, _) = begun(&flights, "b");
        let full = flights.share("c", nothing, |_| panic!("there is no room"));
        assert_eq!(full.await, Err(Lost::Full));
        drop(a);
        assert!(begun(&flights, "c").0.is_some());
        drop(b);
    }

    #[tokio::test]
    async fn no_more_than_so_many_work_at_once() {
        let flights = flights();
        let (a, _) = begun(&flights, "a");
        let (b, _) = begun(&flights, "b");
        let (a, b) = (a.unwrap(), b.unwrap());
        let turn = a.turn().await.unwrap();
        let mut next = Box::pin(b.turn());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.as_mut().poll(&mut context).is_pending());
        drop(turn);
        assert!(next.await.is_some());
    }

    #[tokio::test]
    async fn what_breaks_off_is_begun_anew_by_those_who_wait() {
        let flights = flights();
        let times = Cell::new(0);
        let begin = |flight: Flight<u32>| {
            times.set(times.get() + 1);
            match times.get() {
                3 => flight.end(7),
                _ => drop(flight),
            }
        };
        assert_eq!(flights.share("a", nothing, begin).await, Ok(7));
        assert_eq!(times.get(), 3);
        // But not for ever.
        let lost = flights.share("a", nothing, drop).await;
        assert_eq!(lost, Err(Lost::BrokeOff));
        assert_eq!(flights.count(), 0);
    }
}
