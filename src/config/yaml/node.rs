//! The tree that a file is read into.

use std::rc::Rc;

use crate::config::source::Span;

/// One value of the file. No `Debug`: it may hold a secret.
pub struct Node {
    pub span: Span,
    pub value: Value,
    /// This node and all within it; long texts count for more.
    pub(super) size: usize,
}

pub enum Value {
    Scalar(Scalar),
    /// A scalar whose variables could not be expanded, which has been reported.
    Unset,
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<Entry>),
}

pub struct Scalar {
    /// Unescaped, and with variables expanded.
    pub text: String,
    /// Without quotes, or the outcome of an expansion: may be read as a number, `true` or null.
    pub is_plain: bool,
}

pub struct Entry {
    pub key: Key,
    pub value: Rc<Node>,
}

pub struct Key {
    pub text: String,
    pub span: Span,
}

impl Node {
    /// Nothing was given: `key:`, `key: ~` or `key: null`.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(s) => {
                s.is_plain && matches!(s.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// What this is, for a message that says what stands in place of something else.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar(_) | Value::Unset => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}
