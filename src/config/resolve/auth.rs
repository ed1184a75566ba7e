//! `auth`, with its defaults. The whole section may be left out.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use http::{HeaderName, Uri};

use super::super::checked::{
    ApiKeys, Auth, Compat, Delivery, Docs, Group, Pattern, Rate, RefreshToken, Registration, Tier,
    UsernameReuse,
};
use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, shown};
use super::super::field_names;
use super::super::raw::{RawApiKeys, RawAuth, RawConfig};
use super::super::units::Pace;
use super::{cookie, lockout, names, password, pattern, positive, quota, secret, signing, users};

const DEFAULT_BASE_PATH: &str = "/api/v1";
const DEFAULT_ISSUER: &str = "http://localhost:8080";
/// Clocks that are further apart than this want setting, not tolerating.
const LARGEST_LEEWAY: Duration = Duration::from_secs(600);

/// `dir` is where relative paths begin.
pub fn auth(
    config: &RawConfig,
    tiers: &BTreeMap<String, Tier>,
    dir: &Path,
    findings: &mut Findings,
) -> Auth {
    let none = RawAuth::default();
    let raw = config.auth.get().unwrap_or(&none);
    let base_path = base_path(&raw.base_path, findings);
    let access = raw.access_token.get();
    let absent = Field::Absent;
    let ttl = access.map_or(&absent, |a| &a.ttl);
    let access_token_ttl = positive(ttl, Duration::from_secs(30 * 60), findings);
    Auth {
        issuer: issuer(&raw.issuer, findings),
        audience: audience(raw, findings),
        leeway: leeway(&raw.leeway, findings),
        keys_dir: dir.join(raw.keys_dir.get().map_or("keys", String::as_str)),
        rate: rate(&raw.rate, 30, findings),
        user_rate: rate(&raw.user_rate, 300, findings),
        introspect_rate: rate(&raw.introspect_rate, 6000, findings),
        failure_rate: rate(&raw.failure_rate, 300, findings),
        access_token_ttl,
        refresh_token: refresh_token(raw, access_token_ttl, findings),
        cookie: cookie::cookie(&raw.cookie, &base_path, findings),
        signing: signing::signing(&raw.signing, dir, findings),
        master_key: secret::MASTER.read(&raw.master_key, &raw.master_key_file, dir, findings),
        password: password::password(&raw.password, findings),
        registration: raw.registration.copied().unwrap_or(Registration::Closed),
        serve: serve(&raw.serve),
        docs: raw.docs.copied().unwrap_or(Docs::Open),
        username_reuse: raw.username_reuse.copied().unwrap_or(UsernameReuse::Never),
        default_tier: default_tier(config, raw, tiers, findings),
        lockout: lockout::lockout(&raw.lockout, findings),
        compat: compat(&raw.compat, findings),
        users: users::users(raw, dir, findings),
        api_keys: api_keys(&raw.api_keys, findings),
        base_path,
    }
}

/// Everything, unless the file says what.
fn serve(raw: &Field<Vec<At<Group>>>) -> Vec<Group> {
    match raw.get() {
        Some(groups) => groups.iter().map(|at| at.value).collect(),
        None => Group::ALL.to_vec(),
    }
}

/// A rate of the auth API, so many a minute unless the file says another. 30 sign-ins are enough for people
/// behind a shared address and little for guessing passwords; 300 bad tokens are what many a page sends
/// whose session has ended, and cost nothing much; 300 calls are more than a person makes, and few enough
/// that one account does no harm; and a backend may ask of a token at each of its requests.
fn rate(raw: &Field<Pace>, default: u32, findings: &mut Findings) -> Option<Rate> {
    if let Some(pace) = raw.given() {
        return quota::limited(pace, &Field::Absent, findings);
    }
    let count = NonZeroU32::new(default).unwrap_or(NonZeroU32::MIN);
    Some(Rate {
        count,
        period: Duration::from_secs(60),
        burst: count,
    })
}

fn base_path(raw: &Field<String>, findings: &mut Findings) -> String {
    let Some(At { value, span }) = raw.given() else {
        return DEFAULT_BASE_PATH.to_owned();
    };
    let fault = match pattern::prefix(value) {
        Ok(Pattern::Prefix(segments)) if segments.is_empty() => Some((
            "the auth API cannot take the whole of `/`".to_owned(),
            format!("for example `base_path: {DEFAULT_BASE_PATH}`"),
        )),
        Ok(_) => None,
        Err(fault) => Some((format!("not a base path: {}", fault.message), fault.hint)),
    };
    if let Some((message, hint)) = fault {
        findings.error(*span, message).hint(hint);
    }
    value.clone()
}

/// RFC 8414, 2: a URL without query and fragment. Clear text is for development.
fn issuer(raw: &Field<String>, findings: &mut Findings) -> String {
    let Some(At { value, span }) = raw.given() else {
        return DEFAULT_ISSUER.to_owned();
    };
    let uri = value.parse::<Uri>();
    let is_fit = uri.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
            && !value.contains(['#', '@'])
    });
    if !is_fit {
        let message = format!("expected an http or https URL, found {}", shown(value));
        findings
            .error(*span, message)
            .hint("where clients reach the gateway, for example `https://api.example.com`");
    }
    value.clone()
}

fn audience(raw: &RawAuth, findings: &mut Findings) -> Vec<String> {
    let Some(list) = raw.audience.get() else {
        return vec!["api".to_owned()];
    };
    for at in list.0.iter().filter(|at| at.value.trim().is_empty()) {
        findings.error(at.span, "an audience cannot be empty");
    }
    list.0.iter().map(|at| at.value.clone()).collect()
}

fn leeway(raw: &Field<Duration>, findings: &mut Findings) -> Duration {
    let Some(At { value, span }) = raw.given() else {
        return Duration::from_secs(30);
    };
    if *value > LARGEST_LEEWAY {
        findings
            .error(*span, "a leeway is at most `10m`")
            .hint("expired tokens are accepted for as long: `30s` is usual");
    }
    *value
}

fn refresh_token(
    raw: &RawAuth,
    access_token_ttl: Duration,
    findings: &mut Findings,
) -> RefreshToken {
    let access_span = raw.access_token.get().and_then(|a| a.ttl.span());
    let raw = raw.refresh_token.get();
    let absent = Field::Absent;
    let given = raw.map_or(&absent, |r| &r.ttl);
    let ttl = positive(given, Duration::from_secs(7 * 86_400), findings);
    if let Some(span) = given.span().or(access_span)
        && ttl <= access_token_ttl
    {
        findings
            .warn(
                span,
                "a refresh token does not outlive an access token: nobody can use it",
            )
            .hint("`access_token: { ttl: 30m }` and `refresh_token: { ttl: 7d }` are usual");
    }
    let grace = raw.and_then(|r| r.reuse_grace.given());
    if let Some(At { value, span }) = grace
        && *value >= ttl
    {
        findings
            .error(*span, "`reuse_grace` is not shorter than the token's `ttl`")
            .hint("a stolen token would never be noticed: `10s` covers tabs and retries");
    }
    RefreshToken {
        ttl,
        reuse_grace: grace.map_or(Duration::from_secs(10), |at| at.value),
        delivery: raw
            .and_then(|r| r.delivery.copied())
            .unwrap_or(Delivery::Cookie),
    }
}

fn api_keys(raw: &Field<RawApiKeys>, findings: &mut Findings) -> ApiKeys {
    let none = RawApiKeys::default();
    let raw = raw.get().unwrap_or(&none);
    let mut header = HeaderName::from_static(field_names::API_KEY);
    if let Some(At { value, span }) = raw.header.given() {
        match HeaderName::from_bytes(value.as_bytes()) {
            Ok(name) if field_names::is_in_use(name.as_str()) => {
                findings
                    .error(*span, format!("{} has another use", shown(value)))
                    .hint("a field of its own, for example `X-API-Key`");
            }
            Ok(name) => header = name,
            Err(_) => {
                findings
                    .error(*span, format!("{} is no name of a header", shown(value)))
                    .hint("for example `X-API-Key`");
            }
        }
    }
    ApiKeys {
        enabled: raw.enabled.copied().unwrap_or(true),
        header,
    }
}

fn compat(raw: &Field<Vec<At<Compat>>>, findings: &mut Findings) -> Vec<Compat> {
    let mut all = Vec::new();
    for At { value, span } in raw.get().map_or(&[][..], Vec::as_slice) {
        if all.contains(value) {
            findings.error(*span, "this stands here twice");
        } else {
            all.push(*value);
        }
    }
    all
}

fn default_tier(
    config: &RawConfig,
    raw: &RawAuth,
    tiers: &BTreeMap<String, Tier>,
    findings: &mut Findings,
) -> String {
    let name = raw
        .default_tier
        .get()
        .map_or(quota::BUILT_IN, String::as_str);
    let is_known = tiers.contains_key(name) || matches!(config.tiers, Field::Invalid);
    if !is_known && !tiers.is_empty() {
        let known = tiers.keys().map(String::as_str);
        if let Some(given) = raw.default_tier.given() {
            names::unknown("tier", given, known, findings);
        } else if let Some(span) = config.tiers.span() {
            let hint = format!(
                "declare it, or set `auth.default_tier` to {}",
                names::some_of(known)
            );
            findings
                .error(
                    span,
                    "new accounts get the tier `free`, which is not declared here",
                )
                .hint(hint);
        }
    }
    name.to_owned()
}
