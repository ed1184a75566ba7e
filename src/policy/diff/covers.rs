//! Whether whoever meets one rule meets another.

use std::collections::{BTreeMap, HashSet};

use super::sides::Side;
use crate::config::cel::{Expression, RequestField, Variable};
use crate::config::checked::{LookUp, Owner, Pattern, Route, Rule, Segment};

/// Whoever meets `narrow` meets `wide`: each key of `wide` is asked by `narrow`, at least as strictly.
pub fn covers(wide: (&Rule, Side<'_>), narrow: (&Rule, Side<'_>)) -> bool {
    // Taken apart whole: a key that is left out here would be taken for one that asks nothing.
    let Rule {
        superuser,
        owner,
        look_up,
        tiers: _,
        min_rank: _,
        roles,
        scopes,
        claims,
        cel,
    } = wide.0;
    let other = narrow.0;
    let is_owner = owner.as_ref().is_none_or(|owner| {
        let is_same = |other| is_same_owner((owner, wide.1.route), (other, narrow.1.route));
        other.owner.as_ref().is_some_and(is_same)
    });
    let is_look_up = look_up.as_ref().is_none_or(|look_up| {
        let other = other.look_up.as_ref().map(|other| (other, narrow.1));
        other.is_some_and(|other| is_same_look_up((look_up, wide.1), other))
    });
    let is_expression = cel.as_ref().is_none_or(|cel| {
        let is_same = |other| is_same_expression((cel, wide.1.route), (other, narrow.1.route));
        other.cel.as_ref().is_some_and(is_same)
    });
    let has_role = roles.is_empty() || (!other.roles.is_empty() && is_subset(&other.roles, roles));
    (superuser.is_none() || *superuser == other.superuser)
        && is_owner
        && is_look_up
        && is_expression
        && has_role
        && is_subset(scopes, &other.scopes)
        && claims.iter().all(|claim| other.claims.contains(claim))
        && tiers_cover(wide, narrow)
}

fn is_subset(few: &[String], many: &[String]) -> bool {
    /// So many are looked through as quickly as they are sorted.
    const SHORT: usize = 16;
    if few == many || few.is_empty() {
        return true;
    }
    if many.len() <= SHORT {
        return few.iter().all(|one| many.contains(one));
    }
    let many: HashSet<&String> = many.iter().collect();
    few.iter().all(|one| many.contains(one))
}

/// Both ask for the same value.
fn is_same_owner(a: (&Owner, &Route), b: (&Owner, &Route)) -> bool {
    is_same_parameter((&a.0.parameter, a.1), (&b.0.parameter, b.1)) && a.0.equals == b.0.equals
}

/// Both ask the upstream of one name for the same value.
fn is_same_look_up(a: (&LookUp, Side<'_>), b: (&LookUp, Side<'_>)) -> bool {
    let upstream = |side: Side<'_>| {
        let upstream = side.config.upstreams.get(side.route.upstream);
        upstream.map(|upstream| upstream.name.clone())
    };
    let is_same = |name: &str| is_same_parameter((name, a.1.route), (name, b.1.route));
    a.0 == b.0 && upstream(a.1) == upstream(b.1) && a.0.target.parameters().all(is_same)
}

/// Both ask the same of the same values.
fn is_same_expression(a: (&Expression, &Route), b: (&Expression, &Route)) -> bool {
    let is_path = |asked: &Variable| *asked == Variable::Request(RequestField::Path);
    let is_same = |own: &str, other: &str| is_same_parameter((own, a.1), (other, b.1));
    (is_same_spelling(a.1, b.1) || !a.0.variables().any(is_path)) && a.0.is_same(b.0, is_same)
}

/// Both tell rules a path in the same spelling.
fn is_same_spelling(a: &Route, b: &Route) -> bool {
    a.path_options == b.path_options
}

/// Of any path that both routes take, the parameters have the same text.
pub fn is_same_parameter(a: (&str, &Route), b: (&str, &Route)) -> bool {
    let is_same_place = match (&a.1.pattern, &b.1.pattern) {
        (Pattern::Path(own), Pattern::Path(other)) => {
            let place = |segments: &[Segment], name: &str| {
                let place = |(at, segment): (usize, &Segment)| match segment {
                    Segment::Param(own) if own == name => Some((at, false)),
                    Segment::Rest(own) if own == name => Some((at, true)),
                    _ => None,
                };
                segments.iter().enumerate().find_map(place)
            };
            let at = place(own, a.0);
            at.is_some() && at == place(other, b.0)
        }
        (own, other) => own == other && a.0 == b.0,
    };
    is_same_place && is_same_spelling(a.1, b.1)
}

fn tiers_cover(wide: (&Rule, Side<'_>), narrow: (&Rule, Side<'_>)) -> bool {
    if wide.0.tiers.is_empty() && wide.0.min_rank.is_none() {
        return true;
    }
    let tiers = [wide.1, narrow.1].map(|side| &side.config.tiers);
    let mut names = tiers.into_iter().flat_map(BTreeMap::keys);
    let admits = |(rule, side): (&Rule, Side<'_>), name: &String| {
        let rank = side.config.tiers.get(name).map(|tier| tier.rank);
        (rule.tiers.is_empty() || rule.tiers.contains(name))
            && rule
                .min_rank
                .is_none_or(|least| rank.is_some_and(|rank| rank >= least))
    };
    let of_file = names.all(|name| !admits(narrow, name) || admits(wide, name));
    // The store may have further tiers, of any rank.
    let of_store = !narrow.0.tiers.is_empty()
        || (wide.0.tiers.is_empty() && narrow.0.min_rank >= wide.0.min_rank);
    of_file && of_store
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::checked::{OwnerField, Tier};
    use crate::config::text;
    use crate::route::sample;

    fn config(ranks: &[(&str, u32)]) -> Config {
        let mut config = sample::config(Vec::new());
        for (name, rank) in ranks {
            let tier = Tier {
                rank: *rank,
                rate: None,
            };
            config.tiers.insert((*name).to_owned(), tier);
        }
        config
    }

    fn rule(make: impl FnOnce(&mut Rule)) -> Rule {
        let mut rule = Rule::default();
        make(&mut rule);
        rule
    }

    fn covers_in(wide: (&Rule, &Config), narrow: (&Rule, &Config)) -> bool {
        let route = sample::route(Pattern::Prefix(Vec::new()));
        let side = |config| Side {
            route: &route,
            config,
        };
        covers((wide.0, side(wide.1)), (narrow.0, side(narrow.1)))
    }

    #[test]
    fn fewer_keys_admit_more() {
        let config = config(&[("free", 0), ("pro", 1), ("max", 2)]);
        let both = rule(|r| {
            r.roles = vec!["a".into()];
            r.scopes = vec!["x".into()];
        });
        let roles = rule(|r| r.roles = vec!["a".into(), "b".into()]);
        let superuser = rule(|r| r.superuser = Some(true));
        let pro = rule(|r| r.tiers = vec!["pro".into(), "max".into()]);
        let from_pro = rule(|r| r.min_rank = Some(1));
        let from_max = rule(|r| r.min_rank = Some(2));
        for (wide, narrow, expected) in [
            (&roles, &both, true),
            (&both, &roles, false),
            (&Rule::default(), &both, true),
            (&both, &Rule::default(), false),
            (&superuser, &Rule::default(), false),
            (&roles, &superuser, false),
            (&from_pro, &pro, true),
            // A tier of the store may have that rank too.
            (&pro, &from_pro, false),
            (&from_pro, &from_max, true),
            (&from_max, &from_pro, false),
        ] {
            let covers = covers_in((wide, &config), (narrow, &config));
            assert_eq!(covers, expected, "{wide:?} {narrow:?}");
        }
    }

    #[test]
    fn a_rank_that_changes_changes_who_is_admitted() {
        let (before, after) = (
            config(&[("free", 0), ("pro", 1)]),
            config(&[("free", 1), ("pro", 1)]),
        );
        let from_pro = rule(|r| r.min_rank = Some(1));
        assert!(!covers_in((&from_pro, &before), (&from_pro, &after)));
        assert!(covers_in((&from_pro, &after), (&from_pro, &before)));
    }

    #[test]
    fn an_owner_is_the_same_at_the_same_segment() {
        let owner = |name: &str, equals| Owner {
            parameter: name.into(),
            equals,
        };
        let of = |path| sample::route(text::path(path).unwrap());
        let is_same = |a, owner_a: &str, b, owner_b: &str| {
            let (a, b) = (of(a), of(b));
            let (owner_a, owner_b) = (
                owner(owner_a, OwnerField::Id),
                owner(owner_b, OwnerField::Id),
            );
            is_same_owner((&owner_a, &a), (&owner_b, &b))
        };
        assert!(is_same(
            "/users/{a}/posts/{b}",
            "a",
            "/users/{c}/{*rest}",
            "c"
        ));
        assert!(!is_same(
            "/users/{a}/posts/{b}",
            "b",
            "/users/{a}/{*rest}",
            "a"
        ));
        let (a, b) = (owner("a", OwnerField::Id), owner("a", OwnerField::Username));
        assert!(!is_same_owner((&a, &of("/{a}")), (&b, &of("/{a}"))));
    }

    #[test]
    fn a_look_up_is_the_same_of_the_same_upstream_and_resource() {
        const FILE: &str = r#"
            version: 1
            upstreams: { a: { targets: http://127.0.0.1:1 }, b: { targets: http://127.0.0.1:2 } }
            routes:
              - name: one
                path: "/PATH"
                auth: required
                allow: [{ owner: { lookup: "GET /posts/{id}", field: /by, equals: user.id } }]
                upstream: a
        "#;
        let config = |from: &str, to: &str| {
            let (text, path) = (FILE.replace(from, to), std::path::Path::new("x.yaml"));
            let loaded = crate::config::parse(&text.replace("PATH", "{id}"), path, &|_| None);
            loaded.unwrap_or_else(|report| panic!("{report}")).config
        };
        let before = config("", "");
        for (from, to, is_same) in [
            ("name: one", "name: two", true),
            ("127.0.0.1:1", "127.0.0.1:3", true),
            ("PATH", "{id}/{x}", true),
            ("PATH", "{x}/{id}", false),
            ("upstream: a", "upstream: b", false),
            ("GET /posts", "GET /others", false),
            ("/by", "/to", false),
            ("equals: user.id", "equals: user.username", false),
            (
                "owner: { lookup: \"GET /posts/{id}\", field: /by,",
                "owner: { path: \"{id}\",",
                false,
            ),
        ] {
            let after = config(from, to);
            let rule_of = |config: &'_ Config| config.routes[0].allow[0].clone();
            let (old, new) = (Side::of(&before, 0).unwrap(), Side::of(&after, 0).unwrap());
            let (was, is) = (rule_of(&before), rule_of(&after));
            assert_eq!(covers((&was, old), (&is, new)), is_same, "{from} → {to}");
            assert_eq!(covers((&is, new), (&was, old)), is_same, "{to} → {from}");
        }
    }
}
