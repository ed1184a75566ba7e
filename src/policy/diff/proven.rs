//! What is said is held to what the stages decide, for files and requests made up.

use proptest::prelude::*;

use super::tests::HEAD;
use super::*;
use crate::config;
use crate::config::policy_test::TestCaller;
use crate::policy::{Asked, Caller, principal};

fn route() -> impl Strategy<Value = String> {
    let pattern = prop::sample::select(vec![
        "path: /a",
        "path: /a/",
        "path: '/{x}'",
        "path: '/a/{x}'",
        "path: '/{x}/b'",
        "path: /a/b",
        "path: '/a/{*x}'",
        "prefix: /",
        "prefix: /a",
        "prefix: /a/b",
        "regex: '/a/[a-z]+'",
        "regex: '/[ab]/.*'",
        "regex: '/a/[a-z]*q[a-z]*'",
        "regex: '/a/[a-z]*k[a-z]*'",
        "path: /c",
        "prefix: /c",
        "regex: '/c/[A-Za-z0-9_-]+(/.*)?'",
    ]);
    let methods = prop::sample::select(vec![
        "",
        ", methods: [GET]",
        ", methods: [GET, POST]",
        ", methods: [DELETE]",
        ", methods: [GET, DELETE, PURGE, UNLINK]",
    ]);
    let hosts = prop::sample::select(vec![
        "",
        "",
        ", hosts: [h.example]",
        ", hosts: ['*.example']",
        ", headers: { X-B: '1' }",
        ", ip: { deny: [192.0.2.0/24] }",
    ]);
    let options = prop::sample::select(vec![
        "",
        "",
        "",
        ", path_options: { trailing_slash: ignore }",
        ", path_options: { case_insensitive: true }",
    ]);
    let auth = prop::sample::select(vec![
        "auth: none",
        "auth: optional",
        "auth: required",
        "auth: required, allow: [{ superuser: true }]",
        "auth: required, shadow: [auth]",
        "auth: required, allow: [{ tiers: [pro] }]",
        "auth: required, allow: [{ tiers: [pro] }], shadow: [allow]",
        "auth: required, allow: [{ min_tier: pro, roles: [x] }, { superuser: true }]",
    ]);
    (pattern, methods, hosts, options, auth)
        .prop_map(|(a, b, c, d, e)| format!("{a}{b}{c}{d}, {e}"))
}

/// Files of routes that do not tie.
fn stages(routes: &[Numbered]) -> Option<Stages> {
    let routes = routes.iter();
    let routes =
        routes.map(|(at, route)| format!("  - {{ name: r{at}, upstream: app, {route} }}\n"));
    let text = format!("{HEAD}routes:\n{}", routes.collect::<String>());
    let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None).ok()?;
    Some(Stages::build(loaded.config, Vec::new()))
}

fn asked() -> Vec<Asked> {
    let mut all = Vec::new();
    for path in [
        "/", "/a", "/a/", "/A", "/b", "/c", "/a/b", "/a/c", "/a/b/", "/b/b", "/c/b", "/a/b/c",
        "/b/x/y", "/A/B", "/a/7", "/a/qk", "/a/kq", "/c/a.b", "/c/a/b.c",
    ] {
        for host in ["localhost", "h.example", "g.example"] {
            for method in ["GET", "POST", "DELETE", "PATCH"] {
                for header in ["X-B: 1", "X-C: 1"] {
                    let headers = [format!("Host: {host}"), header.to_owned()];
                    all.push(Asked::new(method, path, &headers, None).unwrap());
                }
            }
        }
    }
    all
}

fn callers() -> Vec<Option<TestCaller>> {
    let caller = |tier: &str, roles: &[&str], is_superuser| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let tier = Some(tier.to_owned());
        Some(TestCaller {
            tier,
            roles,
            is_superuser,
            ..TestCaller::default()
        })
    };
    vec![
        None,
        caller("free", &[], false),
        caller("pro", &[], false),
        caller("max", &["x"], false),
        caller("free", &[], true),
    ]
}

/// A route with the number that its name has.
type Numbered = (usize, String);

/// The routes of a file, and the same after some changes.
fn files() -> impl Strategy<Value = (Vec<Numbered>, Vec<Numbered>)> {
    let old = prop::collection::vec(route(), 1..5);
    let swap = prop::option::of((0usize..5, 0usize..5));
    let change = prop::collection::vec((0usize..5, prop::option::of(route())), 1..3);
    (old, change, swap).prop_map(|(old, change, swap)| {
        let old: Vec<Numbered> = old.into_iter().enumerate().collect();
        let mut changed = old.clone();
        for (at, route) in change {
            match route {
                Some(route) if at < changed.len() => changed[at].1 = route,
                Some(route) => changed.push((10 + changed.len(), route)),
                None if at < changed.len() && changed.len() > 1 => {
                    changed.remove(at);
                }
                None => {}
            }
        }
        if let Some((a, b)) = swap {
            let count = changed.len();
            changed.swap(a % count, b % count);
        }
        (old, changed)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn routes_that_stay_need_not_be_held_against_each_other((old, new) in files()) {
        let (Some(old), Some(new)) = (stages(&old), stages(&new)) else { return Ok(()) };
        let pairs = Pairs::of(&old.config, &new.config);
        let find = |touched| moved::find(&old, &new, &pairs, &touched);
        let found = find(Touched::of(&old, &new, &pairs));
        let all = find(Touched::all(&old.config, &new.config));
        for (was, is) in all.ends() {
            prop_assert!(found.has(was, is), "{was:?} {is:?}");
        }
        prop_assert!(all.beside_regexes.is_subset(&found.beside_regexes));
    }

    #[test]
    fn nothing_that_passes_anew_goes_untold((old, new) in files()) {
        let (Some(old), Some(new)) = (stages(&old), stages(&new)) else { return Ok(()) };
        let changes = diff(&old, &new);
        if changes.iter().any(|change| change.kind.is_looser()) {
            return Ok(());
        }
        let added: Vec<_> = changes.iter().filter(|change| change.kind == Kind::Added).collect();
        for asked in asked() {
            for caller in callers() {
                let ask = |stages: &Stages| {
                    let principal = principal(caller.as_ref(), &stages.config).unwrap();
                    stages.explain(&asked, &Caller::Stated(principal))
                };
                let (was, is) = (ask(&old), ask(&new));
                // A new route may admit callers to what nothing took.
                let is_told = was.route.is_none() && added.iter().any(|change| Some(&change.about) == is.route.as_ref().map(|r| format!("{ROUTE}{r}")).as_ref());
                prop_assert!(is.is_refused() || !was.is_refused() || is_told, "{}\n{}\n{:?}", was, is, changes);
            }
        }
    }
}
