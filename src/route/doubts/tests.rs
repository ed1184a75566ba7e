//! What is said of routes, and of which nothing is.

use super::*;
use crate::config;

/// What is said of the routes of a file, each with the route's name.
fn said(routes: &str) -> Vec<(String, String)> {
    let config = config_of(routes);
    told(&config, doubts(&config, &Tries::default()))
}

fn config_of(routes: &str) -> Config {
    let text =
        format!("version: 1\nupstreams: {{ app: {{ targets: http://a }} }}\nroutes:\n{routes}");
    let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
    loaded.unwrap_or_else(|report| panic!("{report}")).config
}

fn said_within(most_tries: usize, routes: &str) -> Vec<(String, String)> {
    let config = config_of(routes);
    told(&config, doubts(&config, &Tries::within(most_tries)))
}

fn told(config: &Config, doubts: Vec<Doubt>) -> Vec<(String, String)> {
    let doubts = doubts.into_iter();
    doubts
        .map(|d| (config.routes[d.route].name.clone(), d.message))
        .collect()
}

/// Lines of routes, each of which goes to the one upstream.
fn routes(lines: &[&str]) -> Vec<(String, String)> {
    let lines = lines
        .iter()
        .map(|line| format!("  - {{ upstream: app, {line} }}\n"));
    said(&lines.collect::<String>())
}

#[track_caller]
fn only(lines: &[&str], route: &str, message: &str) {
    assert_eq!(routes(lines), [(route.to_owned(), message.to_owned())]);
}

#[track_caller]
fn nothing(lines: &[&str]) {
    assert_eq!(routes(lines), []);
}

#[test]
fn a_route_that_others_cover_is_never_reached() {
    only(
        &[
            "name: one, path: '/x/{id}', auth: required",
            "name: digits, regex: '/x/[0-9]+', auth: required",
            "name: words, regex: '/x/[0-9a-z/]+', auth: required",
        ],
        "digits",
        "the route `digits` is never reached: `one` takes its requests",
    );
    only(
        &[
            "name: wide, regex: '/x/.*', auth: required",
            "name: narrow, regex: '/x/[a-z]+/y', auth: required",
        ],
        "narrow",
        "the route `narrow` is never reached: `wide` takes its requests",
    );
    only(
        &[
            "name: own, path: /x, auth: required",
            "name: slashed, path: /x/, auth: required",
            "name: rest, regex: '/x/.+', auth: required",
            "name: prefix, prefix: /x, auth: required",
        ],
        "prefix",
        "the route `prefix` is never reached: `own` and `slashed` and `rest` take its requests",
    );
    only(
        &[
            "name: upper, path: /X, auth: required",
            "name: lower, path: /x, auth: required",
            "name: other, path: /y, auth: required, path_options: { case_insensitive: true }",
        ],
        "lower",
        "the route `lower` is never reached: its paths are ambiguous",
    );
    nothing(&[
        "name: narrow, regex: '/x/[a-z]+/y', auth: required",
        "name: wide, regex: '/x/[a-z/]*', auth: required",
        "name: beta, regex: '/x/[a-z/]*', headers: { X-Beta: 1 }, auth: required",
        "name: read, path: '/x/{id}', methods: [GET], auth: required",
        "name: host, path: '/x/{id}', hosts: ['*.example.com', 'example.com:80'], auth: required",
        "name: rest, path: '/x/{*rest}', auth: required",
        "name: all, prefix: /, auth: required",
    ]);
}

#[test]
fn a_public_route_below_a_guarded_prefix_is_told() {
    for guard in ["prefix: /admin", "path: '/admin/{*rest}'"] {
        let guard = format!("name: admin, {guard}, auth: required");
        for public in [
            "path: /admin/health",
            "prefix: /admin/files",
            "regex: '/admin/[a-z]+'",
        ] {
            let public = format!("name: open, {public}, auth: none");
            let message = "the route `open` is public, below what `admin` guards";
            only(&[&guard, &public], "open", message);
        }
    }
    nothing(&[
        "name: health, path: /healthz, auth: none",
        "name: all, prefix: /, auth: required",
    ]);
    nothing(&[
        "name: open, path: /admin/health, methods: [GET], auth: none",
        "name: admin, prefix: /admin, methods: [POST, PUT, PATCH, DELETE], auth: required",
        "name: public, prefix: /public, auth: none",
    ]);
}

#[test]
fn methods_that_fall_past_a_guard_are_told() {
    let rest = "name: rest, prefix: /, auth: required";
    let message = "POST, PUT, PATCH, DELETE on the paths of `admin` go to `rest`, which anybody \
                   may use who is signed in";
    let admin =
        "path_options: { trailing_slash: ignore }, auth: required, allow: [{ superuser: true }]";
    for pattern in [
        "path: /admin",
        "path: '/admin/{id}'",
        "regex: '/admin/[0-9]+'",
    ] {
        let admin = format!("name: admin, {pattern}, methods: [GET], {admin}");
        only(&[&admin, rest], "admin", message);
    }
    let below = format!("name: admin, prefix: /admin, methods: [GET, HEAD], {admin}");
    only(&[&below, rest], "admin", message);
    only(
        &[
            "name: form, prefix: /form, methods: [POST, PUT, PATCH], auth: required",
            "name: site, prefix: /, auth: none",
        ],
        "form",
        "DELETE on the paths of `form` goes to `site`, which anybody may use",
    );
    // What is left are those that nobody thinks of.
    let message = "methods that nobody names, such as PROPFIND, on the paths of `form` go to `site`, which anybody may use";
    for methods in [
        "[POST, PUT, PATCH, DELETE]",
        "[GET, POST, PUT, PATCH, DELETE]",
    ] {
        let form = format!("name: form, prefix: /form, methods: {methods}, auth: required");
        only(
            &[&form, "name: site, prefix: /, auth: none"],
            "form",
            message,
        );
        nothing(&[&form, "name: site, prefix: /, methods: [GET], auth: none"]);
    }
    // Reading is another matter than writing, and a route that names its methods means them.
    nothing(&[
        "name: form, prefix: /form, methods: [POST], auth: required",
        "name: site, prefix: /, methods: [GET, PUT], auth: none",
    ]);
    nothing(&[
        "name: read, prefix: /admin, methods: [GET], auth: required, allow: [{ superuser: true }]",
        "name: write, prefix: /admin, methods: [POST, PUT, PATCH, DELETE], auth: required",
        "name: rest, prefix: /, methods: [GET, POST], auth: required",
    ]);
    nothing(&[
        "name: posts, prefix: /posts, methods: [PATCH, DELETE], auth: required, allow: [{ superuser: true }]",
        rest,
    ]);
}

#[test]
fn a_slash_that_leads_past_a_guard_is_told() {
    let site = "name: site, prefix: /, auth: none";
    for pattern in [
        "path: /account",
        "path: '/account/{id}'",
        "regex: '/account(/[a-z]+)?'",
    ] {
        only(
            &[&format!("name: account, {pattern}, auth: required"), site],
            "account",
            "with a slash at their end the paths of `account` go to `site`, which anybody may use",
        );
    }
    only(
        &["name: account, path: /account/, auth: required", site],
        "account",
        "without the slash at their end the paths of `account` go to `site`, which anybody may use",
    );
    only(
        &[
            "name: admin, path: /admin, auth: required, allow: [{ superuser: true }]",
            "name: rest, prefix: /, auth: required",
        ],
        "admin",
        "with a slash at their end the paths of `admin` go to `rest`, which anybody may use who is signed in",
    );
    nothing(&[
        "name: account, path: /account, auth: required, path_options: { trailing_slash: ignore }",
        "name: below, prefix: /below, auth: required",
        site,
    ]);
    nothing(&[
        "name: account, path: /account, auth: required",
        "name: slashed, path: /account/, auth: required",
        site,
    ]);
    nothing(&["name: account, path: /account, auth: required"]);
}

#[test]
fn a_regex_that_takes_nothing_as_well_is_judged() {
    nothing(&[
        "name: any, regex: '(/.*)?', auth: none",
        "name: below, prefix: /a, auth: required",
    ]);
    nothing(&[
        "name: any, regex: '/.*', auth: none, path_options: { case_insensitive: true }",
        "name: below, prefix: /A, auth: required",
    ]);
}

#[test]
fn what_would_take_long_is_left_and_told() {
    let route = |n| {
        format!("  - {{ name: r{n}, regex: '/[a-z]+/{n}/.*', auth: required, upstream: app }}\n")
    };
    let routes: String = (0..20).map(route).collect();
    assert_eq!(said(&routes), []);
    let said = said_within(100, &routes);
    let [(route, message)] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(route, "r0");
    assert!(message.contains("not looked through"), "{message}");
}

#[test]
fn large_regexes_and_routes_of_one_path_that_would_take_long_are_left_and_told() {
    let large = |n| {
        format!(
            "  - {{ name: r{n}, regex: '/x{n}/(a?b?c?.?){{50}}', auth: required, upstream: app }}\n"
        )
    };
    let by_header = |n| {
        format!(
            "  - {{ name: r{n}, prefix: /x, headers: {{ X-A: '{n}' }}, auth: required, upstream: app }}\n"
        )
    };
    let large: String = (0..20).map(large).collect();
    let by_header: String = (0..60).map(by_header).collect();
    for (routes, most_tries) in [(large, 5_000), (by_header, 1_000)] {
        assert_eq!(said(&routes), []);
        let said = said_within(most_tries, &routes);
        let [(_, message)] = said.as_slice() else {
            panic!("{said:?}");
        };
        assert!(message.contains("not looked through"), "{message}");
    }
}

#[test]
fn examples_of_large_regexes_count_as_tries_and_are_not_made_for_nothing() {
    let large = |n| {
        format!(
            "  - {{ name: r{n}, regex: '/x{n}/(a?b?c?.?){{50}}', auth: required, upstream: app }}\n"
        )
    };
    let large: String = (0..20).map(large).collect();
    let open = "  - { name: open, prefix: /open, rewrite: { strip_prefix: /open }, auth: none, upstream: app }\n";
    let rewritten = format!("{open}{large}");
    // Where nothing is rewritten, what a backend guards is asked by nobody.
    for (routes, first, is_asked) in [(&large, "r0", false), (&rewritten, "open", true)] {
        let config = config_of(routes);
        let tries = Tries::default();
        let judge = Judge::new(&config, &tries);
        for (index, route) in config.routes.iter().enumerate() {
            judge.judge(index, route);
        }
        assert_eq!(judge.guarded.get().is_some(), is_asked, "{first}");
        let said = said_within(5_000, routes);
        let [(route, message)] = said.as_slice() else {
            panic!("{said:?}");
        };
        assert_eq!(route, first);
        assert!(message.contains("not looked through"), "{message}");
    }
}

#[test]
fn examples_that_a_rewrite_is_held_against_count_once() {
    let config = config_of(
        "  - { name: open, prefix: /open, rewrite: { strip_prefix: /open }, auth: none, upstream: app }
  - { name: large, regex: '/x/(a?b?c?.?){50}', auth: required, upstream: app }
",
    );
    let tries = Tries::default();
    let judge = Judge::new(&config, &tries);
    judge.guarded();
    let spent = tries.spent();
    assert!(spent > examples::CHOICES, "{spent}");
    tries.spend_on_examples(&config.routes[1].pattern);
    assert_eq!(tries.spent(), spent);
}

#[test]
fn rewrites_that_would_take_long_are_left_and_told() {
    let pair = |n| {
        format!(
            "  - {{ name: open{n}, prefix: /open/{n}, rewrite: {{ strip_prefix: /open/{n} }}, auth: required, upstream: app }}\n  \
               - {{ name: own{n}, prefix: /own/{n}, auth: required, upstream: app }}\n"
        )
    };
    let routes: String = (0..20).map(pair).collect();
    assert_eq!(said(&routes), []);
    let said = said_within(110, &routes);
    let [(route, message)] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!(route, "open1");
    assert!(message.contains("not looked through"), "{message}");
}

#[test]
fn rewrites_of_hosts_that_would_take_long_are_left_and_told() {
    let pair = |n| {
        format!(
            "  - {{ name: open{n}, prefix: /open/{n}, rewrite: {{ host: other.test }}, auth: required, upstream: app }}\n  \
               - {{ name: own{n}, prefix: /own/{n}, hosts: [own.test], auth: required, upstream: app }}\n"
        )
    };
    let routes: String = (0..20).map(pair).collect();
    assert_eq!(said(&routes), []);
    let said = said_within(400, &routes);
    let [(_, message)] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert!(message.contains("not looked through"), "{message}");
}

#[test]
fn what_is_in_shadow_guards_nothing() {
    let rules = "allow: [{ superuser: true }]";
    let message = "POST, PUT, PATCH, DELETE on the paths of `admin` go to `rest`, ";
    let admin =
        format!("name: admin, prefix: /admin, methods: [GET, HEAD], auth: required, {rules}");
    for (shadow, words) in [
        ("[allow]", "which anybody may use who is signed in"),
        ("[auth, allow]", "which anybody may use"),
    ] {
        let rest = format!("name: rest, prefix: /, auth: required, {rules}, shadow: {shadow}");
        only(&[&admin, &rest], "admin", &format!("{message}{words}"));
    }
    let admin = format!("{admin}, shadow: [auth, allow]");
    nothing(&[&admin, "name: rest, prefix: /, auth: none"]);
}

#[test]
fn where_the_rest_of_a_path_begins_is_told() {
    let admin = "name: admin, path: '/admin/{*rest}', auth: required";
    let message = |path| {
        format!("`{path}`, where the paths of `admin` begin, goes to `site`, which anybody may use")
    };
    for site in ["prefix: /", "path: '/{page}'", "regex: '/[a-z]+/?'"] {
        let site = format!("name: site, {site}, auth: none");
        only(&[admin, &site], "admin", &message("/admin"));
    }
    let of_tenants = "name: admin, path: '/t/{tenant}/{*rest}', auth: required";
    let site = "name: site, prefix: /t, auth: none";
    only(&[of_tenants, site], "admin", &message("/t/sample-1"));
    for regex in [
        "/admin/.*",
        "/admin/.+",
        "/admin/(?P<rest>.*)",
        "^/admin/(.*)$",
    ] {
        let admin = format!("name: admin, regex: '{regex}', auth: required");
        let site = "name: site, prefix: /, auth: none";
        only(&[&admin, site], "admin", &message("/admin"));
        nothing(&[
            &admin,
            "name: door, path: /admin, auth: none",
            "name: all, prefix: /, auth: required",
        ]);
    }
    // These take it, or are for what is named below it.
    for regex in ["/admin(/.*)?", "/admin/[a-z]+/?", "/admin/[^/]+/?"] {
        let admin = format!("name: admin, regex: '{regex}', auth: required");
        nothing(&[&admin, "name: site, prefix: /, auth: none"]);
    }
    // Who names that one path means it.
    nothing(&[
        admin,
        "name: door, path: /admin, auth: none",
        "name: slashed, path: /admin/, auth: none",
        "name: all, prefix: /, auth: required",
    ]);
    nothing(&[
        admin,
        "name: own, path: /admin, path_options: { trailing_slash: ignore }, auth: required",
        "name: site, prefix: /, auth: none",
    ]);
    nothing(&[
        "name: all, path: '/{*rest}', auth: required",
        "name: door, path: /, auth: none",
    ]);
}

#[test]
fn networks_guard_too() {
    let inside = "ip: { allow: [10.0.0.0/8] }";
    let site = "name: site, prefix: /, auth: none";
    let message =
        "with a slash at their end the paths of `inside` go to `site`, which anybody may use";
    let exact = format!("name: inside, path: /inside, auth: none, {inside}");
    only(&[&exact, site], "inside", message);
    let reading = format!("name: inside, prefix: /inside, methods: [GET], auth: none, {inside}");
    let message =
        "POST, PUT, PATCH, DELETE on the paths of `inside` go to `site`, which anybody may use";
    only(&[&reading, site], "inside", message);
    let below = format!("name: inside, prefix: /inside, auth: none, {inside}");
    only(
        &[&below, "name: open, path: /inside/x, auth: none"],
        "open",
        "the route `open` is public, below what `inside` guards",
    );
    let signed = format!("name: inside, path: /inside, auth: required, {inside}");
    only(
        &[&signed, "name: rest, prefix: /, auth: required"],
        "inside",
        "with a slash at their end the paths of `inside` go to `rest`, which anybody may use who is signed in",
    );
    // It is no public one, and one that keeps some out is for everybody else.
    let part = format!(
        "name: part, path: /x/health, path_options: {{ trailing_slash: ignore }}, auth: none, {inside}"
    );
    nothing(&[&part, "name: all, prefix: /x, auth: required"]);
    nothing(&[
        "name: banned, path: /banned, auth: none, ip: { deny: [10.0.0.0/8] }",
        site,
    ]);
}

#[test]
fn upstreams_of_one_target_are_one_backend() {
    let upstreams = |targets: [&str; 3]| {
        let config = targets
            .iter()
            .enumerate()
            .map(|(n, targets)| format!("  u{n}: {{ targets: [{targets}] }}\n"));
        let text = format!(
            "version: 1\nupstreams:\n{}routes:\n  - {{ name: all, prefix: /, auth: none, upstream: u0 }}\n",
            config.collect::<String>()
        );
        let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
        backends::backends(&loaded.unwrap().config.upstreams)
    };
    assert_eq!(upstreams(["http://a", "http://b", "http://c"]), [0, 1, 2]);
    assert_eq!(
        upstreams(["http://a", "http://b", "http://A:80"]),
        [0, 1, 0]
    );
    let alike = ["http://127.0.0.1:81", "http://b", "http://localhost:81"];
    assert_eq!(upstreams(alike), [0, 1, 0]);
    let chain = ["http://a", "http://b", "http://b, http://a"];
    assert_eq!(upstreams(chain), [0, 0, 0]);
}
