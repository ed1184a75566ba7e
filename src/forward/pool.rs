//! Connections to one target, kept by one worker. The last one used is the next one taken: it is the
//! warmest, and those at the bottom grow old enough to be closed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::RequestBody;
use super::target::Target;

/// Unused connections that a worker keeps to one target.
const MAX_IDLE: usize = 256;
/// No connection lives longer, so that an upstream that scales out gets its share.
const MAX_AGE: Duration = Duration::from_secs(600);

pub struct Pool {
    pub target: Arc<Target>,
    idle: RefCell<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection that is free or carries one request.
pub struct Connection {
    pub sender: SendRequest<RequestBody>,
    born: Instant,
}

/// No address of a target took the connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the upstream's name has not been found")]
    NoAddress,
    #[error("no connection within the connect timeout")]
    TimedOut,
    #[error("connecting: {0}")]
    Io(#[from] std::io::Error),
    #[error("starting HTTP: {0}")]
    Handshake(#[from] hyper::Error),
}

impl Pool {
    pub fn new(target: Arc<Target>) -> Rc<Self> {
        Rc::new(Pool {
            target,
            idle: RefCell::default(),
        })
    }

    /// The connection that was used last and still stands.
    pub fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { connection, .. }) = idle.pop() {
            if !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose response has been read to its end.
    pub fn put(&self, connection: Connection) {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE
            && !connection.sender.is_closed()
            && now.duration_since(connection.born) < MAX_AGE
        {
            idle.push(Idle {
                connection,
                since: now,
            });
        }
    }

    /// Closes what has not been used for `idle_timeout`.
    pub fn close_idle(&self, idle_timeout: Duration) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|idle| {
            !idle.connection.sender.is_closed() && now.duration_since(idle.since) < idle_timeout
        });
    }

    /// Opens a connection that can be kept.
    pub async fn connect(&self, timeout: Duration) -> Result<Connection, ConnectError> {
        open(self.dial(timeout).await?).await
    }

    /// Connects to the first address that takes it within `timeout`.
    pub async fn dial(&self, timeout: Duration) -> Result<TcpStream, ConnectError> {
        let mut failure = ConnectError::NoAddress;
        for address in self.target.addresses().iter() {
            match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => failure = error.into(),
                Err(_) => failure = ConnectError::TimedOut,
            }
        }
        Err(failure)
    }
}

async fn open(stream: TcpStream) -> Result<Connection, ConnectError> {
    let (sender, connection) = http1::Builder::new()
        .handshake(TokioIo::new(stream))
        .await?;
    // Its errors reach whoever waits for the response.
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(Connection {
        sender,
        born: Instant::now(),
    })
}
