//! What is said where regular expressions take part.

use super::*;

#[test]
fn regexes_that_swap_places_are_compared() {
    let guarded =
        "name: guarded, regex: '/f/[a-z]*q[a-z]*', auth: required, allow: [{ superuser: true }]";
    let open = "name: open, regex: '/f/[a-z]*k[a-z]*', auth: none";
    let said = said(&[guarded, open], &[open, guarded]);
    let [line] = said.as_slice() else {
        panic!("{said:?}")
    };
    assert!(
        line.starts_with("loosened: route open: may take requests that `guarded` took: "),
        "{line}"
    );
    // Of another host nothing moves.
    let (guarded, open) = (
        format!("{guarded}, hosts: [a.test]"),
        format!("{open}, hosts: [b.test]"),
    );
    assert_said(&[&guarded, &open], &[&open, &guarded], &[]);
}

#[test]
fn what_a_regex_hides_of_a_new_route_is_told() {
    let guarded = |what: &str| format!("name: {what}, auth: required, limits: []");
    let old = [
        guarded("path, path: /c, path_options: { trailing_slash: ignore }"),
        guarded("re, regex: '/c/[A-Za-z0-9_-]+(/.*)?'"),
    ];
    let all = guarded("all, prefix: /");
    let open = "name: open, prefix: /c, auth: none, limits: []".to_owned();
    let lines = |routes: &[&String]| {
        let routes: Vec<&str> = routes.iter().map(|route| route.as_str()).collect();
        file(HEAD, &routes)
    };
    let [path, re] = &old;
    let (before, after) = (lines(&[path, re, &all]), lines(&[path, re, &all, &open]));
    assert_eq!(
        super::lines(&before, &after),
        [
            "loosened: route open: may take requests that `all` took: auth required → none: anybody gets through",
            "added: route open: prefix /c, auth none",
        ]
    );
    // Nothing took them.
    let (before, after) = (lines(&[path, re]), lines(&[path, re, &open]));
    assert_eq!(
        super::lines(&before, &after),
        [
            "loosened: route open: may take requests that nothing took",
            "added: route open: prefix /c, auth none",
        ]
    );
    // One that asks as much is only new.
    let as_much = open.replace("none", "required");
    let (before, after) = (lines(&[path, re, &all]), lines(&[path, re, &all, &as_much]));
    assert_eq!(
        super::lines(&before, &after),
        ["added: route open: prefix /c, auth required"]
    );
}

#[test]
fn a_regex_whose_examples_are_all_hidden_is_told() {
    let guarded = "name: guarded, path: '/x/{id}', auth: required";
    let re = "name: re, regex: '/x/[a-z]+(\\.[a-z]+/deep){0,1}', auth: none";
    let may_take = "loosened: route re: may take requests that nothing took";
    let added = |lines: &[String]| lines.iter().any(|line| line == may_take);
    // Examples are one thing, what else it takes another.
    let one = "name: re, regex: '/x/[a-z]{1,3}', auth: none";
    assert!(added(&said(&[guarded], &[guarded, one])));
    assert!(said(&[guarded], &[guarded, re])[0].contains(": route re: "));
    // Where something took everything, nothing was left.
    let rest = "name: rest, prefix: /, auth: none";
    assert!(!added(&said(&[guarded, rest], &[guarded, rest, one])));
    // It was there, and takes other methods, hosts or headers.
    let with = |rest: &str| format!("{one}, {rest}").replace("none", "required");
    for (old, new, is_told) in [
        ("methods: [GET]", "methods: [GET, PUT]", true),
        ("methods: [GET, PUT]", "methods: [GET]", false),
        ("hosts: [a.test]", "hosts: [a.test, b.test]", true),
        ("hosts: [a.test, b.test]", "hosts: [a.test]", false),
        ("headers: { X-B: '1' }", "timeout: 30s", true),
        ("timeout: 30s", "headers: { X-B: '1' }", false),
    ] {
        let said = said(&[guarded, &with(old)], &[guarded, &with(new)]);
        assert_eq!(added(&said), is_told, "{old} {new}: {said:?}");
    }
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
