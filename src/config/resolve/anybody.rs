//! Rules that whoever is signed in meets, or gets to meet, without that anybody gave them anything.

use super::super::cel::{Asks, Expression, Given, Logic, RequestField, Variable, Variables};
use super::super::checked::Rule;
use super::super::diagnose::{Findings, shown};
use super::super::source::Span;
use super::names::Names;

/// The claim that people choose when they register.
const USERNAME: &str = "username";
const TIER: &str = "tier";

/// Whoever has registered: of them the tier is known.
struct Stranger<'a> {
    tier: &'a str,
}

impl Variables for Stranger<'_> {
    fn value(&self, variable: &Variable) -> Option<Given<'_>> {
        (variable.claim() == Some(TIER)).then(|| Given::Text(self.tier.into()))
    }
}

/// What a rule asks for that is to be had for the asking.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Free<'a> {
    /// Those of an API key that its holder made.
    Scopes,
    /// The tier of new accounts, where anybody may make one.
    Tier(&'a str),
    /// The name of an account, where anybody may make one.
    Name,
    /// What clients write into their requests.
    Request,
}

/// Warns where nothing that a rule asks for has to be given to the caller, be it by one branch of its expression.
/// `at` is the rule's place.
pub fn warn(rule: &Rule, at: Span, names: &Names<'_>, findings: &mut Findings) {
    let logic = rule.cel.as_ref().map(|cel| logic(cel, names));
    let Some(free) = asks_for_alone(rule, logic.as_ref(), names) else {
        return;
    };
    let is_branch = logic.is_some_and(|read| asks_for_more(&read.logic, names));
    let by_it = match is_branch {
        true => " by a branch of its expression",
        false => "",
    };
    let (message, hint) = match free {
        Free::Scopes => (
            format!(
                "anybody who is signed in meets this rule{by_it}: people give their own API keys scopes as they like"
            ),
            "put roles, tiers or an owner beside the scopes",
        ),
        Free::Tier(tier) => (
            format!(
                "anybody who registers meets this rule{by_it}: `auth.registration` is open, and new accounts have the tier {}",
                shown(tier)
            ),
            "give new accounts a tier below by `auth.default_tier`, or ask for a role, or for another tier",
        ),
        Free::Name => (
            format!(
                "whoever registers may meet this rule{by_it}: `auth.registration` is open, and people choose their own `username`"
            ),
            "go by `user.id`, by roles, or by `user.external_id`: a name is somebody's only once they have it",
        ),
        Free::Request => (
            format!(
                "anybody who is signed in meets this rule{by_it}: it goes by nothing but what clients send as they like"
            ),
            match is_branch {
                true => "ask for something of `user` in that branch as well, or go by `request.ip`",
                false => "ask for something of `user` as well, or go by `request.ip`",
            },
        ),
    };
    findings.warn(at, message).hint(hint);
}

/// What a rule asks for that is to be had for the asking, a tier before all; `None` when it asks for anything else.
fn asks_for_alone<'n>(
    rule: &Rule,
    read: Option<&Read<'_>>,
    names: &'n Names<'_>,
) -> Option<Free<'n>> {
    // Nearly everybody is no superuser, and every tier has the lowest rank at least.
    let asks_more = rule.superuser == Some(true)
        || rule.owner.is_some()
        || rule.look_up.is_some()
        || !rule.roles.is_empty();
    if asks_more {
        return None;
    }
    let mut free = Vec::new();
    if !rule.scopes.is_empty() {
        free.push(of_scopes(names)?);
    }
    if !rule.tiers.is_empty() {
        let of_strangers = names.auth.tier_of_strangers()?;
        let is_named = rule.tiers.iter().any(|tier| tier == of_strangers);
        free.push(is_named.then_some(Free::Tier(of_strangers))?);
    }
    if let Some(least) = rule.min_rank.filter(|least| *least > 0) {
        let of_strangers = names.auth.tier_of_strangers()?;
        let is_reached = names.rank(of_strangers)? >= least;
        free.push(is_reached.then_some(Free::Tier(of_strangers))?);
    }
    for claim in &rule.claims {
        let is_chosen = claim.name == USERNAME && names.auth.tier_of_strangers().is_some();
        free.push(is_chosen.then_some(Free::Name)?);
    }
    if let Some(read) = read {
        match of_logic(&read.logic, names) {
            What::Given => return None,
            What::Said => {}
            What::Free(kind) => free.push(kind),
        }
        if read.is_of_strangers {
            free.push(Free::Tier(names.auth.tier_of_strangers()?));
        }
    }
    let is_tier = |free: &&Free<'_>| matches!(free, Free::Tier(_));
    free.iter().find(is_tier).or(free.first()).copied()
}

/// An expression as it is judged.
struct Read<'e> {
    logic: Logic<'e>,
    /// It is met because of the tier of whoever registers, which is worked in.
    is_of_strangers: bool,
}

fn logic<'e>(expression: &'e Expression, names: &Names<'_>) -> Read<'e> {
    let logic = expression.logic();
    if let Some(tier) = names.auth.tier_of_strangers()
        && matches!(of_logic(&logic, names), What::Given)
    {
        let of_strangers = expression.logic_where(&Stranger { tier });
        if !matches!(of_logic(&of_strangers, names), What::Given) {
            return Read {
                logic: of_strangers,
                is_of_strangers: true,
            };
        }
    }
    Read {
        logic,
        is_of_strangers: false,
    }
}

/// What an expression, or a part of one, asks for.
enum What<'a> {
    /// Something that others give.
    Given,
    /// What is asked for: rules on purpose say who may.
    Said,
    Free(Free<'a>),
}

fn of_logic<'n>(logic: &Logic<'_>, names: &'n Names<'_>) -> What<'n> {
    match logic {
        Logic::Always(true) => What::Said,
        Logic::Always(false) => What::Given,
        Logic::Asks(asks) => of_part(asks, names),
        Logic::Any(branches) => {
            let branches = branches.iter().map(|branch| of_logic(branch, names));
            branches.fold(What::Given, |known, branch| match (known, branch) {
                (What::Free(kind), _) | (_, What::Free(kind)) => What::Free(kind),
                (What::Given, What::Given) => What::Given,
                _ => What::Said,
            })
        }
        Logic::All(parts) => all(parts.iter().map(|part| of_logic(part, names))),
    }
}

fn all<'n>(parts: impl Iterator<Item = What<'n>>) -> What<'n> {
    parts.fold(What::Said, |known, part| match (known, part) {
        (What::Given, _) | (_, What::Given) => What::Given,
        (What::Free(kind), _) | (_, What::Free(kind)) => What::Free(kind),
        (What::Said, What::Said) => What::Said,
    })
}

fn of_part<'n>(asks: &Asks<'_>, names: &'n Names<'_>) -> What<'n> {
    // With something else in it, such as a part of the path, it is about who owns that.
    let is_name = |variable: &&Variable| variable.claim() == Some(USERNAME);
    let is_chosen = names.auth.tier_of_strangers().is_some() && !asks.is_negative;
    match asks.variables.as_slice() {
        // It has no value, which lets nobody pass.
        [] => return What::Given,
        variables if is_chosen && variables.iter().all(is_name) => return What::Free(Free::Name),
        _ => {}
    }
    all(asks.variables.iter().map(|variable| match variable {
        Variable::Header(_) | Variable::Request(RequestField::Host | RequestField::Query) => {
            What::Free(Free::Request)
        }
        Variable::Path(_) | Variable::Request(RequestField::Method | RequestField::Path) => {
            What::Said
        }
        Variable::Request(RequestField::Ip) => What::Given,
        Variable::User(_) | Variable::Claim(_) => match variable.claim() {
            Some("scope") => of_scopes(names).map_or(What::Given, What::Free),
            _ => What::Given,
        },
    }))
}

/// Whether some part of an expression asks for what others give.
fn asks_for_more(logic: &Logic<'_>, names: &Names<'_>) -> bool {
    match logic {
        Logic::Always(_) => false,
        Logic::Asks(asks) => matches!(of_part(asks, names), What::Given),
        Logic::Any(parts) | Logic::All(parts) => {
            parts.iter().any(|part| asks_for_more(part, names))
        }
    }
}

fn of_scopes<'n>(names: &Names<'_>) -> Option<Free<'n>> {
    names.auth.lets_keys_be_made().then_some(Free::Scopes)
}
