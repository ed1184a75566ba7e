//! The listening sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

use super::worker::{Dealt, Workers};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;
/// How long accepting rests when the process has run out of something.
const REST: Duration = Duration::from_millis(50);
/// Descriptors for all that is not a client or its upstream.
const RESERVED: u64 = 128;

pub struct Acceptor {
    listener: TcpListener,
}

impl Acceptor {
    /// Listens on an address, at once.
    ///
    /// # Errors
    /// When the address is taken or not this machine's.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart must not wait for connections of the previous process to time out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        Ok(Acceptor { listener })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts for as long as it is polled. A connection is accepted once there is room for it.
    pub async fn run(self, workers: Arc<Workers>, room: Arc<Semaphore>) {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let accepted = self.listener.accept().await;
            match accepted.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => workers.deal(Dealt { stream, permit }),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

/// How many clients can be served at once: each may need a descriptor for itself and one for its
/// upstream. Raises the process's soft limit of descriptors to the hard one.
pub fn connection_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum;
    if limit.current != wanted {
        let soft = limit.current;
        limit.current = wanted;
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit.current = soft;
        }
    }
    let descriptors = limit.current.unwrap_or(1 << 20).min(1 << 20);
    (descriptors.saturating_sub(RESERVED) / 2).max(16) as usize
}
