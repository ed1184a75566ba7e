//! The stage by named cases.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};

use crate::config::cel::Expression;
use crate::config::checked::*;
use crate::config::{self, Config};
use crate::request::{Code, Facts, Peer, Refusal};

use super::{Destination, Matched, Table, find, parameter_index, sample};

mod choosing;
mod readings;
mod regexes;
mod spellings;
mod ties;

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
