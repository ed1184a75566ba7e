//! Bodies on their way through: a request's is held to its route's size, a response's gives the
//! upstream connection back at its end.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::headers::clean_trailers;
use super::pool::{Connection, Pool};
use super::reserved::Names;

/// A request's body toward the upstream.
pub enum RequestBody {
    Empty,
    Streaming {
        body: Incoming,
        /// Bytes that may still come.
        left: u64,
        progress: Rc<Progress>,
        /// What is to be gone from trailers.
        names: Arc<Names>,
        removed: Arc<[HeaderName]>,
    },
}

/// How far a request's body has come.
pub struct Progress {
    pub last_frame: Cell<Instant>,
    pub bytes: Cell<u64>,
    pub state: Cell<Upload>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    UnderWay,
    Done,
    /// More bytes came than the route admits.
    TooLarge,
    /// The client's connection failed, or its framing was broken.
    Broken,
}

/// Why a request's body was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    #[error("the request's body is larger than its route admits")]
    TooLarge,
    #[error("reading the request's body: {0}")]
    Client(#[from] hyper::Error),
}

impl Progress {
    pub fn start() -> Rc<Self> {
        Rc::new(Progress {
            last_frame: Cell::new(Instant::now()),
            bytes: Cell::new(0),
            state: Cell::new(Upload::UnderWay),
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let RequestBody::Streaming {
            body,
            left,
            progress,
            names,
            removed,
        } = self.get_mut()
        else {
            return Poll::Ready(None);
        };
        let polled = std::task::ready!(Pin::new(body).poll_frame(cx));
        progress.last_frame.set(Instant::now());
        Poll::Ready(match polled {
            None => {
                progress.state.set(Upload::Done);
                None
            }
            Some(Err(error)) => {
                progress.state.set(Upload::Broken);
                Some(Err(error.into()))
            }
            Some(Ok(mut frame)) => {
                if let Some(data) = frame.data_ref() {
                    let Some(rest) = left.checked_sub(data.len() as u64) else {
                        progress.state.set(Upload::TooLarge);
                        return Poll::Ready(Some(Err(RequestBodyError::TooLarge)));
                    };
                    *left = rest;
                    progress.bytes.set(progress.bytes.get() + data.len() as u64);
                } else if let Some(trailers) = frame.trailers_mut() {
                    clean_trailers(trailers, names, removed);
                }
                Some(Ok(frame))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Streaming { body, progress, .. } => {
                let is_end = body.is_end_stream();
                if is_end {
                    progress.state.set(Upload::Done);
                }
                is_end
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Streaming { body, .. } => body.size_hint(),
        }
    }
}

/// A response's body from the upstream.
pub struct ResponseBody {
    body: Incoming,
    lease: Option<Lease>,
}

/// The connection that carries a response, until it can carry another.
struct Lease {
    connection: Connection,
    pool: Rc<Pool>,
    upload: Option<Rc<Progress>>,
}

impl ResponseBody {
    pub(super) fn new(
        body: Incoming,
        connection: Connection,
        pool: Rc<Pool>,
        upload: Option<Rc<Progress>>,
    ) -> Self {
        ResponseBody {
            body,
            lease: Some(Lease {
                connection,
                pool,
                upload,
            }),
        }
    }

    /// Of a connection that carries nothing else.
    pub(super) fn of_its_own(body: Incoming) -> Self {
        ResponseBody { body, lease: None }
    }

    /// An upstream may answer before it has read the request. Such a connection is closed: the next
    /// request on it would wait for a client that may never send the rest.
    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            let upload = lease.upload.map(|upload| upload.state.get());
            if upload.is_none_or(|state| state == Upload::Done) {
                lease.pool.put(lease.connection);
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            None => self.release(),
            Some(Ok(_)) if self.body.is_end_stream() => self.release(),
            Some(Ok(_)) => {}
            Some(Err(_)) => self.lease = None,
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A response without a body is never polled. One that was left half read takes its
        // connection with it.
        if self.body.is_end_stream() {
            self.release();
        }
    }
}
