//! A request that nobody has sent.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderName, HeaderValue};
use http::{Method, Request, Uri};

use crate::authz::{Owners, Question, Unknown};
use crate::config::checked::JsonPointer;
use crate::config::policy_test::{DEFAULT_HOST, STRANGER, TestRequest};

/// What is asked about.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    /// Path and query, as a client would write them.
    pub target: Uri,
    pub host: HeaderValue,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub ip: IpAddr,
    /// What look-ups find, by where it stands.
    pub look_ups: Vec<(JsonPointer, String)>,
    /// What they find, by what is asked.
    pub owners: Vec<(String, String)>,
}

/// Why something is no request.
#[derive(Debug, thiserror::Error)]
pub enum NotAsked {
    #[error("`{0}` is no method")]
    Method(String),
    #[error("`{0}` is no path or URL that a request can have: {1}")]
    Url(String, String),
    #[error("`{0}` is no header: write `Name: value`")]
    Header(String),
    #[error("`{0}` is nothing that a look-up finds: write `/field=value`")]
    LookUp(String),
}

impl Asked {
    /// `url` is a path or an absolute URL; `headers` are written `Name: value`.
    ///
    /// # Errors
    /// What no request could have.
    pub fn new(
        method: &str,
        url: &str,
        headers: &[String],
        ip: Option<IpAddr>,
    ) -> Result<Asked, NotAsked> {
        let bad_url = |why: &str| NotAsked::Url(url.to_owned(), why.to_owned());
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| NotAsked::Method(method.to_owned()))?;
        let uri: Uri = url
            .parse()
            .map_err(|e: http::uri::InvalidUri| bad_url(&e.to_string()))?;
        let target = match (uri.path_and_query(), uri.authority()) {
            (Some(target), Some(_)) => Uri::from(target.clone()),
            (Some(target), None) if target.as_str().starts_with('/') => Uri::from(target.clone()),
            _ => return Err(bad_url("it begins with `/` or `http://`")),
        };
        let mut host = None;
        let mut others = Vec::new();
        for line in headers {
            let header = line.split_once(':').and_then(|(name, value)| {
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            });
            match header {
                // A second one is for the gateway to refuse.
                Some((HOST, value)) if host.is_none() => host = Some(value),
                Some(header) => others.push(header),
                None => return Err(NotAsked::Header(line.clone())),
            }
        }
        if let Some(authority) = uri.authority() {
            let authority = HeaderValue::from_str(authority.as_str())
                .map_err(|_| bad_url("its host cannot stand in a header"))?;
            host = Some(authority);
        }
        let host = host.unwrap_or(HeaderValue::from_static(DEFAULT_HOST));
        let ip = ip.unwrap_or(STRANGER);
        Ok(Asked::made(method, target, host, others, ip))
    }

    fn made(
        method: Method,
        target: Uri,
        host: HeaderValue,
        headers: Vec<(HeaderName, HeaderValue)>,
        ip: IpAddr,
    ) -> Asked {
        Asked {
            method,
            target,
            host,
            headers,
            ip,
            look_ups: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// The request of a test.
    ///
    /// # Errors
    /// A path or host that no request could have.
    pub fn of_test(test: &TestRequest) -> Result<Asked, NotAsked> {
        let bad = |why: String| NotAsked::Url(test.target.clone(), why);
        let target = test.target.parse();
        let target = target.map_err(|e: http::uri::InvalidUri| bad(e.to_string()))?;
        let host = HeaderValue::from_str(&test.host)
            .map_err(|_| bad(format!("`{}` is no host", test.host)))?;
        let (method, headers) = (test.method.clone(), test.headers.clone());
        Ok(Asked::made(method, target, host, headers, test.ip))
    }

    /// States what a look-up finds: `/created_by_user_id=7`.
    ///
    /// # Errors
    /// Text that is not written so.
    pub fn state(&mut self, found: &str) -> Result<(), NotAsked> {
        let stated = found.split_once('=').and_then(|(field, value)| {
            let field = field.parse::<JsonPointer>().ok()?;
            Some((field, value.to_owned()))
        });
        let stated = stated.ok_or_else(|| NotAsked::LookUp(found.to_owned()))?;
        self.look_ups.push(stated);
        Ok(())
    }

    /// The request as the gateway would get it.
    pub(super) fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        request
    }

    /// The other end of the connection, without a port that would mean anything.
    pub(super) fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 0)
    }
}

/// No upstream is asked: what is not stated is not known.
impl Owners for Asked {
    async fn look_up(&self, question: Question<'_>) -> Result<String, Unknown> {
        let mut by_field = self.look_ups.iter();
        let by_field = by_field.find(|(field, _)| field == question.field);
        let mut by_target = self.owners.iter();
        let by_target = by_target.find(|(target, _)| target == question.target);
        let stated = by_target.map(|(_, value)| value);
        let stated = stated.or(by_field.map(|(_, value)| value));
        stated.cloned().ok_or_else(|| {
            let Question { target, field, .. } = question;
            Unknown::because(format!(
                "GET {target} was not asked, and what it has at `{field}` is not stated"
            ))
        })
    }
}
