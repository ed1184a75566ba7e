//! One request, one response: which connection carries it, how long it may take, and when it is safe
//! to try again.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;

use super::assertion::Assertions;
use super::body::{Progress, RequestBody, ResponseBody, Upload};
use super::headers::{self, Hop, Told};
use super::pool::{ConnectError, Connection, Pool};
use super::reserved::Names;
use super::rewrite;
use super::target::{Directory, Target};
use super::template::{self, Filled, Scene};
use crate::authn::Principal;
use crate::config::Config;
use crate::config::checked::{self, Identity, Route};
use crate::limit::{Limits, Ticket};
use crate::request::{Code, Refusal};

/// The upstreams of one configuration, by their index there.
pub struct Upstreams {
    all: Vec<Upstream>,
    names: Arc<Names>,
}

pub(super) struct Upstream {
    name: Arc<str>,
    targets: Vec<Arc<Target>>,
    /// For requests that name none.
    host: HeaderValue,
    connect_timeout: Duration,
    response_timeout: Duration,
    idle_timeout: Duration,
}

impl Upstreams {
    pub fn build(config: &Config, directory: &Directory) -> Self {
        let upstream = |upstream: &checked::Upstream| {
            let targets = directory.targets(upstream);
            let host = targets.first().map(|target| &*target.name);
            Upstream {
                name: upstream.name.as_str().into(),
                host: HeaderValue::from_str(host.unwrap_or_default())
                    .unwrap_or(HeaderValue::from_static("")),
                targets,
                connect_timeout: upstream.connect_timeout,
                response_timeout: upstream.response_timeout,
                idle_timeout: upstream.idle_timeout,
            }
        };
        Upstreams {
            all: config.upstreams.iter().map(upstream).collect(),
            names: Arc::new(Names::of(config)),
        }
    }

    pub fn name(&self, index: usize) -> Option<&Arc<str>> {
        self.all.get(index).map(|upstream| &upstream.name)
    }

    pub(super) fn host(&self, index: usize) -> Option<&HeaderValue> {
        self.all.get(index).map(|upstream| &upstream.host)
    }

    pub(super) fn get(&self, index: usize) -> Option<&Upstream> {
        self.all.get(index)
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// `host:port` of each.
    pub(super) fn targets(&self, index: usize) -> Vec<String> {
        let upstream = self.all.get(index);
        let targets = upstream.into_iter().flat_map(|upstream| &upstream.targets);
        targets.map(|target| target.name.to_string()).collect()
    }
}

/// One worker's connections for one configuration. Pools of targets that the next configuration has
/// too are handed on to it.
pub struct WorkerPools {
    pub(super) upstreams: Vec<Rc<Balanced>>,
}

pub(super) struct Balanced {
    pools: Vec<Rc<Pool>>,
    /// Whose turn it is with a request, and with what the gateway asks of its own accord: asked before each
    /// request, that would else take every second turn.
    next: Turn,
    next_own: Turn,
    idle_timeout: Duration,
}

/// An index into an upstream's targets.
type Turn = Cell<usize>;

impl WorkerPools {
    pub fn build(upstreams: &Upstreams, previous: Option<&WorkerPools>) -> Self {
        let mut known: HashMap<*const Target, Rc<Pool>> = previous
            .iter()
            .flat_map(|previous| &previous.upstreams)
            .flat_map(|upstream| &upstream.pools)
            .map(|pool| (Arc::as_ptr(&pool.target), Rc::clone(pool)))
            .collect();
        let mut pool = |target: &Arc<Target>| {
            let known = known
                .entry(Arc::as_ptr(target))
                .or_insert_with(|| Pool::new(Arc::clone(target)));
            Rc::clone(known)
        };
        let upstreams = upstreams.all.iter().map(|upstream| {
            Rc::new(Balanced {
                pools: upstream.targets.iter().map(&mut pool).collect(),
                next: Turn::default(),
                next_own: Turn::default(),
                idle_timeout: upstream.idle_timeout,
            })
        });
        WorkerPools {
            upstreams: upstreams.collect(),
        }
    }

    pub fn close_idle(&self) {
        for upstream in &self.upstreams {
            for pool in &upstream.pools {
                pool.close_idle(upstream.idle_timeout);
            }
        }
    }
}

impl Balanced {
    /// The pools, beginning with the one whose turn it is.
    fn in_turn(&self, turn: &Turn) -> impl Iterator<Item = &Rc<Pool>> {
        let first = turn.get();
        turn.set((first + 1) % self.pools.len().max(1));
        let (before, after) = self.pools.split_at(first.min(self.pools.len()));
        after.iter().chain(before)
    }
}

/// What sending needs beside the request and its ticket.
pub struct Context<'a> {
    pub route: &'a Route,
    pub upstreams: &'a Upstreams,
    pub pools: &'a WorkerPools,
    pub limits: &'a Limits,
    pub identity: &'a Identity,
    /// `None` where the file asks for none.
    pub assertions: Option<&'a Assertions>,
    pub hop: &'a Hop,
    pub is_trusted: bool,
    pub request_id: &'a HeaderValue,
    /// The name of the cookie that carries refresh tokens.
    pub refresh_cookie: &'a str,
    /// Where the request comes from.
    pub client: IpAddr,
    pub trace: &'a mut Trace,
}

/// What sending leaves behind for the log.
#[derive(Default)]
pub struct Trace {
    /// From the request's start toward the upstream to the head of its response, or to its failure.
    pub upstream_time: Option<Duration>,
    upload: Option<Rc<Progress>>,
}

impl Trace {
    /// Bytes of the request's body that were read.
    pub fn bytes_in(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.bytes.get())
    }
}

/// Sends a request that may pass and waits for the head of its response.
///
/// # Errors
/// `upstream-unreachable`, `upstream-timeout`, `body-too-large`, `request-timeout`, `bad-request`, and
/// `ambiguous-path` for a path that cannot be rewritten as every server would read it.
pub async fn send(
    ticket: Ticket,
    request: Request<Incoming>,
    context: Context<'_>,
) -> Result<Response<ResponseBody>, Refusal> {
    let (Some(upstream), Some(balanced)) = (
        context.upstreams.all.get(context.route.upstream),
        context.pools.upstreams.get(context.route.upstream),
    ) else {
        return Err(Refusal::new(Code::Internal, "The gateway failed.").because("no upstream"));
    };
    let (mut head, body) = request.into_parts();
    let names = &context.upstreams.names;
    let scene = Scene {
        principal: ticket.permit().principal(),
        matched: ticket.permit().matched(),
        method: &head.method,
        path: head.uri.path(),
        host: head.headers.get(header::HOST),
        scheme: headers::scheme(&head.headers, context.is_trusted),
        ip: context.client,
        request_id: context.request_id,
    };
    let assertion = match (context.assertions, scene.principal) {
        (Some(assertions), Principal::User(user)) => {
            let signed = assertions.value(user, context.route.upstream, &upstream.name);
            let signed = signed.map_err(|error| {
                Refusal::new(Code::Internal, "The gateway failed.").because(error)
            })?;
            Some((&assertions.header, signed))
        }
        _ => None,
    };
    let identity_values = template::values(&context.identity.headers, &scene);
    let edits = Filled::of(&context.route.request_headers, &scene);
    let edits_of_response = Filled::of(&context.route.response_headers, &scene);
    let told = Told {
        host: &upstream.host,
        host_rewrite: &context.route.rewrite.host,
        hop: context.hop,
        is_trusted: context.is_trusted,
        request_id: context.request_id,
        identity: context.identity,
        principal: ticket.permit().principal(),
        auth: context.route.auth,
        refresh_cookie: context.refresh_cookie,
        names,
        identity_values: &identity_values,
        assertion,
        edits: &edits,
    };
    headers::toward_upstream(&mut head.headers, &told);
    head.uri = rewrite::target(&context.route.rewrite, &head.uri)?;
    head.version = Version::HTTP_11;

    let (body, progress) = request_body(body, context.route, names)?;
    if progress.is_some() {
        headers::frame(&mut head.headers);
    }
    context.trace.upload.clone_from(&progress);
    let deadline = Deadline {
        timeout: context.route.timeout.unwrap_or(upstream.response_timeout),
        progress,
    };
    let started = Instant::now();
    let outcome = deliver(
        balanced.in_turn(&balanced.next),
        upstream,
        Request::from_parts(head, body),
        &deadline,
    )
    .await;
    context.trace.upstream_time = Some(started.elapsed());
    let mut response = outcome?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // Never asked for, so whatever follows is not what the client expects.
        return Err(unreachable("the upstream switched protocols unasked"));
    }
    if let Some(fault) = headers::framing_fault(response.headers()) {
        return Err(unreachable(fault));
    }
    *response.version_mut() = Version::HTTP_11;
    headers::toward_client(response.headers_mut(), &edits_of_response);
    ticket.write_headers(context.limits, response.headers_mut());
    Ok(response)
}

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
    let pools = balanced.in_turn(&balanced.next_own);
    let response = deliver(pools, upstream, request, &deadline).await?;
    match headers::framing_fault(response.headers()) {
        Some(fault) => Err(unreachable(fault)),
        None => Ok(response),
    }
}

/// Tries connections until one carries the request.
async fn deliver<'p>(
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
struct Deadline {
    timeout: Duration,
    progress: Option<Rc<Progress>>,
}

struct Late;

impl Deadline {
    async fn hold<F: Future>(&self, future: F) -> Result<F::Output, Late> {
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

    fn late(&self) -> Refusal {
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

    fn refusal(&self, error: &hyper::Error) -> Refusal {
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

fn request_body(
    body: Incoming,
    route: &Route,
    names: &Arc<Names>,
) -> Result<(RequestBody, Option<Rc<Progress>>), Refusal> {
    if body.is_end_stream() {
        return Ok((RequestBody::Empty, None));
    }
    if body.size_hint().lower() > route.max_body {
        return Err(too_large());
    }
    let progress = Progress::start();
    let body = RequestBody::Streaming {
        body,
        left: route.max_body,
        progress: Rc::clone(&progress),
        names: Arc::clone(names),
        removed: route.request_headers.withheld().cloned().collect(),
    };
    Ok((body, Some(progress)))
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn too_large() -> Refusal {
    Refusal::new(
        Code::BodyTooLarge,
        "The request's body is larger than this route admits.",
    )
    .closing()
}

fn unreachable(cause: impl std::fmt::Display) -> Refusal {
    Refusal::new(
        Code::UpstreamUnreachable,
        "The service behind could not be reached or broke off.",
    )
    .because(cause)
}
