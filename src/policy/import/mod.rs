//! `routes:` made from the OpenAPI document of an upstream. What the document protects is protected; nothing is
//! made public.

mod draft;
mod operations;
mod template;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use draft::Imported;

/// Why a document is no OpenAPI document that can be read, and where.
#[derive(Debug, thiserror::Error)]
pub enum NotOpenApi {
    #[error(
        "this is Swagger {0}, and OpenAPI 3 is what can be read: convert it, as with https://converter.swagger.io"
    )]
    Swagger(String),
    #[error("this is OpenAPI {0}, and OpenAPI 3 is what can be read")]
    Version(String),
    #[error("this is no OpenAPI document: it has no `openapi: 3.…`")]
    NoVersion,
    #[error("{way}: expected {expected}, found {found}")]
    Unexpected {
        /// The way to it: `paths./users.get`.
        way: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error("{way}: there is no `{reference}` in this document")]
    Reference { way: String, reference: String },
}

/// Reads the operations of a document, for routes that go to the upstream of this name.
///
/// # Errors
/// The first that is wrong with the document, and where.
pub fn import_openapi(document: &Value, upstream: &str) -> Result<Imported, NotOpenApi> {
    let version = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match (document.get("openapi"), document.get("swagger")) {
        (Some(openapi), _) => match version(openapi) {
            text if text == "3" || text.starts_with("3.") => {}
            text => return Err(NotOpenApi::Version(text)),
        },
        (None, Some(swagger)) => return Err(NotOpenApi::Swagger(version(swagger))),
        (None, None) => return Err(NotOpenApi::NoVersion),
    }
    Ok(Imported::new(operations::all(document)?, upstream))
}
