//! The stage by named cases.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};

use crate::config::cel::Expression;
use crate::config::checked::*;
use crate::config::{self, Config};
use crate::request::{Code, Facts, Peer, Refusal};

use super::{Destination, Matched, Table, find, parameter_index, sample};

pub(super) fn pattern(text: &str) -> Pattern {
    if let Some(prefix) = text.strip_suffix("**") {
        let segments = prefix.split('/').filter(|s| !s.is_empty());
        return Pattern::Prefix(segments.map(str::to_owned).collect());
    }
    let segment = |text: &str| {
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        match inner {
            None => Segment::Literal(text.into()),
            Some(name) => match name.strip_prefix('*') {
                Some(name) => Segment::Rest(name.into()),
                None => Segment::Param(name.into()),
            },
        }
    };
    Pattern::Path(text.split('/').skip(1).map(segment).collect())
}

pub(super) fn route(path: &str) -> Route {
    sample::route(pattern(path))
}

pub(super) fn with_methods(path: &str, methods: &[Method]) -> Route {
    Route {
        methods: methods.to_vec(),
        ..route(path)
    }
}

fn on_host(path: &str, host: HostPattern) -> Route {
    Route {
        hosts: vec![host],
        ..route(path)
    }
}

pub(super) fn owned(path: &str, parameter: &str) -> Route {
    let owner = Owner {
        parameter: parameter.into(),
        equals: OwnerField::Username,
    };
    Route {
        allow: vec![Rule {
            owner: Some(owner),
            ..Rule::default()
        }],
        ..route(path)
    }
}

fn with_cel(path: &str, source: &str) -> Route {
    Route {
        allow: vec![Rule {
            cel: Some(Expression::compile(source, None).unwrap()),
            ..Rule::default()
        }],
        ..route(path)
    }
}

pub(super) fn table(routes: Vec<Route>) -> Table {
    let config = sample::config(routes);
    let endpoints = [
        "/api/v1/login",
        "/.well-known/jwks.json",
        "/api/v1/users/{name}",
        "/api/v1/users/{name}/tier",
    ];
    Table::build(&config, &endpoints.map(str::to_owned))
}

pub(super) fn ask(
    table: &Table,
    method: Method,
    host: &str,
    path: &str,
) -> Result<Matched, Refusal> {
    ask_for(table, Request::builder().method(method).uri(path), host)
}

fn ask_for(table: &Table, request: http::request::Builder, host: &str) -> Result<Matched, Refusal> {
    let (head, ()) = request.body(()).expect("a request").into_parts();
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let peer = Peer {
        socket: SocketAddr::new(ip, 1),
        client: ip,
        is_trusted: false,
    };
    find(
        table,
        &Facts {
            head: &head,
            host,
            peer: &peer,
        },
    )
}

fn get(table: &Table, path: &str) -> Result<Destination, Code> {
    let found = ask(table, Method::GET, "localhost:8080", path);
    found
        .map(|m| m.destination)
        .map_err(|refusal| refusal.code())
}

/// What a refusal says is allowed.
fn allow(refusal: &Refusal) -> String {
    let mut headers = refusal.headers().iter();
    let allow = headers.find(|(name, _)| name == header::ALLOW);
    allow.map_or(String::new(), |(_, value)| {
        value.to_str().unwrap().to_owned()
    })
}

const fn to(route: usize) -> Result<Destination, Code> {
    Ok(Destination::Route(route))
}

#[test]
fn the_tightest_route_wins_whatever_the_order() {
    let table = table(
        [
            "/**",
            "/users**",
            "/users/{*rest}",
            "/users/{name}",
            "/users/me",
            "/users/{name}/posts",
        ]
        .map(route)
        .into(),
    );
    assert_eq!(get(&table, "/users/me"), to(4));
    assert_eq!(get(&table, "/users/bob"), to(3));
    assert_eq!(get(&table, "/users/bob/posts"), to(5));
    assert_eq!(get(&table, "/users/me/posts"), to(5));
    assert_eq!(get(&table, "/users/bob/x"), to(1));
    assert_eq!(get(&table, "/users"), to(1));
    assert_eq!(get(&table, "/users/"), to(1));
    assert_eq!(get(&table, "/usersx"), to(0));
    assert_eq!(get(&table, "/"), to(0));
}

fn regex(text: &str) -> Route {
    regex_with(text, PathOptions::default(), false)
}

fn regex_with(text: &str, options: PathOptions, folds: bool) -> Route {
    let regex = PathRegex::new(text, options, folds).unwrap();
    Route {
        path_options: options,
        ..sample::route(Pattern::Regex(regex))
    }
}

#[test]
fn a_regex_ranks_by_its_leading_segments() {
    let table = table(vec![
        route("/users**"),
        regex("/users/[a-z]+"),
        regex("/users/.*"),
        route("/users/{id}/x"),
        route("/users/me"),
        regex("/.*[.]json"),
        route("/{*rest}"),
        regex("/users/[0-9]+/.*"),
    ]);
    for (path, index) in [
        ("/users/me", 4),
        ("/users/bob", 1),
        ("/users/7", 2),
        ("/users/7/x", 3),
        ("/users/7/y", 2),
        ("/users", 0),
        ("/users/a.json", 2),
        ("/x/a.json", 5),
        ("/x/a.json/", 6),
    ] {
        assert_eq!(get(&table, path), to(index), "{path}");
    }
}

#[test]
fn a_regex_is_held_to_every_reading() {
    let table = table(vec![
        regex("/files/[^/]+"),
        route("/**"),
        regex("/v[0-9]+/(?P<x>.*)"),
    ]);
    assert_eq!(get(&table, "/files/a%20b"), to(0));
    assert_eq!(get(&table, "/v1/a%2Fb"), to(2));
    for path in [
        "/files/a%2Fb",
        "/v%31/x",
        "/v1/../admin",
        "/files;x/a",
        "/v1/%0a",
    ] {
        assert_eq!(get(&table, path), Err(Code::AmbiguousPath), "{path}");
    }
}

#[test]
fn what_an_expression_asks_of_a_path_is_plain() {
    let table = table(vec![
        with_cel("/one/{a}/{b}", "path.a == user.username"),
        with_cel("/whole/{a}", "request.path.startsWith('/x')"),
        with_cel("/none/{a}", "user.tier == 'pro'"),
        with_cel("/has/{a}", "has(path.a)"),
    ]);
    for (path, answer) in [
        ("/one/bob/x%41", to(0)),
        ("/one/b%6Fb/x", Err(Code::AmbiguousPath)),
        ("/one/bob;x/x", Err(Code::AmbiguousPath)),
        ("/whole/bob", to(1)),
        ("/whole/b%6Fb", Err(Code::AmbiguousPath)),
        ("/whole/bob;x", Err(Code::AmbiguousPath)),
        ("/none/b%6Fb", to(2)),
        ("/has/b%6Fb", Err(Code::AmbiguousPath)),
    ] {
        assert_eq!(get(&table, path), answer, "{path}");
    }
}

#[test]
fn groups_of_a_regex_are_parameters() {
    let text = "/u/(?P<user>[^/]+)(?:/f/(?P<path>.*))?";
    let mut owned = regex(text);
    owned.allow = vec![Rule {
        owner: Some(Owner {
            parameter: "user".into(),
            equals: OwnerField::Username,
        }),
        ..Rule::default()
    }];
    assert_eq!(parameter_index(&owned.pattern, "path"), Some(1));
    let table = table(vec![owned]);
    let at = |path: &'static str| {
        let matched = ask(&table, Method::GET, "", path).map_err(|refusal| refusal.code())?;
        Ok((matched.param(path, 0), matched.param(path, 1)))
    };
    assert_eq!(at("/u/bob/f/a%20b/c"), Ok((Some("bob"), Some("a%20b/c"))));
    assert_eq!(at("/u/bob"), Ok((Some("bob"), None)));
    // What decides who may pass is written plainly.
    assert_eq!(at("/u/b%6Fb"), Err(Code::AmbiguousPath));
}

#[test]
fn slashes_and_empty_segments_count() {
    let table = table(["/", "/a", "/b/", "/c/{x}", "/d/{*rest}"].map(route).into());
    assert_eq!(get(&table, "/"), to(0));
    assert_eq!(get(&table, "/a"), to(1));
    assert_eq!(get(&table, "/a/"), Err(Code::NotFound));
    assert_eq!(get(&table, "/b"), Err(Code::NotFound));
    assert_eq!(get(&table, "/b/"), to(2));
    assert_eq!(get(&table, "/c/"), Err(Code::NotFound));
    assert_eq!(get(&table, "/c/1"), to(3));
    assert_eq!(get(&table, "/c/1/"), Err(Code::NotFound));
    assert_eq!(get(&table, "/d"), Err(Code::NotFound));
    assert_eq!(get(&table, "/d/"), Err(Code::NotFound));
    assert_eq!(get(&table, "/d/1/2/"), to(4));
}

fn with_options(path: &str, options: PathOptions) -> Route {
    Route {
        path_options: options,
        ..route(path)
    }
}

const CASELESS: PathOptions = PathOptions {
    case_insensitive: true,
    merge_slashes: false,
    trailing_slash: TrailingSlash::Strict,
};
const MERGING: PathOptions = PathOptions {
    case_insensitive: false,
    merge_slashes: true,
    trailing_slash: TrailingSlash::Strict,
};
const SLASHED: PathOptions = PathOptions {
    case_insensitive: false,
    merge_slashes: false,
    trailing_slash: TrailingSlash::Ignore,
};
const ALL: PathOptions = PathOptions {
    case_insensitive: true,
    merge_slashes: true,
    trailing_slash: TrailingSlash::Ignore,
};

#[test]
fn a_route_takes_the_other_spellings_that_it_asks_for() {
    let table = table(vec![
        with_options("/A/b", ALL),
        with_options("/u/{name}/x", ALL),
        with_options("/r/{*rest}", MERGING),
        with_options("/s/", SLASHED),
        with_options("/p**", SLASHED),
        regex_with("/v[0-9]+/(?P<name>[a-z]+)", ALL, true),
        with_options("/", SLASHED),
    ]);
    for (path, index) in [
        ("/A/b", 0),
        ("/a/B/", 0),
        ("//A//b//", 0),
        ("/U/Bob/X", 1),
        ("/u//Bob///x/", 1),
        ("/r//a//b", 2),
        ("/s", 3),
        ("/s/", 3),
        ("/p/", 4),
        ("/p//a", 4),
        ("/r/a/", 2),
        ("/V1/Bob/", 5),
        ("//v1//bob", 5),
        ("/", 6),
    ] {
        assert_eq!(get(&table, path), to(index), "{path}");
    }
    for path in ["/R/a", "/s//", "//"] {
        assert_eq!(get(&table, path), Err(Code::AmbiguousPath), "{path}");
    }
    let value = |path: &'static str| {
        let matched = ask(&table, Method::GET, "", path).unwrap();
        matched.param(path, 0).map(str::to_owned)
    };
    assert_eq!(value("/u//Bob///x/").as_deref(), Some("Bob"));
    assert_eq!(value("/r//a//b/").as_deref(), Some("a//b/"));
    assert_eq!(value("//V1//Bob").as_deref(), Some("Bob"));
}

#[test]
fn where_a_route_ignores_case_every_path_is_read_so() {
    let mut routes = vec![
        route("/admin/{*rest}"),
        with_options("/files**", CASELESS),
        route("/**"),
        route("/Docs/{page}"),
    ];
    let table_of = |routes: &[Route]| table(routes.to_vec());
    let folding = table_of(&routes);
    for (path, found) in [
        ("/FILES/x", to(1)),
        ("/admin/x", to(0)),
        ("/Docs/Intro", to(3)),
        ("/Other", to(2)),
        ("/ADMIN/x", Err(Code::AmbiguousPath)),
        ("/docs/intro", Err(Code::AmbiguousPath)),
        ("/x/../ADMIN/x", Err(Code::AmbiguousPath)),
        ("/%41dmin/x", Err(Code::AmbiguousPath)),
    ] {
        assert_eq!(get(&folding, path), found, "{path}");
    }
    routes[1].path_options = PathOptions::default();
    let strict = table_of(&routes);
    assert_eq!(get(&strict, "/ADMIN/x"), to(2));
    assert_eq!(get(&strict, "/FILES/x"), to(2));
}

#[test]
fn merged_slashes_do_not_lead_past_a_route_that_tells_them_apart() {
    let guarded = table(vec![
        with_options("/public**", MERGING),
        route("/admin**"),
        with_options("/**", MERGING),
    ]);
    assert_eq!(get(&guarded, "//public//x"), to(0));
    assert_eq!(get(&guarded, "/x//y"), to(2));
    for path in ["//admin", "/public/..//admin", "/public//../admin"] {
        assert_eq!(get(&guarded, path), Err(Code::AmbiguousPath), "{path}");
    }
}

#[test]
fn the_root_is_also_a_path_without_segments() {
    let mut root = route("/");
    root.pattern = Pattern::Path(Vec::new());
    assert_eq!(get(&table(vec![root]), "/"), to(0));
}

#[test]
fn methods_are_passed_over_and_told() {
    let table = table(vec![
        with_methods("/a/{id}", &[Method::PATCH]),
        with_methods("/a/1", &[Method::GET, Method::DELETE]),
        with_methods("/b", &[Method::POST]),
        route("/b**"),
    ]);
    let at = |method, path| ask(&table, method, "", path).map(|m| m.destination);
    assert_eq!(at(Method::PATCH, "/a/1").unwrap(), Destination::Route(0));
    assert_eq!(at(Method::HEAD, "/a/1").unwrap(), Destination::Route(1));
    assert_eq!(at(Method::GET, "/b").unwrap(), Destination::Route(3));
    let refusal = at(Method::PUT, "/a/1").unwrap_err();
    assert_eq!(refusal.code().status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(allow(&refusal), "GET, HEAD, DELETE, PATCH");
    assert_eq!(
        at(Method::HEAD, "/a/2").unwrap_err().code(),
        Code::MethodNotAllowed
    );
}

fn with_headers(route: Route, headers: &[(&'static str, &'static str)]) -> Route {
    let headers = headers.iter().map(|(name, value)| RouteHeader {
        name: HeaderName::from_static(name),
        value: HeaderValue::from_static(value),
    });
    Route {
        headers: headers.collect(),
        ..route
    }
}

#[test]
fn of_headers_that_are_announced_those_count_that_choose_among_routes() {
    let table = table(vec![
        with_headers(route("/a"), &[("x-beta", "1"), ("x-alpha", "1")]),
        with_headers(route("/b"), &[("x-beta", "2")]),
    ]);
    let choosing = |names: &[&str]| {
        let names = names.iter().map(|name| name.as_bytes());
        let known = table.choosing(names).into_iter();
        known.map(|name| name.to_string()).collect::<Vec<_>>()
    };
    let names = ["X-Beta", "accept", "x-beta", "", "\u{e9}", "x-alpha"];
    assert_eq!(choosing(&names), ["x-alpha", "x-beta"]);
    let mut many = vec!["x-other"; 99];
    many.extend(["x-beta", "x-alpha"]);
    assert_eq!(choosing(&many), ["x-beta"]);
}

#[test]
fn headers_choose_among_routes_and_are_no_reason_for_a_405() {
    let table = table(vec![
        with_methods("/a", &[Method::GET]),
        with_headers(with_methods("/a", &[Method::GET]), &[("x-beta", "1")]),
        with_headers(
            with_methods("/a", &[Method::GET, Method::POST]),
            &[("x-beta", "1"), ("x-gamma", "2")],
        ),
        with_headers(route("/b"), &[("x-beta", "1")]),
        with_headers(with_methods("/b", &[Method::PUT]), &[("x-gamma", "2")]),
        with_headers(route("/c/d"), &[("x-beta", "1")]),
        with_methods("/c**", &[Method::GET]),
    ]);
    let at = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let found = ask_for(&table, request, "");
        found
            .map(|m| m.destination)
            .map_err(|r| (r.code(), allow(&r)))
    };
    let (beta, gamma) = (("x-beta", "1"), ("x-gamma", "2"));
    let route = |index| Ok(Destination::Route(index));
    let refused = |code, allow: &str| Err((code, allow.to_owned()));
    assert_eq!(at("GET", "/a", &[]), route(0));
    assert_eq!(at("GET", "/a", &[("x-beta", "2")]), route(0));
    assert_eq!(at("HEAD", "/a", &[beta]), route(1));
    assert_eq!(at("GET", "/a", &[("x-beta", "2"), beta]), route(1));
    assert_eq!(at("GET", "/a", &[gamma, beta]), route(2));
    assert_eq!(at("POST", "/a", &[gamma, beta]), route(2));
    assert_eq!(
        at("POST", "/a", &[beta]),
        refused(Code::MethodNotAllowed, "GET, HEAD")
    );
    assert_eq!(
        at("PUT", "/a", &[beta, gamma]),
        refused(Code::MethodNotAllowed, "GET, HEAD, POST")
    );
    assert_eq!(at("GET", "/b", &[]), refused(Code::NotFound, ""));
    assert_eq!(
        at("GET", "/b", &[("x-beta", "1 ")]),
        refused(Code::NotFound, "")
    );
    assert_eq!(
        at("GET", "/b", &[gamma]),
        refused(Code::MethodNotAllowed, "PUT")
    );
    assert_eq!(at("PUT", "/b", &[gamma]), route(4));
    assert_eq!(
        at("POST", "/c/d", &[]),
        refused(Code::MethodNotAllowed, "GET, HEAD")
    );
    assert_eq!(at("POST", "/c/d", &[beta]), route(5));
}

/// What is said of the routes of a file that do not hold together.
fn ties(routes: &str) -> Vec<String> {
    match parse(routes) {
        Ok(_) => Vec::new(),
        Err(report) => report.diagnostics.into_iter().map(|d| d.message).collect(),
    }
}

fn parse(routes: &str) -> Result<Config, config::Report> {
    let text =
        format!("version: 1\nupstreams: {{ app: {{ targets: http://a }} }}\nroutes:\n{routes}");
    let loaded = config::parse(&text, "g.yaml".as_ref(), &|_| None);
    loaded.map(|loaded| loaded.config)
}

#[test]
fn of_routes_that_tie_a_request_is_told_that_both_take() {
    for (one, other) in [
        ("path: '/x/{id}'", "path: '/x/{name}', methods: [PUT]"),
        ("path: /x, methods: [GET]", "path: /x, methods: [HEAD]"),
        ("prefix: /x", "path: '/x/{*rest}'"),
        ("prefix: /", "path: '/{*rest}'"),
        (
            "path: /, hosts: ['*.a.b:8443']",
            "path: /, hosts: [x.y, '*.a.b:8443']",
        ),
        (
            "regex: '/[0-9a-f]{8}(-[0-9a-f]{4}){3}'",
            "regex: '/[0-9a-f]{8}(-[0-9a-f]{4}){3}'",
        ),
        (
            "regex: '/x(y|z)+/', path_options: { trailing_slash: ignore }",
            "regex: '/x(y|z)+/', path_options: { case_insensitive: true }",
        ),
        (
            "path: /x, headers: { X-A: 1 }",
            "path: /x, headers: { X-B: 2 }",
        ),
        (
            "path: /x/Y, path_options: { case_insensitive: true }",
            "path: /X/y/, path_options: { trailing_slash: ignore, case_insensitive: true }",
        ),
        (
            "path: /x/Y",
            "path: /X/y/, path_options: { trailing_slash: ignore, case_insensitive: true }",
        ),
        (
            "path: /x/, path_options: { trailing_slash: ignore }",
            "path: /x",
        ),
    ] {
        let line = |name: &str, route: &str| {
            format!("  - {{ name: {name}, auth: none, upstream: app, {route} }}\n")
        };
        let (one, other) = (line("one", one), line("other", other));
        let said = ties(&format!("{one}{other}"));
        let [message] = said.as_slice() else {
            panic!("{one}{other}{said:?}");
        };
        assert!(message.contains("`one` and `other`"), "{message}");
        let (_, example) = message.split_once(" such as ").unwrap();
        let mut quoted = example.split('`').skip(1).step_by(2);
        let (method, path) = quoted.next().unwrap().split_once(' ').unwrap();
        let host = match example.contains("any host") {
            true => "some.host",
            false => quoted.next().unwrap(),
        };
        let headers: Vec<_> = quoted.map(|line| line.split_once(": ").unwrap()).collect();
        for route in [&one, &other] {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let table = Table::build(&parse(route).unwrap(), &[]);
            let found = ask_for(&table, request, host);
            assert_eq!(found.unwrap().route(), Some(0), "{route}: {message}");
        }
    }
}

#[test]
fn hosts_come_first_and_fall_through() {
    let table = table(vec![
        route("/x"),
        on_host("/**", HostPattern::Wildcard("example.com".into())),
        on_host("/x", HostPattern::Exact("api.example.com".into())),
        on_host("/v6", HostPattern::Exact("[::1]".into())),
        on_host(
            "/**",
            HostPattern::ExactPort("api.example.com".into(), 8443),
        ),
    ]);
    let at = |host, path| match ask(&table, Method::GET, host, path) {
        Ok(matched) => Ok(matched.destination),
        Err(refusal) => Err(refusal.code()),
    };
    assert_eq!(at("API.example.com.:80", "/x"), to(2));
    assert_eq!(at("api.example.com", "/y"), to(1));
    assert_eq!(at("www.example.com", "/x"), to(1));
    assert_eq!(at("example.com", "/x"), to(0));
    assert_eq!(at("", "/x"), to(0));
    assert_eq!(at("[::1]:8080", "/v6"), to(3));
    assert_eq!(at("[0:0:0:0:0:0:0:1]", "/v6"), to(3));
    assert_eq!(at("api.example.com:8443", "/x"), to(4));
    assert_eq!(at("api.example.com:8444", "/x"), to(2));
    assert_eq!(at("elsewhere", "/y"), Err(Code::NotFound));
    for odd in [
        "api.example.com:80:81",
        "api%2eexample.com",
        "api..example.com",
        "api.example.com..",
    ] {
        assert_eq!(at(odd, "/x"), Err(Code::BadRequest), "{odd}");
    }
}

#[test]
fn hosts_are_not_read_where_no_route_asks() {
    let table = table(vec![route("/x")]);
    assert!(ask(&table, Method::GET, "api%2eexample.com", "/x").is_ok());
}

#[test]
fn parameters_stand_where_the_client_wrote_them() {
    let table = table(vec![route("/u/{user}/f/{*path}")]);
    let path = "/u/bob/f/a%20b/c";
    let matched = ask(&table, Method::GET, "", path).unwrap();
    assert_eq!(matched.param(path, 0), Some("bob"));
    assert_eq!(matched.param(path, 1), Some("a%20b/c"));
    assert_eq!(matched.param(path, 2), None);
    let pattern = pattern("/u/{user}/f/{*path}");
    assert_eq!(parameter_index(&pattern, "path"), Some(1));
    assert_eq!(parameter_index(&pattern, "u"), None);
}

#[test]
fn an_endpoint_may_have_parameters() {
    let table = table(vec![
        route("/**"),
        route("/api/v1/users/{*rest}"),
        route("/api/v1/users/{name}"),
    ]);
    for endpoint in ["/api/v1/users/ann", "/api/v1/users/ann/tier"] {
        assert_eq!(
            get(&table, endpoint),
            Ok(Destination::AuthApi),
            "{endpoint}"
        );
    }
    for (own, index) in [
        ("/api/v1/users", 0),
        ("/api/v1/users/ann/posts", 1),
        ("/api/v1/users/ann/tier/x", 1),
        ("/api/v1/users/", 0),
    ] {
        assert_eq!(get(&table, own), to(index), "{own}");
    }
    for disguised in [
        "/api/v1/users/ann/x/../tier",
        "/api/v1/users/ann/%74ier",
        "/api/v1/users/ann%2Ftier%2Fx",
        "/api/v1/users//ann",
        "/api/v1/users/ann/./tier",
    ] {
        assert_eq!(
            get(&table, disguised),
            Err(Code::AmbiguousPath),
            "{disguised}"
        );
    }
}

#[test]
fn endpoints_of_the_auth_api_win_on_any_host_and_method() {
    let table = table(vec![
        route("/**"),
        on_host("/api/v1/login", HostPattern::Exact("a".into())),
    ]);
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let matched = ask(&table, method, "a", "/api/v1/login").unwrap();
        assert_eq!(matched.destination, Destination::AuthApi);
    }
    assert_eq!(
        get(&table, "/.well-known/jwks.json"),
        Ok(Destination::AuthApi)
    );
    assert_eq!(get(&table, "/api/v1/login/"), to(0));
    for disguised in [
        "/api/v1//login",
        "/api/v1/%6Cogin",
        "/api/v1/x/../login",
        "/api/v1/login;x",
    ] {
        assert_eq!(
            get(&table, disguised),
            Err(Code::AmbiguousPath),
            "{disguised}"
        );
    }
}

#[test]
fn disguised_paths_do_not_reach_another_route() {
    let table = table(["/public**", "/admin**"].map(route).into());
    for path in [
        "/public/../admin",
        "//admin",
        "/%2e%2e/admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "/public/..;/admin",
        "/public/..;x=1/admin",
        "/public/..\\admin",
        "/public/..%5cadmin",
        "/public/%252e%252e/admin",
        "/public/..%252fadmin",
        "/public/%2e%2e;/admin",
        "/public/%2500",
        "/public/%00",
        "/public/a%0d%0ab",
        "/%61dmin",
        "/admin%23/../public",
        "/public//../admin",
        "/public/.//../../admin",
    ] {
        assert_eq!(get(&table, path), Err(Code::AmbiguousPath), "{path}");
    }
    for path in ["/public/%zz", "/public/%", "/public/%u0041", "*"] {
        assert_eq!(get(&table, path), Err(Code::BadRequest), "{path}");
    }
    for path in [
        "/public?/../admin",
        "/public#/../admin",
        "/public/a%2Fb",
        "/public/a;v=1/b%20c",
    ] {
        assert_eq!(get(&table, path), to(0), "{path}");
    }
}

#[test]
fn what_no_policy_depends_on_may_be_encoded() {
    let table = table(vec![
        route("/projects**"),
        route("/files/{name}"),
        route("/café"),
    ]);
    assert_eq!(get(&table, "/projects/group%2Fname"), to(0));
    assert_eq!(get(&table, "/files/a%20b;c"), to(1));
    assert_eq!(get(&table, "/files/100%25"), to(1));
    assert_eq!(get(&table, "/caf%C3%A9"), to(2));
    assert_eq!(get(&table, "/caf%c3%a9"), to(2));
    // Split before decoding this is one segment, after it two.
    assert_eq!(get(&table, "/files/a%2Fb"), Err(Code::AmbiguousPath));
}

#[test]
fn a_parameter_that_decides_is_written_plainly() {
    let table = table(vec![owned("/users/{name}/posts/{id}", "name")]);
    assert_eq!(get(&table, "/users/bob/posts/1"), to(0));
    assert_eq!(get(&table, "/users/bob/posts/a%20b"), to(0));
    for path in [
        "/users/b%6Fb/posts/1",
        "/users/bob;x/posts/1",
        "/users/b%C3%B6b/posts/1",
    ] {
        assert_eq!(get(&table, path), Err(Code::AmbiguousPath), "{path}");
    }
}

#[test]
fn long_paths_with_escapes_are_refused_and_plain_ones_are_not() {
    let table = table(vec![route("/**")]);
    let long = "a".repeat(60_000);
    assert_eq!(get(&table, &format!("/{long}")), to(0));
    assert_eq!(
        get(&table, &format!("/%20{long}")),
        Err(Code::AmbiguousPath)
    );
}
