//! One row of the API's table: what the router, the routes and the document have to know of an
//! operation.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::ApiState;
use crate::config::checked::{Compat, Group};
use crate::request::Code;

pub(super) type Handlers = MethodRouter<Arc<ApiState>>;

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Anyone,
    /// Who has a refresh token, in the cookie or in the body.
    RefreshToken,
    /// Who has a refresh token, a bearer token, both or neither.
    AnyToken,
    Bearer,
    /// The account that the path names, and superusers.
    Owner,
    Superuser,
    /// Superusers, and API keys with the scope `introspect`.
    Introspector,
}

/// What the body of a request may be, by JSON Schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Takes {
    Nothing,
    Json(Value),
    JsonOrForm(Value),
}

pub(super) struct Operation {
    pub method: Method,
    /// `None` is served whatever `auth.serve` says.
    pub group: Option<Group>,
    /// Under `auth.base_path`, unless it is a well-known one.
    path: &'static str,
    pub who: Who,
    pub summary: &'static str,
    pub handlers: Handlers,
    /// The parameters of the query, each with its schema.
    pub query: Value,
    pub takes: Takes,
    pub success: StatusCode,
    /// The schema of what is told then; null when the body is empty.
    pub gives: Value,
    /// Whose operation it is, if it is not this gateway's own: then the document does not have it.
    pub compat: Option<Compat>,
    /// What is refused beside that which every operation of this kind refuses.
    refuses: &'static [Code],
}

/// The constructors of rows, one for each method.
macro_rules! rows {
    ($( $name:ident $method:ident )*) => { $(
        pub(super) fn $name<H: Handler<T, Arc<ApiState>>, T: 'static>(
            group: impl Into<Option<Group>>,
            path: &'static str,
            who: Who,
            summary: &'static str,
            handler: H,
        ) -> Operation {
            Operation {
                method: Method::$method,
                group: group.into(),
                path,
                who,
                summary,
                handlers: routing::$name(handler),
                query: json!({}),
                takes: Takes::Nothing,
                success: StatusCode::OK,
                gives: Value::Null,
                compat: None,
                refuses: &[],
            }
        }
    )* };
}

rows! { get GET post POST put PUT patch PATCH delete DELETE }

impl Operation {
    pub fn query(mut self, parameters: Value) -> Operation {
        self.query = parameters;
        self
    }

    pub fn json(mut self, schema: Value) -> Operation {
        self.takes = Takes::Json(schema);
        self
    }

    pub fn json_or_form(mut self, schema: Value) -> Operation {
        self.takes = Takes::JsonOrForm(schema);
        self
    }

    /// 200 with a body.
    pub fn gives(mut self, schema: Value) -> Operation {
        self.gives = schema;
        self
    }

    /// 201 with what was made.
    pub fn creates(mut self, schema: Value) -> Operation {
        self.success = StatusCode::CREATED;
        self.gives = schema;
        self
    }

    /// 204.
    pub fn gives_nothing(mut self) -> Operation {
        self.success = StatusCode::NO_CONTENT;
        self
    }

    pub fn refuses(mut self, codes: &'static [Code]) -> Operation {
        self.refuses = codes;
        self
    }

    /// Of another project, which says itself what it takes and gives.
    pub fn of(mut self, compat: Compat) -> Operation {
        self.compat = Some(compat);
        self
    }

    pub fn path(&self, base_path: &str) -> String {
        match self.path.starts_with("/.well-known/") {
            true => self.path.to_owned(),
            false => format!("{base_path}{}", self.path),
        }
    }

    /// The parameters of the path, which stand in braces.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        let segments = self.path.split('/');
        segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Every status that a refusal may have, in order.
    pub fn refusals(&self) -> Vec<StatusCode> {
        // A head that servers could read differently, and too many calls at once.
        let mut codes = vec![Code::BadRequest, Code::Unavailable];
        codes.extend(match self.who {
            Who::Anyone => &[][..],
            Who::Bearer => &[Code::TokenMissing, Code::RateLimited],
            Who::Owner | Who::Superuser | Who::Introspector | Who::RefreshToken => {
                &[Code::TokenMissing, Code::Forbidden, Code::RateLimited]
            }
            Who::AnyToken => &[Code::Forbidden, Code::RateLimited],
        });
        if self.takes != Takes::Nothing {
            codes.extend([
                Code::BodyTooLarge,
                Code::UnsupportedMediaType,
                Code::ValidationFailed,
            ]);
        }
        if self.query != json!({}) {
            codes.push(Code::ValidationFailed);
        }
        if self.parameters().next().is_some() {
            codes.push(Code::NotFound);
        }
        codes.extend(self.refuses);
        let mut statuses: Vec<StatusCode> = codes.into_iter().map(Code::status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }
}
