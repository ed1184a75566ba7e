//! What servers read in different ways, and what of it has to be read alike.

use super::*;

fn with_cel(path: &str, source: &str) -> Route {
    Route {
        allow: vec![Rule {
            cel: Some(Expression::compile(source, None).unwrap()),
            ..Rule::default()
        }],
        ..route(path)
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
fn disguised_paths_do_not_reach_another_route() {
    let table = table(["/public**", "/admin**"].map(route).into());
    for path in [
        "/public/../admin",
        "//admin",
        "//x/admin",
        "///x/admin",
        "//u@x:80/admin",
        "/\\x/admin",
        "/%2fx/admin",
        "/%5c%5cx/admin",
        "/public/..//x/admin",
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
        "/public/../admin;x=/../public",
        "/admin/.;/../public",
        "/%61dmin%3b/../public",
        "/public/..%c0%afadmin",
        "/public/%c0%ae%C0%AE/admin",
        "/public/%e0%80%ae./admin",
        "/public/..%c1%9cadmin",
        "/public/%25c0%25ae./admin",
        "/public/..%c0%2fadmin",
        "/public/%c0%80",
        "/public/.%c0%89./admin",
        "/public/x%c1/%c0%ae%c0%ae/%c0%ae%c0%ae/admin",
        "/public/a%e0%80%afb/%c0%ae%c0%ae/%c0%ae%c0%ae/admin",
        "/public/a%fc%80%80%80%80%afb/%c0%ae%c0%ae/%c0%ae%c0%ae/admin",
        "/public/../admin%c0@/../public/x",
        "/public/%c0%c0/%c0%ae%c0%ae/%c0%ae%c0%ae/admin",
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
        "/public/a;v=1/..;/b",
        "/public/%e0%80%ae%e0%80%af%C0",
        "/public/%e0%a4%85",
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
        "/users/bob/posts/1;x/y",
        "/users/b%C3%B6b/posts/1",
        "/users/b%C1%AFb/posts/1",
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
