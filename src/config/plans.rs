//! Tiers and limit rules as requests are decided by: those of the file and those that the store adds.

use std::collections::BTreeMap;

use http::Method;

use super::checked::{Config, Pattern, Rate, Tier};

/// All tiers by name, and the rules that change the limits of routes for one of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plans {
    pub tiers: BTreeMap<String, Tier>,
    pub rules: Vec<LimitRule>,
}

/// A quota by user for callers of a tier, in place of the limit of that name or beside the others.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitRule {
    pub tier: String,
    pub name: String,
    pub scope: RuleScope,
    pub rate: Rate,
}

/// Which requests a rule is about.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleScope {
    /// Those of the route of this name.
    Route(String),
    /// Those whose path matches, whatever their route.
    Path {
        template: String,
        pattern: Pattern,
        /// Every one when absent. HEAD counts as GET.
        method: Option<Method>,
    },
}

impl Plans {
    /// What the store holds under what the file says: a tier of both is the file's, and a rule acts
    /// for tiers that there are.
    pub fn under(&self, config: &Config) -> Plans {
        let mut tiers = self.tiers.clone();
        tiers.extend(config.tiers.clone());
        let rules = self.rules.iter();
        let rules = rules.filter(|rule| tiers.contains_key(&rule.tier));
        Plans {
            rules: rules.cloned().collect(),
            tiers,
        }
    }

    /// What of the store the file leaves without effect, as one would tell it.
    pub fn idle_under(&self, config: &Config) -> Vec<String> {
        let shadowed = self.tiers.keys().filter(|n| config.tiers.contains_key(*n));
        let shadowed = shadowed.map(|name| {
            format!("the tier `{name}` is in the file and in the store: the file's counts")
        });
        let has_route = |name: &String| config.routes.iter().any(|route| route.name == *name);
        let lost = self.rules.iter().filter_map(|rule| match &rule.scope {
            RuleScope::Route(route) if !has_route(route) => Some(format!(
                "the rule `{}` of the tier `{}` is for the route `{route}`, which the file does not have",
                rule.name, rule.tier
            )),
            _ => None,
        });
        shadowed.chain(lost).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    const FILE: &str = "version: 1\ntiers: { free: { rank: 1 } }\nupstreams: { app: { targets: http://a } }\n\
                        routes: [{ name: all, prefix: /, auth: none, upstream: app }]\n";

    fn rule(tier: &str, route: &str) -> LimitRule {
        LimitRule {
            tier: tier.into(),
            name: "x".into(),
            scope: RuleScope::Route(route.into()),
            rate: Rate {
                count: NonZeroU32::MIN,
                period: Duration::from_secs(1),
                burst: NonZeroU32::MIN,
            },
        }
    }

    #[test]
    fn the_file_wins_and_what_it_leaves_idle_is_told() {
        let file = crate::config::parse(FILE, Path::new("gateway.yaml"), &|_| None).unwrap();
        let tier = |rank| Tier { rank, rate: None };
        let stored = Plans {
            tiers: BTreeMap::from([("free".into(), tier(7)), ("gold".into(), tier(8))]),
            rules: vec![rule("free", "all"), rule("gold", "gone"), rule("no", "all")],
        };
        let plans = stored.under(&file.config);
        assert_eq!(plans.tiers["free"].rank, 1);
        assert_eq!(plans.tiers["gold"].rank, 8);
        let tiers: Vec<_> = plans.rules.iter().map(|rule| &rule.tier).collect();
        assert_eq!(tiers, ["free", "gold"]);
        let idle = stored.idle_under(&file.config);
        assert!(idle[0].contains("`free`"), "{idle:?}");
        assert!(idle[1].contains("`gone`"), "{idle:?}");
        assert_eq!(idle.len(), 2);
    }
}
