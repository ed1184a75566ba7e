//! What becomes of documents, and that it holds as a part of a file.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::config::checked::{AuthMode, Config};
use crate::config::{self, document, text};

/// The routes as a file has them: name, pattern, methods.
fn imported(document: &Value) -> (Config, String) {
    let text = import_openapi(document, "app").unwrap().to_string();
    let head = "version: 1\nupstreams: { app: { targets: http://a } }\n";
    let file = format!("{head}{text}");
    let loaded = config::parse(&file, Path::new("g.yaml"), &|_| None);
    let config = loaded
        .unwrap_or_else(|report| panic!("{}\n{text}", report.render(false)))
        .config;
    (config, text)
}

fn routes(config: &Config) -> Vec<String> {
    let routes = config.routes.iter().map(|route| {
        assert_eq!(
            route.auth,
            AuthMode::Required,
            "nothing is public by itself"
        );
        let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
        format!(
            "{}: {} {}",
            route.name,
            text::pattern_text(&route.pattern),
            methods.join(" ")
        )
    });
    routes.collect()
}

fn with(paths: Value) -> Value {
    json!({ "openapi": "3.1.0", "security": [{ "bearer": [] }], "paths": paths })
}

#[test]
fn what_is_secured_becomes_a_route_and_the_rest_a_question() {
    let yaml = r#"
openapi: 3.0.3
info:
  title: Blog ${NOT_EXPANDED}
  version: 1
servers: [{ url: 'https://{host}/v{major}/', variables: { host: { default: a.example }, major: { default: '2' } } }]
paths:
  /posts:
    get: { summary: all }
    post: { security: [{ oauth: [posts:write, posts:read] }, { key: [] }] }
  /posts/{post-id}:
    parameters: []
    head: { security: [{ key: [] }] }
    get: { security: [{ key: [] }] }
    delete: { security: [{ key: [] }] }
    patch: { security: [{ key: [] }, {}] }
    put: { security: [] }
  x-internal: 7
"#;
    let document = document(yaml.as_bytes(), Path::new("a.yaml")).unwrap();
    let (config, text) = imported(&document);
    assert_eq!(
        routes(&config),
        [
            "v2-posts: path /v2/posts POST",
            "v2-posts-post-id: path /v2/posts/{post_id} GET DELETE",
        ]
    );
    for comment in [
        "auth: required # the document asks for posts:write posts:read",
        "#  - name: v2-posts_2\n#    path: '/v2/posts'\n#    methods: [GET]\n#    auth: # it has no security\n#    upstream: app\n",
        "#    methods: [PATCH]\n#    auth: # its security is optional\n",
        "#    methods: [PUT]\n#    auth: # it has no security\n",
    ] {
        assert!(text.contains(comment), "{comment} in:\n{text}");
    }
    let imported = import_openapi(&document, "app").unwrap();
    assert_eq!(imported.open_questions(), 3);
}

#[test]
fn security_of_the_document_is_that_of_its_operations() {
    let (config, _) = imported(&with(
        json!({ "/": { "get": {} }, "/a/": { "query": {}, "additionalOperations": { "PURGE": {} } } }),
    ));
    assert_eq!(
        routes(&config),
        ["root: path / GET", "a: path /a/ QUERY PURGE"]
    );
}

#[test]
fn paths_that_are_no_templates_become_regexes_or_are_left_out() {
    let (config, text) = imported(&with(json!({
            "/files/{name}.{ext}": { "get": {} },
            "/it's/{a}+$": { "get": {} },
            "/a/{x}": { "get": {}, "trace": {} },
            "/a/{y}": { "get": {}, "put": {} },
            "/a b": { "get": {} },
            "/{open": { "get": {} },
            "/{a}{b}": { "get": {} },
            "/twice/{id}/{id}": { "get": {} },
            "/q?x=1\n- evil": { "get": {} },
            "/ref": { "$ref": "#/paths/~1files~1{name}.{ext}" },
        "/other": { "$ref": "other.yaml#/x" },
    })));
    let expected = [
        "a-x: path /a/{x} GET",
        "a-y: path /a/{y} PUT",
        "files-name.ext: regex /files/(?P<name>[^/]+)\\.(?P<ext>[^/]+) GET",
        "it-s-a--: regex /it's/(?P<a>[^/]+)\\+\\$ GET",
        "ref: path /ref GET",
        "twice-id-id: path /twice/{id}/{id_2} GET",
    ];
    assert_eq!(routes(&config), expected);
    for comment in [
        "#  GET /a/{y}: `/a/{x}` takes the same requests\n",
        "#  TRACE /a/{x}: the gateway refuses TRACE\n",
        "#  GET /a b: ",
        "#  GET /{open: a brace is not closed\n",
        "#  GET /{a}{b}: nothing stands between two parameters\n",
        "#  GET /q?x=1?- evil: ",
        "#  other.yaml#/x /other: it is in another document, which is not read\n",
    ] {
        assert!(text.contains(comment), "{comment} in:\n{text}");
    }
}

#[test]
fn names_are_names_whatever_the_paths_are() {
    let (config, _) = imported(&with(json!({
        "/-": { "get": {} },
        "/null": { "get": {} },
        "/{..}": { "get": {}, "post": {} },
        "/a/{.}": { "get": {} },
        "/True/": { "get": {} },
        "/1": { "get": {} },
        "/~": { "get": {} },
        "/'": { "get": {} },
    })));
    let names: Vec<&str> = config.routes.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["-", "-_2", "1", "True", "a-.", "null", "--", "-_3"]);
    let text = import_openapi(&with(json!({ "/": { "get": {} } })), "null").unwrap();
    let text = text.to_string();
    let head = "version: 1\nupstreams: { 'null': { targets: http://a } }\n";
    let loaded = config::parse(&format!("{head}{text}"), Path::new("g.yaml"), &|_| None);
    assert!(loaded.is_ok(), "{text}");
}

#[test]
fn of_many_paths_that_would_be_called_the_same_each_has_a_name() {
    let stem = "x".repeat(60);
    let path = |at| (format!("/{stem}/{at}"), json!({ "get": {} }));
    let document = with(Value::Object((0..20_000).map(path).collect()));
    let text = import_openapi(&document, "app").unwrap().to_string();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("  - name: "));
    let names: std::collections::HashSet<&str> = names.collect();
    assert_eq!(names.len(), 20_000);
    assert!(names.iter().all(|name| text::is_name(name)));
}

#[test]
fn no_operation_vanishes_whose_security_is_another() {
    let bare = json!({ "security": [] });
    let (config, text) = imported(&with(json!({
        "/same": { "get": {}, "head": {} },
        "/open-head": { "get": {}, "head": bare },
        "/open-get": { "get": bare, "head": {} },
        "/twice": { "post": bare, "additionalOperations": { "POST": {} } },
    })));
    assert_eq!(
        routes(&config),
        ["open-head: path /open-head GET", "same: path /same GET"]
    );
    for comment in [
        "#  HEAD /open-head: it goes where GET does, and the document asks for something else\n",
        "#  HEAD /open-get: it goes where GET does, and the document asks for something else\n",
        "#  POST /twice: it is there twice, and the document asks for something else\n",
    ] {
        assert!(text.contains(comment), "{comment} in:\n{text}");
    }
}

#[test]
fn what_is_no_openapi_is_told_at_its_place() {
    for (document, said) in [
        (json!({ "swagger": "2.0", "paths": {} }), "Swagger 2.0"),
        (json!({ "openapi": "4.0" }), "OpenAPI 4.0"),
        (json!({ "paths": {} }), "it has no `openapi"),
        (json!([1]), "it has no `openapi"),
        (with(json!([])), "paths: expected a mapping, found a list"),
        (
            with(json!({ "/a": [] })),
            "paths./a: expected a mapping, found a list",
        ),
        (
            with(json!({ "/a": { "get": 1 } })),
            "paths./a.get: expected a mapping, found a number",
        ),
        (
            with(json!({ "/a": { "get": { "security": {} } } })),
            "paths./a.get.security: expected a list",
        ),
        (
            with(json!({ "/a": { "get": { "security": [[]] } } })),
            "paths./a.get.security.0: expected a mapping",
        ),
        (
            with(json!({ "/a": { "get": { "security": [{ "a": [1] }] } } })),
            "paths./a.get.security.0.a.0: expected a text",
        ),
        (
            with(json!({ "/a": { "servers": [{}], "get": {} } })),
            "paths./a.servers.0: expected a mapping with a `url`",
        ),
        (
            with(json!({ "/a": { "$ref": "#/none" } })),
            "paths./a.$ref: there is no `#/none`",
        ),
    ] {
        let error = import_openapi(&document, "app").unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
    let looped = with(json!({ "/a": { "$ref": "#/paths/~1a" } }));
    let text = import_openapi(&looped, "app").unwrap().to_string();
    let told = "#  #/paths/~1a /a: its references lead to one another, or too far\n";
    assert!(text.contains(told), "{text}");
    let long = with(json!({ format!("/{{{}}}", "x".repeat(2000)): { "get": {} } }));
    let text = import_openapi(&long, "app").unwrap().to_string();
    assert!(text.contains("this path has 2003 bytes"), "{text}");
    let nothing = json!({ "openapi": "3.1.0", "webhooks": {} });
    assert_eq!(
        import_openapi(&nothing, "app").unwrap().to_string(),
        "routes: []\n"
    );
}
