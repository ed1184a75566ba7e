//! Whom the rules of two routes admit, compared.

use super::covers::covers;
use super::sides::Side;
use super::{Change, Kind, Part};
use crate::config::checked::{AuthMode, Route, Rule};
use crate::policy::wording;

/// Whom the route asks for an identity: what is in shadow refuses nobody.
pub fn auth(route: &Route) -> AuthMode {
    match route.auth {
        AuthMode::Required if route.shadow.auth => AuthMode::Optional,
        mode => mode,
    }
}

/// Whom the route admits of those that `auth` does.
fn rules(route: &Route) -> Vec<Rule> {
    match allow(route) {
        [] => vec![Rule::default()],
        rules => rules.to_vec(),
    }
}

/// The rules that refuse.
fn allow(route: &Route) -> &[Rule] {
    match route.shadow.allow {
        true => &[],
        false => &route.allow,
    }
}

/// Callers without identity get through.
pub fn is_public(route: &Route) -> bool {
    auth(route) != AuthMode::Required && allow(route).is_empty()
}

/// What the second admits otherwise than the first.
pub fn compare(about: &str, old: Side<'_>, new: Side<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut add = |kind, part, what: String| changes.push(Change::new(kind, about, part, what));
    let (was, is) = (auth(old.route), auth(new.route));
    let words = (wording::auth(old.route), wording::auth(new.route));
    let auth = format!("auth {} → {}", words.0, words.1);
    if !is_public(old.route) && is_public(new.route) {
        add(
            Kind::NewlyPublic,
            Part::Auth,
            format!("{auth}: anybody gets through"),
        );
    } else if words.0 != words.1 {
        let reads = |mode| mode != AuthMode::None;
        let has_rules = |side: Side<'_>| !allow(side.route).is_empty();
        let kind = match looseness(new.route) > looseness(old.route) {
            // Rules refuse callers without identity as `required` does.
            _ if reads(was) && reads(is) && has_rules(old) && has_rules(new) => Kind::Changed,
            true => Kind::Loosened,
            false => Kind::Tightened,
        };
        add(kind, Part::Auth, auth);
    }
    let (before, after) = (rules(old.route), rules(new.route));
    let covers_new = |wide: &Rule, narrow: &Rule| covers((wide, old), (narrow, new));
    for rule in uncovered(&after, &before, covers_new) {
        let text = match allow(new.route) {
            [] if new.route.shadow.allow => "`allow` is in shadow".to_owned(),
            [] => "`allow` asks nothing any more".to_owned(),
            _ => format!(
                "`allow` has {}, which admits others",
                wording::rule(rule, new.config)
            ),
        };
        add(Kind::Loosened, Part::Allow, text);
    }
    let covers_old = |wide: &Rule, narrow: &Rule| covers((wide, new), (narrow, old));
    for rule in uncovered(&before, &after, covers_old) {
        let text = match allow(old.route) {
            [] if old.route.shadow.allow => "`allow` is no longer in shadow".to_owned(),
            [] => "`allow` is new".to_owned(),
            _ => format!("`allow` no longer has {}", wording::rule(rule, old.config)),
        };
        add(Kind::Tightened, Part::Allow, text);
    }
    changes
}

/// The rules that none of the others covers. Most lists change little, so each is looked for behind where the one
/// before it was found.
fn uncovered<'r>(
    rules: &'r [Rule],
    others: &[Rule],
    mut covers: impl FnMut(&Rule, &Rule) -> bool,
) -> Vec<&'r Rule> {
    let mut next = 0;
    let mut is_alone = |rule: &&Rule| {
        let (before, behind) = others.split_at(next);
        let mut others = behind.iter().chain(before);
        match others.position(|other| covers(other, rule)) {
            Some(at) => {
                next = (next + at + 1) % (before.len() + behind.len());
                false
            }
            None => true,
        }
    };
    rules.iter().filter(|rule| is_alone(rule)).collect()
}

fn looseness(route: &Route) -> u8 {
    match route.auth {
        // No credential is read, so a revoked one passes too.
        AuthMode::None => 3,
        // Nor does one refuse that does not verify.
        _ if route.shadow.auth => 2,
        AuthMode::Optional => 1,
        AuthMode::Required => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(role: String) -> Rule {
        Rule {
            roles: vec![role],
            ..Rule::default()
        }
    }

    #[test]
    fn rules_that_stay_are_found_where_they_are_expected() {
        let roles = (0..300).map(|n| rule(format!("r{n}")));
        let old: Vec<Rule> = roles.collect();
        let mut new = old.clone();
        new.insert(100, rule("new".to_owned()));
        new.remove(200);
        let mut asked = 0;
        let alone = uncovered(&new, &old, |wide, narrow| {
            asked += 1;
            wide == narrow
        });
        assert_eq!(alone, [&new[100]]);
        assert!(asked < 2 * (new.len() + old.len()), "{asked}");
    }
}
