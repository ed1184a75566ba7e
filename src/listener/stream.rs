//! A client's socket: gives up on a client that stops reading, and closes so that the last response
//! arrives.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, Interest};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::gateway::Connection;

/// How long a client may take none of what is sent to it (nginx: `send_timeout`).
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long, and for how many bytes, closing waits for a client that is still sending (nginx:
/// `lingering_timeout`).
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

pub struct ClientStream {
    tcp: TokioIo<TcpStream>,
    connection: Rc<Connection>,
    lingering: Option<Lingering>,
    is_shut: bool,
    /// Who has said all may still listen, unlike a client of HTTP.
    is_tunnel: bool,
    /// Runs while a write waits for the client.
    stalled: Option<Pin<Box<Sleep>>>,
}

struct Lingering {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl ClientStream {
    pub fn new(tcp: TcpStream, connection: Rc<Connection>) -> Self {
        ClientStream {
            tcp: TokioIo::new(tcp),
            connection,
            lingering: None,
            is_shut: false,
            is_tunnel: false,
            stalled: None,
        }
    }

    pub fn becomes_tunnel(&mut self) {
        self.is_tunnel = true;
    }

    /// Whether the client has closed its side, or all, behind what is still to be read. Costs no system call.
    fn has_lost_client(&self) -> bool {
        let readiness = pin!(self.tcp.inner().ready(Interest::READABLE));
        let polled = readiness.poll(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Reads and forgets until the client has had enough, or we have.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| Lingering {
            until: Box::pin(tokio::time::sleep(LINGER)),
            left: LINGER_BYTES,
        });
        let mut scratch = [0; 16 << 10];
        while lingering.left > 0 {
            if lingering.until.as_mut().poll(cx).is_ready() {
                break;
            }
            let mut buffer = tokio::io::ReadBuf::new(&mut scratch);
            match ready!(AsyncRead::poll_read(
                Pin::new(self.tcp.inner_mut()),
                cx,
                &mut buffer
            )) {
                Ok(()) if !buffer.filled().is_empty() => {
                    lingering.left = lingering.left.saturating_sub(buffer.filled().len());
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(SEND_TIMEOUT)));
        stalled
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Read for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl Write for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.watch(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // As the HTTP library has it where it sees the end of a client's bytes itself: it is gone.
        if self.connection.takes_a_look() && !self.is_tunnel && self.has_lost_client() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
        }
        if self.connection.has_unread() {
            ready!(self.linger(cx));
        }
        self.is_shut = true;
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write_vectored(cx, buffers);
        self.watch(cx, polled)
    }
}
