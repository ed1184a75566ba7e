//! What is said of keys whose values say nothing of who is admitted.

use super::*;

/// How lines begin that are about something, where its lines change from one to another.
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
    let line = "version";
    let text = |upstream: &str| {
        let text = format!(
            "{head}routes:\n  - {{ name: a, path: /a, auth: none, upstream: {upstream} }}\n  \
             - {{ name: b, path: /b, auth: none, upstream: app }}\n  \
             - {{ name: c, path: /c, auth: none, upstream: other }}\n"
        );
        assert!(text.contains(line));
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
