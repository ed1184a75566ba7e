//! Where requests go that another route takes now, or that are left to it.

use super::*;

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
fn what_the_auth_api_leaves_to_routes_of_some_requests_is_told() {
    let given_up = |route: &str| {
        let (old, mut new) = (file(HEAD, &[route]), file(HEAD, &[route]));
        new = Stages::build(new.config, vec!["/api/v1/login".to_owned()]);
        (lines(&old, &new), lines(&new, &old))
    };
    for (route, request) in [
        (
            "hosts: [h.example], prefix: /",
            "`GET /api/v1/users/zz-any` on h.example",
        ),
        (
            "hosts: ['*.h.example:8443'], prefix: /",
            "`GET /api/v1/users/zz-any` on zz-any.h.example:8443",
        ),
        (
            "headers: { X-C: '2' }, prefix: /api",
            "`GET /api/v1/users/zz-any` with `x-c: 2`",
        ),
        (
            "hosts: [h.example], headers: { X-C: '2' }, methods: [PUT], prefix: /",
            "`PUT /api/v1/users/zz-any` on h.example with `x-c: 2`",
        ),
        (
            "hosts: [h.example], regex: '/api/.*'",
            "`GET /api/v1/users/zz-any` on h.example",
        ),
        (
            "path: '/api/{version}/users/alice'",
            "`GET /api/v1/users/alice`",
        ),
    ] {
        let (there, back) = given_up(&format!("name: some, auth: none, {route}"));
        assert_eq!(
            there,
            [format!(
                "newly public: route some: takes {request}, which the auth API served"
            )]
        );
        assert_eq!(
            back,
            [format!(
                "changed: route some: {request} is served by the auth API now"
            )]
        );
    }
}
