//! What goes both ways between a client and an upstream once they have switched protocols, until both have
//! said all that they have to say.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// How long there may be nothing either way (Envoy: `stream_idle_timeout`): longer than applications wait between
/// two pings.
const IDLE: Duration = Duration::from_secs(300);
/// How long, once one side has ended: an upstream that does not answer a client that has left would keep its
/// place.
const HALF_OPEN: Duration = Duration::from_secs(5);
/// Bytes that are read at a time, and the most that wait for a side that is slow to take them.
const CHUNK: usize = 16 << 10;

/// Where bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToUpstream,
    ToClient,
}

/// Why a tunnel ended before both sides had.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("neither side sent anything for {0:?}")]
    Idle(Duration),
    #[error("the client broke off: {0}")]
    Client(io::Error),
    #[error("the upstream broke off: {0}")]
    Upstream(io::Error),
}

/// Carries bytes both ways, beginning with `first`, which the client has sent already, and tells `carried` how
/// many. A side that ends is told to the other, which may go on.
///
/// # Errors
/// When either side breaks off, or both are silent for too long.
pub async fn carry<C, U>(
    client: C,
    first: Bytes,
    upstream: U,
    carried: impl FnMut(Way, usize),
) -> Result<(), Broken>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let patience = Patience {
        idle: IDLE,
        half_open: HALF_OPEN,
        last: Instant::now(),
        is_half_open: false,
    };
    carry_with(patience, client, first, upstream, carried).await
}

async fn carry_with<C, U>(
    mut patience: Patience,
    mut client: C,
    first: Bytes,
    mut upstream: U,
    mut carried: impl FnMut(Way, usize),
) -> Result<(), Broken>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut forth = Flow::starting_with(first);
    let mut back = Flow::starting_with(Bytes::new());
    let mut timer = pin!(sleep_until(patience.until()));
    poll_fn(|cx| {
        let outcomes = [
            forth
                .poll(cx, &mut client, &mut upstream)
                .map_err(|fault| fault.told(Broken::Client, Broken::Upstream)),
            back.poll(cx, &mut upstream, &mut client)
                .map_err(|fault| fault.told(Broken::Upstream, Broken::Client)),
        ];
        let moved = [(Way::ToUpstream, &mut forth), (Way::ToClient, &mut back)];
        for (way, flow) in moved {
            let bytes = std::mem::take(&mut flow.moved);
            if bytes > 0 {
                patience.last = Instant::now();
                carried(way, bytes);
            }
        }
        let mut ended = 0;
        for outcome in outcomes {
            match outcome {
                Poll::Ready(Ok(())) => ended += 1,
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                Poll::Pending => {}
            }
        }
        match ended {
            0 => {}
            1 if !patience.is_half_open => {
                patience.is_half_open = true;
                patience.last = Instant::now();
                timer.as_mut().reset(patience.until());
            }
            1 => {}
            _ => return Poll::Ready(Ok(())),
        }
        // It is set anew only when it goes off: most tunnels are busy for most of the time.
        loop {
            ready!(timer.as_mut().poll(cx));
            patience.left(Instant::now())?;
            timer.as_mut().reset(patience.until());
        }
    })
    .await
}

/// How long silence is borne.
struct Patience {
    idle: Duration,
    half_open: Duration,
    /// When bytes went either way, or a side ended.
    last: Instant,
    is_half_open: bool,
}

impl Patience {
    fn limit(&self) -> Duration {
        match self.is_half_open {
            true => self.half_open,
            false => self.idle,
        }
    }

    fn until(&self) -> Instant {
        self.last + self.limit()
    }

    fn left(&self, now: Instant) -> Result<(), Broken> {
        match now < self.until() {
            true => Ok(()),
            false => Err(Broken::Idle(self.limit())),
        }
    }
}

/// One direction.
struct Flow {
    /// Read and not yet written.
    left: Bytes,
    /// Bytes written since this was last looked at.
    moved: usize,
    has_ended: bool,
    is_done: bool,
}

/// Which end of a flow failed.
enum Fault {
    Source(io::Error),
    Sink(io::Error),
}

impl Fault {
    fn told(self, source: fn(io::Error) -> Broken, sink: fn(io::Error) -> Broken) -> Broken {
        match self {
            Fault::Source(error) => source(error),
            Fault::Sink(error) => sink(error),
        }
    }
}

impl Flow {
    fn starting_with(left: Bytes) -> Self {
        Flow {
            left,
            moved: 0,
            has_ended: false,
            is_done: false,
        }
    }

    /// Ready once the source has ended and the sink knows.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
    ) -> Poll<Result<(), Fault>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while !self.is_done {
            while !self.left.is_empty() {
                let written = ready!(write(cx, sink, &self.left)).map_err(Fault::Sink)?;
                self.left.advance(written);
                self.moved += written;
            }
            if self.has_ended {
                // A sink that is gone already has nothing left to be told.
                let _ = ready!(Pin::new(&mut *sink).poll_shutdown(cx));
                self.is_done = true;
                break;
            }
            // On the stack, so that a tunnel at rest holds no buffer.
            let mut space = [MaybeUninit::uninit(); CHUNK];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *source).poll_read(cx, &mut read)).map_err(Fault::Source)?;
            let read = read.filled();
            self.has_ended = read.is_empty();
            if self.has_ended {
                continue;
            }
            let written = match write(cx, sink, read) {
                Poll::Ready(written) => written.map_err(Fault::Sink)?,
                Poll::Pending => 0,
            };
            self.moved += written;
            self.left = Bytes::copy_from_slice(&read[written..]);
        }
        Poll::Ready(Ok(()))
    }
}

fn write<W: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    sink: &mut W,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(sink).poll_write(cx, bytes)) {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(written),
    }
}

#[cfg(test)]
mod tests;
