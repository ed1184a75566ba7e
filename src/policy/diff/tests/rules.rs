//! Whom `allow` lets in, and what is in shadow.

use super::*;

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
fn an_expression_may_be_written_in_another_way() {
    let allow = |cel: &str| {
        format!("name: a, path: '/a/{{id}}', auth: required, allow: [{{ cel: {cel} }}]")
    };
    let old = allow(
        r#"'path.id == user.username && user.tier in ["a", "b"] && 1.0 / 0.0 > 1.0 && request.path.matches("^/a/x")'"#,
    );
    let respelled = allow(
        r#""path.id==user.username && user.tier in ['a','b'] && 1.0/0.0>1.0 && request.path.matches('^/a/x')""#,
    );
    assert_said(&[&old], &[&respelled], &[]);
    let renamed = old.replace("{id}", "{who}").replace("path.id", "path.who");
    assert_said(
        &[&old],
        &[&renamed],
        &["changed: route a: path /a/{id} → /a/{who}"],
    );
    for (part, other) in [
        ("user.username", "user.email"),
        (r#""a", "b""#, r#""a", "c""#),
        ("^/a/x", "^/a/y"),
        ("path.id ==", "path.id !="),
        ("1.0 / 0.0", "1.0 / -0.0"),
    ] {
        let new = old.replace(part, other);
        let said = said(&[&old], &[&new]);
        assert!(
            said.iter().any(|line| line.starts_with("loosened")),
            "{new}: {said:?}"
        );
    }
}

#[test]
fn what_rules_are_told_of_a_path_hangs_on_its_options() {
    for (path, option, cel) in [
        (
            "path: '/u/{id}'",
            "case_insensitive: true",
            r#"path.id != "admin""#,
        ),
        (
            "path: '/u/{*id}'",
            "trailing_slash: ignore",
            r#"path.id != "admin""#,
        ),
        (
            "prefix: /u",
            "case_insensitive: true",
            r#"request.path != "/u/admin""#,
        ),
    ] {
        let route = format!("name: a, {path}, auth: required, allow: [{{ cel: '{cel}' }}]");
        let folded = format!("{route}, path_options: {{ {option} }}");
        let said = said(&[&folded], &[&route]);
        let expected =
            format!("loosened: route a: `allow` has {{ cel: '{cel}' }}, which admits others");
        assert!(said.contains(&expected), "{said:?}");
    }
    let route = "name: a, path: '/u', auth: required, allow: [{ cel: 'user.tier == \"pro\"' }]";
    let said = said(
        &[&format!(
            "{route}, path_options: {{ case_insensitive: true }}"
        )],
        &[route],
    );
    assert!(
        !said.iter().any(|line| line.starts_with("loosened")),
        "{said:?}"
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
