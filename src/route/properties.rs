//! Tests of the stage as a whole: named cases, a naive matcher and naive servers to compare with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{Method, Request, StatusCode, header};
use proptest::prelude::*;

use crate::config::checked::*;
use crate::request::{Code, Facts, Peer, Refusal};

use super::{Destination, Matched, Table, find, parameter_index, sample};

fn pattern(text: &str) -> Pattern {
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

fn route(path: &str) -> Route {
    sample::route(pattern(path))
}

fn with_methods(path: &str, methods: &[Method]) -> Route {
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

fn owned(path: &str, parameter: &str) -> Route {
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

fn table(routes: Vec<Route>) -> Table {
    let config = sample::config(routes);
    let endpoints = ["/api/v1/login", "/.well-known/jwks.json"];
    Table::build(&config, &endpoints.map(str::to_owned))
}

fn ask(table: &Table, method: Method, host: &str, path: &str) -> Result<Matched, Refusal> {
    let request = Request::builder().method(method).uri(path).body(());
    let (head, ()) = request.expect("a request").into_parts();
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
    let allow = refusal
        .headers()
        .iter()
        .find(|(name, _)| name == header::ALLOW);
    assert_eq!(allow.unwrap().1, "GET, HEAD, DELETE, PATCH");
    assert_eq!(
        at(Method::HEAD, "/a/2").unwrap_err().code(),
        Code::MethodNotAllowed
    );
}

#[test]
fn hosts_come_first_and_fall_through() {
    let table = table(vec![
        route("/x"),
        on_host("/**", HostPattern::Wildcard("example.com".into())),
        on_host("/x", HostPattern::Exact("api.example.com".into())),
        on_host("/v6", HostPattern::Exact("[::1]".into())),
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
    assert_eq!(at("elsewhere", "/y"), Err(Code::NotFound));
    assert_eq!(at("api.example.com:80:81", "/x"), Err(Code::BadRequest));
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

/// A route's rank for a path, smaller is tighter; `None` when it does not match. Written from the
/// rules and not from the trie: every segment is compared, one class for each.
fn rank(pattern: &Pattern, path: &str) -> Option<Vec<u8>> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let mut classes = Vec::new();
    match pattern {
        Pattern::Prefix(prefix) => {
            if segments.len() < prefix.len() || prefix.iter().zip(&segments).any(|(p, s)| p != s) {
                return None;
            }
            classes.resize(prefix.len(), 0);
            classes.push(2);
        }
        Pattern::Path(parts) => {
            for (index, part) in parts.iter().enumerate() {
                match part {
                    Segment::Literal(text) if segments.get(index) == Some(&text.as_str()) => {
                        classes.push(0);
                    }
                    Segment::Param(_) if segments.get(index).is_some_and(|s| !s.is_empty()) => {
                        classes.push(1);
                    }
                    Segment::Rest(_) if !segments.get(index..)?.join("/").is_empty() => {
                        classes.push(2);
                        return Some(classes);
                    }
                    _ => return None,
                }
            }
            if parts.len() != segments.len() {
                return None;
            }
        }
    }
    Some(classes)
}

fn naive(routes: &[Route], path: &str, method: &Method) -> Result<usize, Code> {
    let matching = routes.iter().enumerate().filter_map(|(index, route)| {
        let rank = rank(&route.pattern, path)?;
        Some((rank, index, route))
    });
    let mut matching: Vec<_> = matching.collect();
    matching.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let nothing = if matching.is_empty() {
        Code::NotFound
    } else {
        Code::MethodNotAllowed
    };
    let admitted = matching.iter().find(|(_, _, route)| {
        let asked = |m: &Method| m == method || (m == Method::GET && method == Method::HEAD);
        route.methods.is_empty() || route.methods.iter().any(asked)
    });
    admitted.map(|(_, index, _)| *index).ok_or(nothing)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn decoded(path: &str) -> String {
    let mut out = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        let byte = hex
            .filter(|_| *first == b'%')
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    text(out)
}

fn merged(path: &str) -> String {
    let mut path = path.to_owned();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

fn resolved(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(out.pop()),
            other => out.push(other),
        }
    }
    let ends_as_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let slash = if ends_as_folder && out.last().is_some_and(|s| !s.is_empty()) {
        "/"
    } else {
        ""
    };
    format!("/{}{slash}", out.join("/"))
}

fn unparameterised(path: &str) -> String {
    let cut = |segment: &str| segment.split(';').next().unwrap_or("").to_owned();
    path.split('/').map(cut).collect::<Vec<_>>().join("/")
}

/// What some servers make of a path.
fn servers(path: &str) -> Vec<(&'static str, String)> {
    let slashed = path.replace('\\', "/");
    vec![
        ("verbatim", path.into()),
        ("nginx", resolved(&merged(&decoded(path)))),
        ("wsgi", decoded(path)),
        (
            "whatwg url",
            resolved(&slashed.replace("%2e", ".").replace("%2E", ".")),
        ),
        (
            "servlet",
            resolved(&merged(&decoded(&unparameterised(path)))),
        ),
        (
            "servlet, late",
            merged(&resolved(&unparameterised(&decoded(path)))),
        ),
        ("iis", resolved(&decoded(path).replace('\\', "/"))),
        (
            "two proxies",
            resolved(&merged(&decoded(&resolved(&decoded(path))))),
        ),
    ]
}

const WORDS: [&str; 4] = ["a", "b", "admin", ""];

fn any_route() -> impl Strategy<Value = Route> {
    let segment = prop_oneof![
        3 => prop::sample::select(&WORDS[..3]).prop_map(str::to_owned),
        1 => Just("{x}".to_owned()),
    ];
    let end = prop::sample::select(vec!["", "**", "/{*rest}", "/"]);
    let methods = prop::sample::subsequence(vec![Method::GET, Method::POST, Method::PUT], 0..=2);
    (prop::collection::vec(segment, 1..4), end, methods).prop_map(|(segments, end, methods)| {
        with_methods(&format!("/{}{end}", segments.join("/")), &methods)
    })
}

fn plain_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 1..5)
        .prop_map(|words| format!("/{}", words.join("/")))
        .prop_filter("plain", |path| !path.contains("//"))
}

fn awkward_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "admin", "/", "/", "/", "..", ".", "%2e", "%2F", "%5c", "\\", ";", ";x", "%3b",
        "%25", "%252e", "%252f", "%61", "%20", "%3f", "%23", "é", "%c3%a9", "%",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn the_trie_agrees_with_a_linear_search(
        routes in prop::collection::vec(any_route(), 1..12),
        path in plain_path(),
        method in prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST, Method::DELETE]),
    ) {
        let table = table(routes.clone());
        let found = ask(&table, method.clone(), "", &path);
        let found = found.map(|m| m.route()).map_err(|refusal| refusal.code());
        prop_assert_eq!(found, naive(&routes, &path, &method).map(Some));
    }

    #[test]
    fn an_accepted_path_is_the_same_route_to_every_server(
        routes in prop::collection::vec(any_route(), 1..8),
        path in awkward_path(),
    ) {
        let table = table(routes.clone());
        if let Ok(matched) = ask(&table, Method::GET, "", &path) {
            for (server, read) in servers(&path) {
                let there = naive(&routes, &read, &Method::GET);
                prop_assert_eq!(there.ok(), matched.route(), "{} reads {}", server, read);
            }
        }
    }

    #[test]
    fn an_owner_is_the_same_to_every_server(path in awkward_path()) {
        let path = format!("/users{path}");
        let table = table(vec![owned("/users/{name}", "name"), route("/x**")]);
        if let Ok(matched) = ask(&table, Method::GET, "", &path) {
            let owner = matched.param(&path, 0);
            for (server, read) in servers(&path) {
                prop_assert_eq!(read.strip_prefix("/users/"), owner, "{}", server);
            }
        }
    }
}
