//! A tier as it is asked for.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::super::store::{Quota, TierValues};
use super::{LARGEST_LIMIT, Wrong, name_schema};
use crate::config::text;
use crate::request::FieldError;
use crate::request::schema::{asked, number_or_null, text_or_null};

/// A tier, or a change to one: what is not given stays as it was. An inner `None` takes a value away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TierForm {
    pub name: Option<String>,
    pub rank: Option<i64>,
    /// Such as `100/min`.
    pub rate: Option<Option<String>>,
    pub burst: Option<Option<i64>>,
}

impl TierForm {
    /// A tier to be made, or a change to one.
    pub fn schema(is_new: bool) -> Value {
        let properties = json!({
            "name": name_schema(),
            "rank": number_or_null(0, i64::from(u32::MAX)),
            "rate": text_or_null(),
            "burst": number_or_null(1, LARGEST_LIMIT),
        });
        asked(if is_new { &["name"] } else { &[] }, properties)
    }

    /// The tier that is asked for, or everything that is wrong with it.
    pub fn check(&self, before: Option<&TierValues>) -> Result<TierValues, Vec<FieldError>> {
        let mut wrong = Wrong::default();
        let name = wrong.name(
            self.name.as_ref(),
            before.map(|tier| &tier.name),
            text::is_name,
        );
        let rank = match self.rank {
            Some(rank) => u32::try_from(rank).unwrap_or_else(|_| {
                let message = format!("must be a whole number from 0 to {}", u32::MAX);
                wrong.add("rank", message);
                0
            }),
            None => before.map_or(0, |tier| tier.rank),
        };
        let quota_before = before.and_then(|tier| tier.quota);
        let mut is_readable = true;
        let pace = match &self.rate {
            None => quota_before.map(|quota| (quota.count, quota.seconds)),
            Some(None) => None,
            Some(Some(rate)) => match text::pace(rate) {
                Ok(pace) => pace.and_then(|(count, seconds)| {
                    let count = wrong.number("rate", i64::from(count), LARGEST_LIMIT);
                    let seconds = u32::try_from(seconds).ok().and_then(NonZeroU32::new)?;
                    Some((count, seconds))
                }),
                Err(message) => {
                    wrong.add("rate", format!("is not taken: {message}"));
                    is_readable = false;
                    None
                }
            },
        };
        let burst = wrong.burst(self.burst, quota_before.and_then(|quota| quota.burst));
        if pace.is_none() && is_readable && matches!(self.burst, Some(Some(_))) {
            wrong.add("burst", "without a rate limits nothing");
        }
        let quota = pace.map(|(count, seconds)| {
            wrong.countable(Quota {
                count,
                seconds,
                burst,
            })
        });
        wrong.or(TierValues { name, rank, quota })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fields, text_of};
    use super::*;

    #[test]
    fn a_tier_has_a_rank_and_no_rate_unless_told() {
        let form = TierForm {
            name: Some("gold".into()),
            ..TierForm::default()
        };
        let tier = form.check(None).unwrap();
        assert_eq!((tier.rank, tier.quota), (0, None));
        let form = TierForm {
            rate: text_of("5/min"),
            ..form
        };
        let tier = form.check(None).unwrap();
        let rate = tier.quota.unwrap().rate();
        assert_eq!((rate.count.get(), rate.burst.get()), (5, 5));
        assert_eq!(rate.period.as_secs(), 60);
    }

    #[test]
    fn a_change_leaves_what_is_not_given() {
        let before = TierForm {
            name: Some("gold".into()),
            rank: Some(3),
            rate: text_of("5/min"),
            burst: Some(Some(9)),
        };
        let before = before.check(None).unwrap();
        let change = TierForm {
            rate: text_of("7/h"),
            ..TierForm::default()
        };
        let after = change.check(Some(&before)).unwrap();
        let quota = after.quota.unwrap();
        assert_eq!(
            (after.rank, quota.count.get(), quota.burst().get()),
            (3, 7, 9)
        );
        let none = TierForm {
            rate: Some(None),
            ..TierForm::default()
        };
        assert_eq!(none.check(Some(&before)).unwrap().quota, None);
    }

    #[test]
    fn everything_wrong_with_a_tier_is_told_at_once() {
        let form = TierForm {
            name: Some("a b".into()),
            rank: Some(-1),
            rate: text_of("fast"),
            burst: Some(Some(0)),
        };
        let wrong = form.check(None).unwrap_err();
        assert_eq!(fields(&wrong), ["name", "rank", "rate", "burst"]);
        let burst_alone = TierForm {
            name: Some("a".into()),
            burst: Some(Some(3)),
            ..TierForm::default()
        };
        assert_eq!(fields(&burst_alone.check(None).unwrap_err()), ["burst"]);
        let too_fast = TierForm {
            name: Some("a".into()),
            rate: text_of("4000000000/s"),
            ..TierForm::default()
        };
        assert_eq!(fields(&too_fast.check(None).unwrap_err()), ["rate"]);
    }

    #[test]
    fn what_no_counter_holds_is_refused() {
        let tier = |rate: &str, burst| TierForm {
            name: Some("gold".into()),
            rate: text_of(rate),
            burst: Some(Some(burst)),
            ..TierForm::default()
        };
        let most = tier("1/d", 833).check(None).unwrap();
        assert_eq!(
            fields(&tier("1/d", 835).check(None).unwrap_err()),
            ["burst"]
        );
        // Also when it comes to that by a change of the rate alone.
        let slower = TierForm {
            rate: text_of("1/mo"),
            ..TierForm::default()
        };
        assert_eq!(fields(&slower.check(Some(&most)).unwrap_err()), ["burst"]);
    }
}
