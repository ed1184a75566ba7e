//! What is said of requests that another route takes.

use super::*;

#[test]
fn all_that_a_route_does_is_compared_where_requests_fall_to_another() {
    let up = |rest: &str| format!("name: up, path: /up, auth: required, {rest}");
    for (had, said) in [
        (
            "concurrency: { key: user, max: 1 }",
            "concurrency 1 at once by user → unlimited",
        ),
        ("max_body: 1KiB", "max_body 1024 → 10485760"),
        (
            "security_headers: standard",
            "security_headers standard → off",
        ),
        (
            "cors: { origins: ['https://a.test'] }",
            "cors is left to the upstream",
        ),
        (
            "rewrite: { set_prefix: /v1 }",
            "rewrite.set_prefix /v1 → nothing",
        ),
        (
            "request_headers: { remove: [x-debug] }",
            "request_headers.remove [x-debug] → []",
        ),
        (
            "response_headers: { set: { X-Frame-Options: DENY } }",
            "response_headers.set.x-frame-options DENY → nothing",
        ),
    ] {
        let lines = super::said(&[&up(had), REST], &[REST]);
        let expected = format!("loosened: route rest: takes `GET /up`, which `up` took: {said}");
        assert_eq!(lines.first(), Some(&expected), "{lines:?}");
    }
    assert_said(
        &[&up("timeout: 1s"), REST],
        &[REST],
        &[
            "removed: route up: path /up, auth required",
            "changed: route rest: takes `GET /up`, which `up` took, and asks the same",
        ],
    );
}

#[test]
fn there_is_always_a_method_that_no_route_names() {
    let admin = "name: admin, path: /admin, auth: required";
    let named =
        "name: other, path: /other, methods: [DELETE, PURGE, UNLINK, PUT, PATCH], auth: required";
    let public = "name: all, prefix: /, auth: none";
    assert_eq!(
        said(
            &[admin, named, public],
            &[
                &format!("{admin}, methods: [GET, POST, DELETE, PURGE, UNLINK, PUT, PATCH]"),
                named,
                public
            ],
        )[0],
        "newly public: route all: takes `ZZ-ANY /admin`, which `admin` took: auth required → none: anybody gets through"
    );
}

#[test]
fn headers_that_a_route_set_are_free_without_it() {
    let org =
        "name: org, path: /org, auth: required, request_headers: { set: { X-Org: a, Accept: b } }";
    assert_said(
        &[org, REST],
        &[REST],
        &[
            "loosened: route org: clients may send x-org, which it set",
            "loosened: route rest: takes `GET /org`, which `org` took: request_headers.set.accept b → nothing; \
             request_headers.set.x-org a → nothing",
            "removed: route org: path /org, auth required",
        ],
    );
    let other = format!("{REST}, request_headers: {{ set: {{ X-Org: c }} }}");
    let said = said(&[org, &other], &[&other]);
    assert!(
        said.iter().all(|line| !line.contains("may send")),
        "{said:?}"
    );
}

#[test]
fn a_slash_at_the_end_may_be_all_that_moves() {
    let guarded = |path: &str, name: &str| format!("name: {name}, path: '{path}', auth: required");
    let open = "name: open, prefix: /a, auth: none, limits: []";
    let moved = |others: &[(&str, &str)]| {
        let others = others.iter().map(|(path, name)| guarded(path, name));
        let routes: Vec<String> = others.chain([format!("{REST}, limits: []")]).collect();
        let mut routes: Vec<&str> = routes.iter().map(String::as_str).collect();
        let old = file(HEAD, &routes);
        routes.push(open);
        lines(&old, &file(HEAD, &routes)).remove(0)
    };
    let why = "which `rest` took: auth required → none: anybody gets through";
    let deep = [("/a", "one"), ("/a/{x}", "x"), ("/a/{x}/{*more}", "more")];
    assert_eq!(
        moved(&deep),
        format!("newly public: route open: takes `GET /a/`, {why}")
    );
    assert_eq!(
        moved(&[&deep[..], &[("/a/", "slash")]].concat()),
        format!("newly public: route open: takes `GET /a/zz-any/`, {why}")
    );
}
