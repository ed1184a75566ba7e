//! What chooses among routes of one path: methods, headers and hosts.

use super::*;

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

/// What a refusal says is allowed.
fn allow(refusal: &Refusal) -> String {
    let mut headers = refusal.headers().iter();
    let allow = headers.find(|(name, _)| name == header::ALLOW);
    allow.map_or(String::new(), |(_, value)| {
        value.to_str().unwrap().to_owned()
    })
}
