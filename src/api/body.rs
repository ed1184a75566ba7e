//! Request bodies: a JSON object or a form, as named members that are taken out one by one, so that
//! everything wrong with them can be told at once.

use std::collections::HashSet;

use std::fmt;
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use crate::request::{Code, FieldError, Part, Refusal};

/// The largest body, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// The longest that a client may take to send it.
const DEADLINE: Duration = Duration::from_secs(30);

/// What an endpoint reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    Json,
    /// A form too; then also nothing at all, as from a client that has only its cookie.
    JsonOrForm,
}

/// The members of a body that have not been taken yet, and what was wrong with those that have.
#[derive(Debug, Default)]
pub(super) struct Members {
    values: Vec<(String, Value)>,
    errors: Vec<FieldError>,
    part: Part,
    /// RFC 6749, section 3.2: parameters of a form that are not known are ignored.
    ignores_unknown: bool,
}

impl Members {
    pub async fn read(parts: &Parts, body: Body, accepts: Accepts) -> Result<Members, Refusal> {
        let media_type = parts.headers.get(CONTENT_TYPE).map(|value| {
            let text = value.to_str().unwrap_or_default();
            let essence = text.split_once(';').map_or(text, |(essence, _)| essence);
            essence.trim().to_ascii_lowercase()
        });
        let takes_form = accepts == Accepts::JsonOrForm;
        let bytes = receive(body).await?;
        match media_type.as_deref() {
            // Some clients state a type for the body that they do not send.
            _ if bytes.is_empty() && takes_form => Ok(Members::default()),
            Some("application/json") => Members::of_json(&bytes),
            Some("application/x-www-form-urlencoded") if takes_form => {
                Members::of_form(text(&bytes)?, Part::Body)
            }
            _ => Err(Refusal::new(
                Code::UnsupportedMediaType,
                "Send application/json, or a form where the endpoint takes one.",
            )),
        }
    }

    fn of_form(text: &str, part: Part) -> Result<Members, Refusal> {
        let mut values = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            values.push((form_text(name)?, Value::String(form_text(value)?)));
        }
        Members::unique(values, part, true)
    }

    /// A query string, of which every parameter has to be known.
    pub fn of_query(parts: &Parts) -> Result<Members, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let mut members = Members::of_form(query, Part::Query)?;
        members.ignores_unknown = false;
        Ok(members)
    }

    fn of_json(bytes: &[u8]) -> Result<Members, Refusal> {
        text(bytes)?;
        let object: Object = serde_json::from_slice(bytes).map_err(|error| {
            if error.classify() == Category::Data {
                Refusal::new(Code::ValidationFailed, "The body must be a JSON object.")
            } else {
                bad(format!("The body is not JSON: {error}."))
            }
        })?;
        Members::unique(object.0, Part::Body, false)
    }

    /// Two readers may disagree on which of two members of one name counts.
    fn unique(
        values: Vec<(String, Value)>,
        part: Part,
        ignores_unknown: bool,
    ) -> Result<Members, Refusal> {
        let mut seen = HashSet::new();
        let twice = values
            .iter()
            .map(|(name, _)| name)
            .find(|name| !seen.insert(name.as_str()));
        match twice {
            Some(name) => {
                let twice = FieldError {
                    field: name.clone().into(),
                    message: "must not be given twice".into(),
                };
                Err(Refusal::invalid_in(part, vec![twice]))
            }
            None => Ok(Members {
                values,
                errors: Vec::new(),
                part,
                ignores_unknown,
            }),
        }
    }

    /// From here on members that are not known are no error.
    pub fn ignore_unknown(&mut self) {
        self.ignores_unknown = true;
    }

    /// Takes a member that must be there. After an error it is empty, and [`Members::finish`] tells.
    pub fn required(&mut self, name: &'static str) -> String {
        match self.optional(name) {
            Some(text) => text,
            None => {
                if !self.errors.iter().any(|error| error.field == name) {
                    self.reject(name, "is required");
                }
                String::new()
            }
        }
    }

    pub fn optional(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            Value::Null => None,
            _ => {
                self.reject(name, "must be a string");
                None
            }
        }
    }

    /// A member that may be taken away: the inner `None` is JSON's null.
    pub fn nullable(&mut self, name: &'static str) -> Option<Option<String>> {
        match self.take(name)? {
            Value::String(text) => Some(Some(text)),
            Value::Null => Some(None),
            _ => {
                self.reject(name, "must be a string or null");
                None
            }
        }
    }

    /// A truth value that must be there, else it is false, and [`Members::finish`] tells.
    pub fn required_bool(&mut self, name: &'static str) -> bool {
        match self.take(name) {
            Some(Value::Bool(value)) => return value,
            Some(_) => self.reject(name, "must be true or false"),
            None => self.reject(name, "is required"),
        }
        false
    }

    /// A whole number.
    pub fn number(&mut self, name: &'static str) -> Option<i64> {
        self.nullable_number(name).flatten()
    }

    /// A whole number that must be there, else it is 0, and [`Members::finish`] tells.
    pub fn required_number(&mut self, name: &'static str) -> i64 {
        match self.nullable_number(name) {
            Some(Some(number)) => return number,
            _ if self.errors.iter().any(|error| error.field == name) => {}
            _ => self.reject(name, "is required"),
        }
        0
    }

    /// A whole number that may be taken away: the inner `None` is JSON's null.
    pub fn nullable_number(&mut self, name: &'static str) -> Option<Option<i64>> {
        let number = match self.take(name)? {
            Value::Null => return Some(None),
            value => value.as_i64(),
        };
        if number.is_none() {
            self.reject(name, "must be a whole number");
            return None;
        }
        Some(number)
    }

    /// A list of strings that must be there, else it is empty, and [`Members::finish`] tells.
    pub fn required_list(&mut self, name: &'static str) -> Vec<String> {
        self.optional_list(name).unwrap_or_else(|| {
            self.reject(name, "is required");
            Vec::new()
        })
    }

    /// A list of strings.
    pub fn optional_list(&mut self, name: &'static str) -> Option<Vec<String>> {
        let value = self.take(name)?;
        let text = |item: &Value| item.as_str().map(str::to_owned);
        let list = value
            .as_array()
            .and_then(|items| items.iter().map(text).collect());
        Some(list.unwrap_or_else(|| {
            self.reject(name, "must be a list of strings");
            Vec::new()
        }))
    }

    /// A parameter of a query that is `true` or `false`.
    pub fn flag(&mut self, name: &'static str) -> bool {
        match self.optional(name).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.reject(name, "must be true or false");
                false
            }
        }
    }

    /// A parameter of a query that is a positive number.
    pub fn positive(&mut self, name: &'static str) -> Option<i64> {
        let text = self.optional(name)?;
        let number = text.parse().ok().filter(|number| *number > 0);
        if number.is_none() {
            self.reject(name, "must be a positive number");
        }
        number
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.values.iter().position(|(n, _)| n == name)?;
        Some(self.values.swap_remove(index).1)
    }

    pub fn reject(&mut self, name: &'static str, message: &'static str) {
        self.errors.push(FieldError {
            field: name.into(),
            message: message.into(),
        });
    }

    /// [`Members::finish`] with what was wrong beyond the members' form; of each member one thing is told.
    pub fn finish_with(mut self, more: Vec<FieldError>) -> Result<(), Refusal> {
        for error in more {
            if self.errors.iter().all(|known| known.field != error.field) {
                self.errors.push(error);
            }
        }
        self.finish()
    }

    /// 422 with all that was wrong, members that nobody took included.
    pub fn finish(mut self) -> Result<(), Refusal> {
        if !self.ignores_unknown {
            self.values.sort_by(|a, b| a.0.cmp(&b.0));
            self.errors
                .extend(self.values.into_iter().map(|(name, _)| FieldError {
                    field: name.into(),
                    message: "is not known here".into(),
                }));
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Refusal::invalid_in(self.part, self.errors))
        }
    }
}

/// The whole body of a call.
///
/// # Errors
/// 413 `body-too-large` past 64 KiB, 400 `bad-request` when it breaks off or takes more than 30 seconds.
pub async fn receive<B>(body: B) -> Result<Bytes, Refusal>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let whole = Limited::new(body, MAX_BYTES).collect();
    match tokio::time::timeout(DEADLINE, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::new(
            Code::BodyTooLarge,
            "The body may have at most 65536 bytes here.",
        )
        .closing()),
        Ok(Err(error)) => Err(bad("The body broke off.").because(error).closing()),
        Err(_) => Err(bad("The body took too long.").closing()),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| bad("The body is not UTF-8."))
}

fn form_text(encoded: &str) -> Result<String, Refusal> {
    let spaced = encoded.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| bad("A value of the form or the query is not UTF-8."))
}

fn bad(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::BadRequest, detail)
}

/// A JSON object that keeps members of the same name apart, where a map would lose one.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}
