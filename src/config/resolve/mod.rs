//! From raw to checked: names are looked up, values compared with one another, defaults filled in.
//!
//! When something is wrong these functions report it and go on with a stand-in, so that one run
//! finds everything; the result counts only if nothing was reported.

mod address;
mod admin;
mod always;
mod anybody;
mod anywhere;
mod assertion;
mod auth;
mod claim;
mod cookie;
mod cors;
mod exceptions;
mod headers;
mod limit;
mod lockout;
mod match_headers;
mod methods;
mod names;
mod owner;
mod password;
pub(super) mod pattern;
mod quota;
mod renewable;
mod rewrite;
mod route;
mod rule;
mod secret;
mod shadow;
mod shared;
mod signing;
mod spelling;
mod store;
mod ties;
mod unused_tiers;
mod upstream;
mod users;
mod vouched;

pub use exceptions::warn as warn_of_exceptions;
pub use methods::METHODS;
pub use quota::rate;
pub use route::route_span;

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::checked::{
    AccessLog, Auth, Config, Identity, LimitsHeaders, Listen, Log, Preset, UserId,
};
use super::decode::{At, Field};
use super::diagnose::{Findings, shown};
use super::raw::{LimitsHeader, MOST_WORKERS, RawConfig, RawListen, RawLog, Workers};
use super::text::is_name;

/// hyper reads at least this much at once.
const SMALLEST_HEAD: u64 = 8 * 1024;
const LARGEST_HEAD: u64 = 1024 * 1024;

/// `dir` is where relative paths begin.
pub fn resolve(raw: &RawConfig, dir: &Path, findings: &mut Findings) -> Config {
    if let Some(version) = raw.version.given()
        && version.value != 1
    {
        let message = format!("version {} is not known", version.value);
        findings
            .error(version.span, message)
            .hint("this program reads `version: 1`");
    }
    let tiers = quota::tiers(&raw.tiers, findings);
    let upstreams = upstream::upstreams(&raw.upstreams, findings);
    let cors = cors::cors(&raw.cors, findings);
    let auth = auth::auth(raw, &tiers, dir, findings);
    let names = names::Names::new(raw, &tiers, &auth, cors.clone());
    let routes = route::routes(&raw.routes, &names, findings);
    upstream::warn_of_unused(&raw.upstreams, &raw.routes, findings);
    let listen = listen(&raw.listen, findings);
    let admin = admin::admin(raw, &listen, dir, findings);
    upstream::refuse_loops(&raw.upstreams, &listen, &admin, findings);
    let store = store::store(raw, dir, findings);
    store::check_keys(raw, &store, findings);
    renewable::warn(&raw.routes, &routes, &auth, findings);
    unused_tiers::warn(&raw.tiers, &tiers, &auth.default_tier, &routes, findings);
    Config {
        admin,
        listen,
        workers: workers(&raw.workers, findings),
        trusted_proxies: address::trusted_proxies(&raw.trusted_proxies, findings),
        shutdown_grace: raw
            .shutdown
            .get()
            .and_then(|s| s.grace.copied())
            .unwrap_or(Duration::from_secs(30)),
        store,
        redis: shared::shared(&raw.shared, dir, findings),
        identity: identity(raw, &auth, findings),
        auth,
        anonymous: raw
            .anonymous
            .get()
            .and_then(|q| quota::rate(&q.rate, &q.burst, findings)),
        upstreams,
        cors,
        routes,
        max_header: max_header(raw, findings),
        limits_headers: limits_headers(raw),
        log: log(&raw.log),
        tiers,
    }
}

fn listen(
    raw: &Field<super::decode::AtLeastOne<RawListen>>,
    findings: &mut Findings,
) -> Vec<Listen> {
    let Some(items) = raw.get() else {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080));
        return vec![Listen { address }];
    };
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for address in items.0.iter().filter_map(|item| item.value.address.given()) {
        if address.value.port() != 0 && !seen.insert(address.value) {
            let message = format!("`{}` is listened on twice", address.value);
            findings.error(address.span, message);
        }
        all.push(Listen {
            address: address.value,
        });
    }
    all
}

fn workers(raw: &Field<Workers>, findings: &mut Findings) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    match raw.given() {
        None => cores(),
        Some(At {
            value: Workers::Auto,
            ..
        }) => cores(),
        Some(At {
            value: Workers::Count(count),
            span,
        }) => {
            if !(1..=MOST_WORKERS).contains(count) {
                let message = format!("expected 1 to {MOST_WORKERS} threads, found {count}");
                findings
                    .error(*span, message)
                    .hint("`auto` takes one for each core");
            }
            usize::try_from(*count).unwrap_or(1)
        }
    }
}

fn identity(config: &RawConfig, auth: &Auth, findings: &mut Findings) -> Identity {
    let raw = config.identity.get();
    Identity {
        headers: raw.map_or_else(Vec::new, |i| {
            headers::identity(&i.headers, &headers::Taken::of(config), findings)
        }),
        assertion: raw.and_then(|i| {
            let taken = headers::Taken::of(config);
            assertion::assertion(&i.assertion, taken, auth, &config.upstreams, findings)
        }),
        user_id: raw.and_then(|i| i.user_id.copied()).unwrap_or(UserId::Id),
        preset: raw.and_then(|i| i.preset.copied()).unwrap_or(Preset::XUser),
        forward_authorization: raw
            .and_then(|i| i.forward_authorization.copied())
            .unwrap_or(false),
    }
}

fn max_header(raw: &RawConfig, findings: &mut Findings) -> usize {
    let Some(At { value, span }) = raw.max_header.given() else {
        return 32 * 1024;
    };
    if !(SMALLEST_HEAD..=LARGEST_HEAD).contains(&value.0) {
        let message = format!("expected `8KiB` to `1MiB`, found {} bytes", value.0);
        findings.error(*span, message);
    }
    usize::try_from(value.0).unwrap_or(usize::MAX)
}

fn limits_headers(raw: &RawConfig) -> LimitsHeaders {
    let has = |which| match raw.limits_headers.get() {
        None => true,
        Some(list) => list.iter().any(|at| at.value == which),
    };
    LimitsHeaders {
        ietf: has(LimitsHeader::Ietf),
        legacy: has(LimitsHeader::Legacy),
    }
}

fn log(raw: &Field<RawLog>) -> Log {
    let raw = raw.get();
    Log {
        access: raw
            .and_then(|l| l.access.copied())
            .unwrap_or(AccessLog::Json),
        level: raw
            .and_then(|l| l.level.copied())
            .map_or("info", |level| level.0)
            .to_owned(),
    }
}

/// A duration that may not be zero.
fn positive(field: &Field<Duration>, default: Duration, findings: &mut Findings) -> Duration {
    let Some(At { value, span }) = field.given() else {
        return default;
    };
    if value.is_zero() {
        findings.error(*span, "expected a duration longer than 0");
    }
    *value
}

/// Whether a name can stand in headers, labels and logs as it is; reports when it cannot.
fn check_name(name: &At<String>, what: &str, findings: &mut Findings) {
    let text = name.value.as_str();
    if !is_name(text) {
        let message = format!("{} cannot be the name of {what}", shown(text));
        findings
            .error(name.span, message)
            .hint("a name has 1 to 64 of `A-Z a-z 0-9 - _ .`, and is not `.` or `..`");
    }
}
