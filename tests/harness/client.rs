//! Two clients: an ordinary one for ordinary calls, and a socket that sends exactly the bytes it is given.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::DEADLINE;
use super::response::Response;

/// A request that an ordinary client could make.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

pub fn get(target: impl Into<String>) -> Request {
    request("GET", target)
}

pub fn post(target: impl Into<String>) -> Request {
    request("POST", target)
}

pub fn request(method: &str, target: impl Into<String>) -> Request {
    Request {
        method: method.to_owned(),
        target: target.into(),
        headers: Vec::new(),
        body: None,
    }
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", content_type)
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// The fields must need no escapes beyond `+`, `@`, `%`, `&` and `=`.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let escape = |text: &str| {
            text.replace('%', "%25")
                .replace('+', "%2B")
                .replace('@', "%40")
                .replace('&', "%26")
                .replace('=', "%3D")
        };
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        self.body("application/x-www-form-urlencoded", body.join("&"))
    }

    /// Sends this with a stock client over a connection of its own.
    #[track_caller]
    pub fn send(&self, to: SocketAddr) -> Response {
        self.try_send(to)
            .unwrap_or_else(|e| panic!("{} {}: {e}", self.method, self.target))
    }

    pub fn try_send(&self, to: SocketAddr) -> Result<Response, ureq::Error> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .proxy(None)
            .timeout_global(Some(DEADLINE))
            .build()
            .into();
        let mut request = ureq::http::Request::builder()
            .method(self.method.as_str())
            .uri(format!("http://{to}{}", self.target));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = match &self.body {
            Some(body) => agent.run(request.body(body.as_slice())?)?,
            None => agent.run(request.body(())?)?,
        };
        let (head, mut body) = response.into_parts();
        let body = body.with_config().limit(1 << 30).read_to_vec()?;
        Ok(Response {
            status: head.status.as_u16(),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    (name.to_string(), value.into_owned())
                })
                .collect(),
            body,
            trailers: Vec::new(),
            interim: Vec::new(),
        })
    }

    /// The request as bytes for a [`Connection`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| {
            self.headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
        };
        if !has("host") {
            head.push_str("Host: gateway.test\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// A client's end of one connection. Reads and writes fail at the deadline instead of hanging.
pub struct Connection {
    stream: TcpStream,
    /// Received and not yet part of a response that was read.
    buffer: Vec<u8>,
}

impl Connection {
    #[track_caller]
    pub fn open(to: SocketAddr) -> Connection {
        Connection::try_open(to).unwrap_or_else(|e| panic!("connecting to {to}: {e}"))
    }

    pub fn try_open(to: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&to, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            buffer: Vec::new(),
        })
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("sending");
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends bytes of no meaning until `total` are sent or none was taken for as long as `patience`, and says how many were.
    pub fn send_until_blocked(&mut self, total: usize, patience: Duration) -> io::Result<usize> {
        send_until_blocked(&mut self.stream, total, patience)
    }

    /// No more will be sent; what the other end says can still be read.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn exchange(&mut self, request: &Request) -> Response {
        self.send(request.to_bytes());
        self.read_response_to(&request.method)
    }

    /// Reads a response to any method but HEAD.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.read_response_to("GET")
    }

    #[track_caller]
    pub fn read_response_to(&mut self, method: &str) -> Response {
        match self.try_read_response_to(method) {
            Ok(response) => response,
            Err(e) => panic!(
                "no whole response ({e}), so far: {:?}",
                String::from_utf8_lossy(&self.buffer)
            ),
        }
    }

    /// Fails when the connection ends before the response does.
    pub fn try_read_response_to(&mut self, method: &str) -> io::Result<Response> {
        let mut interim = Vec::new();
        let (status, headers) = loop {
            let (status, headers) = self.read_head()?;
            if !(100..200).contains(&status) || status == 101 {
                break (status, headers);
            }
            interim.push(status);
        };
        let find = |name: &str| {
            let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_ascii_lowercase())
        };
        let mut trailers = Vec::new();
        let body = if method == "HEAD" || matches!(status, 101 | 204 | 304) {
            Vec::new()
        } else if find("transfer-encoding").is_some_and(|te| te.ends_with("chunked")) {
            self.read_chunked(&mut trailers)?
        } else if let Some(length) = find("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            self.read_exact(length)?
        } else {
            self.read_to_end()?
        };
        Ok(Response {
            status,
            headers,
            body,
            trailers,
            interim,
        })
    }

    /// Reads a status line and the fields after it.
    pub fn read_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let line = self.read_line()?;
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        Ok((status, self.read_fields()?))
    }

    fn read_fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| io::Error::other(format!("no field: {line:?}")))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn read_chunked(&mut self, trailers: &mut Vec<(String, String)>) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                *trailers = self.read_fields()?;
                return Ok(body);
            }
            body.extend(self.read_exact(size)?);
            if !self.read_line()?.is_empty() {
                return Err(io::Error::other("a chunk longer than it says"));
            }
        }
    }

    pub fn read_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Reads until the other end closes; fails on a reset.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.buffer)?;
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Everything until the other end closes or resets; panics when it does neither.
    #[track_caller]
    pub fn read_until_closed(&mut self) -> Vec<u8> {
        match self.stream.read_to_end(&mut self.buffer) {
            Err(e) if is_timeout(&e) => panic!(
                "the connection stays open after {:?}",
                String::from_utf8_lossy(&self.buffer)
            ),
            _ => std::mem::take(&mut self.buffer),
        }
    }

    /// Everything until the other end closes or has said nothing for as long as `patience`.
    pub fn read_until_quiet(&mut self, patience: Duration) -> Vec<u8> {
        let _ = self.stream.set_read_timeout(Some(patience));
        while self.fill().is_ok() {}
        let _ = self.stream.set_read_timeout(Some(DEADLINE));
        std::mem::take(&mut self.buffer)
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
        }
    }
}

/// Writes up to `total` bytes, until the socket has taken none for as long as `patience`. How many it
/// took tells how far the buffers on the way reach.
pub fn send_until_blocked(
    stream: &mut TcpStream,
    total: usize,
    patience: Duration,
) -> io::Result<usize> {
    stream.set_write_timeout(Some(patience))?;
    let chunk = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    while sent < total {
        match stream.write(&chunk[..chunk.len().min(total - sent)]) {
            Ok(n) => sent += n,
            Err(e) if is_timeout(&e) => break,
            Err(e) => return Err(e),
        }
    }
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(sent)
}

/// What a socket says when its read timeout has passed.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Splits everything that came over a connection into the status codes of its responses, for bytes
/// that may not be parsable to the end.
pub fn statuses(bytes: &[u8]) -> Vec<u16> {
    String::from_utf8_lossy(bytes)
        .split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|rest| rest.get(..3)?.parse().ok())
        .collect()
}
