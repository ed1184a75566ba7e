//! Why a route did not get a request, and why a rule let nobody pass.

use http::request::Parts;

use crate::authn::{Principal, User};
use crate::authz::{Key, Outcome};
use crate::config::Config;
use crate::config::checked::{Route, Rule};
use crate::policy::wording;
use crate::route::{self, Matched, Miss, Near};

/// The name of a route that did not get it, and why not. `is_taken`: another one did.
pub fn not_taken(near: &Near, is_taken: bool, config: &Config) -> (String, String) {
    let route = &config.routes[near.route];
    let misses = near.misses.iter().map(|miss| match miss {
        Miss::Host => "it is for other hosts",
        Miss::Path => "its path is another",
        Miss::Method => "it does not take the method",
        Miss::Headers => "it is for other headers",
    });
    let mut why = misses.collect::<Vec<_>>().join(", and ");
    if why.is_empty() {
        why = match is_taken {
            true => "it matches too, and the route that is taken is tighter".to_owned(),
            false => "readings of the path disagree about it".to_owned(),
        };
    }
    (
        route.name.clone(),
        format!("{why} ({})", wording::route(route)),
    )
}

/// A rule of a route and whom it was asked about.
pub struct Judged<'a> {
    pub config: &'a Config,
    pub route: &'a Route,
    pub rule: &'a Rule,
    pub matched: &'a Matched,
    pub head: &'a Parts,
    pub principal: &'a Principal,
}

impl Judged<'_> {
    /// The first key that does not hold, and why; `None` for a rule that does.
    pub fn why_fails(&self, outcome: Outcome) -> Option<(Key, String)> {
        let (key, why) = match outcome {
            Outcome::Holds => return None,
            Outcome::Fails(key) => (key, self.why_not(key)),
            Outcome::Untold(key, unknown) => {
                let wants = self.wants(key);
                (key, format!("{wants}, which has no value: {}", unknown.why))
            }
        };
        Some((key, why))
    }

    fn wants(&self, key: Key) -> String {
        let wants = wording::key(self.rule, key, self.config);
        wants.unwrap_or_else(|| key.as_str().to_owned())
    }

    /// What a key wants, and what there is instead.
    fn why_not(&self, key: Key) -> String {
        let Some(user) = self.principal.user() else {
            return "nobody is signed in".to_owned();
        };
        let wants = self.wants(key);
        let owner = self.rule.owner.as_ref().filter(|_| key == Key::Owner);
        let value = owner
            .and_then(|owner| route::parameter_index(&self.route.pattern, &owner.parameter))
            .and_then(|index| self.matched.param(self.head.uri.path(), index));
        match value {
            Some(value) => format!("{wants}, and the path has `{value}`"),
            None if key == Key::Owner => format!("{wants}, and it is another"),
            None => format!("{wants}, and {}", has(user, key)),
        }
    }
}

/// What a caller has in place of what a key wants.
fn has(user: &User, key: Key) -> String {
    let list = |values: &[String]| match values {
        [] => "none".to_owned(),
        values => values.join(", "),
    };
    match key {
        Key::Superuser if user.is_superuser => "the caller is a superuser".to_owned(),
        Key::Superuser => "the caller is no superuser".to_owned(),
        Key::Tiers | Key::MinTier => format!("the caller's tier is {}", user.tier),
        Key::Roles => format!("the caller's roles: {}", list(&user.roles)),
        Key::Scopes => format!("the caller's scopes: {}", list(&user.scopes)),
        Key::Cel => "it is false".to_owned(),
        _ => "the caller does not meet it".to_owned(),
    }
}

/// What is to be said of a caller's tier.
pub fn note_of_tier(principal: &Principal, config: &Config) -> Option<String> {
    let tier = &principal.user()?.tier;
    let note = format!(
        "the tier `{tier}` is not in the file; a tier of the store has its rank and quota there"
    );
    (!config.tiers.contains_key(tier)).then_some(note)
}
