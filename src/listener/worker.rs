//! The threads of the data plane. Each runs a current-thread runtime of its own, so a request never
//! changes threads and its connections need no locks.

use std::io;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::connection;
use super::drain::Open;
use crate::gateway::{Snapshots, Worker};
use crate::telemetry::Metrics;

/// How often unused connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// How long a client's connection may take to send a head, which is also how long it may stay unused.
const UNUSED: Duration = Duration::from_secs(30);

/// What every worker is given.
#[derive(Clone)]
pub struct Settings {
    pub snapshots: Arc<Snapshots>,
    pub metrics: Arc<Metrics>,
    /// Bytes that a request's head may take.
    pub max_header: usize,
    /// True once connections have to finish.
    pub drain: watch::Receiver<bool>,
    /// True once they have had their time.
    pub cut: watch::Receiver<bool>,
}

/// A connection on its way to a worker, with its place under the process's limit.
pub struct Dealt {
    pub stream: TcpStream,
    pub permit: OwnedSemaphorePermit,
}

/// All workers, as the acceptor sees them.
pub struct Workers {
    desks: Vec<Desk>,
    threads: Vec<JoinHandle<()>>,
}

/// Where connections for one worker are put.
struct Desk {
    sender: UnboundedSender<Dealt>,
    /// Connections that the worker has.
    load: Arc<AtomicUsize>,
}

/// Counts a connection as a worker's for as long as it lives.
struct Load(Arc<AtomicUsize>);

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When a thread or its runtime can't be made.
    pub fn start(count: usize, settings: &Settings) -> io::Result<Self> {
        let mut workers = Workers {
            desks: Vec::new(),
            threads: Vec::new(),
        };
        for number in 0..count {
            let (sender, receiver) = unbounded_channel();
            let load = Arc::new(AtomicUsize::new(0));
            let settings = settings.clone();
            let counted = Arc::clone(&load);
            let (made, whether_made) = std::sync::mpsc::channel();
            let thread = thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    // A local runtime stays on the thread that makes it.
                    let runtime = Builder::new_current_thread()
                        .enable_all()
                        .build_local(LocalOptions::default());
                    let _ = made.send(runtime.as_ref().map(drop).map_err(|e| e.kind()));
                    if let Ok(runtime) = runtime {
                        runtime.block_on(work(settings, receiver, counted));
                    }
                })?;
            match whether_made.recv() {
                Ok(made) => made.map_err(io::Error::from)?,
                Err(_) => return Err(io::Error::other("a worker ended as it began")),
            }
            workers.desks.push(Desk { sender, load });
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Hands a connection to the worker that has the fewest.
    pub fn deal(&self, dealt: Dealt) {
        let desk = self
            .desks
            .iter()
            .min_by_key(|desk| desk.load.load(Ordering::Relaxed));
        if let Some(desk) = desk {
            desk.load.fetch_add(1, Ordering::Relaxed);
            // A worker that has ended closes the connection by dropping it.
            let _ = desk.sender.send(dealt);
        }
    }

    /// Waits for the threads, which end after a drain.
    pub fn join(self) {
        drop(self.desks);
        for thread in self.threads {
            // A panic has been reported on stderr by then.
            let _ = thread.join();
        }
    }
}

async fn work(mut settings: Settings, mut dealt: UnboundedReceiver<Dealt>, load: Arc<AtomicUsize>) {
    let worker = Worker::new(
        Arc::clone(&settings.snapshots),
        Arc::clone(&settings.metrics),
    );
    let open = Rc::new(Open::default());
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            next = dealt.recv() => match next {
                Some(Dealt { stream, permit }) => {
                    let load = Load(Arc::clone(&load));
                    let worker = Rc::clone(&worker);
                    let place = open.enter();
                    let max_header = settings.max_header;
                    tokio::task::spawn_local(async move {
                        worker.shard.connection_opened();
                        let ended =
                            connection::serve(Rc::clone(&worker), stream, place, max_header).await;
                        if let Err(error) = ended {
                            tracing::debug!(%error, "client connection not served");
                        }
                        worker.shard.connection_closed();
                        drop((load, permit));
                    });
                }
                None => break,
            },
            _ = sweep.tick() => {
                worker.close_idle();
                open.close_stale(UNUSED, &worker);
            }
            _ = settings.drain.wait_for(|drain| *drain) => break,
        }
    }
    open.finish_all();
    // A client that never ends its request's head must not hold the drain up for the whole grace.
    let cut = settings.cut.wait_for(|cut| *cut);
    let mut cut = std::pin::pin!(cut);
    loop {
        tokio::select! {
            () = open.empty() => return,
            _ = sweep.tick() => {
                open.close_stale(UNUSED, &worker);
            }
            _ = &mut cut => break,
        }
    }
    // What is cut is still counted and logged, by being dropped.
    open.close_all();
    open.empty().await;
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
