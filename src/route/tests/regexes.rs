//! Routes by regular expression.

use super::*;

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
