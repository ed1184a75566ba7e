//! JSON Schema (2020-12) of bodies, written beside what makes or reads them. One with a `title` is told
//! once, under that name, wherever it is used.

use serde_json::{Map, Value, json};

/// An object that is told: every member is there but those that are `optional`.
pub fn told(title: &str, optional: &[&str], properties: Value) -> Value {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<&String> = names
        .filter(|name| !optional.contains(&name.as_str()))
        .collect();
    json!({
        "title": title,
        "type": "object",
        "required": required,
        "properties": properties,
    })
}

/// An object that is asked for: a member that is not known is refused.
pub fn asked(required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

pub fn text() -> Value {
    json!({ "type": "string" })
}

/// A text that may be null.
pub fn text_or_null() -> Value {
    json!({ "type": ["string", "null"] })
}

/// RFC 3339, in UTC.
pub fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub fn time_or_null() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time" })
}

pub fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

pub fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// A whole number, at least `minimum`.
pub fn number(minimum: i64) -> Value {
    json!({ "type": "integer", "minimum": minimum })
}

pub fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// A whole number in a range.
pub fn number_in(least: i64, most: i64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// The same, or null.
pub fn number_or_null(least: i64, most: i64) -> Value {
    json!({ "type": ["integer", "null"], "minimum": least, "maximum": most })
}

/// A page of a list.
pub fn page(title: &str, items: Value) -> Value {
    let properties = json!({
        "data": list(items),
        "total_count": number(0),
        "has_more": flag(),
        "page": number(1),
        "items_per_page": number(1),
    });
    told(title, &[], properties)
}
