//! One rule of `allow` and one caller: whether it holds, and if not, by which key.

use std::collections::BTreeMap;
use std::ops::Range;

use http::header;

use super::owners::{Owners, Question, Unknown};
use super::spelling::Spelling;
use super::variables::Told;
use crate::authn::{Claim, User};
use crate::config::checked::{ClaimRule, HostRewrite, Owner, OwnerField, Route, Rule, UserField};
use crate::request::Facts;
use crate::route::Matched;

/// A rule, compiled for its route.
pub(super) struct Compiled {
    rule: Rule,
    /// The names of the parameters of the route's path.
    parameters: Vec<String>,
    pub(super) spelling: Spelling,
    /// Whom look-ups ask, and by which name: the one that the request goes out with.
    upstream: usize,
    host: HostRewrite,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Holds,
    /// The first key that does not hold.
    Fails(Key),
    /// The first key that can't be told whether it holds, and why not: the rule lets nobody pass.
    Untold(Key, Unknown),
}

/// A key of a rule, as the file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// None of them: there is nobody whom rules could be asked about.
    Identity,
    Superuser,
    Tiers,
    MinTier,
    Roles,
    Scopes,
    Claims,
    Owner,
    Cel,
}

impl Key {
    /// Every key that the file may have, in the order in which they are told.
    pub const ALL: [Key; 8] = [
        Key::Superuser,
        Key::Owner,
        Key::Tiers,
        Key::MinTier,
        Key::Roles,
        Key::Scopes,
        Key::Claims,
        Key::Cel,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Key::Identity => "identity",
            Key::Superuser => "superuser",
            Key::Tiers => "tiers",
            Key::MinTier => "min_tier",
            Key::Roles => "roles",
            Key::Scopes => "scopes",
            Key::Claims => "claims",
            Key::Owner => "owner",
            Key::Cel => "cel",
        }
    }
}

/// What rules are asked about.
pub(super) struct Case<'a> {
    pub user: &'a User,
    pub matched: &'a Matched,
    pub facts: &'a Facts<'a>,
    pub ranks: &'a BTreeMap<String, u32>,
}

impl<'a> Case<'a> {
    /// The path as it was matched.
    pub(super) fn path(&self) -> &'a str {
        self.facts.head.uri.path()
    }
}

pub(super) fn compile(route: &Route) -> Vec<Compiled> {
    let compiled = |rule: &Rule| Compiled {
        parameters: route
            .pattern
            .parameters()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        spelling: Spelling::of(route.path_options),
        upstream: route.upstream,
        host: route.rewrite.host.clone(),
        rule: rule.clone(),
    };
    route.allow.iter().map(compiled).collect()
}

impl Compiled {
    /// The rank that the caller's tier must reach.
    pub(super) fn min_rank(&self) -> Option<u32> {
        self.rule.min_rank
    }

    /// Whether it goes by what the caller's tier is called.
    pub(super) fn names_tiers(&self) -> bool {
        !self.rule.tiers.is_empty() || self.rule.names_claim(UserField::Tier.claim())
    }

    /// Whether somebody else has to be asked, too.
    pub(super) fn asks(&self) -> bool {
        self.rule.look_up.is_some()
    }

    /// Asks the upstream, if the rule does. Its other keys hold.
    pub(super) async fn ask(&self, case: &Case<'_>, owners: &impl Owners) -> Outcome {
        let Some(look_up) = &self.rule.look_up else {
            return Outcome::Holds;
        };
        let Some(target) = look_up.target.fill(|name| self.value(case, name)) else {
            let unknown = Unknown::because("a parameter is no plain segment");
            return Outcome::Untold(Key::Owner, unknown);
        };
        let question = Question {
            upstream: self.upstream,
            host: match &self.host {
                HostRewrite::Preserve => case.facts.head.headers.get(header::HOST),
                HostRewrite::Upstream => None,
                HostRewrite::Name(name) => Some(name),
            },
            target: &target,
            field: &look_up.field,
        };
        match owners.look_up(question).await {
            // What has no owner is nobody's.
            Ok(owner) if !owner.is_empty() && owns(case.user, &look_up.equals, &owner) => {
                Outcome::Holds
            }
            Ok(_) => Outcome::Fails(Key::Owner),
            Err(unknown) => Outcome::Untold(Key::Owner, unknown),
        }
    }

    /// The value of a parameter of the path.
    pub(super) fn value<'c>(&self, case: &Case<'c>, name: &str) -> Option<&'c str> {
        case.path().get(self.place(case, name)?)
    }

    /// Where it stands in the path.
    pub(super) fn place(&self, case: &Case<'_>, name: &str) -> Option<Range<usize>> {
        let number = self.parameters.iter().position(|known| known == name)?;
        case.matched.param_range(number)
    }

    /// Whether all keys hold but the look-up. The cheap ones come first.
    pub(super) fn judge(&self, case: &Case<'_>) -> Outcome {
        let (rule, user) = (&self.rule, case.user);
        let is_rank = |asked| {
            case.ranks
                .get(&user.tier)
                .is_some_and(|rank| *rank >= asked)
        };
        let has_role = |role| user.roles.contains(role);
        if rule
            .superuser
            .is_some_and(|asked| asked != user.is_superuser)
        {
            Outcome::Fails(Key::Superuser)
        } else if !rule.tiers.is_empty() && !rule.tiers.contains(&user.tier) {
            Outcome::Fails(Key::Tiers)
        } else if !rule.min_rank.is_none_or(is_rank) {
            Outcome::Fails(Key::MinTier)
        } else if !rule.roles.is_empty() && !rule.roles.iter().any(has_role) {
            Outcome::Fails(Key::Roles)
        } else if !rule.scopes.iter().all(|scope| user.scopes.contains(scope)) {
            Outcome::Fails(Key::Scopes)
        } else if !rule.claims.iter().all(|asked| has_claim(user, asked)) {
            Outcome::Fails(Key::Claims)
        } else if !rule
            .owner
            .as_ref()
            .is_none_or(|owner| self.is_owner(owner, case))
        {
            Outcome::Fails(Key::Owner)
        } else {
            self.evaluate(case)
        }
    }

    fn evaluate(&self, case: &Case<'_>) -> Outcome {
        let Some(expression) = &self.rule.cel else {
            return Outcome::Holds;
        };
        match expression.evaluate(&Told { case, rule: self }) {
            Ok(true) => Outcome::Holds,
            Ok(false) => Outcome::Fails(Key::Cel),
            Err(why) => Outcome::Untold(Key::Cel, Unknown::because(why)),
        }
    }

    fn is_owner(&self, owner: &Owner, case: &Case<'_>) -> bool {
        let value = self.value(case, &owner.parameter);
        value.is_some_and(|value| owns(case.user, &owner.equals, value))
    }
}

fn has_claim(user: &User, asked: &ClaimRule) -> bool {
    let claim = user.claim(&asked.name);
    claim.is_some_and(|claim| claim.is_or_has(&asked.value))
}

fn owns(user: &User, field: &OwnerField, value: &str) -> bool {
    match field {
        OwnerField::Username => user.username == value,
        OwnerField::ExternalId => user.external_id.as_deref() == Some(value),
        // Only the canonical spelling: an upstream that compares text must not see another one.
        OwnerField::Id => {
            let mut buffer = uuid::Uuid::encode_buffer();
            &*user.id.hyphenated().encode_lower(&mut buffer) == value
        }
        OwnerField::Claim(name) => {
            let text = user.claim(name).and_then(Claim::text);
            text.is_some_and(|text| text == value)
        }
    }
}
