//! Rules of the store through the stage: what they replace, what they add, and for whom.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::config::checked::{LimitKey, PathOptions, Rate, Tier, TrailingSlash};
use crate::config::{LimitRule, Plans, RuleScope, text};
use crate::route::sample;

use super::tests::*;

fn on(tier: &str, route: &str, name: &str, rate: Rate) -> LimitRule {
    LimitRule {
        tier: tier.into(),
        name: name.into(),
        scope: RuleScope::Route(route.into()),
        rate,
    }
}

fn under(tier: &str, method: &str, template: &str, name: &str, rate: Rate) -> LimitRule {
    LimitRule {
        scope: RuleScope::Path {
            template: template.into(),
            pattern: text::path(template).unwrap(),
            method: text::method(method),
        },
        ..on(tier, "", name, rate)
    }
}

/// Three routes: `limits` says `x: 2` by user, `none` says `[]`, `silent` says nothing.
fn gateway(rules: Vec<LimitRule>) -> Gateway {
    let mut config = sample::config(vec![
        route("limits", Some(vec![limit("x", LimitKey::User, only(2))])),
        route("none", Some(Vec::new())),
        route("silent", None),
    ]);
    config.tiers = tiers(&[("free", Some(only(3))), ("pro", None)]);
    let mut gateway = Gateway::new(&config);
    gateway.reload_with(&config, &stored(rules));
    gateway
}

fn stored(rules: Vec<LimitRule>) -> Plans {
    let gold = Tier {
        rank: 9,
        rate: Some(only(7)),
    };
    Plans {
        tiers: BTreeMap::from([("gold".into(), gold)]),
        rules,
    }
}

#[test]
fn a_rule_replaces_the_limit_of_its_name_for_its_tier() {
    let gateway = gateway(vec![on("pro", "limits", "x", only(5))]);
    assert_eq!(gateway.passes(&at("/limits"), &user(1, "pro")), 5);
    assert_eq!(gateway.passes(&at("/limits"), &user(2, "free")), 2);
    assert_eq!(gateway.passes(&at("/limits"), &user(3, "gold")), 2);
    assert_eq!(gateway.passes(&at("/limits"), &ANYONE), 2);
    // It is the limit's own counter: a change of tier gives nothing back.
    assert_eq!(gateway.passes(&at("/limits"), &user(1, "free")), 0);
}

#[test]
fn a_rule_of_another_name_comes_beside_the_others() {
    let gateway = gateway(vec![
        on("pro", "limits", "y", only(1)),
        on("pro", "none", "y", only(4)),
        on("free", "silent", "y", only(2)),
    ]);
    assert_eq!(gateway.passes(&at("/limits"), &user(1, "pro")), 1);
    assert_eq!(gateway.passes(&at("/none"), &user(1, "pro")), 4);
    assert_eq!(gateway.passes(&at("/none"), &user(2, "pro")), 4);
    assert_eq!(gateway.passes(&at("/none"), &user(3, "free")), 20);
    // What was refused by the rule is given back to the tier's budget.
    assert_eq!(gateway.passes(&at("/silent"), &user(4, "free")), 2);
}

#[test]
fn a_tier_s_rate_holds_beside_a_rule_unless_the_rule_has_its_name() {
    let beside = gateway(vec![on("free", "silent", "y", only(9))]);
    assert_eq!(beside.passes(&at("/silent"), &user(1, "free")), 3);
    let instead = gateway(vec![on("free", "silent", "tier", only(9))]);
    assert_eq!(instead.passes(&at("/silent"), &user(1, "free")), 9);
}

#[test]
fn a_tier_of_the_store_has_its_rate_and_its_rules() {
    let gateway = gateway(vec![on("gold", "none", "y", only(4))]);
    assert_eq!(gateway.passes(&at("/silent"), &user(1, "gold")), 7);
    assert_eq!(gateway.passes(&at("/none"), &user(1, "gold")), 4);
    // No such tier: the default one's rate, not none.
    assert_eq!(gateway.passes(&at("/silent"), &user(2, "gone")), 3);
}

#[test]
fn a_rule_by_path_holds_for_the_spellings_that_a_route_takes() {
    let mut own = route("posts", None);
    own.path_options = PathOptions {
        case_insensitive: true,
        merge_slashes: true,
        trailing_slash: TrailingSlash::Ignore,
    };
    let mut config = sample::config(vec![own]);
    config.tiers = tiers(&[("pro", None)]);
    let rules = stored(vec![under("pro", "", "/posts", "y", only(4))]);
    let mut gateway = Gateway::new(&config);
    gateway.reload_with(&config, &rules);
    let pro = user(1, "pro");
    assert_eq!(gateway.passes(&at("/POSTS/"), &pro), 4);
    for path in ["/posts", "/Posts", "//posts", "/posts/"] {
        assert_eq!(gateway.passes(&at(path), &pro), 0, "{path}");
    }
    config.routes[0].path_options = PathOptions::default();
    gateway.reload_with(&config, &rules);
    assert_eq!(gateway.passes(&at("/posts"), &pro), 0);
}

/// A backend may take both for one, and the route says nothing of it.
#[test]
fn a_rule_by_path_holds_with_a_slash_at_the_end_and_without() {
    let gateway = gateway(vec![
        under("pro", "", "/none/a", "y", only(4)),
        under("pro", "", "/none/b/", "y", only(4)),
        under("pro", "", "/none/{id}/c", "y", only(4)),
    ]);
    for (n, path) in ["/none/a", "/none/b", "/none/1/c"].into_iter().enumerate() {
        let pro = user(n as u128, "pro");
        let with_slash = format!("{path}/");
        assert_eq!(gateway.passes(&at(&with_slash), &pro), 4, "{path}");
        assert_eq!(gateway.passes(&at(path), &pro), 0, "{path}");
        assert_eq!(gateway.passes(&at(&format!("{path}//")), &pro), 0, "{path}");
        assert_eq!(
            gateway.passes(&at(&format!("{path}/d")), &pro),
            20,
            "{path}"
        );
    }
}

#[test]
fn a_rule_by_path_goes_by_path_and_method_whatever_the_route() {
    let gateway = gateway(vec![
        under("pro", "POST", "/none/{id}", "y", only(4)),
        under("pro", "GET", "/none/{id}", "y", only(5)),
        under("pro", "", "/{*all}", "z", only(6)),
    ]);
    let pro = user(1, "pro");
    let by = |method, path| Asked { method, ..at(path) };
    assert_eq!(gateway.passes(&by("POST", "/none/1"), &pro), 4);
    assert_eq!(
        gateway.passes(&by("POST", "/none/2"), &pro),
        0,
        "one budget"
    );
    assert_eq!(
        gateway.passes(&by("GET", "/none/1"), &pro),
        2,
        "z is used up"
    );
    assert_eq!(gateway.passes(&by("PUT", "/silent"), &pro), 0);
    assert_eq!(gateway.passes(&by("POST", "/none/1"), &user(2, "free")), 20);
    assert_eq!(gateway.passes(&by("HEAD", "/none/1"), &user(3, "pro")), 5);
    assert_eq!(gateway.passes(&by("POST", "/none/1"), &ANYONE), 20);
}

#[test]
fn of_rules_of_one_name_the_tightest_path_counts_and_it_beats_the_route_s() {
    let gateway = gateway(vec![
        on("pro", "limits", "x", only(3)),
        under("pro", "", "/{*all}", "x", only(9)),
        under("pro", "", "/limits/a", "x", only(5)),
    ]);
    let pro = user(1, "pro");
    assert_eq!(gateway.passes(&at("/limits/a"), &pro), 5);
    assert_eq!(gateway.passes(&at("/limits/b"), &pro), 9);
    assert_eq!(
        gateway.passes(&at("/none"), &pro),
        0,
        "counted with /limits/b"
    );
}

#[test]
fn another_spelling_of_a_path_is_no_way_around_its_rule() {
    let gateway = gateway(vec![under("pro", "", "/none/ab", "y", only(2))]);
    let pro = user(1, "pro");
    for path in ["/none/%61b", "/none//ab", "/none/./ab"] {
        gateway.ask(&at(path), &pro).ok();
    }
    assert_eq!(gateway.passes(&at("/none/ab"), &pro), 0);
    assert_eq!(gateway.passes(&at("/none/a%62"), &pro), 0);
}

#[test]
fn counters_outlive_a_change_of_rules() {
    let mut gateway = gateway(vec![on("pro", "none", "y", only(4))]);
    let config = {
        let mut config = sample::config(vec![route("none", Some(Vec::new()))]);
        config.tiers = tiers(&[("pro", None)]);
        config
    };
    assert_eq!(gateway.passes(&at("/none"), &user(1, "pro")), 4);
    gateway.reload_with(&config, &stored(vec![on("pro", "none", "y", only(6))]));
    assert_eq!(gateway.passes(&at("/none"), &user(1, "pro")), 2);
    gateway.reload_with(&config, &stored(Vec::new()));
    assert_eq!(gateway.passes(&at("/none"), &user(1, "pro")), 20);
}

#[test]
fn a_rule_for_a_route_that_is_gone_waits() {
    let gateway = gateway(vec![on("pro", "gone", "y", only(1))]);
    assert_eq!(gateway.passes(&at("/none"), &user(1, "pro")), 20);
}

#[test]
fn a_rule_keeps_the_cost_of_the_limit_in_whose_place_it_stands() {
    let mut dear = limit("x", LimitKey::User, only(9));
    dear.cost = std::num::NonZeroU32::new(3).unwrap();
    let mut config = sample::config(vec![route("a", Some(vec![dear]))]);
    config.tiers = tiers(&[("pro", None)]);
    let mut gateway = Gateway::new(&config);
    gateway.reload_with(&config, &stored(vec![on("pro", "a", "x", only(12))]));
    assert_eq!(gateway.passes(&at("/a"), &user(1, "pro")), 4);
}

proptest! {
    /// Rules of other tiers, however many, change nothing for a caller.
    #[test]
    fn rules_act_for_their_tier_alone(
        rules in prop::collection::vec((0..3_usize, 0..4_usize, 1..9_u32), 0..12),
        path in 0..3_usize,
    ) {
        let (routes, names) = (["limits", "none", "silent"], ["x", "y", "tier", "z"]);
        let all = rules.iter().enumerate().map(|(at, (route, name, burst))| match at % 2 {
            0 => on("gold", routes[*route], names[*name], only(*burst)),
            _ => under("gold", "", &format!("/{}", routes[*route]), names[*name], only(*burst)),
        });
        let with = gateway(all.collect());
        let without = gateway(Vec::new());
        let asked = at(["/limits", "/none", "/silent"][path]);
        for tier in ["free", "pro", "gone"] {
            let caller = user(1, tier);
            prop_assert_eq!(with.passes(&asked, &caller), without.passes(&asked, &caller));
        }
    }

    /// Whatever the rules are, the smallest of those that act is what passes.
    #[test]
    fn the_smallest_of_all_that_act_decides(
        bursts in prop::collection::vec(1..15_u32, 1..6),
    ) {
        let rules = bursts.iter().enumerate().map(|(at, burst)| match at % 2 {
            0 => on("pro", "none", &format!("r{at}"), only(*burst)),
            _ => under("pro", "", "/none", &format!("r{at}"), only(*burst)),
        });
        let gateway = gateway(rules.collect());
        let least = bursts.iter().min().map_or(0, |least| *least as usize);
        prop_assert_eq!(gateway.passes(&at("/none"), &user(1, "pro")), least);
    }
}
