//! `portcullis import openapi`: routes from an upstream's document.

use std::path::Path;

use crate::harness::gateway::{Output, portcullis, run};

const HEAD: &str = "version: 1\nupstreams: { app: { targets: [http://127.0.0.1:8000] } }\n";

fn import(dir: &Path, document: &str) -> Output {
    std::fs::write(dir.join("openapi"), document).unwrap();
    run(portcullis(dir).args(["import", "openapi", "openapi"]), "")
}

#[test]
fn what_is_printed_is_a_part_of_a_file_that_holds() {
    let dir = tempfile::tempdir().unwrap();
    // The largest document at hand is the auth API's own.
    let document = run(portcullis(dir.path()).arg("openapi"), "").stdout;
    let output = import(dir.path(), &document);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        output.stderr.contains(" not decided: see the comments"),
        "{output:?}"
    );
    assert!(
        output.stdout.contains("#    auth: # it has no security"),
        "{output:?}"
    );
    assert!(!output.stdout.contains("auth: none"), "{output:?}");
    std::fs::write(
        dir.path().join("gateway.yaml"),
        format!("{HEAD}{}", output.stdout),
    )
    .unwrap();
    let check = run(portcullis(dir.path()).arg("check"), "");
    assert_eq!(check.code, 0, "{check:?}");
    let explain = run(
        portcullis(dir.path()).args(["explain", "GET", "/api/v1/users/me", "--as", "user=a"]),
        "",
    );
    assert_eq!(
        explain.code, 0,
        "the auth API comes before the routes: {explain:?}"
    );
}

#[test]
fn what_is_printed_is_merged_by_hand_where_there_are_routes() {
    let dir = tempfile::tempdir().unwrap();
    let document = "openapi: 3.1.0\npaths: { /a: { get: { security: [{ bearer: [] }] } } }\n";
    let printed = import(dir.path(), document).stdout;
    let check = |text: &str| {
        std::fs::write(dir.path().join("gateway.yaml"), text).unwrap();
        run(portcullis(dir.path()).arg("check"), "")
    };
    let own = "  - { name: own, path: /own, auth: required, upstream: app }\n";
    let appended = check(&format!("{HEAD}routes:\n{own}{printed}"));
    assert_eq!(appended.code, 1, "{appended:?}");
    let said = appended.stdout + &appended.stderr;
    assert!(said.contains("`routes`"), "{said}");
    let items = printed.strip_prefix("routes:\n").unwrap();
    let merged = check(&format!("{HEAD}routes:\n{own}{items}"));
    assert_eq!(merged.code, 0, "{merged:?}");
}

#[test]
fn a_document_may_come_in_yaml_and_over_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let document = "openapi: 3.1.0\npaths:\n  /a/{id}:\n    get: { security: [{ bearer: [] }] }\n    put: {}\n";
    let piped = run(
        portcullis(dir.path()).args(["import", "openapi", "-", "--upstream", "back"]),
        document,
    );
    assert_eq!(piped.code, 0, "{piped:?}");
    let routes = "routes:\n  - name: a-id\n    path: '/a/{id}'\n    methods: [GET]\n    auth: required\n    upstream: back\n";
    assert!(piped.stdout.starts_with(routes), "{piped:?}");
    assert_eq!(piped.stderr, "1 operation not decided: see the comments\n");
}

#[test]
fn what_cannot_be_read_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for (document, said) in [
        ("swagger: '2.0'\npaths: {}\n", "this is Swagger 2.0"),
        (
            "{\"openapi\": \"3.0.0\", ",
            "openapi:1:21: error: not valid JSON",
        ),
        (
            "openapi: 3.0.0\npaths: { /a: [\n",
            "openapi:2:14: error: not valid YAML",
        ),
        (
            "openapi: 3.0.0\npaths: { /a: { get: [] } }\n",
            "paths./a.get: expected a mapping, found a list",
        ),
    ] {
        let output = import(dir.path(), document);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
        assert!(output.stderr.contains(said), "{said}: {output:?}");
    }
    let none = run(
        portcullis(dir.path()).args(["import", "openapi", "none.yaml"]),
        "",
    );
    assert_eq!(none.code, 1, "{none:?}");
    let name = run(
        portcullis(dir.path()).args(["import", "openapi", "openapi", "--upstream", "a b"]),
        "",
    );
    assert_eq!(name.code, 2, "{name:?}");
}
