//! One line of the access log, as far as it says what was decided on.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Uri};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::forward::Handshake;

/// The years 2000 to 2099, since 1970. No gateway wrote at another time.
const TIMES: Range<Duration> = Duration::from_secs(946_684_800)..Duration::from_secs(4_102_444_800);

/// As it stands in the log. What else there is takes no part.
#[derive(Debug, Deserialize)]
struct Line {
    time: String,
    #[serde(default)]
    request_id: String,
    client_ip: IpAddr,
    method: String,
    #[serde(default)]
    host: Option<String>,
    path: String,
    #[serde(default)]
    route: Option<String>,
    #[serde(default)]
    user_id: Option<Uuid>,
    #[serde(default)]
    auth: String,
    decision: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    would_refuse: Vec<String>,
    #[serde(default)]
    websocket: bool,
}

/// A request that was served or refused.
#[derive(Debug)]
pub struct Record {
    /// When it began, since 1970.
    pub time: Duration,
    pub time_text: String,
    pub request_id: String,
    pub client: IpAddr,
    pub method: Method,
    pub host: String,
    /// Without the query, which is not logged. Empty where a request asked for a host and port alone.
    pub path: String,
    pub route: Option<String>,
    pub user: Option<Uuid>,
    /// It came with an API key.
    pub is_key: bool,
    pub auth: String,
    pub decision: String,
    pub reason: Option<String>,
    /// `auth: token-missing` and the like, of what was in shadow.
    pub would_refuse: Vec<String>,
    /// It asked to become a WebSocket.
    pub is_handshake: bool,
}

impl Record {
    /// `None` for a line that is none of the log.
    pub fn read(line: &[u8]) -> Option<Record> {
        let line: Line = serde_json::from_slice(line).ok()?;
        let time = OffsetDateTime::parse(&line.time, &Rfc3339).ok()?;
        let time = Duration::try_from(time - OffsetDateTime::UNIX_EPOCH).ok()?;
        if !TIMES.contains(&time) {
            return None;
        }
        if !line.path.is_empty() {
            line.path.parse::<Uri>().ok()?;
        }
        Some(Record {
            time,
            method: Method::from_bytes(line.method.as_bytes()).ok()?,
            is_key: line.auth == "api_key",
            time_text: line.time,
            request_id: line.request_id,
            client: line.client_ip,
            host: line.host.unwrap_or_default(),
            path: line.path,
            route: line.route,
            user: line.user_id,
            auth: line.auth,
            decision: line.decision,
            reason: line.reason,
            would_refuse: line.would_refuse,
            is_handshake: line.websocket,
        })
    }

    /// The head, as far as the log holds it; `None` for one that asked for no path.
    pub fn head(&self) -> Option<Parts> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse().ok()?;
        if let Ok(host) = HeaderValue::from_str(&self.host) {
            request.headers_mut().insert(HOST, host);
        }
        if self.is_handshake {
            let headers = request.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            request.extensions_mut().insert(Handshake);
        }
        Some(request.into_parts().0)
    }
}
