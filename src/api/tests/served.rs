//! Which groups of endpoints are served, and who may read the document of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Api, NOTHING};
use crate::api::endpoints;
use crate::api::operation::Operation;
use crate::config::checked::{Docs, Group};

#[tokio::test]
async fn groups_that_are_left_out_take_no_path_and_are_not_described() {
    let api = Api::start_with(|c| c.auth.serve = vec![Group::Session, Group::Audit]).await;
    let paths = endpoints(&api.config.auth);
    assert!(paths.contains(&"/api/v1/login".to_owned()), "{paths:?}");
    assert!(paths.contains(&"/api/v1/audit".to_owned()), "{paths:?}");
    assert!(
        !paths.iter().any(|path| path.contains("/users")),
        "{paths:?}"
    );
    let described = api.document["paths"].as_object().unwrap();
    assert!(described.keys().eq(paths.iter()), "{described:?} {paths:?}");
    assert_eq!(
        api.document["tags"],
        json!([{ "name": "session" }, { "name": "audit" }])
    );
    let (root, _) = api.sign_in("root").await;
    api.call("GET", "/audit", &root, NOTHING).await.expect(200);
    let gone = api.call("GET", "/users/me", &root, NOTHING).await;
    gone.assert_refused("not-found");
}

#[tokio::test]
async fn without_any_group_there_is_the_key_set_alone() {
    let api = Api::start_with(|c| c.auth.serve = vec![]).await;
    assert_eq!(endpoints(&api.config.auth), ["/.well-known/jwks.json"]);
    let keys = http::Request::get("/.well-known/jwks.json");
    let keys = keys.body(axum::body::Body::empty()).unwrap();
    api.send(keys).await.expect(200);
    for path in ["/login", "/users", "/openapi.json"] {
        let gone = api.call("GET", path, "", NOTHING).await;
        gone.assert_refused("not-found");
    }
}

#[tokio::test]
async fn the_document_is_read_by_whom_docs_names() {
    let api = Api::start().await;
    let answer = api
        .call("GET", "/openapi.json", "", NOTHING)
        .await
        .expect(200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.json(), api.document);

    let api = Api::start_with(|c| c.auth.docs = Docs::Superuser).await;
    let (root, _) = api.sign_in("root").await;
    let (ann, _) = api.sign_in("ann").await;
    for (token, code) in [("", "token-invalid"), (&ann, "forbidden")] {
        let refused = api.call("GET", "/openapi.json", token, NOTHING).await;
        refused.assert_refused(code);
    }
    let told = api
        .call("GET", "/openapi.json", &root, NOTHING)
        .await
        .expect(200);
    assert_eq!(told.json(), api.document);

    let api = Api::start_with(|c| c.auth.docs = Docs::Off).await;
    assert!(!endpoints(&api.config.auth).contains(&"/api/v1/openapi.json".to_owned()));
    let gone = api.call("GET", "/openapi.json", &root, NOTHING).await;
    gone.assert_refused("not-found");
}

/// Paths are taken whole: two groups on one would make the backend's path depend on both.
#[tokio::test]
async fn the_operations_of_a_path_are_of_one_group_and_each_has_an_id() {
    let api = Api::start().await;
    let mut groups: BTreeMap<String, Option<Group>> = BTreeMap::new();
    let all: Vec<Operation> = crate::api::endpoints::operations(&api.config.auth);
    for operation in &all {
        let path = operation.path("");
        assert_eq!(
            *groups.entry(path.clone()).or_insert(operation.group),
            operation.group,
            "{path}"
        );
    }
    let paths = api.document["paths"].as_object().unwrap().values();
    let described: Vec<&Value> = paths
        .flat_map(|p| p.as_object().unwrap().values())
        .collect();
    let mut ids: Vec<&str> = described
        .iter()
        .map(|o| o["operationId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len(), "{ids:?}");
}

#[tokio::test]
async fn the_document_names_the_issuer_the_paths_and_the_cookie_of_its_configuration() {
    let api = Api::start_with(|c| {
        c.auth.issuer = "https://id.example.com/".into();
        c.auth.base_path = "/auth".into();
        c.auth.cookie.name = "rt".into();
    })
    .await;
    let document = &api.document;
    assert_eq!(
        document["servers"],
        json!([{ "url": "https://id.example.com" }])
    );
    assert!(document["paths"]["/auth/login"].is_object());
    assert!(document["paths"]["/.well-known/jwks.json"].is_object());
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(schemes["refresh_cookie"]["name"], "rt");
    let flow = &schemes["password"]["flows"]["password"];
    assert_eq!(flow["tokenUrl"], "/auth/login");
}
