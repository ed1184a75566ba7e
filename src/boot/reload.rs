//! Taking over a changed gateway.yaml while requests are served: all of it, or nothing. One task does it, one
//! time after the other, whoever asks.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::in_force::InForce;
use crate::accounts::OpenError;
use crate::admin::{Reload, Reloaded};
use crate::config::{self, Config, Digest, File, Report, Watch, counted};
use crate::request::{Code, Refusal};

/// Who asks while so many wait is told to come back.
const MOST_WAITING: usize = 16;
/// How often a file is read that is written meanwhile.
const TRIES: usize = 3;

/// Why the configuration in force stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("{}", .0.render(false))]
    Invalid(Report),
    #[error("a reload can't change {}: restart for that", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    #[error("somebody is writing to the file: ask again once it is written")]
    BeingWritten,
    #[error(transparent)]
    Keys(#[from] OpenError),
    #[error("reading the file was given up: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

impl From<ReloadError> for Refusal {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Invalid(report) => {
                let errors = counted(report.errors(), "error");
                let detail = format!("The file does not hold: {errors}.");
                Refusal::new(Code::ValidationFailed, detail).with_diagnostics(report.diagnostics)
            }
            other => Refusal::new(Code::Conflict, format!("Not reloaded: {other}.")),
        }
    }
}

/// The file that is served by.
pub struct Origin {
    pub path: PathBuf,
    /// Of the text that is in force.
    pub digest: Digest,
}

type Reply = oneshot::Sender<Result<Reloaded, Refusal>>;

/// Asks for a reload.
#[derive(Clone)]
pub struct Asker(mpsc::Sender<Option<Reply>>);

impl Asker {
    /// Without waiting for what comes of it.
    pub fn ask(&self) {
        // When it is full, the file is read again soon as it is.
        let _ = self.0.try_send(None);
    }

    pub fn reload(&self) -> Reload {
        let asker = self.clone();
        Arc::new(move || {
            let asker = asker.clone();
            Box::pin(async move {
                let (reply, answer) = oneshot::channel();
                if asker.0.try_send(Some(reply)).is_err() {
                    let refusal = Refusal::new(Code::Unavailable, "Too many reloads at once.");
                    return Err(refusal.retry_after(1));
                }
                match answer.await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Refusal::new(Code::Unavailable, "The gateway stops.")),
                }
            })
        })
    }
}

/// Reloads for whoever asks, and when the file changes.
pub struct Reloader {
    origin: Option<Origin>,
    watch: Option<Watch>,
    asked: mpsc::Receiver<Option<Reply>>,
    in_force: Arc<InForce>,
}

impl Reloader {
    /// Watches the file from now on. Without one, whoever asks is told that there is none.
    pub fn new(origin: Option<Origin>, in_force: Arc<InForce>) -> (Reloader, Asker) {
        let (asker, asked) = mpsc::channel(MOST_WAITING);
        let watch = origin.as_ref().and_then(|origin| {
            Watch::new(&origin.path)
                .inspect_err(|error| {
                    let path = origin.path.display();
                    tracing::warn!(%path, %error, "the file is not watched: SIGHUP reloads it");
                })
                .ok()
        });
        let reloader = Reloader {
            origin,
            watch,
            asked,
            in_force,
        };
        (reloader, Asker(asker))
    }

    pub async fn run(mut self) {
        // It may have changed between being read and being watched.
        if self.watch.is_some() {
            self.look().await;
        }
        loop {
            let changed = async {
                match &mut self.watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                asked = self.asked.recv() => {
                    let Some(reply) = asked else { return };
                    let outcome = self.reload().await;
                    if let Some(reply) = reply {
                        // Whoever asked may have left.
                        let _ = reply.send(outcome);
                    }
                }
                () = changed => self.look().await,
            }
        }
    }

    async fn reload(&mut self) -> Result<Reloaded, Refusal> {
        if self.origin.is_none() {
            let detail = "This gateway serves by no file.";
            return Err(Refusal::new(Code::Conflict, detail));
        }
        let outcome = match self.read().await {
            Ok(file) => self.replace(file).await,
            Err(error) => Err(error),
        };
        self.tell(outcome)
    }

    /// Reloads if the file says something else than what is in force.
    async fn look(&mut self) {
        let read = match self.read().await {
            // Its end is an event as well; and a file that is away comes back with one.
            Err(ReloadError::BeingWritten) => return,
            Err(_) if self.is_away() => return,
            read => read,
        };
        let outcome = match read {
            Ok(file) if self.is_in_force(&file) => return,
            Ok(file) => self.replace(file).await,
            Err(error) => Err(error),
        };
        // The log has it.
        let _ = self.tell(outcome);
    }

    fn is_away(&self) -> bool {
        let path = self.origin.as_ref().map(|origin| &origin.path);
        path.is_some_and(|path| !path.exists())
    }

    fn is_in_force(&self, file: &File) -> bool {
        let last = self.origin.as_ref().map(|origin| origin.digest);
        last == Some(file.digest())
    }

    /// The file as nobody was writing to it.
    async fn read(&mut self) -> Result<File, ReloadError> {
        let Some(path) = self.origin.as_ref().map(|origin| origin.path.clone()) else {
            return Err(ReloadError::BeingWritten);
        };
        for _ in 0..TRIES {
            if let Some(watch) = &mut self.watch {
                watch.take_events();
                if watch.is_written_to() {
                    return Err(ReloadError::BeingWritten);
                }
            }
            // A disk may take its time, and others wait for these threads.
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || File::read_again(&path)).await?;
            let read = read.map_err(ReloadError::Invalid);
            let Some(watch) = &mut self.watch else {
                return read;
            };
            // Also of a file that can't be read: it may be empty because somebody has begun to write it.
            if !watch.take_events() {
                watch.was_read();
                return read;
            }
        }
        Err(ReloadError::BeingWritten)
    }

    /// Serves by the file from the next request on.
    async fn replace(&mut self, file: File) -> Result<Reloaded, ReloadError> {
        let digest = file.digest();
        let parts = &self.in_force.parts;
        let before = Arc::clone(&self.in_force.snapshots.load().config);
        // So may ten thousand routes.
        let parsed = tokio::task::spawn_blocking(move || super::parse(&file)).await?;
        let loaded = parsed.map_err(ReloadError::Invalid)?;
        let fixed = config::needs_restart(&before, &loaded.config);
        if !fixed.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed));
        }
        let keys = parts.accounts.read_keys(&loaded.config).await?;
        let config: Config = loaded.config;
        let changes = config::changes(&before, &config);
        let upstreams = parts.upstreams(&config);
        // New names are known before the first request asks for them.
        parts.directory.look_up().await;
        parts.reload(&config, keys);
        parts.warn_of_idle_plans(&config);
        self.in_force.replace(config, upstreams);
        // Not before: a text that does not hold may hold once a file is there that it names.
        if let Some(origin) = &mut self.origin {
            origin.digest = digest;
        }
        Ok(Reloaded {
            changes,
            warnings: loaded.warnings,
        })
    }

    fn tell(&self, outcome: Result<Reloaded, ReloadError>) -> Result<Reloaded, Refusal> {
        let metrics = &self.in_force.parts.metrics;
        match &outcome {
            Ok(reloaded) => {
                metrics.reload("success");
                for warning in &reloaded.warnings {
                    tracing::warn!("{}", warning.render(false));
                }
                let config = &self.in_force.snapshots.load().config;
                tracing::info!(
                    routes = config.routes.len(),
                    upstreams = config.upstreams.len(),
                    changes = reloaded.changes.len(),
                    "configuration reloaded"
                );
                for change in &reloaded.changes {
                    tracing::info!("{change}");
                }
            }
            Err(error) => {
                metrics.reload("failure");
                tracing::error!("configuration not reloaded, the previous one stays: {error}");
            }
        }
        outcome.map_err(Refusal::from)
    }
}
