//! The limits of a route.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;

use super::super::checked::{AuthMode, Concurrency, Limit, LimitKey, Rate};
use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, shown};
use super::super::raw::{RawConcurrency, RawLimit};
use super::names::Names;
use super::{check_name, claim, quota};

pub fn limits(
    list: &[At<RawLimit>],
    auth: Option<AuthMode>,
    names: &Names<'_>,
    findings: &mut Findings,
) -> Vec<Limit> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for At { value: raw, .. } in list {
        if let Some(name) = raw.name.given() {
            check_name(name, "a limit", findings);
            if !seen.insert(&name.value) {
                let message = format!(
                    "two limits of this route have the name {}",
                    shown(&name.value)
                );
                findings
                    .error(name.span, message)
                    .hint("give each a name of its own");
            }
        }
        if let (Some(span), Some(AuthMode::None)) = (raw.tiers.span(), auth) {
            findings
                .error(span, "`tiers` has no effect with `auth: none`")
                .hint("without authentication nobody is known: write `auth: required`");
        }
        all.push(limit(raw, names, findings));
    }
    all
}

/// `None` also when it is not as it should be.
pub fn concurrency(raw: &Field<RawConcurrency>, findings: &mut Findings) -> Option<Concurrency> {
    let raw = raw.get()?;
    let key = key(&raw.key, findings);
    Some(Concurrency {
        key,
        max: raw.max.copied()?,
    })
}

fn key(raw: &Field<LimitKey>, findings: &mut Findings) -> LimitKey {
    if let Some(At {
        value: LimitKey::Claim(name),
        span,
    }) = raw.given()
    {
        claim::is_told(name, *span, findings);
    }
    raw.get().cloned().unwrap_or(LimitKey::User)
}

fn limit(raw: &RawLimit, names: &Names<'_>, findings: &mut Findings) -> Limit {
    let key = key(&raw.key, findings);
    if let Some(span) = raw.tiers.span()
        && key.is_early()
    {
        findings
            .error(
                span,
                "quotas by tier need `key: user`, `api_key` or `claim:NAME`",
            )
            .hint("other limits are charged before it is known who calls");
    }
    let rate = quota::rate(&raw.rate, &raw.burst, findings);
    check_cost(raw, rate, None, findings);
    let mut tiers = BTreeMap::new();
    for (name, quota) in raw.tiers.get().map_or(&[][..], |named| &named.0) {
        names.tier(name, findings);
        if let Some(quota) = quota.get() {
            let rate = quota::limited(&quota.rate, &quota.burst, findings);
            check_cost(raw, rate, Some(&name.value), findings);
            tiers.insert(name.value.clone(), rate);
        }
    }
    Limit {
        name: raw.name.get().cloned().unwrap_or_default(),
        key,
        rate,
        tiers,
        cost: raw.cost.copied().unwrap_or(NonZeroU32::MIN),
        mode: raw.mode.copied().unwrap_or_default(),
    }
}

fn check_cost(raw: &RawLimit, rate: Option<Rate>, tier: Option<&str>, findings: &mut Findings) {
    if let (Some(cost), Some(rate)) = (raw.cost.given(), rate)
        && cost.value > rate.burst
    {
        let whose = tier.map_or(String::new(), |t| format!(" of the tier {}", shown(t)));
        let message = format!(
            "a request costs {}, and the burst{whose} is {}: none would ever pass",
            cost.value, rate.burst
        );
        findings
            .error(cost.span, message)
            .hint("raise `burst`, or lower `cost`");
    }
}
