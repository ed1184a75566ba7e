//! gateway.yaml as a JSON Schema (draft 2020-12), from the tables that it is read by. Editors complete and
//! check by it; what it cannot say, `check` does.

use serde_json::{Map, Value, json};

use super::decode::Decode;
use super::raw::RawConfig;

/// The schema of the whole file.
pub fn schema() -> Value {
    let mut whole = RawConfig::schema();
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["title"] = json!("gateway.yaml");
    whole["description"] = json!("The configuration of a portcullis gateway.");
    whole
}

/// A mapping whose keys are known.
#[derive(Default)]
pub struct Object {
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl Object {
    /// `doc` is the text of a documentation comment.
    pub fn key(&mut self, name: &str, mut schema: Value, doc: &str) {
        let doc = doc.trim();
        if !doc.is_empty() {
            schema["description"] = json!(doc);
        }
        self.properties.insert(name.to_owned(), schema);
    }

    /// `hint` is what the one is told who leaves it out.
    pub fn require(&mut self, name: &str, hint: &str) {
        self.required.push(json!(name));
        if let Some(Value::Object(schema)) = self.properties.get_mut(name)
            && !schema.contains_key("description")
            && !hint.is_empty()
        {
            schema.insert("description".to_owned(), json!(hint));
        }
    }

    pub fn into_schema(self) -> Value {
        let mut schema = json!({
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
        });
        if !self.required.is_empty() {
            schema["required"] = Value::Array(self.required);
        }
        schema
    }
}

/// One of these words.
pub fn words(words: &[&str]) -> Value {
    or_variable(json!({ "enum": words }))
}

/// Text of this form; the pattern is not anchored by itself.
pub fn text(pattern: &str) -> Value {
    or_variable(json!({ "type": "string", "pattern": pattern }))
}

pub fn whole_number(least: u64, most: u64) -> Value {
    or_variable(json!({ "type": "integer", "minimum": least, "maximum": most }))
}

/// Or anything with `${VARIABLE}` in it, of which only the environment knows what it is.
pub fn or_variable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": r"\$\{" }] })
}
