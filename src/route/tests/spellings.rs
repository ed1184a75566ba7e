//! Other spellings of a path, of which a route takes some.

use super::*;

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
        ("/A//b//", 0),
        ("/U/Bob/X", 1),
        ("/u//Bob///x/", 1),
        ("/r//a//b", 2),
        ("/s", 3),
        ("/s/", 3),
        ("/p/", 4),
        ("/p//a", 4),
        ("/r/a/", 2),
        ("/V1/Bob/", 5),
        ("/v1//bob", 5),
        ("/", 6),
    ] {
        assert_eq!(get(&table, path), to(index), "{path}");
    }
    // What begins with two slashes may begin with a host, whoever merges slashes.
    for path in ["/R/a", "/s//", "//", "//A//b//", "//v1//bob"] {
        assert_eq!(get(&table, path), Err(Code::AmbiguousPath), "{path}");
    }
    let value = |path: &'static str| {
        let matched = ask(&table, Method::GET, "", path).unwrap();
        matched.param(path, 0).map(str::to_owned)
    };
    assert_eq!(value("/u//Bob///x/").as_deref(), Some("Bob"));
    assert_eq!(value("/r//a//b/").as_deref(), Some("a//b/"));
    assert_eq!(value("/V1//Bob").as_deref(), Some("Bob"));
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
    assert_eq!(get(&guarded, "/public//x"), to(0));
    assert_eq!(get(&guarded, "/x//y"), to(2));
    for path in [
        "//admin",
        "//x/admin",
        "//public//x",
        "/public/..//admin",
        "/public//../admin",
    ] {
        assert_eq!(get(&guarded, path), Err(Code::AmbiguousPath), "{path}");
    }
}

#[test]
fn the_root_is_also_a_path_without_segments() {
    let mut root = route("/");
    root.pattern = Pattern::Path(Vec::new());
    assert_eq!(get(&table(vec![root]), "/"), to(0));
}
