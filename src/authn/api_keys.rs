//! API keys to callers. The store knows them, and the data plane does not ask it: a key that is not
//! remembered is looked up on the control plane while its request waits. All others are answered
//! from memory, by the same changes as tokens.

mod refusals;
mod text;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::authenticator::{as_it_is_now, now};
use super::changes::{AccountState, Changes};
use super::principal::User;
use crate::request::{Code, Refusal};
use crate::single_flight::{Flight, Flights, Waiting};
use refusals::{Reason, lost, refusal, unavailable};

pub use text::{KEY_PREFIX, id_of};

/// How long a key is believed that could not be read again. Whoever logs a change that concerns keys
/// has it kept for longer.
pub const KEY_MEMORY: Duration = Duration::from_secs(15 * 60);

/// Seconds after which a key in use is read again, while it goes on, and until that is tried again.
const READ_AGAIN: u64 = 5 * 60;
const TRY_AGAIN: u64 = 10;
/// Seconds for which a key that was refused is refused without a look-up.
const REFUSED_FOR: u64 = 10;
/// Seconds until the use of a key is told again.
const USE_TOLD: u64 = 60;
/// Look-ups that run at once, and that run or wait. The store has other callers, too.
const RUNNING: usize = 4;
const UNDER_WAY: usize = 1024;
/// Of those that run, how many may be [`Pace::InTurn`]: requests find room beside them.
const IN_TURN: usize = RUNNING / 2;
/// How long a look-up waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the store is waited for, by whoever holds one of few turns: longer than one call of it may take, and a
/// look-up may take several.
const LONGEST: Duration = Duration::from_secs(10);
/// Bytes that remembered keys may take, about how many that is, and what one takes beside its text.
const MEMORY_BYTES: u64 = 32 << 20;
const MEMORY_ENTRIES: usize = 20_000;
const PRINCIPAL_BYTES: u64 = 1000;
const REFUSED_ENTRIES: usize = 10_000;

/// A key as the store has it, with its account.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: Uuid,
    /// A new one with every change to the key. That the old one is over is published like the end of
    /// a session.
    pub grant: Uuid,
    pub scopes: Vec<String>,
    /// Seconds since 1970.
    pub created_at: u64,
    pub expires_at: Option<u64>,
    pub account: AccountState,
}

/// What the store has for the text of a key.
#[derive(Debug, Clone)]
pub enum Found {
    Key(Box<ApiKey>),
    /// It was revoked.
    Ended,
    Unknown,
}

/// Looks a key up by its whole text. Runs on the control plane; an error is the store's, not the key's.
pub type LookUp = Arc<dyn Fn(Arc<str>) -> LookUpFuture + Send + Sync>;
pub type LookUpFuture = Pin<Box<dyn Future<Output = Result<Found, Refusal>> + Send>>;
/// Is told the id of a key in use, at most once a minute for each. Runs on the data plane.
pub type Used = Arc<dyn Fn(Uuid) + Send + Sync>;
/// Gives seconds since 1970.
type Clock = fn() -> u64;

/// When a key is looked up that is not remembered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// For somebody who waits for it.
    AtOnce,
    /// For one of many streams that are decided on anew, and go on meanwhile: few are looked up at a time.
    InTurn,
}

pub struct ApiKeys {
    header: HeaderName,
    changes: Arc<Changes>,
    look_up: LookUp,
    used: Used,
    control: Handle,
    clock: Clock,
    longest: Duration,
    /// By the whole key, as with tokens.
    known: Cache<Box<str>, Arc<Known>, ByBytes>,
    /// Apart from the others, so that no flood of bad keys washes good ones out.
    refused: Cache<Box<str>, Refused>,
    /// One look-up for all requests that wait for the same key.
    flights: Arc<Flights<Outcome>>,
    /// For whoever asks in turn.
    turns: Arc<Semaphore>,
}

/// Comes after every epoch that is reached.
const NO_EPOCH: u64 = u64::MAX;

type Outcome = Result<Arc<Known>, Refusal>;
/// Held by whoever waits for a look-up, and by the look-up, which goes on without them.
type Turn = Arc<OwnedSemaphorePermit>;

/// A key that was looked up and found good.
struct Known {
    user: Arc<User>,
    key: Uuid,
    /// The epoch of [`Changes`] up to which `user` is true; [`NO_EPOCH`] before it was compared.
    epoch: AtomicU64,
    read_at: u64,
    read_again_at: AtomicU64,
    use_told_at: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    reason: Reason,
    /// A change may have mended it.
    epoch: u64,
    until: u64,
}

/// Why a remembered key does not do.
enum Stale {
    /// It is not what it was: it has to be read again.
    Changed,
    Refused(Refusal),
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Arc<Known>> for ByBytes {
    fn weight(&self, key: &Box<str>, _: &Arc<Known>) -> u64 {
        key.len() as u64 + PRINCIPAL_BYTES
    }
}

impl ApiKeys {
    /// `header` is where clients put their keys; look-ups run on `control`.
    pub fn new(
        header: HeaderName,
        changes: Arc<Changes>,
        look_up: LookUp,
        used: Used,
        control: Handle,
    ) -> Arc<Self> {
        ApiKeys::with_clock(header, changes, look_up, used, control, now)
    }

    pub(super) fn with_clock(
        header: HeaderName,
        changes: Arc<Changes>,
        look_up: LookUp,
        used: Used,
        control: Handle,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(ApiKeys {
            header,
            changes,
            look_up,
            used,
            control,
            clock,
            longest: LONGEST,
            known: Cache::with_weighter(MEMORY_ENTRIES, MEMORY_BYTES, ByBytes),
            refused: Cache::new(REFUSED_ENTRIES),
            flights: Flights::new(RUNNING, UNDER_WAY),
            turns: Arc::new(Semaphore::new(IN_TURN)),
        })
    }

    /// The key that a request carries, if it does.
    pub(super) fn presented<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, Refusal> {
        let mut values = headers.get_all(&self.header).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(refusal(Reason::Unknown).because("more than one API key"));
        }
        // What is no text is no key of ours either.
        Ok(Some(value.to_str().unwrap_or_default()))
    }

    /// The caller that a key speaks for, as key and account are now.
    ///
    /// # Errors
    /// `token-invalid`, `token-revoked`, `token-expired`; `unavailable` when the key is not
    /// remembered and can't be looked up.
    pub async fn verify(self: &Arc<Self>, key: &str) -> Result<Arc<User>, Refusal> {
        self.verify_at(Pace::AtOnce, key).await
    }

    pub(super) async fn verify_at(
        self: &Arc<Self>,
        pace: Pace,
        key: &str,
    ) -> Result<Arc<User>, Refusal> {
        if id_of(key).is_none() {
            return Err(refusal(Reason::Unknown));
        }
        // Twice more: what is read may have been on its way when it was changed.
        for _ in 0..3 {
            let known = match self.remembered(key) {
                Some(outcome) => outcome?,
                None => self.read(key, pace).await?,
            };
            let now = (self.clock)();
            match self.judge(key, &known, now) {
                Ok(user) => {
                    self.keep_up(key, &known, now, pace);
                    return Ok(user);
                }
                Err(Stale::Changed) => drop(self.known.remove(key)),
                Err(Stale::Refused(refusal)) => return Err(refusal),
            }
        }
        Err(refusal(Reason::Revoked))
    }

    /// What came of a look-up that was not too long ago.
    fn remembered(&self, key: &str) -> Option<Outcome> {
        let now = (self.clock)();
        let is_believed =
            |known: &Arc<Known>| now.saturating_sub(known.read_at) < KEY_MEMORY.as_secs();
        if let Some(known) = self.known.get(key).filter(is_believed) {
            return Some(Ok(known));
        }
        let refused = self.refused.get(key)?;
        let holds = refused.until > now && refused.epoch == self.changes.epoch();
        holds.then(|| Err(refusal(refused.reason)))
    }

    /// Whether the key was good the last time that it was looked at.
    pub(super) fn remembers(&self, key: &str) -> bool {
        self.known.peek(key).is_some()
    }

    /// Whether a remembered key still holds.
    fn judge(&self, key: &str, known: &Known, now: u64) -> Result<Arc<User>, Stale> {
        let epoch = self.changes.epoch();
        let mut user = Arc::clone(&known.user);
        if known.epoch.load(Ordering::Acquire) != epoch {
            if self.changes.has_ended(user.session) {
                return Err(Stale::Changed);
            }
            user = as_it_is_now(&self.changes, user).map_err(|refusal| {
                self.known.remove(key);
                Stale::Refused(refusal)
            })?;
            if Arc::ptr_eq(&user, &known.user) {
                known.epoch.store(epoch, Ordering::Release);
            } else {
                let changed = known.with(Arc::clone(&user), epoch);
                self.known.insert(key.into(), Arc::new(changed));
            }
        }
        if user.expires_at <= now {
            let detail = "The API key has expired.";
            return Err(Stale::Refused(Refusal::new(Code::TokenExpired, detail)));
        }
        Ok(user)
    }

    /// What a key in use brings about beside its request, now and then.
    fn keep_up(self: &Arc<Self>, key: &str, known: &Known, now: u64, pace: Pace) {
        if known.use_told_at.load(Ordering::Relaxed) <= now {
            known.use_told_at.store(now + USE_TOLD, Ordering::Relaxed);
            (self.used)(known.key);
        }
        // Many streams at once leave it to whoever comes next.
        let is_due = known.read_again_at.load(Ordering::Relaxed) <= now;
        if is_due && matches!(pace, Pace::AtOnce) {
            known
                .read_again_at
                .store(now + TRY_AGAIN, Ordering::Relaxed);
            // When the store is away, the key goes on for a while.
            let _ = self.begin(key);
        }
    }

    /// Waits until the key was looked up.
    async fn read(self: &Arc<Self>, key: &str, pace: Pace) -> Outcome {
        let turn = match pace {
            Pace::AtOnce => None,
            // Never closed, so there is always a turn.
            Pace::InTurn => Arc::clone(&self.turns).acquire_owned().await.ok(),
        };
        let turn = turn.map(Arc::new);
        // Whoever had a turn before may have looked up the same.
        let known = || self.remembered(key);
        let start = |flight| self.start(flight, turn.clone());
        self.flights.share(key, known, start).await.map_err(lost)?
    }

    /// Begins to look a key up, unless that is under way.
    fn begin(self: &Arc<Self>, key: &str) -> Result<Waiting<Outcome>, Refusal> {
        let begun = self
            .flights
            .begin(key, || None, |flight| self.start(flight, None));
        begun.map_err(lost)
    }

    /// It goes on when the client leaves: others may wait for it, and the next request will not.
    fn start(self: &Arc<Self>, flight: Flight<Outcome>, turn: Option<Turn>) {
        let keys = Arc::clone(self);
        self.control.spawn(async move {
            // Not given back by whoever leaves: the store is asked all the same.
            let _turn = turn;
            let outcome = keys.look_up(&flight).await;
            flight.end(outcome);
        });
    }

    async fn look_up(&self, flight: &Flight<Outcome>) -> Outcome {
        let Ok(Some(_turn)) = tokio::time::timeout(PATIENCE, flight.turn()).await else {
            return Err(unavailable().because("API keys are looked up too slowly"));
        };
        let key = flight.key();
        let (epoch, now) = (self.changes.epoch(), (self.clock)());
        let found = (self.look_up)(Arc::clone(key));
        let Ok(found) = tokio::time::timeout(self.longest, found).await else {
            return Err(unavailable().because("the store took too long to look up an API key"));
        };
        let reason = match found? {
            Found::Key(found) if found.account.active => {
                let id = found.id;
                let user = User::of_key(*found);
                let user = user.map_err(|error| refusal(Reason::Unknown).because(error))?;
                let known = Arc::new(Known {
                    user: Arc::new(user),
                    key: id,
                    epoch: AtomicU64::new(NO_EPOCH),
                    read_at: now,
                    read_again_at: AtomicU64::new(now + READ_AGAIN),
                    use_told_at: AtomicU64::new(0),
                });
                self.known.insert((&**key).into(), Arc::clone(&known));
                return Ok(known);
            }
            Found::Key(_) | Found::Ended => Reason::Revoked,
            Found::Unknown => Reason::Unknown,
        };
        self.known.remove(&**key);
        let until = now + REFUSED_FOR;
        let refused = Refused {
            reason,
            epoch,
            until,
        };
        self.refused.insert((&**key).into(), refused);
        Err(refusal(reason))
    }
}

impl Known {
    /// The same key after a change to its account.
    fn with(&self, user: Arc<User>, epoch: u64) -> Known {
        let copy = |number: &AtomicU64| AtomicU64::new(number.load(Ordering::Relaxed));
        Known {
            user,
            key: self.key,
            epoch: AtomicU64::new(epoch),
            read_at: self.read_at,
            read_again_at: copy(&self.read_again_at),
            use_told_at: copy(&self.use_told_at),
        }
    }
}

#[cfg(test)]
mod tests;
