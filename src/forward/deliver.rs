//! A request on its way over connections: which one carries it, how long that may take, and when it is safe
//! to try again.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Request, Response};
use http_body::Body;

use super::body::{Progress, RequestBody, ResponseBody, Upload};
use super::exchange::{Balanced, Upstream};
use super::headers;
use super::pool::{ConnectError, Connection, Pool};
use crate::request::{Code, Refusal};

/// Asks an upstream for something in the gateway's own name, within `timeout` to the response's head.
///
/// # Errors
/// Why there is no answer, for the log.
pub(super) async fn ask(
    balanced: &Balanced,
    upstream: &Upstream,
    host: Option<&HeaderValue>,
    target: PathAndQuery,
    timeout: Duration,
) -> Result<Response<ResponseBody>, Refusal> {
    let mut request = Request::new(RequestBody::Empty);
    *request.uri_mut() = Uri::from(target);
    headers::of_own(request.headers_mut(), host.unwrap_or(&upstream.host));
    let deadline = Deadline {
        timeout,
        progress: None,
    };
    let response = deliver(balanced.for_own(), upstream, request, &deadline).await?;
    match headers::framing_fault(response.headers()) {
        Some(fault) => Err(unreachable(fault)),
        None => Ok(response),
    }
}

/// Tries connections until one carries the request.
pub(super) async fn deliver<'p>(
    pools: impl Iterator<Item = &'p Rc<Pool>>,
    upstream: &Upstream,
    mut request: Request<RequestBody>,
    deadline: &Deadline,
) -> Result<Response<ResponseBody>, Refusal> {
    let replayable = request.body().is_end_stream() && request.method().is_idempotent();
    let mut failure = None;
    let mut is_retry = false;
    for pool in pools {
        while !is_retry && let Some(connection) = pool.take() {
            let spare = replayable.then(|| copy(&request));
            match attempt(pool, connection, request, deadline).await {
                Ok(response) => return Ok(response),
                Err(Failure::Unsent(unsent)) => request = *unsent,
                // Closed by the upstream while it was unused, as the request went out (RFC 9112,
                // section 9.3.1): a new connection may carry it, once.
                Err(Failure::Lost(error)) => match spare {
                    Some(spare) if !error.is_parse() => {
                        tracing::debug!(%error, "stale upstream connection, trying a new one");
                        request = spare;
                        is_retry = true;
                    }
                    _ => return Err(deadline.refusal(&error)),
                },
                Err(Failure::Late) => return Err(deadline.late()),
            }
        }
        match pool.connect(upstream.connect_timeout).await {
            Ok(connection) => {
                return match attempt(pool, connection, request, deadline).await {
                    Ok(response) => Ok(response),
                    Err(Failure::Unsent(_)) => {
                        Err(unreachable("the new connection closed at once"))
                    }
                    Err(Failure::Lost(error)) => Err(deadline.refusal(&error)),
                    Err(Failure::Late) => Err(deadline.late()),
                };
            }
            Err(error) => {
                tracing::debug!(target = %pool.target.name, %error, "upstream not reached");
                failure = Some(error);
            }
        }
    }
    Err(unreachable(failure.unwrap_or(ConnectError::NoAddress)))
}

enum Failure {
    /// Not a byte of it was written.
    Unsent(Box<Request<RequestBody>>),
    Lost(hyper::Error),
    Late,
}

async fn attempt(
    pool: &Rc<Pool>,
    mut connection: Connection,
    request: Request<RequestBody>,
    deadline: &Deadline,
) -> Result<Response<ResponseBody>, Failure> {
    if !connection.sender.is_ready() {
        match deadline.hold(connection.sender.ready()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Failure::Unsent(Box::new(request))),
            Err(Late) => return Err(Failure::Late),
        }
    }
    let response = connection.sender.try_send_request(request);
    match deadline.hold(response).await {
        Ok(Ok(response)) => {
            let upload = deadline.progress.clone();
            Ok(response.map(|body| ResponseBody::new(body, connection, Rc::clone(pool), upload)))
        }
        Ok(Err(mut error)) => match error.take_message() {
            Some(unsent) => Err(Failure::Unsent(Box::new(unsent))),
            None => Err(Failure::Lost(error.into_error())),
        },
        Err(Late) => Err(Failure::Late),
    }
}

/// How long the upstream may take. The clock starts anew with each part of the request's body, so a
/// slow upload is not cut short, and a stalled one is.
pub(super) struct Deadline {
    pub(super) timeout: Duration,
    pub(super) progress: Option<Rc<Progress>>,
}

pub(super) struct Late;

impl Deadline {
    pub(super) async fn hold<F: Future>(&self, future: F) -> Result<F::Output, Late> {
        let mut future = std::pin::pin!(future);
        let mut from = Instant::now();
        loop {
            let until = tokio::time::Instant::from_std(from + self.timeout);
            if let Ok(output) = tokio::time::timeout_at(until, &mut future).await {
                return Ok(output);
            }
            match &self.progress {
                Some(progress) if progress.last_frame.get() > from => {
                    from = progress.last_frame.get();
                }
                _ => return Err(Late),
            }
        }
    }

    fn upload(&self) -> Upload {
        self.progress
            .as_ref()
            .map_or(Upload::Done, |progress| progress.state.get())
    }

    pub(super) fn late(&self) -> Refusal {
        match self.upload() {
            Upload::UnderWay => Refusal::new(
                Code::RequestTimeout,
                "The request's body did not arrive in time.",
            )
            .closing(),
            _ => Refusal::new(
                Code::UpstreamTimeout,
                "The service behind did not answer in time.",
            ),
        }
    }

    pub(super) fn refusal(&self, error: &hyper::Error) -> Refusal {
        match self.upload() {
            Upload::TooLarge => too_large(),
            Upload::Broken => {
                Refusal::new(Code::BadRequest, "The request's body could not be read.")
                    .because(error)
                    .closing()
            }
            Upload::UnderWay => unreachable(error).closing(),
            Upload::Done => unreachable(error),
        }
    }
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

pub(super) fn too_large() -> Refusal {
    Refusal::new(
        Code::BodyTooLarge,
        "The request's body is larger than this route admits.",
    )
    .closing()
}

pub(super) fn unreachable(cause: impl std::fmt::Display) -> Refusal {
    Refusal::new(
        Code::UpstreamUnreachable,
        "The service behind could not be reached or broke off.",
    )
    .because(cause)
}
