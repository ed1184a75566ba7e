//! What expressions can ask for, by its names.

use std::fmt;

use http::HeaderName;

use super::super::template::UserField;

/// A variable of an expression, with the names that select from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    User(UserField),
    /// A claim by its name alone; what is within it the expression selects itself.
    Claim(String),
    /// A parameter of the route's path.
    Path(String),
    Request(RequestField),
    Header(HeaderName),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestField {
    Method,
    /// Without port, in lower case.
    Host,
    Path,
    Query,
    /// The client's address.
    Ip,
}

impl RequestField {
    pub(super) const ALL: [RequestField; 5] = [
        RequestField::Method,
        RequestField::Host,
        RequestField::Path,
        RequestField::Query,
        RequestField::Ip,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            RequestField::Method => "method",
            RequestField::Host => "host",
            RequestField::Path => "path",
            RequestField::Query => "query",
            RequestField::Ip => "ip",
        }
    }
}

impl Variable {
    /// The claim that says the same.
    pub fn claim(&self) -> Option<&str> {
        match self {
            Variable::User(field) => Some(field.claim()),
            Variable::Claim(name) => Some(name),
            Variable::Path(_) | Variable::Request(_) | Variable::Header(_) => None,
        }
    }
}

/// As the file has it.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variable::User(field) => write!(f, "user.{}", field.as_str()),
            Variable::Claim(name) => write!(f, "claims[\"{name}\"]"),
            Variable::Path(name) => write!(f, "path.{name}"),
            Variable::Request(field) => write!(f, "request.{}", field.as_str()),
            Variable::Header(name) => write!(f, "request.headers[\"{name}\"]"),
        }
    }
}
