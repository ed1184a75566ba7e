//! The stage as a whole: routes, callers, tiers, reloads and what clients are told.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Request, header};
use proptest::prelude::*;

use crate::authn::sample::claims;
use crate::authn::{Claims, Principal, User};
use crate::authz::Permit;
use crate::config::checked::{Concurrency, Limit, LimitKey, Mode, Pattern, Rate, Route, Tier};
use crate::config::{Config, Plans};
use crate::request::{Code, Facts, Peer, Refusal};
use crate::route::{self, Table, sample};

use super::*;

pub(super) fn rate(count: u32, seconds: u64, burst: u32) -> Rate {
    Rate {
        count: NonZeroU32::new(count).unwrap(),
        period: Duration::from_secs(seconds),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

/// So many at once and then none for a long time.
pub(super) fn only(burst: u32) -> Rate {
    rate(1, 86_400, burst)
}

pub(super) fn limit(name: &str, key: LimitKey, rate: Rate) -> Limit {
    Limit {
        name: name.into(),
        key,
        rate: Some(rate),
        tiers: BTreeMap::new(),
        cost: NonZeroU32::MIN,
        mode: Mode::Enforce,
    }
}

pub(super) fn route(name: &str, limits: Option<Vec<Limit>>) -> Route {
    Route {
        name: name.into(),
        limits,
        ..sample::route(Pattern::Prefix(vec![name.into()]))
    }
}

pub(super) fn tiers(rates: &[(&str, Option<Rate>)]) -> BTreeMap<String, Tier> {
    let tier = |(name, rate): &(&str, Option<Rate>)| {
        let tier = Tier {
            rank: 0,
            rate: *rate,
        };
        ((*name).to_owned(), tier)
    };
    rates.iter().map(tier).collect()
}

/// A user of a tier, the same one for the same number.
pub(super) fn user(number: u128, tier: &str) -> Principal {
    let claims = Claims {
        tier: tier.into(),
        ..claims(number)
    };
    Principal::User(Arc::new(User::new(claims).unwrap()))
}

/// A gateway as far as limits go.
pub(super) struct Gateway {
    table: Table,
    pub(super) limits: Limits,
    pub(super) hands: Hands,
}

/// A request's path, address and headers.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) from: &'a str,
    /// Name and value, a line of the header for each of the text's.
    pub(super) header: Option<(&'a str, &'a str)>,
}

impl Gateway {
    pub(super) fn new(config: &Config) -> Self {
        Gateway::over(config, Counters::new)
    }

    /// One of so many gateways, which hear nothing of each other.
    pub(super) fn one_of(count: u32, config: &Config) -> Self {
        Gateway::over(config, |slots, clock| {
            let counters = Counters::shared(slots, clock, Arc::default());
            counters.shared.as_ref().unwrap().count(count);
            counters
        })
    }

    fn over(config: &Config, counters: impl FnOnce(Slots, Clock) -> Counters) -> Self {
        let (clock, hands) = Clock::manual();
        let counters = counters(Slots::with_capacity(256), clock);
        Gateway {
            table: Table::build(config, &[]),
            limits: Limits::build(config, &Plans::default().under(config), counters),
            hands,
        }
    }

    pub(super) fn of_routes(routes: Vec<Route>) -> Self {
        Gateway::new(&sample::config(routes))
    }

    pub(super) fn reload(&mut self, config: &Config) {
        self.reload_with(config, &Plans::default());
    }

    pub(super) fn reload_with(&mut self, config: &Config, stored: &Plans) {
        self.table = Table::build(config, &[]);
        let counters = self.limits.counters.clone();
        self.limits = Limits::build(config, &stored.under(config), counters);
    }

    /// Charges what is charged before the caller is known, and goes on with `then`. The caller is `known` to those
    /// who need not know.
    fn admit<T>(
        &self,
        asked: &Asked<'_>,
        known: Option<&Principal>,
        then: impl FnOnce(route::Matched, Admission, &Facts<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut request = Request::builder().method(asked.method).uri(asked.path);
        if let Some((name, value)) = asked.header {
            for line in value.split('\n') {
                request = request.header(name, line);
            }
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let client: IpAddr = asked.from.parse().unwrap();
        let peer = Peer {
            socket: SocketAddr::new(client, 1),
            client,
            is_trusted: false,
        };
        let facts = Facts {
            head: &head,
            host: "localhost",
            peer: &peer,
        };
        let matched = route::find(&self.table, &facts)?;
        let admission = at_once(admit(&self.limits, &matched, &facts, async || {
            known.cloned()
        }))?;
        then(matched, admission, &facts)
    }

    pub(super) fn ask(&self, asked: &Asked<'_>, caller: &Principal) -> Result<Ticket, Refusal> {
        self.admit(asked, Some(caller), |matched, admission, facts| {
            let permit = Permit::for_tests(matched, caller.clone());
            at_once(take(&self.limits, admission, permit, facts))
        })
    }

    /// How many of twenty requests pass.
    pub(super) fn passes(&self, asked: &Asked<'_>, caller: &Principal) -> usize {
        (0..20).filter(|_| self.ask(asked, caller).is_ok()).count()
    }
}

pub(super) fn at(path: &str) -> Asked<'_> {
    Asked {
        method: "GET",
        path,
        from: "192.0.2.1",
        header: None,
    }
}

pub(super) const ANYONE: Principal = Principal::Anonymous;

#[test]
fn a_route_without_limits_is_held_to_the_tier_s_rate_over_all_such_routes() {
    let mut config = sample::config(vec![
        route("a", None),
        route("b", None),
        route("c", Some(Vec::new())),
    ]);
    config.tiers = tiers(&[
        ("free", Some(only(3))),
        ("pro", Some(only(5))),
        ("enterprise", None),
    ]);
    let gateway = Gateway::new(&config);
    assert_eq!(gateway.passes(&at("/a"), &user(1, "free")), 3);
    assert_eq!(gateway.passes(&at("/b"), &user(1, "free")), 0);
    assert_eq!(gateway.passes(&at("/c"), &user(1, "free")), 20);
    assert_eq!(gateway.passes(&at("/a"), &user(2, "free")), 3);
    assert_eq!(gateway.passes(&at("/a"), &user(3, "pro")), 5);
    assert_eq!(gateway.passes(&at("/a"), &user(4, "enterprise")), 20);
    // No such tier: the default one's rate, not none.
    assert_eq!(gateway.passes(&at("/a"), &user(5, "gone")), 3);
    // Nobody in particular, and the file says nothing of these.
    assert_eq!(gateway.passes(&at("/a"), &ANYONE), 20);
}

#[test]
fn what_is_taken_ahead_is_charged_once_and_stays() {
    let limits = vec![limit("writes", LimitKey::User, only(3))];
    let gateway = Gateway::new(&sample::config(vec![route("a", Some(limits))]));
    let ahead = |caller: &Principal, goes_on: bool| {
        gateway.admit(&at("/a"), None, |matched, admission, facts| {
            let ahead = take_ahead(&gateway.limits, admission, &matched, caller, facts);
            let admission = at_once(ahead)?;
            match goes_on {
                true => {
                    let permit = Permit::for_tests(matched, caller.clone());
                    at_once(take(&gateway.limits, admission, permit, facts)).map(Some)
                }
                false => Ok(None),
            }
        })
    };
    let passed = (0..5).filter(|_| ahead(&user(1, "free"), true).is_ok());
    assert_eq!(passed.count(), 3);
    let refused = (0..5).filter(|_| ahead(&user(2, "free"), false).is_ok());
    assert_eq!(refused.count(), 3);
    assert!(gateway.ask(&at("/a"), &user(2, "free")).is_err());
    let ticket = ahead(&user(3, "free"), true).unwrap().unwrap();
    let policies: Vec<_> = ticket.policies(&gateway.limits).collect();
    assert_eq!(policies, ["writes"]);
}

#[test]
fn callers_without_identity_are_counted_by_network() {
    let mut config = sample::config(vec![route("a", None), route("b", None)]);
    config.anonymous = Some(only(2));
    let gateway = Gateway::new(&config);
    let from = |from, path| Asked { from, ..at(path) };
    assert_eq!(gateway.passes(&from("2001:db8::1", "/a"), &ANYONE), 2);
    assert_eq!(gateway.passes(&from("2001:db8::ffff:2", "/b"), &ANYONE), 0);
    assert_eq!(gateway.passes(&from("2001:db8:0:1::1", "/a"), &ANYONE), 2);
    assert_eq!(gateway.passes(&from("192.0.2.7", "/a"), &ANYONE), 2);
    assert_eq!(gateway.passes(&from("::ffff:192.0.2.7", "/a"), &ANYONE), 0);
    assert_eq!(
        gateway.passes(&from("192.0.2.8", "/a"), &user(1, "free")),
        20
    );
}

#[test]
fn a_limit_by_user_counts_others_by_address() {
    let gateway = Gateway::of_routes(vec![
        route("a", Some(vec![limit("x", LimitKey::User, only(2))])),
        route("b", Some(vec![limit("x", LimitKey::User, only(2))])),
    ]);
    assert_eq!(gateway.passes(&at("/a"), &user(1, "free")), 2);
    assert_eq!(gateway.passes(&at("/a"), &user(2, "free")), 2);
    assert_eq!(gateway.passes(&at("/a"), &ANYONE), 2);
    let elsewhere = Asked {
        from: "192.0.2.2",
        ..at("/a")
    };
    assert_eq!(gateway.passes(&elsewhere, &ANYONE), 2);
    // A limit of the same name on another route is another limit.
    assert_eq!(gateway.passes(&at("/b"), &user(1, "free")), 2);
}

#[test]
fn limits_by_address_header_and_route_count_whoever_calls() {
    let by_header = LimitKey::Header(HeaderName::from_static("x-org"));
    let gateway = Gateway::of_routes(vec![
        route("ip", Some(vec![limit("x", LimitKey::Ip, only(2))])),
        route("route", Some(vec![limit("x", LimitKey::Route, only(3))])),
        route("header", Some(vec![limit("x", by_header, only(4))])),
    ]);
    assert_eq!(gateway.passes(&at("/ip"), &user(1, "free")), 2);
    assert_eq!(gateway.passes(&at("/ip"), &user(2, "free")), 0);
    assert_eq!(gateway.passes(&at("/route"), &user(1, "free")), 3);
    let elsewhere = |path| Asked {
        from: "192.0.2.2",
        ..at(path)
    };
    assert_eq!(gateway.passes(&elsewhere("/route"), &ANYONE), 0);
    let of = |org| Asked {
        header: Some(("X-Org", org)),
        ..at("/header")
    };
    assert_eq!(gateway.passes(&of("acme"), &ANYONE), 4);
    assert_eq!(gateway.passes(&of("other"), &ANYONE), 4);
    assert_eq!(gateway.passes(&at("/header"), &ANYONE), 4);
    assert_eq!(gateway.passes(&elsewhere("/header"), &ANYONE), 4);
}

#[test]
fn a_limit_by_header_counts_by_all_its_lines() {
    let by_header = LimitKey::Header(HeaderName::from_static("x-org"));
    let limits = vec![limit("x", by_header, only(4))];
    let gateway = Gateway::of_routes(vec![route("a", Some(limits))]);
    let of = |lines| Asked {
        header: Some(("X-Org", lines)),
        ..at("/a")
    };
    assert_eq!(gateway.passes(&of("acme"), &ANYONE), 4);
    // Not with the first line alone, nor with the last.
    assert_eq!(gateway.passes(&of("acme\nother"), &ANYONE), 4);
    assert_eq!(gateway.passes(&of("other\nacme"), &ANYONE), 4);
    // A list is the same in one line.
    assert_eq!(gateway.passes(&of("acme, other"), &ANYONE), 0);
}

#[test]
fn a_tier_s_own_quota_replaces_the_limit_s_and_a_change_of_tier_keeps_what_is_used() {
    let mut of_tiers = limit("x", LimitKey::User, only(2));
    of_tiers.tiers.insert("pro".into(), Some(only(6)));
    of_tiers.tiers.insert("enterprise".into(), None);
    let gateway = Gateway::of_routes(vec![route("a", Some(vec![of_tiers]))]);
    assert_eq!(gateway.passes(&at("/a"), &user(1, "free")), 2);
    assert_eq!(gateway.passes(&at("/a"), &user(1, "pro")), 4);
    assert_eq!(gateway.passes(&at("/a"), &user(1, "free")), 0);
    assert_eq!(gateway.passes(&at("/a"), &user(1, "enterprise")), 20);
}

#[test]
fn counters_outlive_a_reload_and_new_quotas_act_at_once() {
    let of = |burst| {
        let limits = vec![limit("x", LimitKey::User, only(burst))];
        // The route's place in the file is not what it is known by.
        let other = route("other", None);
        let route = route("a", Some(limits));
        sample::config(if burst == 2 {
            vec![route, other]
        } else {
            vec![other, route]
        })
    };
    let mut gateway = Gateway::new(&of(2));
    assert_eq!(gateway.passes(&at("/a"), &user(1, "free")), 2);
    gateway.reload(&of(3));
    assert_eq!(gateway.passes(&at("/a"), &user(1, "free")), 1);
}

#[test]
fn when_one_limit_refuses_no_other_is_charged() {
    let gateway = Gateway::of_routes(vec![route(
        "a",
        Some(vec![
            limit("ip", LimitKey::Ip, only(10)),
            limit("all", LimitKey::Route, only(11)),
            limit("small", LimitKey::User, only(2)),
            limit("large", LimitKey::User, only(12)),
        ]),
    )]);
    assert_eq!(gateway.passes(&at("/a"), &user(1, "free")), 2);
    let mut headers = HeaderMap::new();
    let ticket = gateway.ask(&at("/a"), &user(2, "free")).unwrap();
    ticket.write_headers(&gateway.limits, &mut headers);
    let left: Vec<_> = headers["ratelimit"].to_str().unwrap().split(", ").collect();
    let left: Vec<_> = left.iter().map(|l| l.split(';').nth(1).unwrap()).collect();
    assert_eq!(left, ["r=7", "r=8", "r=1", "r=11"]);
    // In the first half as well.
    assert_eq!(gateway.passes(&at("/a"), &user(3, "free")), 2);
    assert_eq!(gateway.passes(&at("/a"), &user(4, "free")), 2);
    assert_eq!(gateway.passes(&at("/a"), &user(5, "free")), 2);
    assert_eq!(gateway.passes(&at("/a"), &user(6, "free")), 1);
    let elsewhere = Asked {
        from: "192.0.2.2",
        ..at("/a")
    };
    assert_eq!(gateway.passes(&elsewhere, &user(7, "free")), 1);
}

#[test]
fn what_is_not_authenticated_stays_charged() {
    let gateway = Gateway::of_routes(vec![route(
        "a",
        Some(vec![limit("ip", LimitKey::Ip, only(3))]),
    )]);
    for _ in 0..3 {
        assert!(gateway.admit(&at("/a"), None, |_, _, _| Ok(())).is_ok());
    }
    assert_eq!(
        gateway
            .admit(&at("/a"), None, |_, _, _| Ok(()))
            .unwrap_err()
            .code(),
        Code::RateLimited
    );
}

#[test]
fn a_request_may_cost_more_than_one() {
    let mut dear = limit("x", LimitKey::User, rate(60, 60, 10));
    dear.cost = NonZeroU32::new(3).unwrap();
    let gateway = Gateway::of_routes(vec![route("a", Some(vec![dear]))]);
    let mut headers = HeaderMap::new();
    let ticket = gateway.ask(&at("/a"), &ANYONE).unwrap();
    ticket.write_headers(&gateway.limits, &mut headers);
    assert_eq!(headers["ratelimit"], "\"x\";r=2;t=3");
    assert_eq!(gateway.passes(&at("/a"), &ANYONE), 2);
}

#[test]
fn a_refusal_tells_which_limit_and_how_long() {
    let gateway = Gateway::of_routes(vec![route(
        "a",
        Some(vec![
            limit("slow", LimitKey::User, rate(30, 60, 1)),
            limit("quick", LimitKey::User, rate(1, 1, 1)),
        ]),
    )]);
    assert!(gateway.ask(&at("/a"), &ANYONE).is_ok());
    gateway.hands.advance(Duration::from_millis(500));
    let refusal = gateway.ask(&at("/a"), &ANYONE).unwrap_err();
    assert_eq!(refusal.code(), Code::RateLimited);
    assert_eq!(refusal.limit(), Some("slow"));
    let headers: HeaderMap = refusal.headers().iter().cloned().collect();
    assert_eq!(headers[header::RETRY_AFTER], "2");
    assert_eq!(headers["ratelimit-policy"], "\"slow\";q=30;w=60");
    assert_eq!(headers["ratelimit"], "\"slow\";r=0;t=2");
    assert_eq!(headers["x-ratelimit-limit"], "30");
    assert_eq!(headers["x-ratelimit-remaining"], "0");
    assert_eq!(headers["x-ratelimit-reset"], "2");
}

#[test]
fn without_limits_nothing_is_told() {
    let gateway = Gateway::of_routes(vec![route("a", Some(Vec::new()))]);
    let mut headers = HeaderMap::new();
    let ticket = gateway.ask(&at("/a"), &ANYONE).unwrap();
    ticket.write_headers(&gateway.limits, &mut headers);
    assert!(headers.is_empty());
}

#[test]
fn an_address_limit_counts_each_network() {
    let (clock, hands) = Clock::manual();
    let counters = Counters::new(Slots::with_capacity(8), clock);
    let make = |rate| AddressLimit::new(counters.clone(), "auth", rate);
    let limit = make(Some(rate(30, 60, 2)));
    let from = |text: &str| at_once(limit.take(text.parse().unwrap()));
    assert!(from("2001:db8::1").is_ok());
    assert!(from("2001:db8::2").is_ok());
    let refusal = from("2001:db8::3").unwrap_err();
    assert_eq!(
        (refusal.code(), refusal.limit()),
        (Code::RateLimited, Some("auth"))
    );
    assert_eq!(
        refusal.headers()[0],
        (header::RETRY_AFTER, "2".parse().unwrap())
    );
    assert!(from("2001:db8:1::1").is_ok());
    hands.advance(Duration::from_secs(2));
    assert!(from("2001:db8::3").is_ok());
    assert!(from("2001:db8::3").is_err());
    let unlimited = make(None);
    assert!((0..100).all(|_| at_once(unlimited.take("2001:db8::3".parse().unwrap())).is_ok()));
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let seconds = prop::sample::select(vec![1, 60, 3600]);
    (1..200_u32, seconds, 1..20_u32).prop_map(|(count, s, burst)| rate(count, s, burst))
}

proptest! {
    #[test]
    fn who_waits_as_told_is_not_refused_again(
        rates in prop::collection::vec((any_rate(), 1..4_u32, any::<bool>()), 1..5),
        pauses in prop::collection::vec(0..2_000_000_000_u64, 1..60),
    ) {
        let limits = rates.iter().enumerate().map(|(index, (rate, cost, is_early))| Limit {
            cost: NonZeroU32::new(*cost).unwrap(),
            ..limit(&index.to_string(), if *is_early { LimitKey::Ip } else { LimitKey::User }, *rate)
        });
        let gateway = Gateway::of_routes(vec![route("a", Some(limits.collect()))]);
        let caller = user(1, "free");
        for pause in pauses {
            gateway.hands.advance(Duration::from_nanos(pause));
            let Err(refusal) = gateway.ask(&at("/a"), &caller) else {
                continue;
            };
            let told = refusal.headers().iter().find(|(name, _)| name == header::RETRY_AFTER);
            let seconds: u64 = told.unwrap().1.to_str().unwrap().parse().unwrap();
            prop_assert!(seconds > 0);
            gateway.hands.advance(Duration::from_secs(seconds));
            prop_assert!(gateway.ask(&at("/a"), &caller).is_ok());
        }
    }
}

#[test]
fn made_up_header_values_leave_room_for_addresses() {
    let by_header = LimitKey::Header(HeaderName::from_static("x-org"));
    let gateway = Gateway::of_routes(vec![
        route("a", Some(vec![limit("x", by_header, only(1))])),
        route("b", Some(vec![limit("x", LimitKey::Ip, only(1))])),
    ]);
    for number in 0..5000 {
        let value = number.to_string();
        let asked = Asked {
            header: Some(("X-Org", &value)),
            ..at("/a")
        };
        let _ = gateway.ask(&asked, &ANYONE);
    }
    for number in 0..100 {
        let from = format!("192.0.2.{number}");
        let asked = Asked {
            from: &from,
            ..at("/b")
        };
        assert!(gateway.ask(&asked, &ANYONE).is_ok(), "{from}");
    }
}

#[test]
fn who_finds_no_seat_is_charged_by_no_limit_and_who_is_limited_takes_no_seat() {
    let mut capped = route(
        "a",
        Some(vec![
            limit("ip", LimitKey::Ip, only(10)),
            limit("user", LimitKey::User, only(3)),
        ]),
    );
    capped.concurrency = Some(Concurrency {
        key: LimitKey::User,
        max: NonZeroU32::new(2).unwrap(),
    });
    let mut gateway = Gateway::of_routes(vec![capped.clone()]);
    let alice = user(1, "free");
    let one = gateway.ask(&at("/a"), &alice).unwrap();
    let two = gateway.ask(&at("/a"), &alice).unwrap();
    for _ in 0..20 {
        let refusal = gateway.ask(&at("/a"), &alice).unwrap_err();
        assert_eq!(refusal.code(), Code::TooManyConcurrent);
        assert_eq!(refusal.limit(), Some("concurrency"));
    }
    let other = gateway.ask(&at("/a"), &user(2, "free")).unwrap();
    let mut headers = HeaderMap::new();
    other.write_headers(&gateway.limits, &mut headers);
    let standing = headers["ratelimit"].to_str().unwrap();
    assert!(standing.starts_with("\"ip\";r=7;"), "{standing}");
    drop(one);
    drop(gateway.ask(&at("/a"), &alice).unwrap());
    // The quota is used up: its refusals leave the seat for when it is not.
    for _ in 0..20 {
        let refusal = gateway.ask(&at("/a"), &alice).unwrap_err();
        assert_eq!(refusal.code(), Code::RateLimited);
    }
    gateway.hands.advance(Duration::from_secs(86_400));
    let three = gateway.ask(&at("/a"), &alice).unwrap();
    // What is under way counts on after a reload, under the new cap.
    capped.concurrency = Some(Concurrency {
        key: LimitKey::User,
        max: NonZeroU32::new(1).unwrap(),
    });
    gateway.hands.advance(Duration::from_secs(86_400));
    gateway.reload(&sample::config(vec![capped]));
    drop(two);
    assert!(gateway.ask(&at("/a"), &alice).is_err());
    drop(three);
    assert!(gateway.ask(&at("/a"), &alice).is_ok());
}

#[test]
fn seats_go_by_whatever_key_limits_go_by() {
    let capped = |name: &str, key| Route {
        concurrency: Some(Concurrency {
            key,
            max: NonZeroU32::MIN,
        }),
        ..route(name, Some(Vec::new()))
    };
    let gateway = Gateway::of_routes(vec![
        capped("route", LimitKey::Route),
        capped("ip", LimitKey::Ip),
        capped("header", LimitKey::Header(HeaderName::from_static("x-org"))),
        capped("claim", LimitKey::Claim("tier".into())),
    ]);
    let (free, pro, anyone) = (user(1, "free"), user(2, "pro"), ANYONE);
    let elsewhere = |path| Asked {
        from: "192.0.2.2",
        ..at(path)
    };
    let of = |org| Asked {
        header: Some(("x-org", org)),
        ..at("/header")
    };
    for (first, second, is_one) in [
        ((at("/route"), &free), (elsewhere("/route"), &anyone), true),
        ((at("/route"), &free), (at("/ip"), &free), false),
        ((at("/ip"), &free), (at("/ip"), &pro), true),
        ((at("/ip"), &free), (elsewhere("/ip"), &free), false),
        ((of("acme"), &free), (of("acme"), &pro), true),
        ((of("acme"), &free), (of("other"), &free), false),
        (
            (at("/claim"), &free),
            (at("/claim"), &user(3, "free")),
            true,
        ),
        ((at("/claim"), &free), (at("/claim"), &pro), false),
        ((at("/claim"), &free), (at("/claim"), &anyone), false),
    ] {
        let held = gateway.ask(&first.0, first.1).unwrap();
        let other = gateway.ask(&second.0, second.1);
        assert_eq!(other.is_err(), is_one, "{} {:?}", second.0.path, second.1);
        drop(held);
    }
}
