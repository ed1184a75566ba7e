//! Rates with their bursts, and the tiers that have them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::super::checked::{Rate, Tier};
use super::super::decode::{At, Field, Named};
use super::super::diagnose::Findings;
use super::super::raw::RawTier;
use super::super::units::Pace;
use super::check_name;

/// The tier that new accounts get where the file declares none.
pub const BUILT_IN: &str = "free";

/// The quota of a rate and a burst; `None` is unlimited. A burst is the rate's count unless given.
pub fn rate(
    rate: &Field<Pace>,
    burst: &Field<NonZeroU32>,
    findings: &mut Findings,
) -> Option<Rate> {
    match rate {
        Field::Given(pace) => limited(pace, burst, findings),
        Field::Absent => {
            refuse_burst(burst, findings);
            None
        }
        Field::Invalid => None,
    }
}

pub fn limited(
    pace: &At<Pace>,
    burst: &Field<NonZeroU32>,
    findings: &mut Findings,
) -> Option<Rate> {
    match pace.value {
        Pace::Unlimited => {
            refuse_burst(burst, findings);
            None
        }
        Pace::Per { count, period } => {
            let rate = Rate {
                count,
                period,
                burst: burst.copied().unwrap_or(count),
            };
            if !rate.is_countable() {
                let message = format!(
                    "a burst of {} takes too long to come back: no counter holds more than 833 days",
                    rate.burst
                );
                findings
                    .error(burst.span().unwrap_or(pace.span), message)
                    .hint("lower the burst, or raise the rate");
            }
            Some(rate)
        }
    }
}

fn refuse_burst(burst: &Field<NonZeroU32>, findings: &mut Findings) {
    if let Some(span) = burst.span() {
        findings
            .error(span, "a burst without a rate limits nothing")
            .hint("give a `rate` beside it, or remove the burst");
    }
}

/// The tiers of the file. Without any there is one, `free`, of rank 0 and without limit.
pub fn tiers(raw: &Field<Named<RawTier>>, findings: &mut Findings) -> BTreeMap<String, Tier> {
    let Some(At { value: named, span }) = raw.given() else {
        let tier = Tier {
            rank: 0,
            rate: None,
        };
        return BTreeMap::from([(BUILT_IN.to_owned(), tier)]);
    };
    if named.0.is_empty() {
        findings
            .error(*span, "no tier is declared here")
            .hint("declare one, or remove the key: then there is `free`, without limit");
    }
    let mut tiers = BTreeMap::new();
    for (name, tier) in &named.0 {
        check_name(name, "a tier", findings);
        let tier = match tier.get() {
            Some(tier) => Tier {
                rank: tier.rank.copied().unwrap_or(0),
                rate: rate(&tier.rate, &tier.burst, findings),
            },
            None => Tier {
                rank: 0,
                rate: None,
            },
        };
        tiers.insert(name.value.clone(), tier);
    }
    tiers
}
