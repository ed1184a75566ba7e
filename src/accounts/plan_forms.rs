//! Tiers and limit rules as they are asked for, and whether what is asked for can be.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::settings::Settings;
use super::store::{Quota, RuleValues, Target, TierValues};
use crate::config::text;
use crate::request::FieldError;
use crate::request::schema::{asked, number_in, number_or_null, text_or_null};

const LARGEST_LIMIT: i64 = 1_000_000_000;
/// A year, in seconds.
const LONGEST_PERIOD: i64 = 31_536_000;

const NAME: &str = "must have 1 to 64 of the characters A-Z a-z 0-9 - _ . and not be . or ..";
const REQUIRED: &str = "is required";

/// A tier, or a change to one: what is not given stays as it was. An inner `None` takes a value away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TierForm {
    pub name: Option<String>,
    pub rank: Option<i64>,
    /// Such as `100/min`.
    pub rate: Option<Option<String>>,
    pub burst: Option<Option<i64>>,
}

/// A limit rule, or a change to one: what is not given stays as it was. An inner `None` takes a value
/// away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleForm {
    pub name: Option<String>,
    pub route: Option<Option<String>>,
    pub path: Option<Option<String>>,
    pub method: Option<Option<String>>,
    pub limit: Option<i64>,
    /// Seconds.
    pub period: Option<i64>,
    pub burst: Option<Option<i64>>,
    /// Colons may stand in the name, as in those of the projects whose paths are served too.
    pub allows_colons: bool,
}

/// Collects all that is wrong.
#[derive(Default)]
struct Wrong(Vec<FieldError>);

impl Wrong {
    fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            message: message.into().into(),
        });
    }

    fn name(
        &mut self,
        given: Option<&String>,
        before: Option<&String>,
        is_name: impl Fn(&str) -> bool,
    ) -> String {
        match given {
            Some(name) if !is_name(name) => self.add("name", NAME),
            None if before.is_none() => self.add("name", REQUIRED),
            _ => {}
        }
        given.or(before).cloned().unwrap_or_default()
    }

    /// A number of at least one and at most `most`.
    fn number(&mut self, field: &'static str, number: i64, most: i64) -> NonZeroU32 {
        if !(1..=most).contains(&number) {
            self.add(field, format!("must be a whole number from 1 to {most}"));
        }
        let number = u32::try_from(number).ok().and_then(NonZeroU32::new);
        number.unwrap_or(NonZeroU32::MIN)
    }

    fn required(
        &mut self,
        field: &'static str,
        given: Option<i64>,
        before: Option<NonZeroU32>,
        most: i64,
    ) -> NonZeroU32 {
        match (given, before) {
            (Some(number), _) => self.number(field, number, most),
            (None, Some(before)) => before,
            (None, None) => {
                self.add(field, REQUIRED);
                NonZeroU32::MIN
            }
        }
    }

    fn burst(
        &mut self,
        given: Option<Option<i64>>,
        before: Option<NonZeroU32>,
    ) -> Option<NonZeroU32> {
        match given {
            Some(given) => given.map(|burst| self.number("burst", burst, LARGEST_LIMIT)),
            None => before,
        }
    }

    /// What no counter holds would be cut when it is counted.
    fn countable(&mut self, quota: Quota) -> Quota {
        if !quota.rate().is_countable() {
            self.add("burst", "must come back within 833 days at this rate");
        }
        quota
    }

    fn or<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self.0)
        }
    }
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

impl RuleForm {
    /// A rule to be made, or a change to one.
    pub fn schema(is_new: bool) -> Value {
        let properties = json!({
            "name": name_schema(),
            "route": text_or_null(),
            "path": text_or_null(),
            "method": text_or_null(),
            "limit": number_in(1, LARGEST_LIMIT),
            "period": number_in(1, LONGEST_PERIOD),
            "burst": number_or_null(1, LARGEST_LIMIT),
        });
        let required = ["name", "limit", "period"];
        asked(if is_new { &required } else { &[] }, properties)
    }

    /// The rule that is asked for, or everything that is wrong with it.
    pub(super) fn check(
        &self,
        before: Option<&RuleValues>,
        settings: &Settings,
    ) -> Result<RuleValues, Vec<FieldError>> {
        let mut wrong = Wrong::default();
        let name = wrong.name(
            self.name.as_ref(),
            before.map(|rule| &rule.name),
            |name| match self.allows_colons {
                true => text::is_name(&name.replace(':', "-")),
                false => text::is_name(name),
            },
        );
        let target = self.target(before.map(|rule| &rule.target), &mut wrong);
        match &target {
            Some(Target::Route(route)) => match settings.routes.get(route) {
                None => wrong.add("route", "is not the name of a route of gateway.yaml"),
                Some(early) if early.contains(&name) => wrong.add(
                    "name",
                    "is that of a limit of the route that is charged before it is known who calls",
                ),
                Some(_) => {}
            },
            Some(Target::Path(path, method)) => check_path(path, method.as_deref(), &mut wrong),
            None => {}
        }
        let quota = before.map(|rule| rule.quota);
        let count = quota.map(|quota| quota.count);
        let count = wrong.required("limit", self.limit, count, LARGEST_LIMIT);
        let seconds = quota.map(|quota| quota.seconds);
        let seconds = wrong.required("period", self.period, seconds, LONGEST_PERIOD);
        let burst = wrong.burst(self.burst, quota.and_then(|quota| quota.burst));
        let quota = wrong.countable(Quota {
            count,
            seconds,
            burst,
        });
        wrong.or(RuleValues {
            name,
            target: target.unwrap_or(Target::Route(String::new())),
            quota,
        })
    }

    /// A route that is given takes the place of a path, and the other way round.
    fn target(&self, before: Option<&Target>, wrong: &mut Wrong) -> Option<Target> {
        let given = |member: &Option<Option<String>>| member.clone().flatten();
        let (mut route, mut path, mut method) =
            (given(&self.route), given(&self.path), given(&self.method));
        match before {
            Some(Target::Route(old)) if self.route.is_none() && path.is_none() => {
                route = Some(old.clone());
            }
            Some(Target::Path(old_path, old_method)) if route.is_none() => {
                if self.path.is_none() {
                    path = Some(old_path.clone());
                }
                if self.method.is_none() {
                    method.clone_from(old_method);
                }
            }
            _ => {}
        }
        match (route, path) {
            (Some(_), Some(_)) => {
                wrong.add("path", "is not given together with a route");
                None
            }
            (None, None) => {
                wrong.add("route", "is required, or a path");
                None
            }
            (Some(route), None) => {
                if method.is_some() {
                    wrong.add("method", "goes with a path, not with a route");
                }
                Some(Target::Route(route))
            }
            (None, Some(path)) => Some(Target::Path(path, method)),
        }
    }
}

fn name_schema() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "not": { "enum": [".", ".."] } })
}

fn check_path(path: &str, method: Option<&str>, wrong: &mut Wrong) {
    if path.len() > text::LONGEST_PATH {
        wrong.add(
            "path",
            format!("must have at most {} characters", text::LONGEST_PATH),
        );
    } else if let Err(message) = text::path(path) {
        wrong.add("path", format!("is not taken: {message}"));
    }
    if method.is_some_and(|method| text::method(method).is_none()) {
        wrong.add("method", "must be a method in capitals, such as GET");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(wrong: &[FieldError]) -> Vec<&str> {
        wrong.iter().map(|error| &*error.field).collect()
    }

    fn settings() -> Settings {
        let folder = std::path::Path::new("");
        let mut settings = Settings::of(&crate::accounts::testing::config(folder));
        let early = std::collections::BTreeSet::from(["by-ip".to_owned()]);
        settings.routes = [("app".to_owned(), early)].into();
        settings
    }

    fn text_of(text: &str) -> Option<Option<String>> {
        Some(Some(text.into()))
    }

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
    fn everything_wrong_with_a_rule_is_told_at_once() {
        let wrong = RuleForm::default().check(None, &settings()).unwrap_err();
        assert_eq!(fields(&wrong), ["name", "route", "limit", "period"]);
        let form = RuleForm {
            name: Some(String::new()),
            route: text_of("gone"),
            method: text_of("GET"),
            limit: Some(0),
            period: Some(LONGEST_PERIOD + 1),
            burst: Some(Some(-1)),
            ..RuleForm::default()
        };
        let wrong = form.check(None, &settings()).unwrap_err();
        assert_eq!(
            fields(&wrong),
            ["name", "method", "route", "limit", "period", "burst"]
        );
        let form = RuleForm {
            name: Some("x".into()),
            path: text_of("no/slash"),
            method: text_of("get"),
            limit: Some(LARGEST_LIMIT + 1),
            period: Some(1),
            ..RuleForm::default()
        };
        let wrong = form.check(None, &settings()).unwrap_err();
        assert_eq!(fields(&wrong), ["path", "method", "limit"]);
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
        let rule = |burst| RuleForm {
            name: Some("x".into()),
            route: text_of("app"),
            limit: Some(1),
            period: Some(LONGEST_PERIOD),
            burst: Some(Some(burst)),
            ..RuleForm::default()
        };
        assert!(rule(2).check(None, &settings()).is_ok());
        let wrong = rule(3).check(None, &settings()).unwrap_err();
        assert_eq!(fields(&wrong), ["burst"]);
    }

    #[test]
    fn a_rule_cant_replace_a_limit_that_does_not_know_the_caller() {
        let form = RuleForm {
            name: Some("by-ip".into()),
            route: text_of("app"),
            limit: Some(1),
            period: Some(1),
            ..RuleForm::default()
        };
        let wrong = form.check(None, &settings()).unwrap_err();
        assert_eq!(fields(&wrong), ["name"]);
    }

    #[test]
    fn a_rule_goes_from_a_route_to_a_path_and_back() {
        let settings = settings();
        let rule = RuleForm {
            name: Some("x".into()),
            route: text_of("app"),
            limit: Some(1),
            period: Some(1),
            ..RuleForm::default()
        };
        let rule = rule.check(None, &settings).unwrap();
        let to_path = RuleForm {
            path: text_of("/a/{b}"),
            method: text_of("GET"),
            ..RuleForm::default()
        };
        let on_path = to_path.check(Some(&rule), &settings).unwrap();
        let target = Target::Path("/a/{b}".into(), Some("GET".into()));
        assert_eq!(on_path.target, target);
        let limit = RuleForm {
            limit: Some(5),
            ..RuleForm::default()
        };
        assert_eq!(
            limit.check(Some(&on_path), &settings).unwrap().target,
            target
        );
        let to_route = RuleForm {
            route: text_of("app"),
            ..RuleForm::default()
        };
        let back = to_route.check(Some(&on_path), &settings).unwrap();
        assert_eq!(back.target, Target::Route("app".into()));
        let neither = RuleForm {
            route: Some(None),
            ..RuleForm::default()
        };
        let wrong = neither.check(Some(&back), &settings).unwrap_err();
        assert_eq!(fields(&wrong), ["route"]);
    }
}
