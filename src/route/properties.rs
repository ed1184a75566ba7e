//! The stage against a naive matcher, and against what naive servers make of a path.

use http::Method;
use proptest::prelude::*;

use crate::config::checked::{
    Case, PathOptions, PathRegex, Pattern, Route, Segment, TrailingSlash,
};
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
            if !regex.is_match(path.as_bytes(), Case::AsAsked) {
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

/// The same with what the route says of spellings, to a server that ignores case or not.
fn rank_by_options(route: &Route, path: &str, case: Case) -> Option<Vec<u8>> {
    let options = route.path_options;
    let is_caseless = case == Case::Any || options.case_insensitive;
    let (pattern, path) = match is_caseless {
        true => (lowered(&route.pattern, options), path.to_lowercase()),
        false => (route.pattern.clone(), path.to_owned()),
    };
    let toggled = match path.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{path}/"),
    };
    // A regex sees to it by itself.
    let is_ignored = options.trailing_slash == TrailingSlash::Ignore
        && path != "/"
        && !matches!(pattern, Pattern::Regex(_));
    rank(&pattern, &path).or_else(|| rank(&pattern, &toggled).filter(|_| is_ignored))
}

fn lowered(pattern: &Pattern, options: PathOptions) -> Pattern {
    match pattern {
        Pattern::Regex(regex) => {
            let options = PathOptions {
                case_insensitive: true,
                ..options
            };
            Pattern::Regex(PathRegex::new(regex.text(), options, false).unwrap())
        }
        Pattern::Prefix(segments) => {
            Pattern::Prefix(segments.iter().map(|s| s.to_lowercase()).collect())
        }
        Pattern::Path(segments) => {
            let lower = |segment: &Segment| match segment {
                Segment::Literal(text) => Segment::Literal(text.to_lowercase()),
                other => other.clone(),
            };
            Pattern::Path(segments.iter().map(lower).collect())
        }
    }
}

fn naive(routes: &[Route], path: &str, method: &Method) -> Result<usize, Code> {
    naive_in_case(routes, path, method, Case::AsAsked)
}

fn naive_in_case(routes: &[Route], path: &str, method: &Method, case: Case) -> Result<usize, Code> {
    let matching = routes.iter().enumerate().filter_map(|(index, route)| {
        let rank = rank_by_options(route, path, case)?;
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

/// UTF-8 by whoever does not ask for the shortest form, what else is no text left out of account.
fn laxly_decoded(path: &str) -> String {
    let mut out = Vec::new();
    let bytes = decoded_bytes(path);
    let mut rest = bytes.as_slice();
    while let Some((first, after)) = rest.split_first() {
        (rest, _) = match (first, after) {
            (0xc0 | 0xc1, [next @ 0x80..=0xbf, after @ ..]) => {
                (after, out.push((first - 0xc0) * 64 + (next - 0x80)))
            }
            (0xe0, [high @ (0x80 | 0x81), next @ 0x80..=0xbf, after @ ..]) => {
                (after, out.push((high - 0x80) * 64 + (next - 0x80)))
            }
            _ => (after, out.push(*first)),
        };
    }
    text(out)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn decoded(path: &str) -> String {
    text(decoded_bytes(path))
}

fn decoded_bytes(path: &str) -> Vec<u8> {
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
    out
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

/// As a reference, with a host where it begins with two slashes or more.
fn referred(path: &str) -> String {
    let Some(rest) = path.strip_prefix("//") else {
        return path.to_owned();
    };
    let rest = rest.trim_start_matches('/');
    rest.find('/').map_or("/", |end| &rest[end..]).to_owned()
}

/// At the first `;`, whatever follows.
fn cut(path: &str) -> String {
    path.split(';').next().unwrap_or("").to_owned()
}

fn unparameterised(path: &str) -> String {
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
        ("reference", resolved(&referred(&slashed))),
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
            "a filter that cuts",
            resolved(&merged(&cut(&decoded(path)))),
        ),
        ("a filter that cuts first", resolved(&decoded(&cut(path)))),
        (
            "overlong utf-8",
            resolved(&laxly_decoded(path).replace('\\', "/")),
        ),
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
    let regex = regex.prop_map(|text| {
        Pattern::Regex(PathRegex::new(text, PathOptions::default(), false).unwrap())
    });
    let pattern = prop_oneof![5 => path, 1 => regex];
    (pattern, methods).prop_map(|(pattern, methods)| Route {
        methods,
        ..sample::route(pattern)
    })
}

/// Routes that take other spellings; a file in which one ignores case.
fn routes_with_options() -> impl Strategy<Value = Vec<Route>> {
    let options = (any::<bool>(), any::<bool>(), any::<bool>());
    let options = options.prop_map(|(case_insensitive, merge_slashes, ignores)| PathOptions {
        case_insensitive,
        merge_slashes,
        trailing_slash: match ignores {
            true => TrailingSlash::Ignore,
            false => TrailingSlash::Strict,
        },
    });
    let route = (any_route(), options, any::<bool>());
    let route = route.prop_map(|(mut route, options, is_capital)| {
        route.path_options = options;
        match &mut route.pattern {
            Pattern::Regex(regex) => {
                *regex = PathRegex::new(regex.text(), options, true).unwrap();
            }
            Pattern::Prefix(segments) if is_capital => {
                segments.iter_mut().for_each(|s| *s = s.to_uppercase());
            }
            Pattern::Path(segments) if is_capital => {
                for segment in segments {
                    if let Segment::Literal(text) = segment {
                        *text = text.to_uppercase();
                    }
                }
            }
            Pattern::Prefix(_) | Pattern::Path(_) => {}
        }
        route
    });
    prop::collection::vec(route, 1..10)
}

fn plain_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 1..5)
        .prop_map(|words| format!("/{}", words.join("/")))
        .prop_filter("plain", |path| !path.contains("//"))
}

fn awkward_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "admin",
        "/",
        "/",
        "/",
        "..",
        ".",
        "%2e",
        "%2F",
        "%5c",
        "\\",
        ";",
        ";x",
        "%3b",
        "%25",
        "%252e",
        "%252f",
        "%61",
        "%20",
        "%3f",
        "%23",
        "é",
        "%c3%a9",
        "%",
        "%c0%ae",
        "%c0%af",
        "%c1%9c",
        "%e0%80%ae",
        "%c0",
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
    fn a_plain_path_goes_by_case_only_where_all_servers_do(
        routes in routes_with_options(),
        path in plain_path(),
        capital in any::<bool>(),
        method in prop::sample::select(vec![Method::GET, Method::POST]),
    ) {
        let path = if capital { path.to_uppercase() } else { path };
        let found = ask(&table(routes.clone()), method.clone(), "", &path);
        let found = found.map(|m| m.route()).map_err(|refusal| refusal.code());
        let asked = naive(&routes, &path, &method);
        let folds = routes.iter().any(|route| route.path_options.case_insensitive);
        let expected = match folds && naive_in_case(&routes, &path, &method, Case::Any) != asked {
            true => Err(Code::AmbiguousPath),
            false => asked.map(Some),
        };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn merged_slashes_lead_where_one_leads(
        routes in routes_with_options(),
        path in plain_path(),
        doubled in prop::collection::vec(1usize..4, 5),
    ) {
        let mut counts = doubled.into_iter().cycle();
        let many: String = path
            .split_inclusive('/')
            .map(|part| part.replace('/', &"/".repeat(counts.next().unwrap())))
            .collect();
        let table = table(routes.clone());
        let merged = ask(&table, Method::GET, "", &path).ok().and_then(|m| m.route());
        if let Ok(matched) = ask(&table, Method::GET, "", &many) {
            prop_assert_eq!(matched.route(), merged);
        } else if let Some(route) = merged {
            // What stands in the way is a route to which the two are not one, or that it may begin with a host.
            prop_assert!(
                many.starts_with("//")
                    || !routes[route].path_options.merge_slashes
                    || routes.iter().any(|route| !route.path_options.merge_slashes)
            );
        }
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
    fn and_to_those_that_ignore_case_where_a_route_asks(
        mut routes in routes_with_options(),
        path in awkward_path(),
        capital in any::<bool>(),
    ) {
        for route in &mut routes {
            route.path_options.merge_slashes = false;
        }
        let path = if capital { path.to_ascii_uppercase() } else { path };
        let folds = routes.iter().any(|route| route.path_options.case_insensitive);
        if let Ok(matched) = ask(&table(routes.clone()), Method::GET, "", &path) {
            for (server, read) in servers(&path) {
                let there = naive(&routes, &read, &Method::GET);
                prop_assert_eq!(there.ok(), matched.route(), "{} reads {}", server, &read);
                if folds {
                    let there = naive_in_case(&routes, &read, &Method::GET, Case::Any);
                    prop_assert_eq!(there.ok(), matched.route(), "{} in any case", server);
                }
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
