//! A gateway from its first socket to its last request.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::counters::Counters;
use super::in_force::InForce;
use super::parts::Parts;
use super::reload::{Asker, Origin, Reloader};
use crate::accounts::{Accounts, OpenError};
use crate::admin::{self, Door};
use crate::authn::Changes;
use crate::config::{Config, checked};
use crate::limit;
use crate::listener::{Acceptor, Settings, Workers, connection_limit};
use crate::telemetry::{AccessLog, Metrics};

/// Threads of the control plane: they wait for the store and for hashes, and compute little.
const CONTROL_THREADS: usize = 2;
/// How long the end waits for whoever reads the access log to take the last of it.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// How long the end waits for the workers to close what is still open after the grace.
const CUT_PATIENCE: Duration = Duration::from_secs(1);
/// How long the start waits for Redis.
const REDIS_PATIENCE: Duration = Duration::from_secs(2);
/// How often the store's state is copied into the metrics.
const STORE_WATCH: Duration = Duration::from_secs(1);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    #[error("can't listen on {path}: {source}", path = .path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Accounts(#[from] OpenError),
    #[error("starting: {0}")]
    Io(#[from] io::Error),
}

/// What `started` is told.
pub struct Serving<'a> {
    pub listen: &'a [SocketAddr],
    pub admin: Option<SocketAddr>,
    pub accounts: &'a Arc<Accounts>,
    pub control: &'a Runtime,
}

/// Serves until SIGTERM or SIGINT has drained it. `origin` is watched and read again by a reload; without
/// one there is none. `started` is called once requests are served.
pub fn serve(
    config: Config,
    origin: Option<Origin>,
    started: impl AsyncFnOnce(Serving<'_>) -> Result<(), BootError>,
) -> Result<(), BootError> {
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()?;
    let (access_log, log_thread) = AccessLog::start(io::stdout())?;
    let outcome = control.block_on(run(&control, config, origin, access_log, started));
    // Whatever still runs has had its grace.
    control.shutdown_timeout(Duration::from_millis(100));
    let has_ended = outcome?;
    if has_ended {
        // Every worker has ended and dropped its end of the log.
        let patience = Instant::now() + LOG_PATIENCE;
        while !log_thread.is_finished() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

async fn run(
    control: &Runtime,
    config: Config,
    origin: Option<Origin>,
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
    let counters = Counters::restore(Arc::clone(&accounts), parts.counters.keeper()).await;
    let counters = Arc::new(counters);
    let mut background = JoinSet::new();
    if let Some(redis) = config.redis.clone() {
        exchange(parts.counters.clone(), redis, &mut background).await;
    }
    let (workers, admin) = (config.workers, config.admin.clone());
    let (listen, max_header) = (config.listen.clone(), config.max_header);
    parts.warn_of_idle_plans(&config);
    let upstreams = parts.upstreams(&config);
    parts.directory.look_up().await;
    let first = parts.snapshot(config, upstreams, None);
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
    let admin = AdminListeners::bind(&admin).await?;
    let admin_address = admin.address;

    let (drain, draining) = watch::channel(false);
    let (cut, cutting) = watch::channel(false);
    let settings = Settings {
        snapshots: Arc::clone(&snapshots),
        metrics: Arc::clone(&metrics),
        max_header,
        drain: draining.clone(),
        cut: cutting,
    };
    let workers = Arc::new(Workers::start(workers, &settings)?);
    drop(settings);

    let is_draining = Arc::new(AtomicBool::new(false));
    background.spawn(Arc::clone(&accounts).run_background(draining));
    background.spawn({
        let directory = Arc::clone(&in_force.parts.directory);
        async move { directory.keep_looking_up().await }
    });
    background.spawn(watch_store(Arc::clone(&accounts), Arc::clone(&metrics)));
    background.spawn(watch_members(Arc::clone(&accounts), Arc::clone(&metrics)));
    background.spawn({
        let counters = Arc::clone(&counters);
        async move { counters.keep_writing().await }
    });
    let (reloader, asker) = Reloader::new(origin, Arc::clone(&in_force));
    background.spawn(reloader.run());
    let sources = admin::Sources {
        readiness: readiness(Arc::clone(&accounts), Arc::clone(&is_draining)),
        metrics,
        snapshots: Arc::clone(&snapshots),
        reload: asker.reload(),
        accounts: Arc::clone(&accounts),
    };
    let _socket = admin.serve(&sources, &mut background);
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

    signals.until_stopped(&asker).await;
    let grace = snapshots.load().config.shutdown_grace;
    tracing::info!(?grace, "draining");
    is_draining.store(true, Ordering::Relaxed);
    accepting.shutdown().await;
    let _ = drain.send(true);
    let end = async {
        let mut joining = pin!(join(workers));
        let drained = tokio::select! {
            joined = &mut joining => joined,
            () = tokio::time::sleep(grace) => {
                tracing::warn!("requests are cut at the end of the grace period");
                let _ = cut.send(true);
                tokio::time::timeout(CUT_PATIENCE, joining).await.is_ok_and(|joined| joined)
            }
        };
        background.shutdown().await;
        in_force.parts.counters.leave().await;
        counters.write_last().await;
        drained
    };
    tokio::select! {
        drained = end => Ok(drained),
        () = signals.stop() => {
            tracing::warn!("requests are cut by a second signal");
            Ok(false)
        }
    }
}

/// Holds limits together with other gateways, from the first request on if they can be reached.
async fn exchange(counters: limit::Counters, redis: checked::Redis, tasks: &mut JoinSet<()>) {
    let (tell, told) = tokio::sync::oneshot::channel();
    tasks.spawn(counters.exchange(redis, move || {
        let _ = tell.send(());
    }));
    let _ = tokio::time::timeout(REDIS_PATIENCE, told).await;
}

/// Where administration comes in.
struct AdminListeners {
    tcp: Option<TcpListener>,
    /// What `tcp` listens on.
    address: Option<SocketAddr>,
    socket: Option<(UnixListener, admin::Place)>,
}

impl AdminListeners {
    async fn bind(admin: &checked::Admin) -> Result<Self, BootError> {
        let tcp = match admin.address {
            Some(at) => {
                let bound = TcpListener::bind(at).await;
                Some(bound.map_err(|error| BootError::Listen(at, error))?)
            }
            None => None,
        };
        let socket = match &admin.socket {
            Some(path) => {
                let bound = admin::bind(path).await;
                Some(bound.map_err(|source| BootError::Socket {
                    path: path.clone(),
                    source,
                })?)
            }
            None => None,
        };
        Ok(AdminListeners {
            address: tcp.as_ref().map(TcpListener::local_addr).transpose()?,
            tcp,
            socket,
        })
    }

    /// The socket's place is to be kept for as long as it is served.
    fn serve(self, sources: &admin::Sources, tasks: &mut JoinSet<()>) -> Option<admin::Place> {
        fn ended(outcome: io::Result<()>) {
            if let Err(error) = outcome {
                tracing::error!(%error, "an admin listener ended");
            }
        }
        if let (Some(listener), Some(address)) = (self.tcp, self.address) {
            let router = admin::router(Door::Address(address), sources.clone());
            tasks.spawn(async move { ended(axum::serve(listener, router).await) });
        }
        let (listener, place) = self.socket?;
        let router = admin::router(Door::Socket, sources.clone());
        tasks.spawn(async move { ended(axum::serve(listener, router).await) });
        Some(place)
    }
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

    async fn until_stopped(&mut self, asker: &Asker) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => asker.ask(),
            }
        }
    }
}
