//! What is said of keys whose values say nothing of who is admitted.

use super::*;

/// What is said where these lines of a file become those.
#[track_caller]
fn assert_key(old: &str, new: &str, expected: &[&str]) {
    let route = &["name: a, path: /a, auth: none"];
    let with = |lines: &str| file(&format!("{HEAD}{lines}\n"), route);
    assert_eq!(lines(&with(old), &with(new)), expected, "{old} → {new}");
}

#[test]
fn proxies_that_are_trusted_or_not_may_both_be_looser() {
    let one = "trusted_proxies: [10.0.0.0/8]";
    let two = "trusted_proxies: [10.0.0.0/8, 192.0.2.1/32]";
    for (old, new, what) in [
        (one, two, "[10.0.0.0/8] → [10.0.0.0/8, 192.0.2.1/32]"),
        // Of what it sends on, its own address is the client's now.
        (two, one, "[10.0.0.0/8, 192.0.2.1/32] → [10.0.0.0/8]"),
        (one, "", "[10.0.0.0/8] → []"),
    ] {
        assert_key(old, new, &[&format!("loosened: trusted_proxies: {what}")]);
    }
}

#[test]
fn what_answers_and_what_it_is_asked_may_be_looser() {
    let route = |rest: &str| format!("name: a, prefix: /public, auth: none, {rest}");
    for (old, new, what) in [
        (
            "rewrite: { strip_prefix: /public, set_prefix: /public }",
            "rewrite: { strip_prefix: /public, set_prefix: /admin }",
            "rewrite.set_prefix /public → /admin",
        ),
        (
            "rewrite: { host: preserve }",
            "rewrite: { host: admin.internal }",
            "rewrite.host preserve → admin.internal",
        ),
        (
            "request_headers: { set: { X-Role: guest } }",
            "request_headers: { set: { X-Role: admin } }",
            "request_headers.set.x-role guest → admin",
        ),
    ] {
        let expected = format!("loosened: route a: {what}");
        assert_said(&[&route(old)], &[&route(new)], &[&expected]);
    }
    let head = HEAD.replace("{ app: {", "{ other: { targets: http://b }, app: {");
    let text = |upstream: &str| {
        let text = format!(
            "{head}routes:\n  - {{ name: a, path: /a, auth: none, upstream: {upstream} }}\n  \
             - {{ name: b, path: /b, auth: none, upstream: app }}\n  \
             - {{ name: c, path: /c, auth: none, upstream: other }}\n"
        );
        let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
        Stages::build(
            loaded.unwrap_or_else(|report| panic!("{report}")).config,
            Vec::new(),
        )
    };
    assert_eq!(
        lines(&text("app"), &text("other")),
        ["loosened: route a: upstream app → other"]
    );
}

#[test]
fn upstreams_are_compared_where_both_files_have_them() {
    let route = &["name: a, path: /a, auth: none"];
    let with = |from: &str, to: &str| file(&HEAD.replace(from, to), route);
    let (one, two) = (
        "{ app: { targets: http://a } }",
        "{ app: { targets: http://b } }",
    );
    assert_eq!(
        lines(&with(one, one), &with(one, two)),
        ["loosened: upstream app: targets [http://a:80] → [http://b:80]"]
    );
    let slow = "{ app: { targets: http://a, response_timeout: 31s } }";
    assert_eq!(
        lines(&with(one, one), &with(one, slow)),
        ["changed: upstream app: response_timeout 30s → 31s"]
    );
    let more = "{ app: { targets: http://a }, new: { targets: http://c } }";
    assert_eq!(
        lines(&with(one, one), &with(one, more)),
        ["changed: upstream new: is new"]
    );
    assert_eq!(
        lines(&with(one, more), &with(one, one)),
        ["changed: upstream new: is gone"]
    );
}

#[test]
fn the_tier_of_new_accounts_is_compared_by_what_it_gives() {
    let tier = |name: &str| format!("auth: {{ registration: open, default_tier: {name} }}");
    assert_key(
        &tier("free"),
        &tier("pro"),
        &["loosened: auth.default_tier: free → pro"],
    );
    assert_key(
        &tier("pro"),
        &tier("free"),
        &["tightened: auth.default_tier: pro → free"],
    );
    let lines_of = |routes: &[&str], old: &str, new: &str| {
        let with = |name: &str| file(&format!("{HEAD}{}\n", tier(name)), routes);
        lines(&with(old), &with(new))
    };
    let looser = ["loosened: auth.default_tier: pro → free"];
    for route in [
        "name: a, path: /a, auth: required, allow: [{ tiers: [free] }]",
        "name: a, path: /a, auth: required, allow: [{ cel: 'user.tier != \"pro\"' }]",
        "name: a, path: /a, auth: required, allow: [{ cel: 'claims.tier != \"pro\"' }]",
        "name: a, path: /a, auth: required, allow: [{ claims: { tier: free } }]",
        "name: a, path: '/{a}', auth: required, allow: [{ owner: { path: '{a}', equals: '{claims.tier}' } }]",
        "name: a, path: /a, auth: required, limits: [{ name: x, rate: 5/min, tiers: { free: 6/min } }]",
    ] {
        assert_eq!(lines_of(&[route], "pro", "free"), looser, "{route}");
    }
    let both = "name: a, path: /a, auth: required, allow: [{ tiers: [free, pro] }]";
    assert_eq!(
        lines_of(&[both], "pro", "free"),
        ["tightened: auth.default_tier: pro → free"]
    );
}

#[test]
fn pages_of_other_origins_are_the_gateway_s_or_the_upstream_s() {
    let line = |cors: &str| format!("name: a, path: /a, auth: none{cors}");
    let (with, without) = (line(", cors: { origins: ['https://a.test'] }"), line(""));
    assert_said(
        &[&with],
        &[&without],
        &["loosened: route a: cors is left to the upstream"],
    );
    assert_said(
        &[&without],
        &[&with],
        &["loosened: route a: cors is no longer left to the upstream: https://a.test may call"],
    );
}

#[test]
fn where_the_gateway_is_reached_is_compared_without_ports() {
    let listen = |address: &str| format!("listen: [{{ address: '{address}' }}]");
    let admin = |address: &str| format!("admin: {{ address: '{address}' }}");
    for (old, new, expected) in [
        (
            "127.0.0.1:80",
            "0.0.0.0:80",
            Some("loosened: listen: 127.0.0.1 → 0.0.0.0"),
        ),
        (
            "0.0.0.0:80",
            "192.0.2.1:80",
            Some("tightened: listen: 0.0.0.0 → 192.0.2.1"),
        ),
        (
            "192.0.2.1:80",
            "192.0.2.2:80",
            Some("loosened: listen: 192.0.2.1 → 192.0.2.2"),
        ),
        (
            "192.0.2.1:80",
            "127.0.0.1:80",
            Some("tightened: listen: 192.0.2.1 → 127.0.0.1"),
        ),
        ("0.0.0.0:80", "0.0.0.0:81", None),
        ("127.0.0.1:80", "[::1]:80", None),
    ] {
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_key(&listen(old), &listen(new), &expected);
    }
    assert_key(
        &admin("127.0.0.1:9901"),
        &admin("0.0.0.0:9901"),
        &["loosened: admin.address: 127.0.0.1 → 0.0.0.0"],
    );
    assert_key(
        &admin("127.0.0.1:9901"),
        "admin: { socket: admin.sock }",
        &["tightened: admin.address: 127.0.0.1 → nothing"],
    );
}

#[test]
fn what_keeps_callers_and_tokens_apart_is_looser_when_it_is_another() {
    for (old, new, expected) in [
        (
            "identity: { preset: x-user }",
            "identity: { preset: remote-user }",
            "loosened: identity.preset: x-user → remote-user",
        ),
        (
            "identity: { headers: { X-Org: '{claims.org}' } }",
            "",
            "loosened: identity.headers.x-org: {claims.org} → nothing",
        ),
        (
            "auth: { api_keys: { header: X-API-Key } }",
            "auth: { api_keys: { header: X-Other } }",
            "loosened: auth.api_keys.header: x-api-key → x-other",
        ),
        (
            "auth: { refresh_token: { delivery: cookie } }",
            "auth: { refresh_token: { delivery: body } }",
            "loosened: auth.refresh_token.delivery: cookie → body",
        ),
        (
            "auth: { cookie: { name: __Secure-a } }",
            "auth: { cookie: { name: a } }",
            "loosened: auth.cookie.name: __Secure-a → a",
        ),
        (
            "auth: { rate: 1/s }",
            "auth: { rate: 60/min }",
            "loosened: auth.rate: 1/s → 60/min",
        ),
    ] {
        assert_key(old, new, &[expected]);
    }
}

#[test]
fn values_that_are_not_shown_are_compared_too() {
    let secret = |c: &str| {
        let secret = format!("q7Xn2vRk9TzLw4PjH8cYb3MdF6sGe1U{c}");
        format!("auth: {{ signing: {{ algorithm: HS256, secret: {secret} }} }}")
    };
    let other = "a value that is not shown is another one";
    assert_key(
        &secret("a"),
        &secret("b"),
        &[&format!("loosened: auth.signing.secret: {other}")],
    );
    assert_key(&secret("a"), &secret("a"), &[]);
    let headers = |value: &str| format!("{{ X-Client-Secret: {value} }}");
    assert_key(
        &format!("identity: {{ headers: {} }}", headers("a")),
        &format!("identity: {{ headers: {} }}", headers("b")),
        &[&format!("loosened: identity.headers: {other}")],
    );
    for key in ["request_headers", "response_headers"] {
        let line = |value| {
            format!(
                "name: a, path: /a, auth: none, {key}: {{ set: {} }}",
                headers(value)
            )
        };
        assert_said(
            &[&line("a")],
            &[&line("b")],
            &[&format!(
                "loosened: route a: {key} has another value that is not shown"
            )],
        );
    }
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
