//! `auth`, with its defaults. The whole section may be left out.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use http::{HeaderName, Uri};

use super::super::checked::{
    ApiKeys, Auth, Compat, Cookie, Delivery, Docs, Group, PasswordHash, PasswordPolicy, Pattern,
    Rate, RefreshToken, Registration, SameSite, Tier, UsernameReuse,
};
use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, shown};
use super::super::field_names;
use super::super::raw::{RawApiKeys, RawAuth, RawConfig, RawCookie, RawPassword};
use super::super::units::Pace;
use super::{lockout, names, pattern, positive, quota, secret, signing, users};

const DEFAULT_BASE_PATH: &str = "/api/v1";
const DEFAULT_ISSUER: &str = "http://localhost:8080";
/// Clocks that are further apart than this want setting, not tolerating.
const LARGEST_LEEWAY: Duration = Duration::from_secs(600);
/// bcrypt reads no more bytes than this, so no password is longer.
const LONGEST_PASSWORD: u64 = 72;
/// Below this a stolen hash is cheap to try passwords on.
const LOW_BCRYPT_COST: u32 = 10;
/// Above this a login takes seconds.
const HIGH_BCRYPT_COST: u32 = 16;

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
        cookie: cookie(&raw.cookie, &base_path, findings),
        signing: signing::signing(&raw.signing, dir, findings),
        master_key: secret::MASTER.read(&raw.master_key, &raw.master_key_file, dir, findings),
        password: password(&raw.password, findings),
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

fn cookie(raw: &Field<RawCookie>, base_path: &str, findings: &mut Findings) -> Cookie {
    let none = RawCookie::default();
    let whole = raw.span();
    let raw = raw.get().unwrap_or(&none);
    let cookie = Cookie {
        name: raw
            .name
            .get()
            .map_or("refresh_token", String::as_str)
            .to_owned(),
        secure: raw.secure.copied().unwrap_or(true),
        same_site: raw.same_site.copied().unwrap_or(SameSite::Lax),
        path: raw.path.get().map_or(base_path, String::as_str).to_owned(),
        domain: raw.domain.get().cloned().flatten(),
    };
    if cookie.same_site == SameSite::None && !cookie.secure {
        let span = raw.same_site.span().or(whole).unwrap_or_default();
        findings
            .error(span, "`same_site: none` needs `secure: true`")
            .hint("browsers drop such a cookie otherwise");
    }
    if let Some(name) = raw.name.given() {
        check_cookie_name(name, &cookie, findings);
    }
    if let Some(At { value, span }) = raw.path.given() {
        let is_fit = |c: char| (c.is_ascii_graphic() || c == ' ') && c != ';';
        if !value.starts_with('/') || !value.chars().all(is_fit) {
            let message = format!("{} is no path of a cookie", shown(value));
            findings
                .error(*span, message)
                .hint("it begins with `/` and has no `;`");
        } else if !is_sent_to(value, base_path) {
            let message =
                format!("browsers do not send the cookie to `{base_path}/refresh` with this path");
            findings
                .warn(*span, message)
                .hint(format!("leave `path` out: it is `{base_path}` then"));
        }
    }
    if let Some(At {
        value: Some(value),
        span,
    }) = raw.domain.given()
    {
        let is_fit = matches!(
            pattern::host(value.strip_prefix('.').unwrap_or(value)),
            Ok(super::super::checked::HostPattern::Exact(_))
        );
        if !is_fit {
            let message = format!("{} is no domain of a cookie", shown(value));
            findings
                .error(*span, message)
                .hint("for example `domain: example.com`");
        }
    }
    cookie
}

/// RFC 6265, 5.1.4, for every path below `base_path`.
fn is_sent_to(cookie_path: &str, base_path: &str) -> bool {
    base_path
        .strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'))
        || cookie_path.strip_suffix('/') == Some(base_path)
}

/// RFC 6265, 4.1.1: a token; and what browsers ask of the two prefixes.
fn check_cookie_name(name: &At<String>, cookie: &Cookie, findings: &mut Findings) {
    let text = name.value.as_str();
    let is_fit = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
    if text.is_empty() || !text.chars().all(is_fit) {
        let message = format!("{} is no name of a cookie", shown(text));
        findings
            .error(name.span, message)
            .hint("letters, digits, `-` and `_`");
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("__secure-") && !cookie.secure {
        findings.error(name.span, "a `__Secure-` cookie needs `secure: true`");
    }
    if lower.starts_with("__host-")
        && (!cookie.secure || cookie.path != "/" || cookie.domain.is_some())
    {
        findings
            .error(
                name.span,
                "a `__Host-` cookie needs `secure: true`, `path: /` and no `domain`",
            )
            .hint("browsers drop it otherwise");
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

fn password(raw: &Field<RawPassword>, findings: &mut Findings) -> PasswordPolicy {
    let none = RawPassword::default();
    let raw = raw.get().unwrap_or(&none);
    if let Some(At { value, span }) = raw.min_length.given()
        && !(1..=LONGEST_PASSWORD).contains(value)
    {
        let message = format!("expected 1 to {LONGEST_PASSWORD}, found {value}");
        findings
            .error(*span, message)
            .hint("bcrypt takes passwords of up to 72 bytes");
    }
    if let Some(At { value, span }) = raw.bcrypt_cost.given() {
        if !(4..=31).contains(value) {
            findings
                .error(*span, format!("expected 4 to 31, found {value}"))
                .hint("each step doubles the work: `12` is usual");
        } else if *value < LOW_BCRYPT_COST {
            findings
                .warn(
                    *span,
                    format!("a cost of {value} makes stolen hashes cheap to guess"),
                )
                .hint("`12` is usual, below `10` is for tests");
        } else if *value > HIGH_BCRYPT_COST {
            findings
                .warn(
                    *span,
                    format!("a cost of {value} makes every login take seconds of a core"),
                )
                .hint("each step doubles the work: `12` is usual");
        }
    }
    let hash = raw.hash.copied().unwrap_or(PasswordHash::Bcrypt);
    if let Some(span) = raw.bcrypt_cost.span()
        && hash != PasswordHash::Bcrypt
    {
        findings
            .warn(span, "`bcrypt_cost` is not used with `hash: argon2id`")
            .hint("remove one of the two");
    }
    let min_length = raw.min_length.copied().unwrap_or(8);
    PasswordPolicy {
        min_length: usize::try_from(min_length).unwrap_or(usize::MAX),
        complexity: raw.complexity.copied().unwrap_or(true),
        hash,
        bcrypt_cost: raw.bcrypt_cost.copied().unwrap_or(12),
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
