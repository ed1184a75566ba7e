//! The OpenAPI 3.1 document of what is served, made from the table of operations.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::endpoints::operations;
use super::operation::{Operation, Takes, Who};
use crate::config::checked::{Auth, Group};
use crate::gateway::respond;
use crate::request::schema;

/// What the document calls the two ways to show an access token, and the refresh token's cookie.
const BEARER: &str = "bearer";
const PASSWORD: &str = "password";
const COOKIE: &str = "refresh_cookie";
const API_KEY: &str = "api_key";

/// Describes the API as `auth` has it served.
pub fn openapi(auth: &Auth) -> Value {
    let base = &auth.base_path;
    let mut schemas = Map::new();
    let mut refusals = Map::new();
    let mut paths = Map::new();
    let operations = operations(auth).into_iter();
    for operation in operations.filter(|operation| operation.compat.is_none()) {
        for status in operation.refusals() {
            refusals.insert(name(status), refusal(status));
        }
        let path = paths
            .entry(operation.path(base))
            .or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = describe(&operation);
    }
    let mut paths = Value::Object(paths);
    let mut refusals = Value::Object(refusals);
    lift(&mut paths, &mut schemas);
    lift(&mut refusals, &mut schemas);
    let tags = Group::ALL.iter().filter(|group| auth.serve.contains(group));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "portcullis auth API",
            "description": "Sessions and accounts of the gateway in front of the application.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": auth.issuer.trim_end_matches('/') }],
        "tags": tags.map(|group| json!({ "name": group.as_str() })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": {
                BEARER: { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                COOKIE: { "type": "apiKey", "in": "cookie", "name": auth.cookie.name },
                API_KEY: { "type": "apiKey", "in": "header", "name": auth.api_keys.header.as_str() },
                PASSWORD: {
                    "type": "oauth2",
                    "flows": { "password": {
                        "tokenUrl": format!("{base}/login"),
                        "refreshUrl": format!("{base}/refresh"),
                        "scopes": {},
                    } },
                },
            },
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut responses = Map::new();
    let success = operation.success;
    responses.insert(success.as_str().to_owned(), answer(operation));
    for status in operation.refusals() {
        let reference = format!("#/components/responses/{}", name(status));
        responses.insert(status.as_str().to_owned(), json!({ "$ref": reference }));
    }
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "security": security(operation.who),
        "responses": responses,
    });
    if let Some(group) = operation.group {
        described["tags"] = json!([group.as_str()]);
    }
    if let Some(who) = told_of(operation.who) {
        described["description"] = json!(who);
    }
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        described["parameters"] = json!(parameters);
    }
    if let Some(body) = body(&operation.takes) {
        described["requestBody"] = body;
    }
    described
}

/// `GET /users/{username}/sessions` as `getUsersUsernameSessions`.
fn operation_id(operation: &Operation) -> String {
    let path = operation.path("");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let mut id = operation.method.as_str().to_ascii_lowercase();
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        id.push_str(&first.to_ascii_uppercase());
        id.push_str(rest);
    }
    id
}

/// Alternatives; an empty one asks for nothing.
fn security(who: Who) -> Value {
    match who {
        Who::Anyone => json!([]),
        Who::RefreshToken => json!([{ COOKIE: [] }, {}]),
        Who::AnyToken => json!([{ COOKIE: [] }, { BEARER: [] }, { PASSWORD: [] }, {}]),
        Who::Bearer | Who::Owner | Who::Superuser => json!([{ BEARER: [] }, { PASSWORD: [] }]),
        Who::Introspector => json!([{ BEARER: [] }, { PASSWORD: [] }, { API_KEY: [] }]),
    }
}

fn told_of(who: Who) -> Option<&'static str> {
    match who {
        Who::Anyone | Who::Bearer => None,
        Who::RefreshToken => {
            Some("The refresh token comes as cookie or in the body; the new one goes the same way.")
        }
        Who::AnyToken => Some("Takes a refresh token, an access token, both or neither."),
        Who::Owner => Some("For the account's owner and superusers."),
        Who::Superuser => Some("For superusers."),
        Who::Introspector => Some("For superusers, and API keys with the scope `introspect`."),
    }
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.parameters().map(|name| {
        let schema = match name {
            "id" if operation.group == Some(Group::Tiers) => schema::number(1),
            "id" => schema::uuid(),
            _ => schema::text(),
        };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let in_query = operation.query.as_object().into_iter().flatten();
    let in_query =
        in_query.map(|(name, schema)| json!({ "name": name, "in": "query", "schema": schema }));
    in_path.chain(in_query).collect()
}

fn body(takes: &Takes) -> Option<Value> {
    let (Takes::Json(schema) | Takes::JsonOrForm(schema)) = takes else {
        return None;
    };
    let mut content = json!({ "application/json": { "schema": schema } });
    if let Takes::JsonOrForm(_) = takes {
        let mut open = schema.clone();
        // RFC 6749, section 3.2: parameters of a form that are not known are ignored.
        open["additionalProperties"] = json!(true);
        content["application/x-www-form-urlencoded"] = json!({ "schema": open });
    }
    // Where a form is taken, nothing at all stands for one without members.
    let takes_form = matches!(takes, Takes::JsonOrForm(_));
    let is_required = !takes_form || schema["required"] != json!([]);
    Some(json!({ "required": is_required, "content": content }))
}

fn answer(operation: &Operation) -> Value {
    let description = operation.success.canonical_reason().unwrap_or_default();
    match &operation.gives {
        Value::Null => json!({ "description": description }),
        schema => json!({
            "description": description,
            "content": { "application/json": { "schema": schema } },
        }),
    }
}

fn refusal(status: StatusCode) -> Value {
    let mut headers = json!({ "X-Request-Id": header(true) });
    match status {
        StatusCode::UNAUTHORIZED => headers["WWW-Authenticate"] = header(true),
        StatusCode::TOO_MANY_REQUESTS => headers["Retry-After"] = header(true),
        StatusCode::SERVICE_UNAVAILABLE => headers["Retry-After"] = header(true),
        _ => {}
    }
    json!({
        "description": status.canonical_reason().unwrap_or_default(),
        "headers": headers,
        "content": { respond::MEDIA_TYPE: { "schema": respond::schema() } },
    })
}

fn header(is_required: bool) -> Value {
    json!({ "required": is_required, "schema": schema::text() })
}

/// `404` as `NotFound`.
fn name(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    reason.split(' ').collect()
}

/// Moves each schema that has a title into `schemas` and leaves a reference.
fn lift(value: &mut Value, schemas: &mut Map<String, Value>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| lift(item, schemas)),
        Value::Object(members) => {
            members
                .values_mut()
                .for_each(|member| lift(member, schemas));
            if let Some(Value::String(title)) = members.get("title") {
                let reference = json!({ "$ref": format!("#/components/schemas/{title}") });
                schemas.insert(title.clone(), std::mem::replace(value, reference));
            }
        }
        _ => {}
    }
}
