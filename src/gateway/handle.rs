//! One request through all stages. Read this page first.

use std::rc::Rc;

use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;

use super::additions::Additions;
use super::body::Body;
use super::cors::{self, CrossOrigin};
use super::ingress::{self, Connection};
use super::ledger::Ledger;
use super::respond;
use super::security::Security;
use super::worker::{Current, Worker};
use crate::authn::Identified;
use crate::authz::{self, Asking, Decision, Permit};
use crate::config::checked::AuthMode;
use crate::forward::{self, Asked};
use crate::limit::{self, Admission};
use crate::request::{Facts, ListedOrigin, Refusal};
use crate::route::{self, Destination};

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
    let is_fit = ingress::measure(&request, max_header)
        .and_then(|()| ingress::inspect(&mut request))
        .and(told);
    let mut additions = Additions {
        cors: CrossOrigin::of(current.snapshot.config.cors.as_ref(), request.headers()),
        security: Security::Off,
    };
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
        Err(refusal) => Err(refusal),
    };
    match served {
        Ok((mut response, decision)) => {
            additions.tell(response.headers_mut());
            ledger.answer(response, decision)
        }
        Err(refusal) => {
            connection.has_unread.set(has_body);
            respond::refuse(&refusal, &additions, ledger)
        }
    }
}

async fn serve(
    current: &Current,
    connection: &Connection,
    request: Request<Incoming>,
    ledger: &mut Ledger,
    additions: &mut Additions,
    peer: crate::request::Peer,
) -> Result<(Response<Body>, &'static str), Refusal> {
    let snapshot = &current.snapshot;
    let (head, body) = request.into_parts();
    let facts = Facts {
        head: &head,
        host: ingress::host(&head.headers),
        peer: &peer,
    };
    if head.method == Method::OPTIONS
        && body.is_end_stream()
        && let Some(preflight) = cors::preflight(&snapshot.config, &snapshot.table, &facts)
    {
        additions.cors = preflight.cors;
        if let Destination::Route(index) = preflight.destination {
            ledger.matched(index);
        }
        return Ok((preflight.answer?.map(Body::text), "allow"));
    }
    let matched = route::find(&snapshot.table, &facts)?;
    let Destination::Route(index) = matched.destination else {
        let mut request = Request::from_parts(head, ledger.counting(body));
        if additions.cors.is_listed() {
            request.extensions_mut().insert(ListedOrigin);
        }
        request.extensions_mut().insert(ledger.noting());
        request.extensions_mut().insert(peer);
        let response = respond::api((snapshot.auth_api)(request).await)?;
        return Ok((response, "allow"));
    };
    let route = &snapshot.config.routes[index];
    ledger.matched(index);
    additions.cors = CrossOrigin::of(route.cors.as_ref(), &head.headers);
    additions.security = Security::of(route.security_headers, || {
        forward::scheme(&head.headers, peer.is_trusted)
    });

    let admission = limit::admit(&snapshot.limits, &matched, &facts).await?;
    ledger.admitted(&admission);
    let authenticator = &snapshot.authenticator;
    // What is only tried out neither holds anybody back nor counts against them elsewhere.
    let is_in_force = route.auth != AuthMode::None && !route.shadow.auth;
    if is_in_force {
        limit::hold_back(&snapshot.limits, peer.client, || {
            authenticator.is_new(&head.headers)
        })?;
    }
    let identified = authenticator.identify(route.auth, &head.headers).await;
    if let Err(refusal) = &identified
        && is_in_force
    {
        limit::note_failure(&snapshot.limits, peer.client, refusal);
    }
    let identified = Identified::of(identified, route.shadow);
    let principal = ledger.identified(identified, &head.headers)?;
    let decision = authz::decide(&snapshot.policies, matched, principal, &facts)?;
    let (permit, admission) = match decision {
        Decision::Permit(permit) => (permit, admission),
        Decision::Asks(asking) => ask(current, asking, admission, &facts).await?,
    };
    ledger.decided(&permit);
    let mut ticket = limit::take(&snapshot.limits, admission, permit, &facts).await?;
    ledger.limited(&mut ticket);

    let context = forward::Context {
        route,
        upstreams: &snapshot.upstreams,
        pools: &current.pools,
        limits: &snapshot.limits,
        identity: &snapshot.config.identity,
        assertions: snapshot.assertions.as_deref(),
        hop: &connection.hop,
        is_trusted: peer.is_trusted,
        request_id: &ledger.request_id(),
        refresh_cookie: &snapshot.config.auth.cookie.name,
        client: peer.client,
        trace: ledger.trace(),
    };
    let mut response = forward::send(ticket, Request::from_parts(head, body), context).await?;
    additions.cors.clean(response.headers_mut());
    Ok((response.map(Body::upstream), "allow"))
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
    let owners = Asked::new(&snapshot.look_ups, &snapshot.upstreams, &current.pools);
    Ok((asking.ask(facts, &owners).await?, admission))
}
