//! The body of a response to a client, wherever it comes from. Its end closes the request's ledger.
//! And that of a request to the auth API, of which the ledger knows how much was read.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use super::ledger::Ledger;
use crate::forward::ResponseBody;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body of the auth API, which runs on other threads.
pub type ApiBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of a request to the auth API.
pub struct ApiRequestBody {
    body: Incoming,
    read: Arc<AtomicU64>,
}

impl ApiRequestBody {
    /// Adds to `read` what is read of the body, in bytes.
    pub(super) fn counted(body: Incoming, read: Arc<AtomicU64>) -> Self {
        ApiRequestBody { body, read }
    }
}

impl HttpBody for ApiRequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.read.fetch_add(data.len() as u64, Ordering::Relaxed);
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

pub struct Body {
    source: Source,
    ledger: Option<Ledger>,
}

enum Source {
    Upstream(ResponseBody),
    Api(ApiBody),
    Text(Bytes),
}

impl Body {
    pub fn upstream(body: ResponseBody) -> Self {
        Source::Upstream(body).into()
    }

    pub fn api(body: ApiBody) -> Self {
        Source::Api(body).into()
    }

    pub fn text(text: impl Into<Bytes>) -> Self {
        Source::Text(text.into()).into()
    }

    /// Keeps a request's ledger open until the last byte.
    pub(super) fn with_ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = Some(ledger);
        self
    }
}

impl From<Source> for Body {
    fn from(source: Source) -> Self {
        Body {
            source,
            ledger: None,
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = match &mut self.source {
            Source::Upstream(body) => {
                let polled = ready!(Pin::new(body).poll_frame(cx));
                polled.map(|frame| frame.map_err(BoxError::from))
            }
            Source::Api(body) => ready!(Pin::new(body).poll_frame(cx)),
            Source::Text(text) if text.is_empty() => None,
            Source::Text(text) => Some(Ok(Frame::data(std::mem::take(text)))),
        };
        if let Some(Ok(frame)) = &polled
            && let Some(data) = frame.data_ref()
            && let Some(ledger) = &mut self.ledger
        {
            ledger.sent(data.len());
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Upstream(body) => body.is_end_stream(),
            Source::Api(body) => body.is_end_stream(),
            Source::Text(text) => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Upstream(body) => body.size_hint(),
            Source::Api(body) => body.size_hint(),
            Source::Text(text) => SizeHint::with_exact(text.len() as u64),
        }
    }
}
