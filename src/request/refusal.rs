//! Why a request is not served: one type for every stage and for the auth API.

use std::borrow::Cow;
use std::fmt;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::config::Diagnostic;

/// The `code` member of a problem document (RFC 9457): stable names that programs may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    TokenMissing,
    TokenInvalid,
    TokenExpired,
    TokenRevoked,
    CredentialsInvalid,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RateLimited,
    TooManyConcurrent,
    TooManyAttempts,
    AmbiguousPath,
    RequestTimeout,
    BodyTooLarge,
    HeaderTooLarge,
    UpstreamUnreachable,
    UpstreamTimeout,
    UpstreamOverloaded,
    BadRequest,
    UnsupportedMediaType,
    Conflict,
    ValidationFailed,
    Unavailable,
    Internal,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// A short summary that is the same for every occurrence (RFC 9457, section 3.1.3).
    pub fn title(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Code::TokenMissing => ("token-missing", S::UNAUTHORIZED, "Authentication required"),
            Code::TokenInvalid => ("token-invalid", S::UNAUTHORIZED, "Invalid token"),
            Code::TokenExpired => ("token-expired", S::UNAUTHORIZED, "Token expired"),
            Code::TokenRevoked => ("token-revoked", S::UNAUTHORIZED, "Token revoked"),
            Code::CredentialsInvalid => (
                "credentials-invalid",
                S::UNAUTHORIZED,
                "Invalid credentials",
            ),
            Code::Forbidden => ("forbidden", S::FORBIDDEN, "Forbidden"),
            Code::NotFound => ("not-found", S::NOT_FOUND, "Not found"),
            Code::MethodNotAllowed => (
                "method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "Method not allowed",
            ),
            Code::RateLimited => ("rate-limited", S::TOO_MANY_REQUESTS, "Too many requests"),
            Code::TooManyConcurrent => (
                "too-many-concurrent",
                S::TOO_MANY_REQUESTS,
                "Too many requests at once",
            ),
            Code::TooManyAttempts => (
                "too-many-attempts",
                S::TOO_MANY_REQUESTS,
                "Too many attempts",
            ),
            Code::AmbiguousPath => ("ambiguous-path", S::BAD_REQUEST, "Ambiguous path"),
            Code::RequestTimeout => ("request-timeout", S::REQUEST_TIMEOUT, "Request timeout"),
            Code::BodyTooLarge => (
                "body-too-large",
                S::PAYLOAD_TOO_LARGE,
                "Request body too large",
            ),
            Code::HeaderTooLarge => (
                "header-too-large",
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "Request headers too large",
            ),
            Code::UpstreamUnreachable => (
                "upstream-unreachable",
                S::BAD_GATEWAY,
                "The service behind did not answer",
            ),
            Code::UpstreamTimeout => (
                "upstream-timeout",
                S::GATEWAY_TIMEOUT,
                "The service behind took too long",
            ),
            Code::UpstreamOverloaded => (
                "upstream-overloaded",
                S::SERVICE_UNAVAILABLE,
                "The service behind is overloaded",
            ),
            Code::BadRequest => ("bad-request", S::BAD_REQUEST, "Bad request"),
            Code::UnsupportedMediaType => (
                "unsupported-media-type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "Unsupported media type",
            ),
            Code::Conflict => ("conflict", S::CONFLICT, "Conflict"),
            Code::ValidationFailed => (
                "validation-failed",
                S::UNPROCESSABLE_ENTITY,
                "Validation failed",
            ),
            Code::Unavailable => (
                "unavailable",
                S::SERVICE_UNAVAILABLE,
                "Temporarily unavailable",
            ),
            Code::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }
}

/// One member of a request's body or query that was not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    pub field: Cow<'static, str>,
    pub message: Cow<'static, str>,
}

/// Where members that were not acceptable stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    #[default]
    Body,
    Query,
}

impl Part {
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Body => "body",
            Part::Query => "query",
        }
    }
}

/// How the body of a refusal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// A problem document (RFC 9457).
    #[default]
    Problem,
    /// `{"detail": …}`, as FastAPI writes its errors: a text, or a list of what is wrong where.
    Detail,
}

/// A refused request. `detail` is what the client reads; `cause` is for the log alone.
#[derive(Debug, Clone)]
pub struct Refusal(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    cause: Option<String>,
    fields: Vec<FieldError>,
    part: Part,
    diagnostics: Vec<Diagnostic>,
    headers: Vec<(HeaderName, HeaderValue)>,
    limit: Option<Box<str>>,
    close: bool,
    is_for_now: bool,
    shape: Shape,
}

impl Refusal {
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Refusal(Box::new(Inner {
            code,
            detail: detail.into(),
            cause: None,
            fields: Vec::new(),
            part: Part::default(),
            diagnostics: Vec::new(),
            headers: Vec::new(),
            limit: None,
            close: false,
            is_for_now: false,
            shape: Shape::default(),
        }))
    }

    /// 422 with the members of the body at fault.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        Refusal::invalid_in(Part::Body, fields)
    }

    /// 422 with the members at fault.
    pub fn invalid_in(part: Part, fields: Vec<FieldError>) -> Self {
        let detail = match part {
            Part::Body => "The request's body was not acceptable.",
            Part::Query => "The request's query was not acceptable.",
        };
        let mut refusal = Refusal::new(Code::ValidationFailed, detail);
        refusal.0.fields = fields;
        refusal.0.part = part;
        refusal
    }

    /// 405 with the `Allow` that RFC 9110, section 15.5.6 asks for.
    pub fn method_not_allowed(allowed: &[Method]) -> Self {
        let list = allowed
            .iter()
            .map(Method::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let refusal = Refusal::new(
            Code::MethodNotAllowed,
            "This path does not take that method.",
        );
        match HeaderValue::try_from(list) {
            Ok(value) => refusal.with_header(header::ALLOW, value),
            Err(_) => refusal,
        }
    }

    /// What went wrong inside, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// The connection can't be trusted after this, or its body was not read.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.close = true;
        self
    }

    /// What decides could not be asked for: at another time the request may pass, or be refused for good.
    #[must_use]
    pub fn for_now(mut self) -> Self {
        self.0.is_for_now = true;
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// `Retry-After` in whole seconds (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The name of the limit that refused, told in the problem's `policy` member.
    #[must_use]
    pub fn by_limit(mut self, name: &str) -> Self {
        self.0.limit = Some(name.into());
        self
    }

    /// What is wrong with a configuration, told in the problem's `diagnostics` member.
    #[must_use]
    pub fn with_diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.0.diagnostics = diagnostics;
        self
    }

    #[must_use]
    pub fn in_shape(mut self, shape: Shape) -> Self {
        self.0.shape = shape;
        self
    }

    pub fn shape(&self) -> Shape {
        self.0.shape
    }

    /// The same for another reason, which the client is told instead.
    #[must_use]
    pub fn told_as(mut self, code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = code;
        self.0.detail = detail.into();
        self
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// Where the [`Refusal::fields`] stood.
    pub fn part(&self) -> Part {
        self.0.part
    }

    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0.diagnostics
    }

    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    pub fn limit(&self) -> Option<&str> {
        self.0.limit.as_deref()
    }

    pub fn is_for_now(&self) -> bool {
        self.0.is_for_now
    }

    pub fn closes(&self) -> bool {
        self.0.close
    }
}
