//! Password hashes, made and checked on threads of their own.
//!
//! A hash is slow on purpose. At most half of the cores work on it, at the lowest priority, behind a
//! queue that is bounded: a flood of logins is turned away and takes nothing from proxied requests.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{io, panic, thread};

use tokio::sync::oneshot;

use super::hashes::{Hash, Scheme};
use crate::config::Secret;

/// The longest password that is looked at, in bytes.
const LONGEST: usize = 4096;

/// Passwords that may wait. At a quarter of a second each, those behind would have given up.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// The threads that hash. They end when this is dropped.
pub struct Hasher {
    queue: SyncSender<Job>,
    /// What a hash of the scheme takes lately.
    usual: Mutex<Option<(Scheme, Duration)>>,
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
        Ok(Hasher {
            queue,
            usual: Mutex::default(),
        })
    }

    /// The hash of a new password.
    pub async fn hash(&self, password: Secret, scheme: Scheme) -> Result<String, HashError> {
        self.run(move || scheme.make(password.expose().as_bytes()))
            .await?
            .map_err(|error| HashError::Failed(error.to_string()))
    }

    /// Whether the password is the one that `hash` was made of, and that counts. A hash that can't be
    /// read matches nothing. All that fail are answered at the same time, whether a hash of another
    /// kind is quicker to compute than those of `scheme` or a match does not count because the account
    /// is disabled: otherwise the time would tell that there is such an account.
    pub async fn verify(
        &self,
        password: Secret,
        hash: String,
        scheme: Scheme,
        counts: bool,
    ) -> Result<bool, HashError> {
        if password.expose().len() > LONGEST {
            return Ok(false);
        }
        let is_usual = scheme.made(&hash);
        if !is_usual && self.usual_time(scheme).is_none() {
            self.time(password.clone(), scheme.dummy(), scheme).await?;
        }
        let (matches, time) = self.time(password, hash, scheme).await?;
        let passes = matches && counts;
        if !passes && let Some(usual) = self.usual_time(scheme) {
            // A quarter more, so that it covers what differs from one time to the next.
            let floor = usual.saturating_add(usual / 4);
            tokio::time::sleep(floor.saturating_sub(time)).await;
        }
        Ok(passes)
    }

    /// Whether it matches, and how long that took to compute.
    async fn time(
        &self,
        password: Secret,
        hash: String,
        scheme: Scheme,
    ) -> Result<(bool, Duration), HashError> {
        let is_usual = scheme.made(&hash);
        let computed = self.run(move || {
            let start = Instant::now();
            // Something is computed in any case, so that the time tells nothing.
            let read = Hash::read(&hash, scheme);
            let is_readable = read.is_ok();
            let read = read.or_else(|error| {
                tracing::error!(%error, "a password hash in the store");
                Hash::read(&scheme.dummy(), scheme)
            });
            let matches = read.is_ok_and(|hash| hash.matches(password.expose().as_bytes()));
            (matches && is_readable, start.elapsed())
        });
        let (matches, time) = computed.await?;
        if is_usual {
            self.note(scheme, time);
        }
        Ok((matches, time))
    }

    fn usual_time(&self, scheme: Scheme) -> Option<Duration> {
        let usual = *self.usual.lock().unwrap_or_else(|e| e.into_inner());
        usual.filter(|(of, _)| *of == scheme).map(|(_, time)| time)
    }

    /// A mean in which the latest counts most.
    fn note(&self, scheme: Scheme, time: Duration) {
        let mut usual = self.usual.lock().unwrap_or_else(|e| e.into_inner());
        *usual = Some(match *usual {
            Some((of, known)) if of == scheme => (scheme, (known * 7 + time) / 8),
            _ => (scheme, time),
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_hash_matches_its_password_alone() {
        let hasher = Hasher::with(1, 4).unwrap();
        for scheme in [Scheme::Bcrypt(4), Scheme::Argon2id] {
            let hash = hasher.hash(secret("Aa1!aaaa"), scheme).await.unwrap();
            for (password, expected) in [("Aa1!aaaa", true), ("Aa1!aaab", false)] {
                let matches = hasher.verify(secret(password), hash.clone(), scheme, true);
                assert_eq!(matches.await.unwrap(), expected);
            }
            for unreadable in ["", "plain", "$2b$31$x"] {
                let matches = hasher.verify(secret(unreadable), unreadable.into(), scheme, true);
                assert!(!matches.await.unwrap(), "{unreadable}");
            }
        }
        let long = secret(&"x".repeat(LONGEST + 1));
        let matches = hasher.verify(long, Scheme::Argon2id.dummy(), Scheme::Argon2id, true);
        assert!(!matches.await.unwrap());
    }

    #[tokio::test]
    async fn a_quick_hash_of_another_kind_fails_as_slowly_as_the_usual_one() {
        let hasher = Hasher::with(1, 4).unwrap();
        let quick = "pbkdf2_sha256$1$seasalt$hlNs5w6bK3PP8d72nWpIqUKJP4D4s2LeL6HQPyS+fsw=";
        let scheme = Scheme::Bcrypt(8);
        let start = Instant::now();
        let matches = hasher.verify(secret("x"), quick.into(), scheme, true).await;
        assert!(!matches.unwrap());
        let usual = hasher.usual_time(scheme).expect("it was measured first");
        assert!(start.elapsed() >= usual * 5 / 4, "and then waited for");
        assert_eq!(hasher.usual_time(Scheme::Bcrypt(9)), None);
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
