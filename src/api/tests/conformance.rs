//! What is answered is what the OpenAPI document says: held for every call that any test makes, and for
//! every operation by a call that succeeds.

use std::collections::{BTreeMap, BTreeSet};

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::{Answer, Api, NOTHING, PASSWORD};
use crate::config::Config;
use crate::config::checked::{Pattern, Registration, Route};
use crate::gateway::respond;
use crate::request::Refusal;
use crate::route::sample;

/// A call of the API and the operation that the document has for it.
pub struct Call {
    operation: Value,
    components: Value,
    query: Vec<String>,
    body: Option<(String, Vec<u8>)>,
    name: String,
    is_head: bool,
}

/// `None` when the document has no such operation. `body` is what could be read of it.
pub fn of(document: &Value, parts: &Parts, body: Option<Vec<u8>>) -> Option<Call> {
    let is_head = parts.method == Method::HEAD;
    let method = match is_head {
        true => "get".to_owned(),
        false => parts.method.as_str().to_ascii_lowercase(),
    };
    let (path, item) = path_item(document, parts.uri.path())?;
    let media_type = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let essence = media_type.map(|text| text.split(';').next().unwrap().trim().to_owned());
    let query = parts.uri.query().unwrap_or_default().split('&');
    let names = query.filter_map(|pair| pair.split('=').next());
    Some(Call {
        operation: item.get(&method)?.clone(),
        components: document["components"].clone(),
        query: names.filter(|n| !n.is_empty()).map(str::to_owned).collect(),
        body: essence.zip(body),
        name: format!("{} {path}", parts.method),
        is_head,
    })
}

/// The literal path wins over one with parameters.
fn path_item<'a>(document: &'a Value, path: &str) -> Option<(&'a String, &'a Value)> {
    let paths = document["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (a, b): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        let same = |(a, b): (&&str, &&str)| a == b || (a.starts_with('{') && !b.is_empty());
        a.len() == b.len() && a.iter().zip(&b).all(same)
    };
    let found = paths.iter().filter(|(template, _)| fits(template));
    found.min_by_key(|(template, _)| template.matches('{').count())
}

impl Call {
    /// Panics when the answer is not one of those that are documented, or a call that is not is taken.
    #[track_caller]
    pub fn assert_documented(&self, answer: &Answer) {
        let name = &self.name;
        let status = answer.status.as_str();
        let response = &self.operation["responses"][status];
        assert!(!response.is_null(), "{name} answers {status}: {answer:?}");
        if answer.status.is_success() {
            self.assert_asked();
        }
        if let Some(refusal) = &answer.refusal {
            return self.assert_refusal(refusal);
        }
        if self.is_head {
            return;
        }
        let Some(content) = response["content"].as_object() else {
            return assert!(answer.body.is_empty(), "{name} {status}: {answer:?}");
        };
        let media_type = answer.headers[CONTENT_TYPE].to_str().unwrap();
        let schema = &content[media_type]["schema"];
        self.assert_valid(&answer.json(), schema, &format!("{name} {status}"));
    }

    /// As the gateway will write it.
    fn assert_refusal(&self, refusal: &Refusal) {
        let written = respond::problem(refusal, &HeaderValue::from_static("id"));
        let name = written
            .status()
            .canonical_reason()
            .unwrap()
            .replace(' ', "");
        let response = &self.components["responses"][&name];
        for (header, described) in response["headers"].as_object().unwrap() {
            let is_there = written.headers().contains_key(header);
            assert!(
                is_there || described["required"] == false,
                "{name}: {header}"
            );
        }
        let media_type = written.headers()[CONTENT_TYPE].to_str().unwrap();
        let body = serde_json::from_slice(written.body()).unwrap();
        self.assert_valid(&body, &response["content"][media_type]["schema"], &name);
    }

    fn assert_asked(&self) {
        let known = self.operation["parameters"]
            .as_array()
            .into_iter()
            .flatten();
        let known: Vec<&Value> = known.map(|p| &p["name"]).collect();
        for name in &self.query {
            assert!(known.contains(&&json!(name)), "{}?{name}", self.name);
        }
        let content = &self.operation["requestBody"]["content"];
        if let Some((media_type, bytes)) = &self.body
            && media_type == "application/json"
            && !bytes.is_empty()
            && !content.is_null()
        {
            let body: Value = serde_json::from_slice(bytes).unwrap();
            self.assert_valid(&body, &content[media_type]["schema"], &self.name);
        }
    }

    fn assert_valid(&self, value: &Value, schema: &Value, what: &str) {
        assert!(!schema.is_null(), "{what} has no schema");
        let mut root = json!({ "components": self.components, "allOf": [schema] });
        close(&mut root);
        let options = jsonschema::options().should_validate_formats(true);
        let validator = options.build(&root).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(value)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{what}: {errors:?} in {value}");
    }
}

/// Members that the document does not name are mistakes here, though clients have to bear them.
fn close(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("properties").is_some_and(Value::is_object) {
                members
                    .entry("additionalProperties")
                    .or_insert(Value::Bool(false));
            }
        }
        _ => {}
    }
}

/// The members that a call of this operation may have, of the query and of the body.
fn members(operation: &Value) -> BTreeSet<String> {
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let in_body = body["properties"].as_object().into_iter().flatten();
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let in_query = parameters.filter(|p| p["in"] == "query");
    let in_query = in_query.map(|p| p["name"].as_str().unwrap().to_owned());
    in_body
        .map(|(name, _)| name.clone())
        .chain(in_query)
        .collect()
}

/// Each operation is called with each member that it is documented to take, and does what it should:
/// an endpoint that is added to the table is added here.
#[tokio::test]
async fn every_operation_and_member_of_the_document_is_there() {
    let api = Api::start_with(|config: &mut Config| {
        config.auth.registration = Registration::Open;
        config.routes = vec![Route {
            name: "app".into(),
            ..sample::route(Pattern::Prefix(vec![]))
        }];
    })
    .await;
    let (root, _) = api.sign_in("root").await;
    let (there, _) = api.sign_in("ann").await;
    let (ann, _) = api.sign_in("ann").await;
    let login = json!({ "username": "ann", "password": PASSWORD, "delivery": "body" });
    let tokens = api.post_json("/api/v1/login", login).await.json();
    let refresh_token = json!({ "refresh_token": tokens["refresh_token"] });
    let listed = api.call("GET", "/sessions", &there, NOTHING).await.json();
    let sessions = listed["data"].as_array().unwrap();
    let there = sessions.iter().find(|s| s["current"] == true).unwrap();
    let there = format!("/sessions/{}", there["id"].as_str().unwrap());
    let login = json!({
        "username": "ann", "password": PASSWORD, "grant_type": "password", "delivery": "body",
    });
    let cat = json!({
        "name": "Cat", "username": "cat", "email": "cat@example.com", "password": PASSWORD,
    });
    let profile = json!({
        "name": "Somebody", "username": "ann", "email": "ann@example.org",
        "profile_image_url": "https://example.com/ann", "current_password": PASSWORD,
    });
    let own = json!({
        "name": "Root", "username": "root", "email": "root@example.org", "external_id": "7",
        "profile_image_url": null, "current_password": PASSWORD,
    });
    let new = "Bb2!bbbb";
    let passwords = json!({ "current_password": PASSWORD, "new_password": new });
    let of_key = json!({ "name": "CI", "scopes": ["read"], "expires_at": "2028-01-15T08:00:00Z" });
    let made = api.call("POST", "/api-keys", &root, of_key.clone()).await;
    let key = format!("/api-keys/{}", made.json()["id"].as_str().unwrap());
    let asked = json!({ "token": made.json()["key"], "token_type_hint": "api_key" });
    let users = "/users?page=1&after=a&items_per_page=5&tier=free&deleted=false&q=a";
    let tier = json!({ "name": "gold", "rank": 2, "rate": "5/s", "burst": 9 });
    let audit = "/audit?user=ann&by=root&action=user.update&since=2027-01-01T00:00:00Z\
                 &before=999&limit=5";
    let calls = [
        ("POST", "/login?delivery=body", "", login),
        ("POST", "/refresh", "", refresh_token.clone()),
        ("POST", "/logout", "", refresh_token),
        ("POST", "/users", "", cat),
        ("GET", "/openapi.json", "", NOTHING),
        ("GET", "/sessions", &ann, NOTHING),
        ("DELETE", &there, &ann, NOTHING),
        ("GET", "/users/me", &ann, NOTHING),
        ("PATCH", "/users/ann", &ann, profile),
        ("POST", "/users/me/password", &ann, passwords),
        ("POST", "/logout-all?keep_current=true", &ann, NOTHING),
        ("DELETE", "/users/me?purge=false", &ann, NOTHING),
        ("POST", "/users/ann/restore", &root, NOTHING),
        ("POST", "/users/ann/disable", &root, NOTHING),
        ("POST", "/users/ann/enable", &root, NOTHING),
        ("POST", "/api-keys", &root, of_key.clone()),
        ("GET", "/api-keys", &root, NOTHING),
        ("PATCH", &key, &root, of_key),
        ("POST", "/introspect", &root, asked.clone()),
        ("DELETE", &key, &root, NOTHING),
        ("POST", "/revoke", "", asked),
        ("PATCH", "/users/me", &root, own),
        ("GET", users, &root, NOTHING),
        ("GET", "/users/ann", &root, NOTHING),
        ("PATCH", "/users/ann", &root, json!({ "external_id": "8" })),
        ("PUT", "/users/ann/tier", &root, json!({ "tier": "pro" })),
        (
            "PUT",
            "/users/ann/roles",
            &root,
            json!({ "roles": ["editor"] }),
        ),
        (
            "PUT",
            "/users/ann/superuser",
            &root,
            json!({ "is_superuser": true }),
        ),
        (
            "POST",
            "/users/ann/password",
            &root,
            json!({ "new_password": PASSWORD }),
        ),
        ("GET", "/users/ann/sessions", &root, NOTHING),
        ("DELETE", "/users/ann/sessions", &root, NOTHING),
        ("DELETE", "/users/cat?purge=true", &root, NOTHING),
        ("GET", audit, &root, NOTHING),
        ("GET", "/tiers?page=1&items_per_page=5", &root, NOTHING),
        ("POST", "/tiers", &root, tier.clone()),
        ("GET", "/tiers/gold", &root, NOTHING),
        ("PATCH", "/tiers/gold", &root, tier),
        (
            "POST",
            "/tiers/gold/limits",
            &root,
            json!({ "name": "x", "route": "app", "limit": 5, "period": 60, "burst": 7 }),
        ),
        (
            "POST",
            "/tiers/gold/limits",
            &root,
            json!({ "name": "x", "path": "/x", "method": "GET", "limit": 5, "period": 60 }),
        ),
        (
            "GET",
            "/tiers/gold/limits?page=1&items_per_page=5",
            &root,
            NOTHING,
        ),
        ("GET", "/tiers/gold/limits/1", &root, NOTHING),
        (
            "PATCH",
            "/tiers/gold/limits/1",
            &root,
            json!({ "name": "y", "path": "/y", "method": "GET", "limit": 5, "period": 60, "burst": 7 }),
        ),
        (
            "PATCH",
            "/tiers/gold/limits/1",
            &root,
            json!({ "route": "app", "burst": null }),
        ),
        ("DELETE", "/tiers/gold/limits/1", &root, NOTHING),
        ("DELETE", "/tiers/gold", &root, NOTHING),
    ];
    let mut missing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, item) in api.document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            missing.insert(format!("{method} {path}"), members(operation));
        }
    }
    let at_root = ["jwks.json", "oauth-authorization-server"];
    let mut called: BTreeSet<String> = at_root
        .map(|name| format!("get /.well-known/{name}"))
        .into();
    for (method, path, token, body) in calls {
        let answer = api.call(method, path, token, body.clone()).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (template, _) = path_item(&api.document, &format!("/api/v1{path}")).unwrap();
        let name = format!("{} {template}", method.to_ascii_lowercase());
        let taken = missing.get_mut(&name).unwrap();
        for (member, _) in body.as_object().into_iter().flatten() {
            taken.remove(member);
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            taken.remove(pair.split('=').next().unwrap());
        }
        called.insert(name);
    }
    missing.retain(|name, members| !called.contains(name) || !members.is_empty());
    assert!(missing.is_empty(), "documented and not called: {missing:?}");
}

#[tokio::test]
async fn what_is_refused_of_a_deleted_account_is_documented() {
    let api = Api::start().await;
    let (root, _) = api.sign_in("root").await;
    let gone = api.call("DELETE", "/users/ann", &root, NOTHING).await;
    gone.expect(204);
    for (method, path, body) in [
        ("PATCH", "/users/ann", json!({ "name": "Ann" })),
        ("PUT", "/users/ann/tier", json!({ "tier": "pro" })),
        ("PUT", "/users/ann/roles", json!({ "roles": ["editor"] })),
        (
            "PUT",
            "/users/ann/superuser",
            json!({ "is_superuser": true }),
        ),
        (
            "POST",
            "/users/ann/password",
            json!({ "new_password": PASSWORD }),
        ),
        ("POST", "/users/ann/disable", NOTHING),
    ] {
        let answer = api.call(method, path, &root, body).await;
        answer.assert_refused("conflict");
    }
    let purged = api
        .call("DELETE", "/users/ann?purge=true", &root, NOTHING)
        .await;
    purged.expect(204);
}
