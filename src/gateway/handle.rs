//! One request through all stages. Read this page first.

use std::rc::Rc;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use super::additions::Additions;
use super::body::Body;
use super::connection::Connection;
use super::cors;
use super::ingress;
use super::ledger::Ledger;
use super::respond;
use super::worker::{Current, Worker};
use crate::authn::{Authenticator, Identified, Principal};
use crate::authz::{self, Asking, Decision, Permit};
use crate::config::checked::{AuthMode, Route};
use crate::forward::{self, Asker, Handshake, Outbound};
use crate::limit::{self, Admission};
use crate::request::{Facts, HeldBack, ListedOrigin, Refusal};
use crate::route::{self, Matched};

/// Serves one request. Whatever happens, there is a response.
pub async fn handle(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let current = worker.current();
    let (peer, told) = ingress::peer(connection, &current.snapshot.config, request.headers());
    let has_body = !request.body().is_end_stream();
    let mut ledger = Ledger::open(worker, &current, connection, &peer, &request);
    let max_header = current.snapshot.config.max_header;
    // Whatever its size, it may be a handshake.
    let is_fit = ingress::measure(&request, max_header)
        .and(ingress::inspect(&mut request))
        .and(told);
    let is_handshake = Handshake::is_among(request.extensions());
    let is_fit = match is_handshake {
        true => {
            ledger.note_handshake();
            is_fit.and_then(|()| connection.begin_handshake())
        }
        false => is_fit,
    };
    let mut additions = Additions::default();
    let served = match is_fit {
        Ok(()) => {
            serve(
                &current,
                connection,
                request,
                &mut ledger,
                &mut additions,
                peer,
            )
            .await
        }
        Err(refusal) => {
            let config = &current.snapshot.config;
            additions = Additions::of(config, None, request.headers(), peer.is_trusted);
            Err(refusal)
        }
    };
    match served {
        Ok((mut response, decision)) => {
            additions.tell(response.headers_mut());
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return ledger.switch(response, decision);
            }
            if is_handshake {
                connection.has_unread.set(true);
                respond::close(&mut response);
            }
            ledger.answer(response, decision)
        }
        // What follows a handshake is meant for a tunnel, and no request even if it looks like one.
        Err(refusal) if is_handshake => {
            connection.has_unread.set(true);
            respond::refuse(&refusal.closing(), &additions, ledger)
        }
        Err(refusal) => {
            connection.has_unread.set(has_body);
            respond::refuse(&refusal, &additions, ledger)
        }
    }
}

async fn serve<'c>(
    current: &'c Current,
    connection: &Connection,
    request: Request<Incoming>,
    ledger: &mut Ledger,
    additions: &mut Additions<'c>,
    peer: crate::request::Peer,
) -> Result<(Response<Body>, &'static str), Refusal> {
    let snapshot = &current.snapshot;
    let (head, body) = request.into_parts();
    let facts = Facts {
        head: &head,
        host: ingress::host(&head.headers),
        peer: &peer,
    };
    let has_body = !body.is_end_stream();
    if let Some(preflight) = cors::preflight(&snapshot.config, &snapshot.table, &facts, has_body) {
        *additions = preflight.additions;
        if let Some(index) = preflight.route {
            ledger.matched(index);
        }
        return Ok((preflight.answer?.map(Body::text), "allow"));
    }
    let found = route::find(&snapshot.table, &facts);
    let route = found.as_ref().ok().and_then(Matched::route);
    *additions = Additions::of(&snapshot.config, route, &head.headers, peer.is_trusted);
    let matched = found?;
    let Some(index) = route else {
        let is_new = snapshot.authenticator.is_new(&head.headers);
        let mut request = Request::from_parts(head, ledger.counting(body));
        if additions.cors.is_listed() {
            request.extensions_mut().insert(ListedOrigin);
        }
        request.extensions_mut().insert(ledger.noting());
        if let Err(refusal) = limit::hold_back(&snapshot.limits, peer.client, || is_new) {
            request.extensions_mut().insert(HeldBack(refusal));
        }
        let client = peer.client;
        request.extensions_mut().insert(peer);
        let answered = respond::api((snapshot.auth_api)(request).await);
        // Only what was verified counts: without a credential, or with one that is known, nothing was.
        if let Err(refusal) = &answered
            && is_new
        {
            limit::note_failure(&snapshot.limits, client, refusal);
        }
        return Ok((answered?, "allow"));
    };
    let route = &snapshot.config.routes[index];
    ledger.matched(index);
    if Handshake::is_among(&head.extensions) {
        cors::check_handshake(&snapshot.config, additions, &facts)?;
    }

    let authenticator = &snapshot.authenticator;
    let caller = async || known(authenticator, route, &head.headers).await;
    let admission = limit::admit(&snapshot.limits, &matched, &facts, caller).await?;
    ledger.admitted(&admission);
    // What is only tried out holds nobody back and counts against nobody elsewhere; it costs no more, either.
    let is_shadow = route.shadow.auth;
    let held_back = match route.auth {
        AuthMode::None => Ok(()),
        _ => limit::hold_back(&snapshot.limits, peer.client, || {
            authenticator.is_new(&head.headers)
        }),
    };
    let identified = match held_back {
        Ok(()) => authenticator.identify(route.auth, &head.headers).await,
        Err(refusal) if is_shadow => Err(refusal),
        Err(refusal) => return Err(refusal),
    };
    if let Err(refusal) = &identified
        && !is_shadow
    {
        limit::note_failure(&snapshot.limits, peer.client, refusal);
    }
    let identified = Identified::of(identified, route.shadow);
    let principal = ledger.identified(identified, &head)?;
    let decision = authz::decide(&snapshot.policies, matched, principal, &facts)?;
    let (permit, admission) = match decision {
        Decision::Permit(permit) => (permit, admission),
        Decision::Asks(asking) => ask(current, asking, admission, &facts).await?,
    };
    ledger.decided(&permit);
    let mut ticket = limit::take(&snapshot.limits, admission, permit, &facts).await?;
    ledger.limited(&mut ticket);

    let outbound = Outbound {
        config: &snapshot.config,
        route,
        upstreams: &snapshot.upstreams,
        hop: &connection.hop,
        client: peer.client,
        is_trusted: peer.is_trusted,
        request_id: &ledger.request_id(),
    };
    let context = forward::Context {
        outbound,
        pools: &current.pools,
        limits: &snapshot.limits,
        assertions: snapshot.assertions.as_deref(),
        trace: ledger.trace(),
    };
    let mut response = forward::send(ticket, Request::from_parts(head, body), context).await?;
    additions.cors.clean(response.headers_mut());
    Ok((response.map(Body::upstream), "allow"))
}

/// The caller, if nothing has to be verified to tell.
async fn known(
    authenticator: &Authenticator,
    route: &Route,
    headers: &HeaderMap,
) -> Option<Principal> {
    if route.auth != AuthMode::None && authenticator.is_new(headers) {
        return None;
    }
    let identified = authenticator.identify(route.auth, headers).await;
    let identified = Identified::of(identified, route.shadow).ok()?;
    Some(identified.principal)
}

/// Asks the upstream who owns what. That costs what a request costs, whatever the answer.
async fn ask(
    current: &Current,
    asking: Asking<'_>,
    admission: Admission,
    facts: &Facts<'_>,
) -> Result<(Permit, Admission), Refusal> {
    let snapshot = &current.snapshot;
    let (matched, principal) = (asking.matched(), asking.principal());
    let limits = &snapshot.limits;
    let admission = limit::take_ahead(limits, admission, matched, principal, facts).await?;
    let owners = Asker::new(&snapshot.look_ups, &snapshot.upstreams, &current.pools);
    Ok((asking.ask(facts, &owners).await?, admission))
}
