//! One request, one response: what goes to the upstream and what comes back, and the connections to choose
//! from.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;

use super::assertion::Assertions;
use super::body::{Progress, RequestBody, ResponseBody};
use super::deliver::{Deadline, deliver, too_large, unreachable};
use super::headers;
use super::outbound::{Outbound, no_upstream};
use super::pool::Pool;
use super::reserved::Names;
use super::target::{Directory, Target};
use super::upgrade::{self, Handshake};
use crate::authn::Principal;
use crate::config::Config;
use crate::config::checked;
use crate::limit::{Limits, Ticket};
use crate::request::{Code, Refusal};

/// The upstreams of one configuration, by their index there.
pub struct Upstreams {
    all: Vec<Upstream>,
    names: Arc<Names>,
    /// Of the routes, by their index: what clients do not say there, in trailers either.
    withheld: Vec<Arc<[HeaderName]>>,
}

pub(super) struct Upstream {
    name: Arc<str>,
    targets: Vec<Arc<Target>>,
    /// For requests that name none.
    pub(super) host: HeaderValue,
    pub(super) connect_timeout: Duration,
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
            withheld: config
                .routes
                .iter()
                .map(|route| route.request_headers.withheld().cloned().collect())
                .collect(),
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
    /// The pools for a request, beginning with the one whose turn it is.
    fn for_request(&self) -> impl Iterator<Item = &Rc<Pool>> {
        self.in_turn(&self.next)
    }

    /// The same for what the gateway asks itself.
    pub(super) fn for_own(&self) -> impl Iterator<Item = &Rc<Pool>> {
        self.in_turn(&self.next_own)
    }

    fn in_turn(&self, turn: &Turn) -> impl Iterator<Item = &Rc<Pool>> {
        let first = turn.get();
        turn.set((first + 1) % self.pools.len().max(1));
        let (before, after) = self.pools.split_at(first.min(self.pools.len()));
        after.iter().chain(before)
    }
}

/// What sending needs beside the request and its ticket.
pub struct Context<'a> {
    pub outbound: Outbound<'a>,
    pub pools: &'a WorkerPools,
    pub limits: &'a Limits,
    /// `None` where the file asks for none.
    pub assertions: Option<&'a Assertions>,
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

/// Sends a request that may pass and waits for the head of its response. One that switches protocols has the
/// connection for what follows among its extensions.
///
/// # Errors
/// `upstream-unreachable`, `upstream-timeout`, `body-too-large`, `request-timeout`, `bad-request`, and
/// `ambiguous-path` for a path that cannot be rewritten as every server would read it.
pub async fn send(
    ticket: Ticket,
    request: Request<Incoming>,
    context: Context<'_>,
) -> Result<Response<ResponseBody>, Refusal> {
    let Outbound {
        route, upstreams, ..
    } = context.outbound;
    let index = ticket.permit().matched().route();
    let (Some(upstream), Some(balanced), Some(withheld)) = (
        upstreams.all.get(route.upstream),
        context.pools.upstreams.get(route.upstream),
        index.and_then(|index| upstreams.withheld.get(index)),
    ) else {
        return Err(no_upstream());
    };
    let permit = ticket.permit();
    let assertion = match (context.assertions, permit.principal()) {
        (Some(assertions), Principal::User(user)) => {
            let signed = assertions.value(user, route.upstream, &upstream.name);
            let signed = signed.map_err(|error| {
                Refusal::new(Code::Internal, "The gateway failed.").because(error)
            })?;
            Some((&assertions.header, signed))
        }
        _ => None,
    };
    let (mut head, body) = request.into_parts();
    let edits_of_response = context.outbound.write(&mut head, permit, assertion)?;
    head.version = Version::HTTP_11;

    let (body, progress) = request_body(body, route.max_body, &upstreams.names, withheld)?;
    if progress.is_some() {
        headers::frame(&mut head.headers);
    }
    context.trace.upload.clone_from(&progress);
    let deadline = Deadline {
        timeout: route.timeout.unwrap_or(upstream.response_timeout),
        progress,
    };
    let started = Instant::now();
    let is_handshake = Handshake::is_among(&head.extensions);
    let (pools, request) = (balanced.for_request(), Request::from_parts(head, body));
    let outcome = match is_handshake {
        false => deliver(pools, upstream, request, &deadline).await,
        true => upgrade::shake_hands(pools, upstream, request, &deadline).await,
    };
    context.trace.upstream_time = Some(started.elapsed());
    let mut response = outcome?;
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switches && !is_handshake {
        // Never asked for, so whatever follows is not what the client expects.
        return Err(unreachable("the upstream switched protocols unasked"));
    }
    if let Some(fault) = headers::framing_fault(response.headers()) {
        return Err(unreachable(fault));
    }
    *response.version_mut() = Version::HTTP_11;
    headers::toward_client(response.headers_mut(), &edits_of_response);
    if switches {
        headers::switch(response.headers_mut());
    }
    ticket.write_headers(context.limits, response.headers_mut());
    Ok(response)
}

fn request_body(
    body: Incoming,
    most: u64,
    names: &Arc<Names>,
    withheld: &Arc<[HeaderName]>,
) -> Result<(RequestBody, Option<Rc<Progress>>), Refusal> {
    if body.is_end_stream() {
        return Ok((RequestBody::Empty, None));
    }
    if body.size_hint().lower() > most {
        return Err(too_large());
    }
    let progress = Progress::start();
    let body = RequestBody::Streaming {
        body,
        left: most,
        progress: Rc::clone(&progress),
        names: Arc::clone(names),
        removed: Arc::clone(withheld),
    };
    Ok((body, Some(progress)))
}
