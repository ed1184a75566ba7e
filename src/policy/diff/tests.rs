//! What is said of changes to a file.

mod keys;
mod moved;
mod regexes;
mod settings;

use super::*;
use crate::config;

pub(super) const HEAD: &str = "version: 1\n\
    tiers: { free: { rank: 0, rate: 10/min }, pro: { rank: 1, rate: 100/min }, max: { rank: 2 } }\n\
    anonymous: { rate: 5/min }\n\
    upstreams: { app: { targets: http://a } }\n";

/// A file of lines of routes, each of which goes to the one upstream.
fn file(head: &str, routes: &[&str]) -> Stages {
    let routes = routes
        .iter()
        .map(|line| format!("  - {{ upstream: app, {line} }}\n"));
    let text = format!("{head}routes:\n{}", routes.collect::<String>());
    let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
    let config = loaded.unwrap_or_else(|report| panic!("{report}")).config;
    let endpoints = vec![
        "/api/v1/login".to_owned(),
        "/api/v1/users/{name}".to_owned(),
    ];
    Stages::build(config, endpoints)
}

fn said(old: &[&str], new: &[&str]) -> Vec<String> {
    lines(&file(HEAD, old), &file(HEAD, new))
}

fn lines(old: &Stages, new: &Stages) -> Vec<String> {
    let line = |change: &Change| {
        format!(
            "{}: {}: {}",
            change.kind.as_str(),
            change.about,
            change.what
        )
    };
    diff(old, new).iter().map(line).collect()
}

#[track_caller]
fn assert_said(old: &[&str], new: &[&str], expected: &[&str]) {
    assert_eq!(said(old, new), expected);
}

const REST: &str = "name: rest, prefix: /, auth: required";

#[test]
fn the_same_policy_in_other_words_is_no_change() {
    let routes = [
        "name: a, path: '/a/{id}', methods: [GET, PUT], auth: required, allow: [{ superuser: true }, { tiers: [pro] }]",
        REST,
    ];
    let turned = [
        REST,
        "name: a, path: '/a/{id}', methods: [GET, PUT], auth: required, allow: [{ tiers: [pro] }, { superuser: true }]",
    ];
    assert_said(&routes, &routes, &[]);
    assert_said(&routes, &turned, &[]);
}

#[test]
fn a_route_that_turns_public_is_told_first() {
    assert_said(
        &["name: a, path: /a, auth: required, timeout: 1s", REST],
        &["name: a, path: /a, auth: optional, timeout: 2s", REST],
        &[
            "newly public: route a: auth required → optional: anybody gets through",
            "changed: route a: timeout 1s → 2s",
        ],
    );
    assert_said(
        &["name: a, path: /a, auth: optional, allow: [{ roles: [x] }]"],
        &["name: a, path: /a, auth: optional"],
        &[
            "newly public: route a: auth optional → optional: anybody gets through",
            "loosened: route a: `allow` asks nothing any more",
        ],
    );
    assert_said(
        &["name: a, path: /a, auth: optional, allow: [{ roles: [x] }]"],
        &["name: a, path: /a, auth: required, allow: [{ roles: [x] }]"],
        &["changed: route a: auth optional → required"],
    );
    assert_said(
        &["name: a, path: /a, auth: none"],
        &["name: a, path: /a, auth: required"],
        &["tightened: route a: auth none → required"],
    );
}

#[test]
fn fewer_keys_in_an_alternative_are_looser() {
    let allow =
        |rules: &str| format!("name: a, path: '/a/{{id}}', auth: required, allow: [{rules}]");
    for (old, new, expected) in [
        (
            "{ roles: [x], scopes: [s] }",
            "{ roles: [x] }",
            &["loosened: route a: `allow` has { roles: [x] }, which admits others"][..],
        ),
        (
            "{ roles: [x] }",
            "{ roles: [x], scopes: [s] }",
            &["tightened: route a: `allow` no longer has { roles: [x] }"],
        ),
        (
            "{ owner: '{id}' }",
            "{ owner: { path: '{id}', equals: '{user.id}' } }",
            &[
                "loosened: route a: `allow` has { owner: {id} = user.id }, which admits others",
                "tightened: route a: `allow` no longer has { owner: {id} = user.username }",
            ],
        ),
        (
            "{ min_tier: pro }",
            "{ min_tier: pro }, { tiers: [max] }",
            &[],
        ),
        (
            "{ min_tier: max }",
            "{ min_tier: pro }",
            &["loosened: route a: `allow` has { min_tier: pro }, which admits others"],
        ),
        (
            "{ claims: { org: a } }",
            "{ claims: { org: a } }, { superuser: true }",
            &["loosened: route a: `allow` has { superuser: true }, which admits others"],
        ),
    ] {
        assert_said(&[&allow(old)], &[&allow(new)], expected);
    }
    let renamed = allow("{ owner: '{id}' }").replace("id}", "who}");
    assert_said(
        &[&allow("{ owner: '{id}' }")],
        &[&renamed],
        &["changed: route a: path /a/{id} → /a/{who}"],
    );
}

#[test]
fn limits_are_compared_by_who_meets_them() {
    let limits = |limits: &str| format!("name: a, path: /a, auth: required, {limits}");
    for (old, new, expected) in [
        (
            "limits: [{ name: w, key: user, rate: 30/min, tiers: { pro: 60/min } }]",
            "limits: [{ name: w, key: user, rate: 30/min, tiers: { pro: 90/min } }]",
            &["loosened: route a: the limit w 60/min → 90/min for pro"][..],
        ),
        (
            "limits: [{ name: w, key: user, rate: 30/min }]",
            "limits: [{ name: w, key: user, rate: 20/min, burst: 40 }]",
            &["loosened: route a: the limit w 30/min → 20/min, burst 40"],
        ),
        (
            "limits: [{ name: w, key: user, rate: 30/min }]",
            "limits: [{ name: other, key: user, rate: 30/min }]",
            &[],
        ),
        (
            "limits: [{ name: w, key: user, rate: 30/min }]",
            "limits: []",
            &["loosened: route a: the limit w 30/min → unlimited"],
        ),
        (
            "limits: [{ name: w, key: user, rate: 30/min }]",
            "limits: [{ name: w, key: ip, rate: 30/min }]",
            &["loosened: route a: the limit w counts by ip and no longer by user"],
        ),
        (
            "limits: []",
            "limits: [{ name: w, key: user, rate: 30/min, cost: 3 }]",
            &["tightened: route a: the limit w unlimited → 30/min at 3 a request"],
        ),
        (
            "limits: [{ name: w, key: api_key, rate: 30/min }]",
            "limits: [{ name: w, key: \"claim:org\", rate: 30/min }]",
            &["loosened: route a: the limit w counts by claim:org and no longer by api_key"],
        ),
        // What says nothing of limits has those of tiers.
        (
            "timeout: 1s",
            "timeout: 1s, limits: [{ name: w, key: user, rate: 10/min }]",
            &["tightened: route a: the limit w unlimited → 10/min for max, pro"],
        ),
        (
            "timeout: 1s",
            "timeout: 1s, limits: []",
            &[
                "loosened: route a: the limit tier 10/min → unlimited for free",
                "loosened: route a: the limit tier 100/min → unlimited for pro",
            ],
        ),
    ] {
        assert_said(&[&limits(old)], &[&limits(new)], expected);
    }
}

#[test]
fn what_a_new_route_takes_from_a_tighter_one_is_looser() {
    assert_said(
        &[
            "name: admin, prefix: /admin, auth: required, allow: [{ superuser: true }]",
            REST,
        ],
        &[
            "name: admin, prefix: /admin, auth: required, allow: [{ superuser: true }]",
            "name: stats, path: '/admin/{what}/stats', methods: [GET], auth: required",
            "name: open, path: /open, auth: none, limits: []",
            REST,
        ],
        &[
            "newly public: route open: takes `GET /open`, which `rest` took: auth required → none: anybody gets \
             through; the limit tier 10/min → unlimited for free; the limit tier 100/min → unlimited for pro",
            "loosened: route stats: takes `GET /admin/zz-any/stats`, which `admin` took: `allow` asks nothing any more",
            "added: route open: path /open, auth none",
            "added: route stats: path /admin/{what}/stats, methods GET, auth required",
        ],
    );
    assert_said(
        &["name: a, path: /a, auth: required"],
        &[
            "name: a, path: /a, auth: required",
            "name: b, path: /b, auth: required",
            "name: c, path: /c, auth: none",
        ],
        &[
            "newly public: route c: takes `GET /c`, which nothing took",
            "added: route b: path /b, auth required",
            "added: route c: path /c, auth none",
        ],
    );
}

#[test]
fn requests_of_a_route_that_is_gone_fall_to_what_is_left() {
    let admin = "name: admin, prefix: /admin, auth: required, allow: [{ superuser: true }]";
    assert_said(
        &[admin, REST],
        &[REST],
        &[
            "loosened: route rest: takes `GET /admin`, which `admin` took: `allow` asks nothing any more",
            "removed: route admin: prefix /admin, auth required",
        ],
    );
    assert_said(
        &[admin, "name: a, path: /a, auth: none"],
        &["name: a, path: /a, auth: none"],
        &[
            "removed: route admin: prefix /admin, auth required",
            "tightened: route admin: `GET /admin` is taken by nothing any more",
        ],
    );
    // The way it falls may be by one method alone.
    let by_method = |methods: &str| {
        format!(
            "name: admin, prefix: /admin, methods: {methods}, auth: required, allow: [{{ superuser: true }}]"
        )
    };
    assert_said(
        &[&by_method("[GET, DELETE]"), REST],
        &[&by_method("[GET]"), REST],
        &[
            "loosened: route rest: takes `DELETE /admin`, which `admin` took: `allow` asks nothing any more",
            "changed: route admin: methods [GET, DELETE] → [GET]",
        ],
    );
}

#[test]
fn a_route_that_takes_more_is_looser_where_nothing_as_tight_took_it() {
    let by = |what: &str| format!("name: a, {what}, auth: required");
    for (old, new, said) in [
        (
            "path: /a, methods: [GET]",
            "path: /a, methods: [GET, PUT]",
            "`PUT /a`",
        ),
        ("path: /a, methods: [GET]", "path: /a", "`POST /a`"),
        ("path: /a, headers: { X-B: '1' }", "path: /a", "`GET /a`"),
        (
            "path: /a, hosts: [a.example]",
            "path: /a, hosts: [a.example, b.example]",
            "`GET /a` on b.example",
        ),
        (
            "path: /a, hosts: [a.example]",
            "path: /a, hosts: [a.example, '*.c.example']",
            "`GET /a` on zz-any.c.example",
        ),
        (
            "path: '/a/{id}'",
            "path: '/a/{*id}'",
            "`GET /a/zz-any/zz-any`",
        ),
        (
            "path: /a",
            "path: /a, path_options: { trailing_slash: ignore }",
            "`GET /a/`",
        ),
        (
            "path: /a/b",
            "path: /a/b, path_options: { merge_slashes: true }",
            "`GET /a//b`",
        ),
    ] {
        let changes = diff(&file(HEAD, &[&by(old)]), &file(HEAD, &[&by(new)]));
        let looser: Vec<_> = changes
            .iter()
            .filter(|change| change.kind.is_looser())
            .collect();
        let expected = format!("takes {said}, which nothing took");
        let [one] = looser.as_slice() else {
            panic!("{changes:?}")
        };
        assert_eq!(
            (one.kind, &one.what),
            (Kind::Loosened, &expected),
            "{changes:?}"
        );
        let back = diff(&file(HEAD, &[&by(new)]), &file(HEAD, &[&by(old)]));
        assert!(
            back.iter().all(|change| !change.kind.is_looser()),
            "{back:?}"
        );
    }
    // A route below that asks as much took it before.
    assert_said(
        &["name: a, path: /a, methods: [GET], auth: required", REST],
        &[
            "name: a, path: /a, methods: [GET, PUT], auth: required",
            REST,
        ],
        &[
            "changed: route a: takes `PUT /a`, which `rest` took, and asks the same",
            "changed: route a: methods [GET] → [GET, PUT]",
        ],
    );
}

#[test]
fn requests_that_fall_to_a_route_for_all_addresses_are_looser() {
    let rest = "name: rest, prefix: /, auth: required";
    let inside = "name: inside, path: /x, auth: required, ip: { allow: [10.0.0.0/8] }";
    assert_said(
        &[inside, rest],
        &[rest],
        &[
            "loosened: route rest: takes `GET /x`, which `inside` took: ip allow 10.0.0.0/8 → everywhere",
            "removed: route inside: path /x, auth required",
        ],
    );
}

#[test]
fn a_route_under_another_name_is_the_same_route() {
    assert_said(
        &["name: a, path: /a, auth: required"],
        &["name: b, path: /a, auth: required"],
        &["renamed: route b: was `a`"],
    );
}

#[test]
fn what_regexes_take_cannot_be_proven() {
    let admin = "name: admin, path: '/x/{id}/y', auth: required, allow: [{ superuser: true }]";
    let digits = "name: digits, regex: '/x/[0-9]+/s', auth: required, allow: [{ superuser: true }]";
    let regex = "name: re, regex: '/x/[0-9a-f]{32}/[q-z]', auth: required";
    // The path comes before the regex as it did, so nothing moves.
    assert_said(
        &[admin],
        &[admin, regex],
        &["added: route re: regex /x/[0-9a-f]{32}/[q-z], auth required"],
    );
    assert_said(
        &[digits],
        &[regex, digits],
        &[
            "loosened: route re: may take requests that `digits` took: `allow` asks nothing any more",
            "added: route re: regex /x/[0-9a-f]{32}/[q-z], auth required",
        ],
    );
    assert_said(&[digits, regex], &[digits, regex], &[]);
    assert_said(
        &[regex],
        &[&regex.replace("32", "16")],
        &[
            "loosened: route re: regex /x/[0-9a-f]{32}/[q-z] → regex /x/[0-9a-f]{16}/[q-z] may take more than it took",
            "loosened: route re: takes `GET /x/0000000000000000/x`, which nothing took",
            "tightened: route re: `GET /x/00000000000000000000000000000000/x` is taken by nothing any more",
            "changed: route re: regex /x/[0-9a-f]{32}/[q-z] → /x/[0-9a-f]{16}/[q-z]",
        ],
    );
}

#[test]
fn tiers_and_settings_are_compared_too() {
    let old = file(
        HEAD,
        &["name: a, path: /a, auth: required, allow: [{ min_tier: pro }]"],
    );
    let head = HEAD
        .replace(
            "free: { rank: 0, rate: 10/min }",
            "free: { rank: 1, rate: 20/min }",
        )
        .replace("max: { rank: 2 }", "max: { rank: 2, rate: 1/s }")
        .replace(
            "anonymous: { rate: 5/min }",
            "auth: { registration: open, leeway: 10s }",
        );
    let new = file(
        &head,
        &["name: a, path: /a, auth: required, allow: [{ min_tier: pro }]"],
    );
    assert_eq!(
        lines(&old, &new),
        [
            "loosened: anonymous: rate 5/min → unlimited",
            "loosened: auth.registration: closed → open",
            "loosened: route a: `allow` has { min_tier: free }, which admits others",
            "loosened: tier free: rate 10/min → 20/min",
            "tightened: auth.leeway: 30s → 10s",
            "tightened: tier max: rate unlimited → 1/s",
            "changed: tier free: rank 0 → 1",
        ]
    );
}

#[test]
fn limits_that_gateways_no_longer_share_are_looser() {
    let route = &["name: a, path: /a, auth: required"][..];
    let with = |url: &str| file(&format!("{HEAD}\nshared: {{ redis: \"{url}\" }}\n"), route);
    let (none, one) = (file(HEAD, route), with("redis://one"));
    assert_eq!(
        lines(&one, &none),
        [
            "loosened: shared: limits hold for each gateway alone, and not for all together",
            "changed: shared.redis: redis://one:6379 → nothing",
        ]
    );
    assert_eq!(
        lines(&none, &one),
        ["changed: shared.redis: nothing → redis://one:6379"]
    );
    assert_eq!(
        lines(&one, &with("redis://:hunter2@two")),
        ["changed: shared.redis: redis://one:6379 → redis://two:6379"]
    );
}

#[test]
fn what_the_auth_api_leaves_to_the_routes_is_told() {
    let routes = ["name: all, prefix: /, auth: none"];
    let (old, mut new) = (file(HEAD, &routes), file(HEAD, &routes));
    new = Stages::build(new.config, vec!["/api/v1/login".to_owned()]);
    assert_eq!(
        lines(&old, &new),
        ["newly public: route all: takes `GET /api/v1/users/name`, which the auth API served"]
    );
    assert_eq!(
        lines(&new, &old),
        ["changed: route all: `GET /api/v1/users/name` is served by the auth API now"]
    );
}

#[test]
fn what_is_in_shadow_refuses_nobody() {
    let auth = "name: a, path: /a, auth: required";
    let allow = "name: a, path: /a, auth: required, allow: [{ roles: [x] }]";
    let with = |line: &str, shadow: &str| format!("{line}, shadow: [{shadow}]");
    let limited = |rest: &str| {
        format!("name: a, path: /a, auth: required, limits: [{{ name: x, rate: 5/min{rest} }}]")
    };
    let limitless = "name: a, path: /a, auth: required, limits: []";
    let capped = |max: u32| format!("{limitless}, concurrency: {{ key: ip, max: {max} }}");
    for (old, new, expected) in [
        (
            auth.to_owned(),
            with(auth, "auth"),
            "newly public: route a: auth required → required in shadow: anybody gets through",
        ),
        (
            with(auth, "auth"),
            auth.to_owned(),
            "tightened: route a: auth required in shadow → required",
        ),
        // One that does not verify is refused there.
        (
            auth.replace("required", "optional"),
            with(auth, "auth"),
            "loosened: route a: auth optional → required in shadow",
        ),
        (
            allow.to_owned(),
            with(allow, "allow"),
            "loosened: route a: `allow` is in shadow",
        ),
        (
            with(allow, "allow"),
            allow.to_owned(),
            "tightened: route a: `allow` is no longer in shadow",
        ),
        // The rules still ask for an identity.
        (
            allow.to_owned(),
            with(allow, "auth"),
            "changed: route a: auth required → required in shadow",
        ),
        (
            limited(""),
            limited(", mode: shadow"),
            "loosened: route a: the limit x 5/min → in shadow",
        ),
        (
            with(&limited(""), "limits"),
            limited(""),
            "tightened: route a: the limit x in shadow → 5/min",
        ),
        (
            capped(5),
            with(&capped(5), "limits"),
            "loosened: route a: concurrency 5 at once by ip → in shadow",
        ),
        (
            capped(5),
            capped(4),
            "tightened: route a: concurrency 5 at once by ip → 4 at once by ip",
        ),
        (
            limitless.to_owned(),
            capped(4),
            "tightened: route a: concurrency unlimited → 4 at once by ip",
        ),
    ] {
        assert_said(&[&old], &[&new], &[expected]);
    }
    let said = said(&[allow], &[&with(allow, "auth, allow")]);
    assert!(said[0].starts_with("newly public: route a: "), "{said:?}");
}

#[test]
fn networks_are_compared_by_the_addresses_in_them() {
    let line = |ip: &str| format!("name: a, path: /a, auth: none, ip: {{ {ip} }}");
    let plain = "name: a, path: /a, auth: none".to_owned();
    for (old, new, expected) in [
        (
            line("allow: [10.0.0.0/8]"),
            plain.clone(),
            "loosened: route a: ip allow 10.0.0.0/8 → everywhere",
        ),
        (
            plain,
            line("deny: [10.0.0.0/8]"),
            "tightened: route a: ip everywhere → deny 10.0.0.0/8",
        ),
        (
            line("allow: [10.0.0.0/8]"),
            line("allow: [10.1.0.0/16, 10.2.0.0/16]"),
            "tightened: route a: ip allow 10.0.0.0/8 → allow 10.1.0.0/16 10.2.0.0/16",
        ),
        (
            line("allow: [10.1.0.0/16]"),
            line("allow: [10.1.0.0/16, 192.0.2.0/24]"),
            "loosened: route a: ip allow 10.1.0.0/16 → allow 10.1.0.0/16 192.0.2.0/24",
        ),
        (
            line("deny: [10.0.0.0/8]"),
            line("deny: [10.0.0.0/9]"),
            "loosened: route a: ip deny 10.0.0.0/8 → deny 10.0.0.0/9",
        ),
    ] {
        assert_said(&[&old], &[&new], &[expected]);
    }
    // What is not allowed need not be denied.
    assert_said(
        &[&line("allow: [10.0.0.0/8], deny: [192.0.2.0/24]")],
        &[&line("allow: [10.0.0.0/8]")],
        &[],
    );
}

#[test]
fn methods_that_are_not_listed_are_all_of_them_to_other_pages() {
    let line = |methods: &str| {
        format!("name: a, path: /a, auth: none, cors: {{ origins: ['https://a.test']{methods} }}")
    };
    assert_said(
        &[&line(", methods: [GET]")],
        &[&line("")],
        &["loosened: route a: cors.methods [GET] → nothing"],
    );
    assert_said(
        &[&line("")],
        &[&line(", methods: [GET]")],
        &["tightened: route a: cors.methods nothing → [GET]"],
    );
}
