//! A gateway from its first socket to its last request.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::in_force::InForce;
use super::parts::Parts;
use super::reload::reload;
use crate::accounts::{Accounts, OpenError};
use crate::admin;
use crate::authn::Changes;
use crate::config::Config;
use crate::listener::{Acceptor, Settings, Workers, connection_limit};
use crate::telemetry::{AccessLog, Metrics};

/// Threads of the control plane: they wait for the store and for hashes, and compute little.
const CONTROL_THREADS: usize = 2;
/// How long the end waits for whoever reads the access log to take the last of it.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// How often the store's state is copied into the metrics.
const STORE_WATCH: Duration = Duration::from_secs(1);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    #[error(transparent)]
    Accounts(#[from] OpenError),
    #[error("starting: {0}")]
    Io(#[from] io::Error),
}

/// What `started` is told.
pub struct Serving<'a> {
    pub listen: &'a [SocketAddr],
    pub admin: SocketAddr,
    pub accounts: &'a Arc<Accounts>,
    pub control: &'a Runtime,
}

/// Serves until SIGTERM or SIGINT has drained it. `path` is what a SIGHUP reads again; without one
/// it is ignored. `started` is called once requests are served.
pub fn serve(
    config: Config,
    path: Option<PathBuf>,
    started: impl AsyncFnOnce(Serving<'_>) -> Result<(), BootError>,
) -> Result<(), BootError> {
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()?;
    let (access_log, log_thread) = AccessLog::start(io::stdout())?;
    let outcome = control.block_on(run(&control, config, path, access_log, started));
    // Whatever still runs has had its grace.
    control.shutdown_timeout(Duration::from_millis(100));
    let drained = outcome?;
    if drained {
        // Every worker has ended and dropped its end of the log.
        let patience = Instant::now() + LOG_PATIENCE;
        while !log_thread.is_finished() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
    } else {
        tracing::warn!("requests were cut at the end of the grace period");
    }
    Ok(())
}

async fn run(
    control: &Runtime,
    config: Config,
    path: Option<PathBuf>,
    access_log: AccessLog,
    started: impl AsyncFnOnce(Serving<'_>) -> Result<(), BootError>,
) -> Result<bool, BootError> {
    let mut signals = Signals::new()?;
    let metrics = Arc::new(Metrics::default());
    let changes = Arc::new(Changes::default());
    let accounts = Arc::new(Accounts::open(&config, Arc::clone(&changes)).await?);
    let parts = Parts::new(
        &config,
        Arc::clone(&accounts),
        changes,
        access_log,
        Arc::clone(&metrics),
        control.handle().clone(),
    );
    let (workers, admin_address) = (config.workers, config.admin.address);
    let (listen, max_header) = (config.listen.clone(), config.max_header);
    parts.warn_of_idle_plans(&config);
    let first = parts.snapshot(config);
    parts.directory.look_up().await;
    let in_force = Arc::new(InForce::new(parts, first));
    let snapshots = Arc::clone(&in_force.snapshots);
    accounts.on_plans({
        // The accounts are one of the parts: they must not hold what holds them.
        let in_force = Arc::downgrade(&in_force);
        Box::new(move || {
            if let Some(in_force) = in_force.upgrade() {
                in_force.take_plans();
            }
        })
    });

    let mut acceptors = Vec::new();
    for listen in listen {
        let acceptor = Acceptor::bind(listen.address)
            .map_err(|error| BootError::Listen(listen.address, error))?;
        acceptors.push(acceptor);
    }
    let addresses = acceptors
        .iter()
        .map(Acceptor::address)
        .collect::<io::Result<Vec<_>>>()?;
    let admin_listener = TcpListener::bind(admin_address)
        .await
        .map_err(|error| BootError::Listen(admin_address, error))?;
    let admin_address = admin_listener.local_addr()?;

    let (drain, draining) = watch::channel(false);
    let settings = Settings {
        snapshots: Arc::clone(&snapshots),
        metrics: Arc::clone(&metrics),
        max_header,
        drain: draining.clone(),
    };
    let workers = Arc::new(Workers::start(workers, &settings)?);
    drop(settings);

    let is_draining = Arc::new(AtomicBool::new(false));
    let mut background = JoinSet::new();
    background.spawn(Arc::clone(&accounts).run_background(draining));
    background.spawn({
        let directory = Arc::clone(&in_force.parts.directory);
        async move { directory.keep_looking_up().await }
    });
    background.spawn(watch_store(Arc::clone(&accounts), Arc::clone(&metrics)));
    background.spawn(watch_members(Arc::clone(&accounts), Arc::clone(&metrics)));
    background.spawn({
        let readiness = readiness(Arc::clone(&accounts), Arc::clone(&is_draining));
        let router = admin::router(admin_address, readiness, metrics);
        async move {
            if let Err(error) = axum::serve(admin_listener, router).await {
                tracing::error!(%error, "the admin listener ended");
            }
        }
    });
    let room = Arc::new(Semaphore::new(connection_limit()));
    let mut accepting = JoinSet::new();
    for acceptor in acceptors {
        accepting.spawn(acceptor.run(Arc::clone(&workers), Arc::clone(&room)));
    }
    for address in &addresses {
        tracing::info!(%address, "serving");
    }
    started(Serving {
        listen: &addresses,
        admin: admin_address,
        accounts: &accounts,
        control,
    })
    .await?;

    signals.until_stopped(path.as_deref(), &in_force).await;
    let grace = snapshots.load().config.shutdown_grace;
    tracing::info!(?grace, "draining");
    is_draining.store(true, Ordering::Relaxed);
    accepting.shutdown().await;
    let _ = drain.send(true);
    let drained = tokio::select! {
        joined = join(workers) => joined,
        () = tokio::time::sleep(grace) => false,
        () = signals.stop() => false,
    };
    background.shutdown().await;
    Ok(drained)
}

/// Waits for the worker threads without holding up a thread that runs tasks.
async fn join(workers: Arc<Workers>) -> bool {
    let Some(workers) = Arc::into_inner(workers) else {
        return false;
    };
    tokio::task::spawn_blocking(|| workers.join()).await.is_ok()
}

fn readiness(accounts: Arc<Accounts>, is_draining: Arc<AtomicBool>) -> admin::Readiness {
    Arc::new(move || {
        if is_draining.load(Ordering::Relaxed) {
            Some("draining")
        } else if !accounts.store_up() {
            Some("the store does not answer")
        } else {
            None
        }
    })
}

async fn watch_store(accounts: Arc<Accounts>, metrics: Arc<Metrics>) {
    loop {
        metrics.store_is_up(accounts.store_up());
        tokio::time::sleep(STORE_WATCH).await;
    }
}

/// Apart from the store's, because an answer may take its time.
async fn watch_members(accounts: Arc<Accounts>, metrics: Arc<Metrics>) {
    while let Some(up) = accounts.members_up().await {
        metrics.users_are_up(up);
        tokio::time::sleep(STORE_WATCH).await;
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn until_stopped(&mut self, path: Option<&Path>, in_force: &InForce) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    if let Some(path) = path {
                        reload(path, in_force).await;
                    }
                }
            }
        }
    }
}
