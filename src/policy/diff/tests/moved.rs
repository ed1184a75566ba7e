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
fn a_path_is_put_in_the_letters_of_both_routes() {
    let guard = "name: guard, path: '/admin/{x}/delete', path_options: { case_insensitive: true }, auth: required, allow: [{ superuser: true }]";
    let other = "name: other, prefix: /Admin, auth: required";
    let said = said(&[guard, other], &[other]);
    let looser = "loosened: route other: takes `GET /Admin/zz-any/delete`, which `guard` took: \
                  `allow` asks nothing any more";
    assert_eq!(said[0], looser, "{said:?}");
}

#[test]
fn a_path_is_put_with_the_slash_that_one_of_both_ignores() {
    let few = "auth: required, allow: [{ superuser: true }]";
    let rest = format!("name: rest, prefix: /, {few}");
    let ignore = "path_options: { trailing_slash: ignore }";
    for (guard, other, path) in [
        (
            format!("name: guard, path: '/a/{{x}}', {ignore}, {few}"),
            "name: other, path: '/{y}/b/', auth: required".to_owned(),
            "/a/b/",
        ),
        (
            format!("name: guard, path: '/a/{{x}}', {few}"),
            format!("name: other, path: '/{{y}}/b/', {ignore}, auth: required"),
            "/a/b",
        ),
    ] {
        let said = said(&[&guard, &other, &rest], &[&other, &rest]);
        let looser = format!(
            "loosened: route other: takes `GET {path}`, which `guard` took: `allow` asks nothing any more"
        );
        assert!(said.contains(&looser), "{said:?}");
    }
    let public = format!("name: public, path: '/api/v1/{{x}}/bob/', {ignore}, auth: none");
    let before = file(HEAD, &[&public]);
    let mut after = file(HEAD, &[&public]);
    after = Stages::build(after.config, Vec::new());
    let said = lines(&before, &after);
    let looser =
        "newly public: route public: takes `GET /api/v1/users/bob`, which the auth API served";
    assert!(said.iter().any(|line| line == looser), "{said:?}");
}

#[test]
fn what_stands_for_all_others_is_nothing_that_a_file_names() {
    let few = "auth: required, allow: [{ superuser: true }]";
    for (guard, exact, other) in [
        ("path: '/a/{x}'", "path: /a/zz-any", "prefix: /a"),
        ("path: '/a/{x}'", "path: /A/ZZ-any", "prefix: /a"),
        (
            "prefix: /, hosts: ['*.ex']",
            "prefix: /, hosts: [zz-any.ex]",
            "prefix: /",
        ),
        ("path: /a", "path: /a, hosts: [other.invalid]", "prefix: /"),
        ("path: /a", "path: /a, hosts: ['*.invalid']", "prefix: /"),
    ] {
        let guard = format!("name: guard, {guard}, {few}");
        let exact = format!("name: exact, {exact}, {few}");
        let other = format!("name: other, {other}, auth: required");
        let said = said(&[&guard, &other], &[&exact, &other]);
        let looser = "loosened: route other: takes ";
        assert!(said.iter().any(|line| line.starts_with(looser)), "{said:?}");
    }
}

#[test]
fn nor_are_the_letters_in_which_a_path_is_put() {
    let few = "auth: required, allow: [{ superuser: true }]";
    let route = |name: &str, path: &str| format!("name: {name}, path: {path}, {few}");
    let guard = format!(
        "{}, path_options: {{ case_insensitive: true }}",
        route("a", "/Admin")
    );
    let public = "name: public, prefix: /, auth: none";
    let [a, b, c] = [("a", "/Admin"), ("b", "/admin"), ("c", "/ADMIN")].map(|(n, p)| route(n, p));
    let said = said(&[&guard, public], &[&a, &b, &c, public]);
    assert!(
        said[0].starts_with("newly public: route public: takes "),
        "{said:?}"
    );
}

#[test]
fn an_endpoint_s_name_does_not_stand_for_all_others() {
    let few = "auth: required, allow: [{ superuser: true }]";
    let guard = format!("name: guard, path: '/{{x}}/users/{{y}}', {few}");
    let rest = "name: rest, prefix: /, auth: required";
    let with = |routes: &[&str]| {
        Stages::build(
            file(HEAD, routes).config,
            vec!["/zz-any/users/{name}".to_owned()],
        )
    };
    let said = lines(&with(&[&guard, rest]), &with(&[rest]));
    assert!(
        said.iter()
            .any(|line| line.starts_with("loosened: route rest: takes ")),
        "{said:?}"
    );
}

#[test]
fn headers_may_tell_another_part_of_the_path() {
    let route = |name: &str, path: &str| {
        format!(
            "name: {name}, path: '{path}', auth: required, request_headers: {{ set: {{ X-Tenant: '{{path.t}}' }} }}"
        )
    };
    let (first, second) = (route("first", "/{t}/{*x}"), route("second", "/{*t}"));
    let said = said(&[&first, &second], &[&second]);
    let looser = "loosened: route second: takes `GET /zz-any/zz-any`, which `first` took: \
                  request_headers tells another part of the path by {path.t}";
    assert!(said.iter().any(|line| line == looser), "{said:?}");
}

#[test]
fn the_order_of_methods_and_hosts_makes_no_difference() {
    let route = |methods: &str, hosts: &str| {
        format!(
            "name: a, regex: '/a/[0-9]+', methods: [{methods}], hosts: [{hosts}], auth: required"
        )
    };
    let (old, new) = (
        route("GET, POST", "a.test, b.test"),
        route("POST, GET", "b.test, a.test"),
    );
    let said = said(&[&old, REST], &[&new, REST]);
    assert!(
        !said.iter().any(|line| line.starts_with("loosened")),
        "{said:?}"
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
