//! What a template is to become, written from the documents and apart from the gateway's code.

use portcullis::config::policy_test::TestCaller;
use serde_json::Value;

/// What a request says of itself.
pub struct Asked<'a> {
    pub method: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    pub ip: &'a str,
    /// The values of the path's parameters by their names.
    pub parameters: &'a [(&'a str, &'a str)],
}

/// The value of a template that holds; `None` where something that it names is absent, or when no header
/// could have it.
pub fn filled(template: &str, caller: Option<&TestCaller>, asked: &Asked<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix(brace) {
            out.extend_from_slice(brace.as_bytes());
            rest = after;
            continue;
        }
        assert_eq!(brace, "{", "{template:?}");
        let (name, after) = after.split_once('}').unwrap();
        out.extend_from_slice(value(name, caller, asked)?.as_bytes());
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    let is_fit = |byte: &u8| !matches!(byte, 0..=31 | 127);
    out.iter().all(is_fit).then_some(out)
}

fn value(name: &str, caller: Option<&TestCaller>, asked: &Asked<'_>) -> Option<String> {
    let (group, name) = name.split_once('.').unwrap();
    match group {
        "user" => of_account(name, caller?).flatten(),
        "claims" => {
            let name = match name {
                "sub" => "id",
                "scope" => "scopes",
                // As claims these have other names.
                "id" | "scopes" => return further(name, caller?),
                name => name,
            };
            let caller = caller?;
            of_account(name, caller).unwrap_or_else(|| further(name, caller))
        }
        "path" => {
            let parameter = asked.parameters.iter().find(|(known, _)| *known == name);
            Some(parameter?.1.to_owned())
        }
        "request" => Some(match name {
            "id" => "<new>".to_owned(),
            "method" => asked.method.to_owned(),
            "host" => asked.host.to_owned(),
            "path" => asked.path.to_owned(),
            "ip" => asked.ip.to_owned(),
            "scheme" => "http".to_owned(),
            other => panic!("{other}"),
        }),
        other => panic!("{other}"),
    }
}

/// What the account says by that name; `None` for a name that is none of its.
fn of_account(name: &str, caller: &TestCaller) -> Option<Option<String>> {
    Some(match name {
        "id" => Some(caller.id.unwrap_or_default().to_string()),
        "username" => caller.user.clone(),
        "email" => caller.email.clone(),
        "name" => caller.name.clone(),
        "external_id" => caller.external_id.clone(),
        "tier" => caller.tier.clone(),
        "roles" => Some(caller.roles.join(",")),
        "scopes" => Some(caller.scopes.join(" ")),
        "is_superuser" => Some(caller.is_superuser.to_string()),
        _ => return None,
    })
}

fn further(name: &str, caller: &TestCaller) -> Option<String> {
    let of_name = caller.claims.get(name);
    let value = of_name.or_else(|| {
        let (first, way) = name.split_once('.')?;
        let mut value = caller.claims.get(first)?;
        for step in way.split('.') {
            value = value.as_object()?.get(step)?;
        }
        Some(value)
    })?;
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
