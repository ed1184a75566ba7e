//! The operations of an OpenAPI document.

use serde_json::{Map, Value};

use super::NotOpenApi;

/// One method of one path.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// With the path of the server before it.
    pub path: String,
    /// In capitals.
    pub method: String,
    pub security: Security,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Security {
    /// Each scope that some scheme asks for.
    Required(Vec<String>),
    /// One alternative asks for nothing.
    Optional,
    None,
    /// The operation could not be read.
    Unread(&'static str),
}

const METHODS: [&str; 9] = [
    "get", "head", "post", "put", "patch", "delete", "options", "trace", "query",
];

/// So many references lead from one to the next.
const MOST_REFERENCES: usize = 8;

/// A part of the document and the way to it.
struct At<'d> {
    value: &'d Value,
    way: String,
}

impl<'d> At<'d> {
    fn get(&self, key: &str) -> Option<At<'d>> {
        let value = self.value.get(key)?;
        let way = match self.way.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.way),
        };
        Some(At { value, way })
    }

    fn mapping(&self) -> Result<&'d Map<String, Value>, NotOpenApi> {
        self.value
            .as_object()
            .ok_or_else(|| self.unexpected("a mapping"))
    }

    fn list(&self) -> Result<Vec<At<'d>>, NotOpenApi> {
        let items = self
            .value
            .as_array()
            .ok_or_else(|| self.unexpected("a list"))?
            .iter();
        let items = items.enumerate().map(|(at, value)| At {
            value,
            way: format!("{}.{at}", self.way),
        });
        Ok(items.collect())
    }

    fn text(&self) -> Result<&'d str, NotOpenApi> {
        self.value.as_str().ok_or_else(|| self.unexpected("a text"))
    }

    fn unexpected(&self, expected: &'static str) -> NotOpenApi {
        NotOpenApi::Unexpected {
            way: self.way.clone(),
            expected,
            found: match self.value {
                Value::Null => "nothing",
                Value::Bool(_) => "true or false",
                Value::Number(_) => "a number",
                Value::String(_) => "a text",
                Value::Array(_) => "a list",
                Value::Object(_) => "a mapping",
            },
        }
    }
}

/// All of them, by path.
pub fn all(document: &Value) -> Result<Vec<Operation>, NotOpenApi> {
    let root = At {
        value: document,
        way: String::new(),
    };
    let mut operations = Vec::new();
    // A document may have webhooks alone.
    let Some(paths) = root.get("paths") else {
        return Ok(operations);
    };
    for path in paths.mapping()?.keys() {
        let Some(item) = paths.get(path) else {
            continue;
        };
        if path.starts_with("x-") {
            continue;
        }
        of_path(document, &root, path, item, &mut operations)?;
    }
    Ok(operations)
}

fn of_path<'d>(
    document: &'d Value,
    root: &At<'d>,
    path: &str,
    mut item: At<'d>,
    operations: &mut Vec<Operation>,
) -> Result<(), NotOpenApi> {
    for _ in 0..MOST_REFERENCES {
        let Some(reference) = item.get("$ref") else {
            break;
        };
        let text = reference.text()?;
        let Some(pointer) = text.strip_prefix('#') else {
            operations.push(Operation {
                path: path.to_owned(),
                method: text.to_owned(),
                security: Security::Unread("it is in another document, which is not read"),
            });
            return Ok(());
        };
        let value = document
            .pointer(pointer)
            .ok_or_else(|| NotOpenApi::Reference {
                way: reference.way.clone(),
                reference: text.to_owned(),
            })?;
        item = At {
            value,
            way: item.way,
        };
    }
    if let Some(reference) = item.get("$ref") {
        operations.push(Operation {
            path: path.to_owned(),
            method: reference.text()?.to_owned(),
            security: Security::Unread("its references lead to one another, or too far"),
        });
        return Ok(());
    }
    item.mapping()?;
    let mut found: Vec<(String, At<'d>)> = Vec::new();
    for method in METHODS {
        found.extend(
            item.get(method)
                .map(|operation| (method.to_ascii_uppercase(), operation)),
        );
    }
    if let Some(further) = item.get("additionalOperations") {
        let methods = further.mapping()?.keys();
        found.extend(methods.filter_map(|method| Some((method.clone(), further.get(method)?))));
    }
    for (method, operation) in found {
        operation.mapping()?;
        let servers = [&operation, &item, root]
            .into_iter()
            .find_map(|at| at.get("servers"));
        let base = servers.map_or(Ok(String::new()), |servers| base(&servers))?;
        let security = [&operation, root]
            .into_iter()
            .find_map(|at| at.get("security"));
        operations.push(Operation {
            path: format!("{base}{path}"),
            method,
            security: security.map_or(Ok(Security::None), |security| of_security(&security))?,
        });
    }
    Ok(())
}

fn of_security(security: &At<'_>) -> Result<Security, NotOpenApi> {
    let mut scopes: Vec<String> = Vec::new();
    let alternatives = security.list()?;
    if alternatives.is_empty() {
        return Ok(Security::None);
    }
    let mut is_optional = false;
    for alternative in alternatives {
        let schemes = alternative.mapping()?;
        is_optional |= schemes.is_empty();
        for scheme in schemes.keys().filter_map(|scheme| alternative.get(scheme)) {
            for scope in scheme.list()? {
                let scope = scope.text()?.to_owned();
                if !scopes.contains(&scope) {
                    scopes.push(scope);
                }
            }
        }
    }
    Ok(match is_optional {
        true => Security::Optional,
        false => Security::Required(scopes),
    })
}

/// The path of the first server, without a slash at its end.
fn base(servers: &At<'_>) -> Result<String, NotOpenApi> {
    let servers = servers.list()?;
    let Some(server) = servers.first() else {
        return Ok(String::new());
    };
    let Some(url) = server.get("url") else {
        return Err(server.unexpected("a mapping with a `url`"));
    };
    let mut url = url.text()?.to_owned();
    if let Some(variables) = server.get("variables") {
        for name in variables.mapping()?.keys() {
            let default = variables
                .get(name)
                .and_then(|variable| variable.get("default"));
            if let Some(default) = default {
                url = url.replace(&format!("{{{name}}}"), default.text()?);
            }
        }
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url.as_str(),
    };
    let path = path
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    Ok(match path.is_empty() || path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    })
}
