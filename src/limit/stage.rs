//! The stage itself: [`admit`] before the caller is known, [`take`] after.

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::authn::{Claim, Principal, User};
use crate::authz::Permit;
use crate::config::checked::LimitKey;
use crate::request::{Code, Facts, Refusal};
use crate::route::Matched;

use super::charge::{Account, Due};
use super::headers::{self, Entry};
use super::policy::{CONCURRENCY, Limit, Limits, RouteLimits};
use super::seats::Seat;
use super::value::{Network, Value};

/// A request that the limits let through which need not know its caller.
///
/// What it was charged stays charged when it is dropped, so failed authentications count; not when its client leaves
/// while other gateways are asked.
#[derive(Debug)]
#[must_use = "a request goes on to `take`"]
pub struct Admission {
    client: Network,
    account: Account,
    /// The policies in shadow that had no room when the caller was known, once limits by user have been
    /// charged.
    would_refuse_caller: Option<Vec<usize>>,
    seat: Option<Seat>,
    /// All places are taken, and the cap on them is in shadow.
    found_no_seat: bool,
}

/// A request that every limit lets through: what forwarding asks for.
#[derive(Debug)]
pub struct Ticket {
    permit: Permit,
    entries: SmallVec<[Entry; 2]>,
    seat: Option<Seat>,
    /// All places are taken, and the cap on them is in shadow.
    found_no_seat: bool,
    /// Policies in shadow, by their index: those that were charged, and those that had no room when the
    /// caller was known.
    in_shadow: Vec<usize>,
    would_refuse: Vec<usize>,
}

/// Turns away addresses that the route is not for, and charges the limits by address, header and route.
///
/// `known` tells who the caller is, if that costs nothing to find out. It is asked only when a limit refuses: the
/// wait that is told then covers the limits by user, too, which the client would meet next.
///
/// # Errors
///
/// 403 `forbidden` for an address that the route's `ip` keeps out; 429 `rate-limited` when one refuses; then none is charged. One in shadow does not refuse.
pub async fn admit(
    limits: &Limits,
    matched: &Matched,
    facts: &Facts<'_>,
    known: impl AsyncFnOnce() -> Option<Principal>,
) -> Result<Admission, Refusal> {
    let mut admission = Admission {
        client: Network::from(facts.peer.client),
        account: Account::default(),
        would_refuse_caller: None,
        seat: None,
        found_no_seat: false,
    };
    let Some(index) = matched.route() else {
        return Ok(admission);
    };
    let route = admitting(limits, index, facts)?;
    let client = admission.client;
    let due = route.early.iter().filter_map(|limit| {
        let value = early_value(&limit.key, client, facts);
        due_of(limits, limit, limit.is_shadow, None, value)
    });
    let Err(refused) = limits.charge(due, &mut admission.account).await else {
        return Ok(admission);
    };
    // Apart, because few requests are refused, and all have to carry what they might need for that.
    let refused = Box::pin(async {
        let Some(principal) = known().await else {
            return refused;
        };
        let user = principal.user().map(|user| &**user);
        let due = due_of_caller(limits, route, index, client, user, facts);
        limits.longest(due, refused).await
    });
    Err(limits.refusal(refused.await))
}

/// Turns away addresses that the route is not for, and charges nothing.
///
/// # Errors
///
/// 403 `forbidden`.
pub fn check_address(limits: &Limits, matched: &Matched, facts: &Facts<'_>) -> Result<(), Refusal> {
    match matched.route() {
        Some(index) => admitting(limits, index, facts).map(drop),
        None => Ok(()),
    }
}

/// The limits of the route with this index, if the client's address may use it.
fn admitting<'l>(
    limits: &'l Limits,
    index: usize,
    facts: &Facts<'_>,
) -> Result<&'l RouteLimits, Refusal> {
    let route = limits.routes.get(index).ok_or_else(unknown_route)?;
    match route.addresses.admits(facts.peer.client) {
        true => Ok(route),
        false => Err(kept_out()),
    }
}

/// Charges the limits by user, by the rules of the caller's tier where it has some; callers without
/// identity are counted by address.
///
/// # Errors
///
/// 429 `rate-limited` when one refuses, `too-many-concurrent` when too many requests are under way; then
/// none is charged, and what [`admit`] charged is given back. One in shadow does not refuse, and gives
/// nothing back.
pub async fn take(
    limits: &Limits,
    admission: Admission,
    permit: Permit,
    facts: &Facts<'_>,
) -> Result<Ticket, Refusal> {
    let (matched, principal) = (permit.matched(), permit.principal());
    let admission = take_ahead(limits, admission, matched, principal, facts).await?;
    let mut ticket = Ticket {
        permit,
        entries: SmallVec::new(),
        seat: admission.seat,
        found_no_seat: admission.found_no_seat,
        in_shadow: Vec::new(),
        would_refuse: admission.would_refuse_caller.unwrap_or_default(),
    };
    for charged in admission.account.charged {
        match charged.is_shadow() {
            true => ticket.in_shadow.push(charged.entry.policy),
            false => ticket.entries.push(charged.entry),
        }
    }
    Ok(ticket)
}

/// The same for a request that an upstream has to be asked about before it may pass, which costs what a
/// request costs. It stays charged when the answer is no, and [`take`] does not charge it again.
///
/// # Errors
///
/// Those of [`take`].
pub async fn take_ahead(
    limits: &Limits,
    mut admission: Admission,
    matched: &Matched,
    principal: &Principal,
    facts: &Facts<'_>,
) -> Result<Admission, Refusal> {
    let is_due = admission.would_refuse_caller.is_none();
    let Some(index) = matched.route().filter(|_| is_due) else {
        return Ok(admission);
    };
    let route = limits.routes.get(index).ok_or_else(unknown_route)?;
    let (user, client) = (principal.user().map(|user| &**user), admission.client);
    match limits.sit_down(route, client, user, facts) {
        Ok(seat) => admission.seat = seat,
        Err(_) if route.is_shadow => admission.found_no_seat = true,
        Err(refusal) => {
            limits.give_back(&mut admission.account);
            return Err(refusal);
        }
    }
    let due = due_of_caller(limits, route, index, client, user, facts);
    // What is noted from here on is the caller's.
    let account = &mut admission.account;
    let of_strangers = account.would_refuse.len();
    if let Err(refused) = limits.charge(due, account).await {
        return Err(limits.refusal(refused));
    }
    let of_caller = account.would_refuse.split_off(of_strangers);
    admission.would_refuse_caller = Some(of_caller);
    Ok(admission)
}

impl Admission {
    /// The names of the policies in shadow that would have refused.
    pub fn would_refuse<'l>(&'l self, limits: &'l Limits) -> impl Iterator<Item = &'l str> {
        limits.names(&self.account.would_refuse)
    }
}

impl Ticket {
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The request's place among those under way, which whoever sees its end has to keep until then.
    pub fn take_seat(&mut self) -> Option<Seat> {
        self.seat.take()
    }

    /// Whether a cap in shadow would have refused the request.
    pub fn found_no_seat(&self) -> bool {
        self.found_no_seat
    }

    /// The names of the policies that were charged.
    pub fn policies<'l>(&self, limits: &'l Limits) -> impl Iterator<Item = &'l str> {
        let told = self.entries.iter().map(|entry| entry.policy);
        let policies = told.chain(self.in_shadow.iter().copied());
        policies.map(|policy| limits.policies[policy].name.as_str())
    }

    /// The names of the policies in shadow that would have refused once the caller was known.
    pub fn would_refuse<'l>(&'l self, limits: &'l Limits) -> impl Iterator<Item = &'l str> {
        limits.names(&self.would_refuse)
    }

    /// Tells the client how it stands, in shadow aside. `limits` are those that gave out the ticket.
    pub fn write_headers(&self, limits: &Limits, headers: &mut HeaderMap) {
        let set = |name: &HeaderName, value: HeaderValue| drop(headers.insert(name, value));
        headers::write(limits.headers, &limits.policies, &self.entries, set);
    }
}

/// Whose requests under way a cap counts together.
pub(super) fn cap_value(
    key: &LimitKey,
    client: Network,
    user: Option<&User>,
    facts: &Facts<'_>,
) -> Value {
    match key.is_early() {
        true => early_value(key, client, facts),
        false => late_value(key, client, user),
    }
}

/// Whose counter a limit charges that need not know the caller.
pub(super) fn early_value(key: &LimitKey, client: Network, facts: &Facts<'_>) -> Value {
    let address = Value::Address(client);
    match key {
        LimitKey::Route => Value::Everyone,
        // Whatever line of it a server behind goes by, it is counted.
        LimitKey::Header(name) => match facts.value_of(name) {
            Some(value) => Value::of_header(&value),
            None => address,
        },
        LimitKey::Ip | LimitKey::User | LimitKey::ApiKey | LimitKey::Claim(_) => address,
    }
}

/// Whose counter a limit charges when the caller is known. Whoever has no such claim or key is counted as
/// a user, and whoever is no user by address.
pub(super) fn late_value(key: &LimitKey, client: Network, user: Option<&User>) -> Value {
    let Some(user) = user else {
        return Value::Address(client);
    };
    let by_user = Value::User(user.id);
    match key {
        LimitKey::ApiKey => user.key.map_or(by_user, Value::ApiKey),
        LimitKey::Claim(name) => {
            let text = user.claim(name).and_then(Claim::text);
            text.map_or(by_user, |text| Value::of_claim(&text))
        }
        LimitKey::User | LimitKey::Ip | LimitKey::Route | LimitKey::Header(_) => by_user,
    }
}

/// The limits by user that a caller meets on the route with this index, and whether they are in shadow
/// there. A rule by path takes the place of the limit of its name. Callers without identity have no tier.
pub(super) fn late<'l>(
    limits: &'l Limits,
    route: &'l RouteLimits,
    index: usize,
    tier: Option<&str>,
    facts: &Facts<'_>,
) -> SmallVec<[(&'l Limit, bool); 4]> {
    let own = match (&route.late, tier) {
        (Some(own), _) => own.as_slice(),
        (None, Some(_)) => std::slice::from_ref(&limits.by_tier),
        (None, None) => std::slice::from_ref(&limits.anonymous),
    };
    let (own, by_path) = match (&limits.rules, tier) {
        (Some(rules), Some(tier)) => (
            rules.on_route(index, tier).unwrap_or(own),
            rules.on_path(tier, route.path_options, facts),
        ),
        _ => (own, SmallVec::new()),
    };
    let stays = |limit: &&Limit| by_path.iter().all(|rule| rule.name != limit.name);
    let own_ones = own.iter().filter(stays);
    let own_ones = own_ones.map(|limit| (limit, route.is_shadow || limit.is_shadow));
    let rules = by_path.iter().map(|rule| {
        let old = own.iter().find(|limit| limit.name == rule.name);
        let is_shadow = route.is_shadow || old.is_some_and(|old| old.is_shadow);
        (*rule, is_shadow)
    });
    own_ones.chain(rules).collect()
}

/// The counters that the limits by user charge this caller on the route with this index.
fn due_of_caller<'l>(
    limits: &'l Limits,
    route: &'l RouteLimits,
    index: usize,
    client: Network,
    user: Option<&'l User>,
    facts: &Facts<'_>,
) -> impl Iterator<Item = Due> + use<'l> {
    let tier = user.map(|user| user.tier.as_str());
    let late = late(limits, route, index, tier, facts).into_iter();
    late.filter_map(move |(limit, is_shadow)| {
        let value = late_value(&limit.key, client, user);
        due_of(limits, limit, is_shadow, tier, value)
    })
}

/// Which counter a limit charges and under which policy; `None` when it does not limit this caller.
fn due_of(
    limits: &Limits,
    limit: &Limit,
    is_shadow: bool,
    tier: Option<&str>,
    value: Value,
) -> Option<Due> {
    let policy = limit.policy(tier)?;
    let scope = limits.policies.get(policy)?.scope;
    // What other routes share is not used up by one in shadow: that would have them refuse.
    let scope = match is_shadow && !limit.is_shadow {
        true => scope.in_shadow(),
        false => scope,
    };
    Some(Due {
        policy,
        key: limits.counters.slots.key(scope, value),
        is_shadow,
    })
}

impl Limits {
    /// A seat where the route has only so many, which is looked for before anything is charged by user.
    fn sit_down(
        &self,
        route: &RouteLimits,
        client: Network,
        user: Option<&User>,
        facts: &Facts<'_>,
    ) -> Result<Option<Seat>, Refusal> {
        let Some(cap) = &route.concurrency else {
            return Ok(None);
        };
        let value = cap_value(&cap.key, client, user, facts);
        match self.counters.slots.seats.take(cap.scope, value, cap.max) {
            Some(seat) => Ok(Some(seat)),
            None => Err(Refusal::new(
                Code::TooManyConcurrent,
                "As many requests as may be under way at once are; try again when one has ended.",
            )
            .by_limit(CONCURRENCY)),
        }
    }

    fn names<'l>(&'l self, policies: &'l [usize]) -> impl Iterator<Item = &'l str> {
        policies
            .iter()
            .map(|policy| self.policies[*policy].name.as_str())
    }
}

/// The refusal of an address that the route's `ip` keeps out. It says no more than any other 403: which
/// addresses get in is nobody's business.
pub fn kept_out() -> Refusal {
    Refusal::new(Code::Forbidden, "You may not do this.")
        .because("the client's address is not one that the route's `ip` lets in")
}

/// The table and the limits are of different configurations: better no answer than no limit.
fn unknown_route() -> Refusal {
    Refusal::new(Code::Internal, "The gateway could not handle this request.")
        .because("the matched route has no compiled limits")
}
