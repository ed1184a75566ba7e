//! The stage against a naive matcher, and against what naive servers make of a path.

use http::Method;
use proptest::prelude::*;

use crate::config::checked::{PathRegex, Pattern, Route, Segment};
use crate::request::Code;

use super::sample;
use super::tests::{ask, owned, pattern, route, table};

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
            classes.push(3);
        }
        Pattern::Regex(regex) => {
            if !regex.is_match(path.as_bytes()) {
                return None;
            }
            classes.resize(regex.leading_segments().len(), 0);
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
                        classes.push(3);
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
    let path = (prop::collection::vec(segment, 1..4), end);
    let path = path.prop_map(|(segments, end)| pattern(&format!("/{}{end}", segments.join("/"))));
    let regex = prop::sample::select(vec![
        "/.*",
        "/a/.*",
        "/a/[a-z]+",
        "/(?P<x>[^/]+)/b",
        "/(a|admin)(/.*)?",
        "/admin/?b?",
        "/a/b",
    ]);
    let regex = regex.prop_map(|text| Pattern::Regex(PathRegex::new(text).unwrap()));
    let pattern = prop_oneof![5 => path, 1 => regex];
    (pattern, methods).prop_map(|(pattern, methods)| Route {
        methods,
        ..sample::route(pattern)
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
