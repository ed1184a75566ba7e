//! Password hashes, made and checked on threads of their own.
//!
//! bcrypt is slow on purpose. At most half of the cores work on it, at the lowest priority, behind a
//! queue that is bounded: a flood of logins is turned away and takes nothing from proxied requests.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::{io, panic, thread};

use tokio::sync::oneshot;

use crate::config::Secret;

/// The most bytes that bcrypt looks at.
pub const MAX_BYTES: usize = 72;

/// Passwords that may wait. At a quarter of a second each, those behind would have given up.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// The threads that hash. They end when this is dropped.
pub struct Hasher {
    queue: SyncSender<Job>,
}

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error("too many passwords wait to be hashed")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

impl Hasher {
    pub fn start() -> io::Result<Hasher> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Hasher::with((cores / 2).max(1), QUEUE)
    }

    fn with(threads: usize, queue: usize) -> io::Result<Hasher> {
        let (queue, jobs) = sync_channel(queue);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&jobs))?;
        }
        Ok(Hasher { queue })
    }

    /// A bcrypt hash. `cost` is the logarithm of the number of rounds.
    pub async fn hash(&self, password: Secret, cost: u32) -> Result<String, HashError> {
        if is_too_long(&password) {
            return Err(HashError::Failed("more bytes than bcrypt reads".into()));
        }
        self.run(move || bcrypt::hash(password.expose(), cost))
            .await?
            .map_err(|error| HashError::Failed(error.to_string()))
    }

    /// Whether the password is the one that `hash` was made of. A hash that can't be read matches
    /// nothing, and neither does a password that bcrypt would cut.
    pub async fn verify(&self, password: Secret, hash: String) -> Result<bool, HashError> {
        if is_too_long(&password) {
            return Ok(false);
        }
        let matches = self
            .run(move || bcrypt::verify(password.expose(), &hash))
            .await?;
        Ok(matches.unwrap_or_else(|error| {
            tracing::error!(%error, "a password hash in the store can't be read");
            false
        }))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            // The caller went away while it waited: nobody wants the result.
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        });
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(HashError::Busy),
            Err(TrySendError::Disconnected(_)) => {
                return Err(HashError::Failed("the hashing threads have ended".into()));
            }
        }
        result
            .await
            .map_err(|_| HashError::Failed("the hashing thread panicked".into()))
    }
}

/// Checked here because the crate's `non_truncating_*` count the terminating zero as well, and so
/// refuse a password of the full 72 bytes.
fn is_too_long(password: &Secret) -> bool {
    password.expose().len() > MAX_BYTES
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    if let Err(error) = lower_priority() {
        tracing::warn!(%error, "password hashing runs at normal priority");
    }
    loop {
        let job = jobs.lock().unwrap_or_else(|e| e.into_inner()).recv();
        let Ok(job) = job else { return };
        // A panic costs its caller the answer, and not everyone else the thread.
        let _ = panic::catch_unwind(panic::AssertUnwindSafe(job));
    }
}

/// On Linux a thread has a nice value of its own; elsewhere it would be the whole process's.
#[cfg(target_os = "linux")]
fn lower_priority() -> io::Result<()> {
    rustix::process::nice(19)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() -> io::Result<()> {
    Ok(())
}

/// A hash of the given cost that no password matches. Checking against it takes as long as against
/// a real one, so the time of an answer does not tell whether there is such an account.
pub fn dummy_hash(cost: u32) -> String {
    format!("$2b${cost:02}$abcdefghijklmnopqrstuuQ0Yb3b0l5iGqXbXQ0Yb3b0l5iGqXbXu")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_hash_matches_its_password_alone() {
        let hasher = Hasher::with(1, 4).unwrap();
        let hash = hasher.hash(secret("Aa1!aaaa"), 4).await.unwrap();
        assert!(
            hasher
                .verify(secret("Aa1!aaaa"), hash.clone())
                .await
                .unwrap()
        );
        assert!(!hasher.verify(secret("Aa1!aaab"), hash).await.unwrap());
    }

    #[tokio::test]
    async fn what_bcrypt_would_cut_is_an_error_and_matches_nothing() {
        let hasher = Hasher::with(1, 4).unwrap();
        let fits = "x".repeat(MAX_BYTES);
        let hash = hasher.hash(secret(&fits), 4).await.unwrap();
        let shorter = fits[1..].to_owned();
        assert!(hasher.verify(secret(&fits), hash.clone()).await.unwrap());
        assert!(!hasher.verify(secret(&shorter), hash.clone()).await.unwrap());
        let long = format!("{fits}y");
        assert!(!hasher.verify(secret(&long), hash).await.unwrap());
        assert!(matches!(
            hasher.hash(secret(&long), 4).await,
            Err(HashError::Failed(_))
        ));
    }

    #[test]
    fn the_dummy_hash_is_computed_in_full() {
        for cost in [4, 10] {
            let result = bcrypt::verify("Aa1!aaaa", &dummy_hash(cost));
            assert!(matches!(result, Ok(false)), "{result:?}");
        }
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_and_a_panic_leaves_the_thread() {
        let hasher = Arc::new(Hasher::with(1, 1).unwrap());
        let (started, has_started) = oneshot::channel();
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let busy = Arc::clone(&hasher);
        let first = tokio::spawn(async move {
            busy.run(move || {
                let _ = started.send(());
                let _ = wait.recv();
                panic!("on purpose");
            })
            .await
        });
        has_started.await.unwrap();
        let queued = hasher.run(|| 2);
        tokio::pin!(queued);
        assert!(
            tokio::select! { biased; _ = &mut queued => false, () = async {} => true },
            "the second waits"
        );
        assert!(matches!(hasher.run(|| 3).await, Err(HashError::Busy)));
        release.send(()).unwrap();
        assert!(matches!(first.await.unwrap(), Err(HashError::Failed(_))));
        assert_eq!(queued.await.unwrap(), 2);
    }
}
