//! A limit rule as it is asked for.

use serde_json::{Value, json};

use super::super::settings::Settings;
use super::super::store::{Quota, RuleValues, Target};
use super::{LARGEST_LIMIT, Wrong, name_schema};
use crate::config::text;
use crate::request::FieldError;
use crate::request::schema::{asked, number_in, number_or_null, text_or_null};

/// A year, in seconds.
const LONGEST_PERIOD: i64 = 31_536_000;

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
    pub(in crate::accounts) fn check(
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
    use super::super::testing::{fields, text_of};
    use super::*;

    fn settings() -> Settings {
        let folder = std::path::Path::new("");
        let mut settings = Settings::of(&crate::accounts::testing::config(folder));
        let early = std::collections::BTreeSet::from(["by-ip".to_owned()]);
        settings.routes = [("app".to_owned(), early)].into();
        settings
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
