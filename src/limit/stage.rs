//! The stage itself: [`admit`] before the caller is known, [`take`] after.

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::authn::Principal;
use crate::authz::Permit;
use crate::config::checked::LimitKey;
use crate::request::{Code, Facts, Refusal};
use crate::route::Matched;

use super::clock::whole_seconds;
use super::headers::{self, Entry};
use super::meter::{Denied, Standing};
use super::policy::{Limit, Limits, Policy, RouteLimits};
use super::pool::Charge;
use super::slots::{Key, Network, Value};

/// A request that the limits let through which need not know its caller.
///
/// What it was charged stays charged when it is dropped, so failed authentications count.
#[derive(Debug)]
#[must_use = "a request goes on to `take`"]
pub struct Admission {
    client: Network,
    charged: SmallVec<[Charged; 2]>,
    /// The limits by user are among what was charged.
    is_of_caller: bool,
}

/// A request that every limit lets through: what forwarding asks for.
#[derive(Debug)]
pub struct Ticket {
    permit: Permit,
    entries: SmallVec<[Entry; 2]>,
}

#[derive(Debug)]
struct Charged {
    key: Key,
    charge: Charge,
    entry: Entry,
}

/// Charges the limits by address, header and route.
///
/// # Errors
///
/// 429 `rate-limited` when one refuses; then none is charged.
pub fn admit(limits: &Limits, matched: &Matched, facts: &Facts<'_>) -> Result<Admission, Refusal> {
    let mut admission = Admission {
        client: Network::from(facts.peer.client),
        charged: SmallVec::new(),
        is_of_caller: false,
    };
    let Some(route) = matched.route() else {
        return Ok(admission);
    };
    let early = &limits.routes.get(route).ok_or_else(unknown_route)?.early;
    let due = early.iter().filter_map(|limit| {
        let value = early_value(limit, admission.client, facts);
        due_of(limits, limit, None, value)
    });
    limits.charge(due, &mut admission.charged)?;
    Ok(admission)
}

/// Charges the limits by user, by the rules of the caller's tier where it has some; callers without
/// identity are counted by address.
///
/// # Errors
///
/// 429 `rate-limited` when one refuses; then none is charged, and what [`admit`] charged is given
/// back.
pub fn take(
    limits: &Limits,
    admission: Admission,
    permit: Permit,
    facts: &Facts<'_>,
) -> Result<Ticket, Refusal> {
    let (matched, principal) = (permit.matched(), permit.principal());
    let Admission { charged, .. } = take_ahead(limits, admission, matched, principal, facts)?;
    let entries = charged.iter().map(|charged| charged.entry).collect();
    Ok(Ticket { permit, entries })
}

/// The same for a request that an upstream has to be asked about before it may pass, which costs what a
/// request costs. It stays charged when the answer is no, and [`take`] does not charge it again.
///
/// # Errors
///
/// Those of [`take`].
pub fn take_ahead(
    limits: &Limits,
    admission: Admission,
    matched: &Matched,
    principal: &Principal,
    facts: &Facts<'_>,
) -> Result<Admission, Refusal> {
    let Some(index) = matched.route().filter(|_| !admission.is_of_caller) else {
        return Ok(admission);
    };
    let Admission {
        client,
        mut charged,
        ..
    } = admission;
    let route = limits.routes.get(index).ok_or_else(unknown_route)?;
    let user = principal.user();
    let tier = user.map(|user| user.tier.as_str());
    let value = || user.map_or(Value::Address(client), |user| Value::User(user.id));
    let (late, by_path) = late(limits, route, index, tier, facts);
    let stays = |limit: &&Limit| by_path.iter().all(|rule| rule.name != limit.name);
    let late = late.iter().filter(stays);
    let due = late.chain(by_path.iter().copied());
    let due = due.filter_map(|limit| due_of(limits, limit, tier, value()));
    limits.charge(due, &mut charged)?;
    Ok(Admission {
        client,
        charged,
        is_of_caller: true,
    })
}

impl Ticket {
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The names of the policies that were charged.
    pub fn policies<'l>(&self, limits: &'l Limits) -> impl Iterator<Item = &'l str> {
        self.entries
            .iter()
            .map(|entry| limits.policies[entry.policy].name.as_str())
    }

    /// Tells the client how it stands. `limits` are those that gave out the ticket.
    pub fn write_headers(&self, limits: &Limits, headers: &mut HeaderMap) {
        let set = |name: &HeaderName, value: HeaderValue| drop(headers.insert(name, value));
        headers::write(limits.headers, &limits.policies, &self.entries, set);
    }
}

/// Whose counter a limit charges that need not know the caller.
pub(super) fn early_value<'f>(limit: &Limit, client: Network, facts: &Facts<'f>) -> Value<'f> {
    let address = Value::Address(client);
    match &limit.key {
        LimitKey::Route => Value::Route,
        LimitKey::Header(name) => match facts.head.headers.get(name) {
            Some(value) => Value::Header(value.as_bytes()),
            None => address,
        },
        LimitKey::Ip | LimitKey::User => address,
    }
}

/// The limits by user of the route with this index, and the rules by path, each of which takes the place
/// of the one of its name. Callers without identity have no tier.
pub(super) fn late<'l>(
    limits: &'l Limits,
    route: &'l RouteLimits,
    index: usize,
    tier: Option<&str>,
    facts: &Facts<'_>,
) -> (&'l [Limit], SmallVec<[&'l Limit; 2]>) {
    let late = match (&route.late, tier) {
        (Some(own), _) => own.as_slice(),
        (None, Some(_)) => std::slice::from_ref(&limits.by_tier),
        (None, None) => std::slice::from_ref(&limits.anonymous),
    };
    match (&limits.rules, tier) {
        (Some(rules), Some(tier)) => (
            rules.on_route(index, tier).unwrap_or(late),
            rules.on_path(tier, route.path_options, facts),
        ),
        _ => (late, SmallVec::new()),
    }
}

/// Which counter a limit charges and under which policy; `None` when it does not limit this caller.
fn due_of(
    limits: &Limits,
    limit: &Limit,
    tier: Option<&str>,
    value: Value<'_>,
) -> Option<(usize, Key)> {
    let policy = limit.policy(tier)?;
    Some((policy, limits.slots.key(limit.scope, value)))
}

impl Limits {
    /// Charges all that is due, or nothing: then what was charged before is given back too.
    fn charge(
        &self,
        due: impl Iterator<Item = (usize, Key)>,
        charged: &mut SmallVec<[Charged; 2]>,
    ) -> Result<(), Refusal> {
        let mut due = due.peekable();
        if due.peek().is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        // Every limit is asked, so that the wait told is long enough for all of them.
        let mut refused: Option<(usize, Denied)> = None;
        for (policy, key) in due {
            match self.policies[policy].quota.charge(&self.slots, key, now) {
                Ok((standing, charge)) => charged.push(Charged {
                    key,
                    charge,
                    entry: Entry { policy, standing },
                }),
                Err(denied) => {
                    if refused.is_none_or(|(_, before)| before.wait < denied.wait) {
                        refused = Some((policy, denied));
                    }
                }
            }
        }
        let Some((policy, denied)) = refused else {
            return Ok(());
        };
        for charged in charged.drain(..) {
            self.slots.refund(charged.key, &charged.charge, now);
        }
        Err(self.refusal(policy, denied))
    }

    fn refusal(&self, policy: usize, denied: Denied) -> Refusal {
        let mut refusal = rate_limited(&self.policies[policy], denied);
        let entry = Entry {
            policy,
            standing: Standing {
                remaining: 0,
                full_in: denied.full_in,
            },
        };
        let mut lines: SmallVec<[(HeaderName, HeaderValue); 5]> = SmallVec::new();
        headers::write(self.headers, &self.policies, &[entry], |name, value| {
            lines.push((name.clone(), value));
        });
        for (name, value) in lines {
            refusal = refusal.with_header(name, value);
        }
        refusal
    }
}

/// 429 with `Retry-After`.
pub(super) fn rate_limited(policy: &Policy, denied: Denied) -> Refusal {
    let seconds = whole_seconds(denied.wait);
    Refusal::new(
        Code::RateLimited,
        "This limit is used up; try again after the seconds that Retry-After tells.",
    )
    .by_limit(&policy.name)
    .retry_after(seconds)
}

/// The table and the limits are of different configurations: better no answer than no limit.
fn unknown_route() -> Refusal {
    Refusal::new(Code::Internal, "The gateway could not handle this request.")
        .because("the matched route has no compiled limits")
}
