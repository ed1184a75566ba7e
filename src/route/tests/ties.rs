//! Routes of which none is tighter than the other.

use super::*;

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
